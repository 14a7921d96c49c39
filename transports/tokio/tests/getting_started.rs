//! Every snippet of the getting-started page for Rust, on tokio.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    unused_imports,
    unused_variables
)]

extern crate cycles_tokio as runcycles;

#[path = "support/scene.rs"]
mod scene;

/// Makes an async function a test.
macro_rules! on_executor {
    ($(#[$attribute:meta])* async fn $name:ident() $(-> $output:ty)? $body:block) => {
        #[tokio::test]
        $(#[$attribute])*
        async fn $name() $(-> $output)? $body
    };
}

include!("../../client/tests/page/snippets.rs");
include!("../../client/tests/page/walkthrough.rs");
