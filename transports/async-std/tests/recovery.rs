//! The scenarios of the SDK recovery profile, on async-std or smol.

extern crate cycles_async_std as runcycles;

#[path = "../../client/tests/adapter/adapter.rs"]
mod adapter;
#[path = "support/executor.rs"]
mod executor;

use adapter::OnExecutor;

cycles_conformance::recovery_suite!(OnExecutor);
