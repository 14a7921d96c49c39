//! The scenarios of the SDK recovery profile, on tokio.

#[path = "support/adapter.rs"]
mod adapter;

use adapter::Tokio;

cycles_sandbox::recovery_suite!(Tokio);
