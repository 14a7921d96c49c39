//! The journal on a real disk, one module per file. A test that needs a process of its own runs itself again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

mod support;

mod failures;
mod interop;
#[cfg(unix)]
mod owners;
mod processes;
mod scanning;
mod two_costs;
