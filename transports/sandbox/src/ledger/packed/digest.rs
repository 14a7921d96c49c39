//! Digests that stand for keys and requests. Two of them are the same only if what they were made of is.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// 80 bits of SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Digest(pub(super) [u8; 10]);

impl Digest {
    /// Of a key or a parsed request. They are equal if and only if their JSON is.
    pub(in crate::ledger) fn of(object: &impl Serialize) -> Self {
        // Nothing in them can fail to be written.
        let bytes = serde_json::to_vec(object).unwrap_or_default();
        let mut short = [0; 10];
        for (to, from) in short.iter_mut().zip(Sha256::digest(bytes)) {
            *to = from;
        }
        Self(short)
    }

    /// A hash of it.
    pub(super) fn short(self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }
}
