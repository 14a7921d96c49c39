//! Every snippet of the getting-started page for Rust, on tokio.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    unused_imports,
    unused_variables
)]

extern crate cycles_tokio as runcycles;

#[path = "support/executor.rs"]
mod executor;
#[path = "../../client/tests/adapter/scene.rs"]
mod scene;

include!("../../client/tests/page/snippets.rs");
include!("../../client/tests/page/walkthrough.rs");
