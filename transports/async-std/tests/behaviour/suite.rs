//! The behaviour of every adapter, on async-std or smol.

use crate::adapter::OnExecutor;

cycles_conformance::adapter_suite!(OnExecutor);
