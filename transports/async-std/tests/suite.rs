//! What every adapter has to do, on async-std or smol.

#[path = "support/adapter.rs"]
mod adapter;
#[path = "support/executor.rs"]
mod executor;

use adapter::OnExecutor;

cycles_sandbox::adapter_suite!(OnExecutor);
