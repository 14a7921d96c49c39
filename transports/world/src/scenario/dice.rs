//! Random draws from a seed, or from bytes and then from a seed.

use std::time::Duration;

use cycles_sandbox::Seed;

/// Draws from bytes while there are any left, then from a seed.
pub(super) struct Dice<'a> {
    bytes: &'a [u8],
    seed: Seed,
}

impl<'a> Dice<'a> {
    /// Dice that draw different numbers than the world, which has the same seed.
    pub(super) const fn new(bytes: &'a [u8], seed: u64) -> Self {
        Self {
            bytes,
            seed: Seed::new(!seed),
        }
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // Uses as few bytes as possible, so that each byte decides one thing.
        let needed = (u64::BITS - end.saturating_sub(1).leading_zeros()).div_ceil(8) as usize;
        match self.bytes.split_at_checked(needed) {
            Some((drawn, rest)) if !self.bytes.is_empty() => {
                self.bytes = rest;
                let number = drawn
                    .iter()
                    .fold(0, |number, byte| number << 8 | u64::from(*byte));
                number % end.max(1)
            }
            _ => self.seed.below(end),
        }
    }

    pub(super) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(super) fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        let index = self.below(values.len() as u64);
        values[usize::try_from(index).unwrap_or(0)]
    }

    /// An amount from 1 to `most`.
    pub(super) fn amount(&mut self, most: i64) -> i64 {
        let drawn = self.below(u64::try_from(most).unwrap_or(1));
        1 + i64::try_from(drawn).unwrap_or(0)
    }

    /// Milliseconds below `end`.
    pub(super) fn millis(&mut self, end: u64) -> Duration {
        Duration::from_millis(self.below(end))
    }

    /// A duration of any order of magnitude; each doubling is equally likely.
    pub(super) fn time(&mut self, shortest_ms: u64, doublings: u64) -> Duration {
        let whole = shortest_ms << self.below(doublings);
        Duration::from_millis(whole + self.below(whole))
    }

    /// Another seed.
    pub(super) fn seed(&mut self) -> u64 {
        self.seed.bits()
    }
}
