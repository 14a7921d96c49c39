//! Repeatable random numbers.

use cycles_sandbox::Seed;

pub struct Dice(Seed);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Seed::new(seed))
    }

    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0.below(sides)
    }

    /// Returns true in this many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len() as u64) as usize].clone()
    }
}
