//! The behaviour of every adapter, on tokio.

use crate::adapter::OnExecutor;

cycles_conformance::adapter_suite!(OnExecutor);
