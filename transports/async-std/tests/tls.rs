//! https: what is trusted, what is not, and a program that has two cryptography providers.
#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

extern crate cycles_async_std as runcycles;

#[path = "support/executor.rs"]
mod executor;
#[path = "../../client/tests/adapter/support.rs"]
mod support;

include!("../../client/tests/adapter/tls.rs");
