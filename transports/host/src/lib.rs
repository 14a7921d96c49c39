#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod entropy;
pub mod journal;
mod observer;
mod platform;
#[cfg(feature = "tls")]
pub mod tls;

pub use clock::Clock;
pub use entropy::{NoEntropy, seed};
pub use journal::{Journal, JournalError};
pub use observer::{Observer, Observers};
