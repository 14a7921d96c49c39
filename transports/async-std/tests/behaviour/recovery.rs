//! The scenarios of the SDK recovery profile, on async-std or smol.

use crate::adapter::OnExecutor;

cycles_conformance::recovery_suite!(OnExecutor);
