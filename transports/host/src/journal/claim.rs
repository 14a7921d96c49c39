//! Who replays: one process at a time, as far as that can be had.

use std::fs::File;
use std::path::Path;

use crate::platform;

/// The right to replay the records of a server and a principal, until it is dropped or the process ends.
///
/// It only saves that several send the same, and nobody waits long for it. The ledger counts what is sent twice once, other SDKs know of no
/// claims, and where files cannot be locked everybody has one.
#[derive(Debug)]
#[must_use = "the claim ends when it is dropped"]
pub struct Claim {
    /// Locked for as long as it is open.
    _file: Option<File>,
}

/// No SDK looks at files with this ending.
const NAME: &str = "claim.lock";

impl Claim {
    /// A claim that nobody disputes: there is nothing to replay, or no way to lock.
    pub(super) fn undisputed() -> Self {
        Self { _file: None }
    }

    pub(super) fn of(folder: &Path) -> Option<Self> {
        let Ok(file) = platform::open_lock(&folder.join(NAME)) else {
            return Some(Self::undisputed());
        };
        match platform::try_lock(&file) {
            Ok(false) => None,
            Ok(true) | Err(_) => Some(Self { _file: Some(file) }),
        }
    }
}
