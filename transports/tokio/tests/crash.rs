//! Processes that are killed in the middle of lifecycles: every cost that was known is in the ledger exactly once
//! after a restart and a flush.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

extern crate cycles_tokio as runcycles;

#[path = "support/executor.rs"]
mod executors;

use executors::on_threads as executor;

include!("../../client/tests/adapter/crash.rs");
include!("../../client/tests/adapter/crash_lives.rs");
