//! What every adapter has to do, on tokio.

use crate::adapter::OnExecutor;

cycles_conformance::adapter_suite!(OnExecutor);
