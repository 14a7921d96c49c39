//! The scenarios of the SDK recovery profile, on async-std or smol.

#[path = "support/adapter.rs"]
mod adapter;
#[path = "support/executor.rs"]
mod executor;

use adapter::OnExecutor;

cycles_sandbox::recovery_suite!(OnExecutor);
