#![doc = include_str!("../README.md")]

mod clock;
mod entropy;
pub mod journal;
mod observer;
mod platform;

pub use clock::Clock;
pub use entropy::{NoEntropy, seed};
pub use journal::{Journal, JournalError};
pub use observer::{Observer, Observers};
