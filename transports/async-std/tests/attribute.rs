//! The attribute on every kind of function, on async-std or smol.
#![allow(clippy::unwrap_used, clippy::expect_used)]

extern crate cycles_async_std as runcycles;

#[path = "support/executor.rs"]
mod executor;
#[path = "../../client/tests/adapter/scene.rs"]
mod scene;

use executor::yield_now;

include!("../../client/tests/attribute/functions.rs");
include!("../../client/tests/attribute/streams.rs");

#[path = "../../client/tests/attribute/captures.rs"]
mod captures;
#[path = "../../client/tests/attribute/surroundings.rs"]
mod surroundings;
