//! Every snippet of the getting-started page for Rust, on tokio.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    unused_imports,
    unused_variables
)]

use crate::{executor, scene};

include!("../../../client/tests/page/snippets.rs");
include!("../../../client/tests/page/walkthrough.rs");
