//! Draws from a seed.

use std::time::Duration;

use crate::seed::Seed;

/// Draws from a seed.
pub(super) struct Dice(Seed);

impl Dice {
    /// Other numbers than those of the world, which has the same seed.
    pub(super) const fn new(seed: u64) -> Self {
        Self(Seed::new(!seed))
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.below(end)
    }

    pub(super) fn one_in(&mut self, count: u64) -> bool {
        self.0.below(count) == 0
    }

    pub(super) fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        let index = self.0.below(values.len() as u64);
        values[usize::try_from(index).unwrap_or(0)]
    }

    /// An amount from 1 to `most`.
    pub(super) fn amount(&mut self, most: i64) -> i64 {
        let drawn = self.0.below(u64::try_from(most).unwrap_or(1));
        1 + i64::try_from(drawn).unwrap_or(0)
    }

    /// Milliseconds below `end`.
    pub(super) fn millis(&mut self, end: u64) -> Duration {
        Duration::from_millis(self.0.below(end))
    }

    /// A time of very different lengths, each doubling as likely as another.
    pub(super) fn time(&mut self, shortest_ms: u64, doublings: u64) -> Duration {
        let whole = shortest_ms << self.0.below(doublings);
        Duration::from_millis(whole + self.0.below(whole))
    }

    /// Another seed.
    pub(super) fn seed(&mut self) -> u64 {
        self.0.next()
    }
}
