//! Ids and random decisions derived from a seed, so that a run can be repeated.

/// A splitmix64 generator of ids in the protocol's formats.
///
/// Good enough to keep ids distinct, but never a source of secrets. It is public, but hidden, for this repository's
/// simulator.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// A generator whose ids depend on `seed` alone.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next id, shaped as a UUID version 4 in lower case with hyphens.
    pub fn uuid(&mut self) -> String {
        let (high, low) = (self.bits(), self.bits());
        let high = high & 0xFFFF_FFFF_FFFF_0FFF | 0x4000;
        let low = low & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xFFFF,
            high & 0xFFFF,
            low >> 48,
            low & 0xFFFF_FFFF_FFFF
        )
    }

    /// The next trace id: 32 lower-case hex digits, never all zero.
    pub fn trace_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.bits() | 1, self.bits())
    }

    /// Returns `true` with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        // A float holds 53 bits exactly.
        let draw = (self.bits() >> 11) as f64 / (1_u64 << 53) as f64;
        draw < probability
    }

    /// A random number below `end`, which must not be 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The bias of the remainder is too small to matter in a simulation.
        self.bits() % end.max(1)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
