//! Random decisions, from a seed or from bytes.

/// A source of decisions: a seed never runs out, bytes do.
pub enum Dice {
    /// A small random generator (splitmix64), with the same numbers in every run.
    Seeded(u64),
    /// The remaining bytes, the next one last.
    Drawn(Vec<u8>),
}

impl Dice {
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(seed)
    }

    pub fn drawn(bytes: &[u8]) -> Self {
        Self::Drawn(bytes.iter().rev().copied().collect())
    }

    /// Whether all bytes are used up.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Drawn(bytes) if bytes.is_empty())
    }

    pub fn next(&mut self) -> u64 {
        match self {
            Self::Seeded(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = *state;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                mixed ^ (mixed >> 31)
            }
            Self::Drawn(bytes) => {
                (0..8).fold(0, |number, _| number << 8 | u64::from(bytes.pop().unwrap_or(0)))
            }
        }
    }

    pub fn below(&mut self, end: usize) -> usize {
        match self {
            Self::Drawn(bytes) if end <= 256 => usize::from(bytes.pop().unwrap_or(0)) % end,
            Self::Seeded(_) | Self::Drawn(_) => (self.next() % end as u64) as usize,
        }
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}
