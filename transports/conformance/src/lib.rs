#![doc = include_str!("../README.md")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod actions_without_a_cost;
#[doc(hidden)]
pub mod client;
pub mod contract;
mod external_server;
mod files;
mod intermediaries;
mod lease;
mod lost_answers;
mod metered;
mod provider_failures;
mod python_sdk;
mod raw_answers;
pub mod recovery;
mod refused_costs;
mod request_headers;
mod returned_values;
mod runs;
pub mod scripted;
mod secrets;
#[doc(hidden)]
pub mod seed_program;
mod shadow;
mod statistics;
mod test_setup;

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use cycles_proto::models::{Amount, Caps, CommitRequest, ReservationCreateRequest, ReservationId};
use cycles_proto::outcome::NotMarked;
use cycles_proto::run::{RunConfig, Step};
use cycles_proto::with_cycles_config::{OnError, WithCyclesConfig};
use cycles_proto::{
    CyclesConfig, Error, Event, Flushed, InvalidCommit, RawRequest, RawResponse, Receipt, Stats, UnixMillis,
};

pub use self::actions_without_a_cost::*;
pub use self::files::{TempDir, files, records};
pub use self::intermediaries::*;
pub use self::lease::*;
pub use self::lost_answers::*;
pub use self::metered::*;
pub use self::provider_failures::*;
pub use self::python_sdk::python_with_sdk;
pub use self::raw_answers::*;
pub use self::refused_costs::*;
pub use self::request_headers::*;
pub use self::returned_values::*;
pub use self::runs::*;
pub use self::secrets::*;
pub use self::shadow::*;
pub use self::statistics::*;
pub use self::test_setup::{commit, request, request_for};

/// A client library under test.
pub trait Adapter {
    /// The library's client.
    type Client: Client;

    /// Creates a client with this configuration that calls `observer` with every event.
    fn client(config: CyclesConfig, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self::Client;

    /// Keeps all worker threads of the caller's runtime busy for this long, if there is a runtime.
    fn occupy(_time: Duration) {}
}

/// A client.
pub trait Client: Debug + Sync {
    /// The guard of a reservation.
    type Guard: Guard;
    /// A run.
    type Run: Run;

    /// Makes a reservation.
    fn reserve(&self, request: ReservationCreateRequest) -> Result<Self::Guard, Error>;

    /// Runs an action with this estimate. Returns its value and the receipt of its cost.
    fn with_cycles<T>(
        &self,
        estimate: Amount,
        action: impl FnOnce(&dyn Action) -> Result<(T, Amount), ActionFailed>,
    ) -> Result<(T, Result<Receipt, InvalidCommit>), Error> {
        let config = WithCyclesConfig::new(estimate).action("llm.completion", "gpt-4o");
        self.with_config(config, action)
    }

    /// Runs an action with these settings. Returns its value and the receipt of its cost.
    fn with_config<T>(
        &self,
        config: WithCyclesConfig,
        action: impl FnOnce(&dyn Action) -> Result<(T, Amount), ActionFailed>,
    ) -> Result<(T, Result<Receipt, InvalidCommit>), Error>;

    /// Runs an action that does not end by itself after `action`, and cuts it off from outside: its future is dropped,
    /// as by a time-out around it. A blocking action cannot be cut off, so it panics, and the panic is caught.
    fn cut_off(&self, config: WithCyclesConfig, action: impl FnOnce(&dyn Action));

    /// Starts a run.
    fn run(&self, config: RunConfig) -> Result<Self::Run, Error>;

    /// Makes an arbitrary request, and returns the unparsed answer.
    fn raw(&self, request: RawRequest<'_>) -> Result<RawResponse, Error>;

    /// Settles as many costs as possible within `timeout`.
    fn flush(&self, timeout: Duration) -> Result<Unsettled, Error>;

    /// Returns what the client has done so far.
    fn stats(&self) -> Stats;

    /// Like [`flush`](Self::flush), but also settles records that were set aside as stale.
    fn flush_stale(&self, timeout: Duration) -> Result<Unsettled, Error>;
}

/// The guard of a reservation.
pub trait Guard: Debug + Send {
    fn reservation_id(&self) -> ReservationId;
    fn caps(&self) -> Option<Caps>;
    fn spent(&self, amount: &Amount) -> Result<(), InvalidCommit>;
    fn dispatched(&self);
    /// Blocks until it is on disk.
    fn dispatched_durably(&self) -> Result<(), NotMarked>;
    fn not_charged(&self);
    fn set_on_error(&self, on_error: OnError);
    fn extend(&self, ms: u64) -> Result<UnixMillis, Error>;
    fn commit(self, request: CommitRequest) -> Result<Receipt, Error>;
    fn release(self, reason: &str) -> Result<bool, Error>;

    /// Meters a stream of items, each of which costs this many tokens or fails. Takes `take` of them, or fewer if the
    /// stream ends earlier, and drops the rest. Returns the items and the receipt of the cost.
    fn meter(self, items: Vec<Result<i64, ActionFailed>>, metering: Metering) -> Consumed;
}

/// A run.
pub trait Run: Debug + Send + Sync {
    /// Runs a step that costs `cost`, while `action` runs. If that fails, the step fails.
    fn step(
        &self,
        step: Step,
        cost: Amount,
        action: impl FnOnce(&dyn Spending) -> Result<(), ActionFailed>,
    ) -> Result<(), Error>;

    /// Runs a step that does not end by itself after `action`, and cuts it off; see [`Client::cut_off`].
    fn cut_off(&self, step: Step, action: impl FnOnce(&dyn Spending));

    /// Runs a step that costs `outer`, and inside of it another one that costs `inner`. Their estimates are their costs.
    fn nested(&self, outer: Amount, inner: Amount) -> Result<(), Error>;

    /// Keeps an amount, and runs a step that draws from it. Returns the result of the step, and what is left of the kept
    /// amount and of the run.
    fn keep_and_step(
        &self,
        keep: Amount,
        step: Step,
        cost: Amount,
    ) -> Result<(Result<(), Error>, Amount, Amount), Error>;

    fn left(&self) -> Amount;
    fn is_lost(&self) -> bool;
    fn reservation_id(&self) -> ReservationId;
    fn finish(&self) -> Result<Option<Receipt>, Error>;
}

/// The context of a step or an action: it may report what it has spent, and which requests have left.
pub trait Spending {
    fn spent(&self, amount: &Amount) -> Result<(), InvalidCommit>;
    fn dispatched(&self);
    /// Blocks until it is on disk.
    fn dispatched_durably(&self) -> Result<(), NotMarked>;
    fn not_charged(&self);
}

/// How a stream is metered and consumed.
#[derive(Clone, Copy, Debug)]
pub struct Metering {
    /// The number of items to take.
    pub take: usize,
    /// The number of tokens at which the stream ends.
    pub stop_at: Option<i64>,
    /// Whether the consumer panics instead of stopping.
    pub panics: bool,
}

/// The result of consuming a metered stream.
#[derive(Debug)]
pub struct Consumed {
    /// The costs of the items that were taken; `None` is an error.
    pub seen: Vec<Option<i64>>,
    /// The receipt of the stream's cost.
    pub settled: Result<Option<Receipt>, Error>,
}

impl Metering {
    /// Takes the next item. Once `take` items are taken, returns `None`, or panics if `panics` is set.
    ///
    /// An item whose cost closure panics is lost, and the next one is taken.
    pub fn next<T>(self, seen: usize, mut next: impl FnMut() -> Option<T>) -> Option<T> {
        if seen < self.take {
            return loop {
                match catch_unwind(AssertUnwindSafe(&mut next)) {
                    Ok(item) => break item,
                    Err(panic) if panic.is::<CostPanicked>() => {}
                    Err(panic) => resume_unwind(panic),
                }
            };
        }
        if self.panics {
            resume_unwind(Box::new("on purpose"));
        }
        None
    }

    /// Returns the cost of an item; panics for [`COST_PANICS`].
    pub fn cost(tokens: &i64) -> Amount {
        if *tokens == COST_PANICS {
            resume_unwind(Box::new(CostPanicked));
        }
        Amount::tokens(*tokens)
    }
}

/// An item for which the meter's closure panics instead of returning a cost.
pub const COST_PANICS: i64 = i64::MIN;

struct CostPanicked;

/// The context of an action: access to its reservation.
pub trait Action: Spending {
    fn reservation_id(&self) -> ReservationId;
}

/// The error of an action that failed.
#[derive(Debug)]
pub struct ActionFailed;

impl std::fmt::Display for ActionFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the action's own error")
    }
}

impl std::error::Error for ActionFailed {}

/// The result of a flush: what is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// Reservations that are still being settled or released.
    pub ending: usize,
    /// Records in the journal.
    pub recorded: usize,
    /// Costs that are neither in the ledger nor in a record.
    pub unrecorded: usize,
    /// Costs that were charged only in part.
    pub charged_less: usize,
    /// Costs that were set aside in files, for a person.
    pub set_aside: usize,
    /// Costs that nobody knows, of processes that have ended.
    pub unknown: usize,
    /// Whether these numbers are known to be complete.
    pub is_certain: bool,
}

impl Unsettled {
    /// Nothing is left.
    pub const NOTHING: Self = Self {
        ending: 0,
        recorded: 0,
        unrecorded: 0,
        charged_less: 0,
        set_aside: 0,
        unknown: 0,
        is_certain: true,
    };

    /// The same result with this number of unrecorded costs.
    pub const fn unrecorded(self, unrecorded: usize) -> Self {
        Self { unrecorded, ..self }
    }
}

impl From<Flushed> for Unsettled {
    fn from(flushed: Flushed) -> Self {
        let left = Self {
            ending: flushed.ending,
            recorded: flushed.recorded,
            unrecorded: flushed.unrecorded,
            charged_less: flushed.charged_less,
            set_aside: flushed.set_aside,
            unknown: flushed.unknown,
            is_certain: flushed.is_certain,
        };
        assert_eq!(flushed.is_complete(), left == Self::NOTHING, "{flushed:?}");
        left
    }
}

/// Creates a test of each behaviour for an [`Adapter`](crate::Adapter).
#[macro_export]
macro_rules! adapter_suite {
    ($adapter:ty) => {
        $crate::adapter_suite! { $adapter:
            the_value_comes_back_when_the_server_died_before_the_commit
            the_value_comes_back_through_server_errors_and_the_cost_is_settled_later
            the_value_comes_back_when_the_key_is_refused_and_nothing_is_released
            the_value_comes_back_when_the_reservation_is_over_and_an_event_takes_the_cost
            the_value_comes_back_when_the_cost_is_refused_and_a_person_finds_it
            the_value_comes_back_when_the_journal_cannot_be_written
            the_value_comes_back_with_neither_server_nor_journal
            the_value_comes_back_when_a_foreign_page_answers_and_the_cost_is_settled_later
            a_job_that_was_done_twice_has_both_costs_in_the_ledger_or_in_a_file
            a_cost_that_is_refused_and_in_no_file_is_told_and_counted
            a_denied_action_does_not_run
            a_denial_is_the_same_error_as_a_decision_and_as_a_refusal
            a_reservation_whose_answer_is_lost_is_made_once
            a_commit_whose_answer_is_lost_is_charged_once
            a_release_whose_answer_is_lost_is_confirmed_by_its_repetition
            an_extension_whose_answer_is_lost_is_made_once
            a_foreign_page_in_place_of_a_grant_is_an_error_and_no_action_runs
            what_a_balancer_or_a_redirect_answers_is_asked_once_more_and_counts_once
            a_redirect_is_not_followed_and_its_error_says_what_to_change
            a_proxy_that_wants_credentials_has_sent_nothing
            what_a_gateway_has_written_anew_is_read_all_the_same
            a_server_that_takes_all_its_connections_along_costs_no_call
            a_cost_that_is_known_after_the_lease_is_charged_by_an_event
            what_one_client_left_another_settles
            a_pause_for_one_record_is_one_for_all_of_them
            answers_that_say_nothing_of_a_record_are_not_asked_for_with_every_record
            a_key_that_is_refused_is_not_tried_with_every_record
            two_that_settle_one_journal_at_once_send_each_record_once
            a_record_that_counted_and_that_another_sdk_has_sorted_counts_once
            a_record_whose_key_was_answered_for_another_amount_is_for_a_person
            an_event_that_counted_and_that_another_sdk_has_sorted_is_for_a_person
            what_is_too_old_to_be_sent_is_sent_by_force_and_counts_once
            a_throttled_commit_waits_as_long_as_it_was_told
            an_action_that_panics_gives_its_budget_back
            an_action_that_panics_is_charged_what_it_had_spent
            an_action_that_fails_gives_its_budget_back_and_keeps_its_error
            a_dropped_guard_gives_its_budget_back
            a_dropped_guard_is_charged_what_was_spent
            a_release_after_something_was_spent_charges_it
            a_commit_over_a_limit_goes_on_without_what_is_too_long
            a_commit_goes_on_without_what_is_nested_deeper_than_servers_read
            a_cost_in_another_unit_is_not_taken_and_nothing_is_released
            a_cost_that_was_charged_for_less_is_told_and_counted
            a_heartbeat_keeps_a_lease_alive_beyond_its_length
            a_lease_so_short_that_its_first_beat_is_due_with_the_grant_is_kept_alive
            a_reservation_that_is_asked_for_again_with_little_time_left_is_kept_alive
            an_extension_that_hangs_does_not_delay_the_commit
            many_leases_are_kept_alive_though_each_extension_takes_long
            a_lease_is_kept_alive_while_all_threads_of_the_runtime_are_busy
            a_metered_stream_dropped_at_any_item_leaves_the_ledger_exact
            a_metered_stream_whose_consumer_panics_at_any_item_leaves_the_ledger_exact
            a_metered_stream_that_fails_is_charged_what_came_before
            a_metered_item_whose_cost_panics_is_told_and_counted_though_the_stream_goes_on
            a_metered_item_that_cannot_be_counted_is_told_and_counted
            a_metered_stream_ends_at_its_limit_and_is_charged_what_was_consumed
            a_metered_stream_keeps_to_the_caps_of_its_reservation
            a_metered_stream_that_ends_while_the_server_fails_is_charged_later
            an_action_whose_provider_fails_is_charged_what_the_table_says
            a_step_whose_provider_fails_is_charged_what_the_table_says
            a_metered_stream_that_is_cut_after_its_request_left_costs_what_was_read_or_the_estimate
            the_policy_of_an_action_decides_what_a_request_that_left_costs
            a_refused_request_is_free_and_a_retry_at_another_provider_is_not
            a_step_on_hold_keeps_its_draw_and_is_told_at_the_end_of_the_run
            a_request_that_leaves_is_on_disk_and_on_hold_it_stays_there_for_a_person
            a_step_on_hold_that_is_cut_off_leaves_its_mark_when_its_run_ends
            the_statistics_say_what_the_ledger_says
            every_reservation_has_one_last_event_with_who_what_and_how_much
            a_run_of_a_thousand_steps_64_at_a_time_is_exact_with_two_calls
            a_run_that_has_too_little_left_refuses_a_step_and_a_denial_is_something_else
            a_step_within_a_step_draws_from_the_run_as_well
            a_run_keeps_an_amount_for_the_steps_that_draw_from_it
            a_step_that_fails_or_panics_gives_back_or_is_charged_what_it_had_spent
            a_run_whose_lease_is_lost_refuses_steps_and_is_charged_by_an_event
            a_dropped_run_is_charged_what_its_steps_cost
            a_run_that_cost_nothing_is_given_back
            a_run_is_exact_though_its_journal_cannot_be_written
            in_shadow_mode_a_denied_action_runs_and_its_denial_is_told_beside_its_cost
            in_shadow_mode_an_outage_blocks_nothing_and_is_told_as_unknown
            in_shadow_mode_the_key_of_an_action_is_not_used_up
            an_action_can_be_pinned_to_a_mode_whatever_the_mode_of_its_client
            in_shadow_mode_every_end_of_an_action_says_what_it_would_have_cost
            a_run_in_shadow_mode_reports_exhaustion_and_never_fails
            in_shadow_mode_a_flush_waits_shortly_for_what_would_have_been_decided
            a_raw_response_says_what_the_server_said
            a_raw_response_is_had_of_a_page_from_elsewhere_too
            the_key_is_nowhere
            a_key_that_is_a_part_of_an_answer_changes_nothing_that_is_read_of_it
            requests_have_the_headers_of_the_protocol_and_no_others
        }
    };
    ($adapter:ty: $($(#[$attribute:meta])* $behaviour:ident)+) => {
        $(
            $(#[$attribute])*
            #[test]
            fn $behaviour() {
                $crate::$behaviour::<$adapter>();
            }
        )+
    };
}
