//! Compiles the examples of the project's README, so that they stay true.

/// The README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
