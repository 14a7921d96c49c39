//! Every snippet of the getting-started page for Rust, on async-std or smol.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    unused_imports,
    unused_variables
)]

use crate::{executor, scene};

/// The page sleeps with tokio; here it is the executor that sleeps.
mod tokio {
    pub(crate) mod time {
        pub(crate) use crate::executor::sleep;
    }
}

include!("../../../client/tests/page/snippets.rs");
include!("../../../client/tests/page/walkthrough.rs");
