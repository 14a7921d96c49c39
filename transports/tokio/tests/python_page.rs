//! Every row of the page of the Python client, on tokio.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    unused_imports,
    unused_variables
)]

extern crate cycles_tokio as runcycles;

/// What the tests wait with.
mod executor {
    pub(crate) use tokio::time::sleep;
}

/// Makes an async function a test.
macro_rules! on_executor {
    ($(#[$attribute:meta])* async fn $name:ident() $(-> $output:ty)? $body:block) => {
        #[tokio::test]
        $(#[$attribute])*
        async fn $name() $(-> $output)? $body
    };
}

include!("../../client/tests/python_page/page.rs");
include!("../../client/tests/python_page/decorator.rs");
include!("../../client/tests/python_page/parameters.rs");
include!("../../client/tests/python_page/context.rs");
include!("../../client/tests/python_page/programmatic.rs");
include!("../../client/tests/python_page/walkthrough.rs");
