//! What every adapter has to do, on tokio.

#[path = "support/adapter.rs"]
mod adapter;

use adapter::Tokio;

cycles_sandbox::adapter_suite!(Tokio);
