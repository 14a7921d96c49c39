//! Processes that are killed in the middle of runs: every step that ended is charged once.

use crate::executor::on_threads as executor;

include!("../../../client/tests/adapter/run_crash.rs");
include!("../../../client/tests/adapter/run_crash_process.rs");
