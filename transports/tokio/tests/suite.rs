//! What every adapter has to do, on tokio.

extern crate cycles_tokio as runcycles;

#[path = "../../client/tests/adapter/adapter.rs"]
mod adapter;
#[path = "support/executor.rs"]
mod executors;

use adapter::OnExecutor;
use executors::on_threads as executor;

cycles_conformance::adapter_suite!(OnExecutor);
