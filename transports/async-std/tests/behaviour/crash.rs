//! Processes that are killed in the middle of lifecycles: every cost that was known is in the ledger exactly once
//! after a restart and a flush.

use crate::executor;

include!("../../../client/tests/adapter/crash.rs");
include!("../../../client/tests/adapter/crash_process.rs");
