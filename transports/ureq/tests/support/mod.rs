//! Clients for tests, their servers, and both together.
#![allow(unreachable_pub)]

#[path = "../../../client/tests/adapter/support.rs"]
mod clients;
pub mod world;

pub use clients::*;
