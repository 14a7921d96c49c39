//! Futures that are dropped at every point of a lifecycle: once the server granted there is one
//! commit, or one release, or one record on disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

extern crate cycles_async_std as runcycles;

#[path = "support/executor.rs"]
mod executor;
#[path = "../../client/tests/adapter/scene.rs"]
mod scene;

include!("../../client/tests/adapter/cancellation.rs");
