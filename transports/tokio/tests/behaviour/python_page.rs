//! Every row of the page of the Python client, on tokio.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    unused_imports,
    unused_variables
)]

use crate::executor;

include!("../../../client/tests/python_page/page.rs");
include!("../../../client/tests/python_page/decorator.rs");
include!("../../../client/tests/python_page/parameters.rs");
include!("../../../client/tests/python_page/context.rs");
include!("../../../client/tests/python_page/programmatic.rs");
include!("../../../client/tests/python_page/walkthrough.rs");
