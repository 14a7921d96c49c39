//! What every adapter has to do, on async-std or smol.

extern crate cycles_async_std as runcycles;

#[path = "../../client/tests/adapter/adapter.rs"]
mod adapter;
#[path = "support/executor.rs"]
mod executor;

use adapter::OnExecutor;

cycles_conformance::adapter_suite!(OnExecutor);
