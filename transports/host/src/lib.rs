#![doc = include_str!("../README.md")]

mod clock;
mod entropy;
pub mod journal;
mod platform;

pub use clock::Clock;
pub use entropy::{NoEntropy, seed};
pub use journal::{Journal, JournalError};
