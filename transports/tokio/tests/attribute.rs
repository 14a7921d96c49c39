//! The attribute on every kind of function, on tokio.
#![allow(clippy::unwrap_used, clippy::expect_used)]

extern crate cycles_tokio as runcycles;

#[path = "support/scene.rs"]
mod scene;

use tokio::task::yield_now;

/// Makes an async function a test.
macro_rules! on_executor {
    ($(#[$attribute:meta])* async fn $name:ident() $(-> $output:ty)? $body:block) => {
        #[tokio::test]
        $(#[$attribute])*
        async fn $name() $(-> $output)? $body
    };
}

include!("../../client/tests/attribute/functions.rs");
include!("../../client/tests/attribute/streams.rs");
