//! The scenarios of the SDK recovery profile, on tokio.

use crate::adapter::OnExecutor;

cycles_conformance::recovery_suite!(OnExecutor);
