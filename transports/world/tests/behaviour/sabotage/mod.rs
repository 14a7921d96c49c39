//! A simulation that finds nothing proves nothing. For every rule there is a machine that breaks it, and random
//! scenarios must detect that. A saboteur tampers with one thing and passes everything else on.
#![allow(clippy::wildcard_enum_match_arm)]

mod saboteur;
mod session_saboteur;
mod tampering;

use std::sync::Arc;
use std::time::Duration;

use cycles_proto::models::{Action, Amount, CommitRequest, ReservationCreateRequest, Subject};
use cycles_proto::record::file_name;
use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT, KeyStatus};
use cycles_world::{JobId, Journal, MakeMachine, RandomScenario, Rule, Violation, World};
use http::Request;

use self::saboteur::{Sabotage, Saboteur};
use self::session_saboteur::{SessionSabotage, SessionSaboteur};
use crate::story::record_of;

/// Far more scenarios than any sabotage needs.
const SCENARIOS: u64 = 4_000;

/// The rule that the first scenario with this sabotage breaks.
fn broken_by(sabotage: Sabotage) -> Rule {
    let make: MakeMachine = Arc::new(move |session| Box::new(Saboteur::new(session, sabotage)));
    caught(&make, &format!("{sabotage:?}"))
}

/// The rule that the first scenario with such a session breaks.
fn broken_by_session(how: SessionSabotage) -> Rule {
    let make: MakeMachine = Arc::new(move |session| Box::new(SessionSaboteur::new(session, how)));
    caught(&make, &format!("{how:?}"))
}

fn caught(make: &MakeMachine, sabotage: &str) -> Rule {
    for seed in 0..SCENARIOS {
        let scenario = RandomScenario::new(seed).machines(Arc::clone(make));
        if let Err(failed) = scenario.run() {
            assert!(!failed.violation.trace.is_empty());
            assert!(
                failed
                    .to_string()
                    .contains(&format!("CYCLES_SCENARIOS_SEED={seed}"))
            );
            return failed.violation.rule;
        }
    }
    panic!("{SCENARIOS} scenarios with {sabotage} keep all the rules")
}

macro_rules! caught {
    ($($name:ident: $sabotage:ident => $rule:ident,)+) => {$(
        #[test]
        fn $name() {
            assert_eq!(broken_by(Sabotage::$sabotage), Rule::$rule);
        }
    )+};
}

caught! {
    a_settlement_before_its_record_is_stored_is_caught: SendsBeforeStore => StoredFirst,
    a_new_key_on_a_retry_is_caught: NewKeyOnRetry => OneKey,
    a_new_key_after_a_restart_is_caught: NewKeyAfterRestart => OneKey,
    other_bytes_on_a_retry_are_caught: OtherBytesOnRetry => SameBytes,
    a_retry_before_the_pause_is_over_is_caught: ImpatientAfterThrottling => NotBefore,
    a_pause_that_is_not_stored_is_caught: ForgetsToStorePause => NotBefore,
    a_cost_that_nobody_handed_over_is_caught: CommitsInsteadOfReleasing => KnownCost,
    another_amount_than_was_handed_over_is_caught: ChargesMore => KnownCost,
    an_event_after_a_bare_410_is_caught: BelievesEvery410 => NoEventWhileOpen,
    an_event_that_the_server_may_have_forgotten_is_caught: LivesInThePast => NotStale,
    a_release_after_an_open_commit_is_caught: ReleasesAfterOpenCommit => NeverBoth,
    a_wait_in_the_past_is_caught: WaitsInThePast => WaitsAhead,
    a_wait_for_nobody_is_caught: WaitsForEver => WaitsOnOutside,
    a_poll_that_loops_is_caught: Repeats => Ends,
    a_job_that_never_ends_is_caught: NeverDone => Ends,
    a_storm_of_beats_is_caught: BeatsWithoutPause => NoStorm,
    a_swallowed_heartbeat_failure_is_caught: SwallowsBeatFailures => BeatFailureReported,
    a_swallowed_failure_of_the_journal_is_caught: SwallowsJournalFailures => StoreFailureReported,
    a_record_that_is_removed_too_early_is_caught: RemovesRecordFirst => CostKept,
    a_record_that_cannot_be_read_is_caught: WritesWhatCannotBeRead => CostKept,
    a_record_that_is_left_behind_is_caught: LeavesSettledRecord => RecordCleared,
    a_refused_record_that_is_left_to_be_sent_is_caught: LeavesRefusedRecord => RecordCleared,
    a_cost_that_is_given_up_is_caught: GivesUpWithTheFirstFailure => FlushIsTrue,
    a_cost_that_is_said_to_be_set_aside_and_is_in_no_file_is_caught: HidesThatACostIsNowhere => CostKept,
    a_cost_that_was_not_taken_in_silence_is_caught: SwallowsUntakenCosts => UntakenCostReported,
    a_cost_that_was_charged_for_less_in_silence_is_caught: SwallowsShortfalls => ShortfallReported,
    an_action_that_is_free_although_its_request_left_is_caught: ForgetsDispatches => DispatchedNotFree,
    a_step_that_is_free_although_its_request_left_is_caught: ForgetsDispatchesOfSteps => DispatchedNotFree,
    a_charge_for_a_request_that_the_provider_refused_is_caught: ForgetsRefusals => KnownCost,
    a_charge_for_an_action_whose_request_never_left_is_caught: DispatchesEverything => KnownCost,
    a_charge_of_what_is_on_hold_is_caught: ChargesWhatIsOnHold => KnownCost,
    a_cost_that_nobody_knows_and_nobody_is_told_of_is_caught: SwallowsUnknownCosts => DispatchedNotFree,
    a_cost_that_nobody_knows_and_no_flush_counts_is_caught: CountsNoUnknownCosts => FlushIsTrue,
    an_estimate_that_is_passed_off_as_a_cost_is_caught: PassesEstimatesOff => EstimateMarked,
    a_receipt_for_nothing_is_caught: ClaimsToHaveCommitted => TrueReceipt,
    a_release_for_nothing_is_caught: ClaimsToHaveReleased => TrueReceipt,
    a_secret_in_an_event_is_caught: TellsTheKey => SecretKept,
    a_poll_that_changes_something_is_caught: CountsPolls => SpuriousPoll,
}

macro_rules! caught_in_session {
    ($($name:ident: $how:ident => $rule:ident,)+) => {$(
        #[test]
        fn $name() {
            assert_eq!(broken_by_session(SessionSabotage::$how), Rule::$rule);
        }
    )+};
}

caught_in_session! {
    a_timer_that_is_forgotten_when_nothing_rests_is_caught: ForgetsItsTimer => BeatAwaited,
    more_exchanges_than_places_are_caught: TakesEveryPlace => PlacesKept,
    a_lease_that_finds_no_place_though_there_is_one_is_caught: StarvesLeases => LeasesInTime,
    a_withdrawn_attempt_that_begins_is_caught: LetsWithdrawnBegin => WithdrawnNotSent,
    a_store_that_is_waited_for_for_ever_is_caught: WaitsForStores => HungStore,
    a_flush_that_does_not_end_is_caught: NeverFlushed => FlushEnds,
    a_flush_that_says_too_much_is_caught: AlwaysFlushed => FlushIsTrue,
    a_panic_that_takes_others_along_is_caught: PanicsSpread => PanicStaysAlone,
    a_panic_that_is_not_reported_is_caught: PanicsInSilence => PanicStaysAlone,
    a_record_in_anothers_journal_is_caught: MixesJournals => PrincipalsApart,
    a_call_under_anothers_key_is_caught: MixesKeys => PrincipalsApart,
    a_waiter_that_is_not_woken_is_caught: WakesNobody => WaiterWoken,
    what_is_taken_though_another_has_the_claim_is_caught: TakesWhatIsClaimed => ClaimsKept,
    what_a_closed_session_sends_is_caught: SendsWhenClosed => ClosedForGood,
    a_closed_session_that_ends_too_early_is_caught: EndsTooEarly => ClosedWithCosts,
    a_step_that_counts_as_charged_before_its_cost_is_stored_is_caught: ChargesStepsTooEarly => StepStored,
    a_total_of_a_run_that_is_not_stored_is_caught: LosesTotals => StepStored,
    a_mark_that_is_not_stored_is_caught: LosesMarks => MarkStored,
    a_mark_on_hold_that_is_removed_is_caught: RemovesMarksOnHold => MarkTold,
    a_mark_that_nobody_is_told_of_is_caught: TellsNoMarks => MarkTold,
    a_mark_that_no_flush_counts_is_caught: CountsNoMarks => MarkTold,
    a_mark_that_is_charged_without_a_word_is_caught: ChargesMarks => KnownCost,
}

/// A journal with far more records than are settled at a time, under a key that is refused.
fn with_a_backlog(make: MakeMachine) -> Result<World, Violation> {
    let mut world = World::builder(3).traced().machines(make).build();
    let directory = Journal::directory(&World::config());
    for tokens in 1..=30 {
        let id = format!("r-{tokens}").as_str().into();
        let record = record_of(&id, world.server_time(), tokens);
        world
            .journal_mut()
            .put_file(&directory, &file_name(&id), record.to_json());
    }
    let refuse = |world: &mut World, status| world.ledger_mut().set_key_status(DEFAULT_API_KEY, status);
    refuse(&mut world, KeyStatus::Revoked).unwrap();
    world.start_process();
    world.run_for(Duration::from_secs(3_600))?;
    refuse(&mut world, KeyStatus::Active).unwrap();
    world.finish()?;
    Ok(world)
}

#[test]
fn a_replay_stops_where_the_key_is_refused_and_one_that_goes_on_is_caught() {
    let world = with_a_backlog(Arc::new(|session| Box::new(session))).unwrap();
    assert!(world.journal().pending().is_empty());
    let how = SessionSabotage::GoesOnAgainstRefusals;
    let caught = with_a_backlog(Arc::new(move |session| {
        Box::new(SessionSaboteur::new(session, how))
    }));
    assert_eq!(caught.unwrap_err().rule, Rule::StopsAtRefusals);
}

/// More actions that end at once than there are places.
fn with_many_ends(make: MakeMachine) -> Result<(), Violation> {
    let mut world = World::builder(5).traced().machines(make).places(4).build();
    let process = world.start_process();
    let jobs: Vec<_> = (0..8)
        .map(|_| world.reserve(process, request(100)).unwrap())
        .collect();
    world.run_until(|world| jobs.iter().all(|job| world.is_held(*job)))?;
    for job in jobs {
        let commit = CommitRequest::builder().actual(Amount::tokens(60)).build();
        world.commit(job, commit).unwrap();
    }
    world.finish()
}

#[test]
fn settlements_leave_a_quarter_of_the_places_to_leases_and_those_that_take_every_place_are_caught() {
    with_many_ends(Arc::new(|session| Box::new(session))).unwrap();
    let how = SessionSabotage::PutsLeasesLast;
    let caught = with_many_ends(Arc::new(move |session| {
        Box::new(SessionSaboteur::new(session, how))
    }));
    assert_eq!(caught.unwrap_err().rule, Rule::LeasesInTime);
}

/// An action that has spent nothing, while the beats of its lease fail.
fn with_failing_beats(make: MakeMachine) -> Result<(), Violation> {
    let mut world = World::builder(6).traced().machines(make).build();
    let process = world.start_process();
    let job = world.reserve(process, request(100)).unwrap();
    world.run_until(|world| world.is_held(job))?;
    world.inject("extend:503".parse().unwrap());
    world.run_for(Duration::from_secs(300))?;
    world.finish()
}

#[test]
fn an_action_outlives_the_failures_of_its_heartbeat_and_one_that_they_end_is_caught() {
    with_failing_beats(Arc::new(|session| Box::new(session))).unwrap();
    let sabotage = Sabotage::GivesUpWithTheHeartbeat;
    let caught = with_failing_beats(Arc::new(move |session| {
        Box::new(Saboteur::new(session, sabotage))
    }));
    assert_eq!(caught.unwrap_err().rule, Rule::ActionGoesOn);
}

#[test]
fn machines_that_behave_are_not_caught() {
    for seed in 0..200 {
        let make = Arc::new(|session| Box::new(Saboteur::new(session, Sabotage::None)) as Box<_>);
        RandomScenario::new(seed).machines(make).run().unwrap();
        let make =
            Arc::new(|session| Box::new(SessionSaboteur::new(session, SessionSabotage::None)) as Box<_>);
        RandomScenario::new(seed).machines(make).run().unwrap();
    }
}

fn world_with_job() -> (World, JobId) {
    let mut world = World::builder(1).traced().build();
    let process = world.start_process();
    let job = world.reserve(process, request(100)).unwrap();
    assert!(world.run_until(|world| world.is_held(job)).unwrap());
    (world, job)
}

fn request(tokens: i64) -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::tenant(DEFAULT_TENANT))
        .action(Action::new("llm.completion", "model"))
        .estimate(Amount::tokens(tokens))
        .build()
}

#[test]
fn a_server_that_loses_a_commit_and_takes_it_again_is_caught() {
    let (mut world, job) = world_with_job();
    let before = world.ledger().clone();
    world.inject("commit:lose-response@1".parse().unwrap());
    world
        .commit(job, CommitRequest::builder().actual(Amount::tokens(60)).build())
        .unwrap();
    world
        .run_until(|world| !world.job(job).charges.is_empty())
        .unwrap();
    *world.ledger_mut() = before;
    assert_eq!(world.finish().unwrap_err().rule, Rule::SettledOnce);
}

#[test]
fn a_charge_that_no_job_made_is_caught() {
    let (mut world, job) = world_with_job();
    world
        .commit(job, CommitRequest::builder().actual(Amount::tokens(60)).build())
        .unwrap();
    let event = format!(
        r#"{{"idempotency_key":"k","subject":{{"tenant":"{DEFAULT_TENANT}"}},"action":{{"kind":"k","name":"n"}},"actual":{{"unit":"TOKENS","amount":1}}}}"#
    );
    let request = Request::post("/v1/events")
        .header("x-cycles-api-key", DEFAULT_API_KEY)
        .header("content-type", "application/json");
    let time = world.server_time();
    let response = world
        .ledger_mut()
        .handle(time, &request.body(event.into()).unwrap());
    assert_eq!(response.status(), 201);
    world.run_for(Duration::from_secs(1)).unwrap();
    let violation = world.finish().unwrap_err();
    assert_eq!(violation.rule, Rule::BooksBalance);
    assert!(
        violation.to_string().contains("its caller commits 60 TOKENS"),
        "the trace is readable"
    );
}

/// A request that is delivered again under its key while the commit of its first cost fails, and then has another cost.
fn delivered_twice(seed: u64, spoil: impl FnOnce(&mut World)) -> Result<World, Violation> {
    let mut world = World::builder(seed).traced().build();
    spoil(&mut world);
    let request = ReservationCreateRequest::builder()
        .subject(Subject::tenant(DEFAULT_TENANT))
        .action(Action::new("llm.completion", "model"))
        .estimate(Amount::tokens(1_000))
        .idempotency_key("job-7".into())
        .build();
    world.inject("commit:503".parse().unwrap());
    for (records, cost) in [(1, 100), (2, 250)] {
        let process = world.start_process();
        let job = world.reserve(process, request.clone()).unwrap();
        world.run_until(|world| world.is_held(job))?;
        let commit = CommitRequest::builder().actual(Amount::tokens(cost)).build();
        world.commit(job, commit).unwrap();
        world.run_until(|world| world.journal().pending().len() == records)?;
        if seed.is_multiple_of(2) {
            world.crash(process);
        }
    }
    world.run_for(Duration::from_secs(seed % 90))?;
    world.clear_faults();
    world.start_process();
    world.run_for(Duration::from_secs(3_600))?;
    Ok(world)
}

#[test]
fn a_request_that_is_delivered_twice_keeps_all_the_rules_and_both_costs() {
    for seed in 0..40 {
        let mut world =
            delivered_twice(seed, |_| {}).unwrap_or_else(|violation| panic!("{seed}: {violation}"));
        world
            .finish()
            .unwrap_or_else(|violation| panic!("{seed}: {violation}"));
        let charged: usize = world.jobs().map(|(_, job)| job.charges.len()).sum();
        let kept = world.journal().files();
        let kept = kept.filter(|(_, name, _)| name.ends_with(".rejected")).count();
        // One by the commit, the other set aside for a person; or each by an event, if the reservation has expired.
        assert_eq!(charged + kept, 2, "{seed}");
        assert!(charged > 0, "{seed}");
    }
}

#[test]
fn a_journal_that_ignores_the_key_is_caught() {
    let spoil = |world: &mut World| world.journal_mut().ignore_keys();
    let caught = (0..40).find_map(|seed| delivered_twice(seed, spoil).err());
    assert_eq!(caught.unwrap().rule, Rule::CostKept);
}
