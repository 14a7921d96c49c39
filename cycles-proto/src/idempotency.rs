//! How idempotency keys and trace ids are formed: all are derived from a seed. `wire/encode.rs` writes them into the
//! headers of a request.
//!
//! The core has no source of randomness. An adapter provides 16 random bytes per operation or reservation, and
//! everything else follows from them, so that the same seed repeats a run byte for byte.

use core::fmt::{self, Write as _};

use crate::models::IdempotencyKey;

/// 16 random bytes. The source must never repeat itself, not even after a fork: a repeated seed would replay another
/// caller's reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub [u8; 16]);

impl Seed {
    /// The `n`-th seed after this one, for several runs under one seed.
    pub(crate) fn nth(self, n: u64) -> Self {
        Self(u128::from_be_bytes(self.0).wrapping_add(n.into()).to_be_bytes())
    }

    /// The idempotency key for the `counter`-th call of a kind: `{seed in hex}-{label}-{counter}`.
    pub fn idempotency_key(&self, label: &str, counter: u64) -> IdempotencyKey {
        // Every call makes a key, so allocate once, with room for the longest counter.
        let mut key = String::with_capacity(32 + 1 + label.len() + 1 + 20);
        // Writing to a string cannot fail.
        let _ = write!(key, "{self}-{label}-{counter}");
        IdempotencyKey::from(key)
    }

    /// The trace id of everything that is done under this seed: 32 lower-case hex digits. The seed's idempotency keys
    /// start with them, so that one leads to the other. `None` if the seed is all zeros, which is not a valid trace id.
    pub fn trace_id(&self) -> Option<String> {
        let hex = self.is_a_trace().then(|| self.hex().to_vec())?;
        String::from_utf8(hex).ok()
    }

    /// The `n`-th random number of the seed, from 0 to 1 (splitmix64), for waits that must differ between clients.
    pub(crate) fn fraction(self, n: u64) -> f64 {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let number = u128::from_be_bytes(self.0);
        // Both halves of the seed count, and equal halves do not cancel each other out.
        let start = ((number >> 64) as u64).wrapping_mul(GOLDEN) ^ number as u64;
        let mut mixed = start.wrapping_add(n.wrapping_add(1).wrapping_mul(GOLDEN));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // A float holds 53 bits exactly.
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether the seed is a valid trace id: any seed is, unless it is all zeros.
    pub(crate) fn is_a_trace(&self) -> bool {
        self.0 != [0; 16]
    }

    /// The bytes as 32 lower-case hex digits.
    pub(crate) fn hex(&self) -> [u8; 32] {
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        text
    }
}

fn digit(nibble: u8) -> u8 {
    nibble + if nibble < 10 { b'0' } else { b'a' - 10 }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_start_with_the_trace_they_belong_to() {
        let seed = Seed(*b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f");
        assert_eq!(
            seed.idempotency_key("commit", 2).as_str(),
            "000102030405060708090a0b0c0d0e0f-commit-2"
        );
        assert_eq!(seed.trace_id().unwrap(), "000102030405060708090a0b0c0d0e0f");
        assert_eq!(Seed([0; 16]).trace_id(), None);
    }
}
