//! The claim to replay, held by one process at a time, where files can be locked.

use std::fs::File;
use std::path::Path;

use crate::platform;

/// The right to replay the records of a server and a principal, until it is dropped or the process ends.
///
/// The claim only saves several processes from sending the same records, and nobody waits long for it. Correctness does
/// not depend on it: the ledger counts a cost once even if it is sent twice, other SDKs do not know claims, and where
/// files cannot be locked, every process gets one.
#[derive(Debug)]
#[must_use = "the claim ends when it is dropped"]
pub struct Claim {
    /// Locked while it is open.
    _file: Option<File>,
}

/// The name of the lock file. No SDK reads files with this extension.
const NAME: &str = "claim.lock";

impl Claim {
    /// A claim without a lock, because there is nothing to replay, or no way to lock.
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
