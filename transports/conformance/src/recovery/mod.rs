//! The scenarios of the SDK recovery profile 0.3, by their ids. Every adapter must pass them, with real sockets, a
//! journal of real files, and processes that are killed and restarted.
//!
//! Scenarios that end a process use child processes: the test binary starts itself to run only [`another_process`].
//! Such a process leaves traces only on disk and in the ledger.

mod core;
mod durable;
mod file_names;
mod process;
mod setup;

pub use self::core::*;
pub use self::durable::*;
pub use self::file_names::*;
pub use self::process::another_process;

/// Creates a test of each scenario for an [`Adapter`](crate::Adapter). Call it in the root of a test binary, or in a
/// module `recovery` of it.
#[macro_export]
macro_rules! recovery_suite {
    ($adapter:ty) => {
        $crate::recovery_suite! { $adapter:
            cr_core_001_lost_commit_response_reuses_the_same_key
            cr_core_002_expired_commit_falls_back_to_an_event
            cr_core_003_heartbeat_transport_failure_is_observable_and_non_fatal
            cr_core_004_protocol_invalid_settlement_success_remains_ambiguous
            cr_durable_001_first_commit_is_journaled_before_it_leaves_the_process
            cr_durable_002_replayed_expired_commit_switches_durably_to_event_mode
            cr_durable_003_rate_limit_floor_survives_restart
            cr_durable_004_tenant_journal_survives_api_key_rotation
            cr_durable_005_corrupt_or_unsupported_journal_record_is_quarantined
            cr_durable_006_concurrent_replay_remains_exactly_once
            cr_durable_007_journal_filenames_preserve_distinct_arbitrary_reservation_identifiers
            cr_boundary_001_missing_actual_is_surfaced_without_settlement
        }
        /// Not a scenario: the code of the other tests' child processes.
        #[test]
        fn another_process() {
            $crate::recovery::another_process::<$adapter>();
        }
    };
    ($adapter:ty: $($scenario:ident)+) => {
        $(
            #[test]
            fn $scenario() {
                $crate::recovery::$scenario::<$adapter>();
            }
        )+
    };
}
