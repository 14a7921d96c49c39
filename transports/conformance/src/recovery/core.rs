//! The scenarios within one process: the profile's core and boundary scenarios.

use std::time::Duration;

use cycles_proto::models::{Amount, CommitRequest, JsonObject, ReservationCreateRequest, ReservationId};
use cycles_proto::outcome::Stop;
use cycles_proto::{Error, Event, InvalidCommit, Receipt};
use cycles_sandbox::Operation::{CommitReservation, CreateEvent, ExtendReservation};
use cycles_sandbox::{DEFAULT_TENANT, Operation, ReservationStatus, Tenant};
use serde_json::{Value, from_slice, from_value, json};

use super::setup::RecoverySetup;
use crate::test_setup::{PATIENCE, commit, request};
use crate::{ActionFailed, Adapter, Client as _, Guard as _, Unsettled};

pub fn cr_core_001_lost_commit_response_reuses_the_same_key<A: Adapter>() {
    for fault in ["commit:lose-response@1", "commit:reset-response@1"] {
        let setup = RecoverySetup::<A>::new();
        setup.inject(fault);
        let client = setup.client();
        let guard = client.reserve(request(100)).unwrap();
        let id = guard.reservation_id();
        assert!(matches!(
            guard.commit(commit(40)).unwrap(),
            Receipt::Pending { .. }
        ));
        assert_eq!(client.flush(PATIENCE).unwrap(), Unsettled::NOTHING);

        // retry_uses_original_idempotency_key
        setup.assert_settlements(&[CommitReservation, CommitReservation]);
        assert!(setup.settlements()[0].has_arrived, "{fault}");
        // settlement_occurs_at_most_once
        setup.assert_charged_once(&id, 40, CommitReservation);
    }
}

pub fn cr_core_002_expired_commit_falls_back_to_an_event<A: Adapter>() {
    let subject = json!({
        "tenant": DEFAULT_TENANT,
        "workspace": "Research",
        "app": "desk",
        "workflow": "triage",
        "agent": "reader",
        "toolset": "search",
        "dimensions": {"run": "Run 7", "team": "\u{e9}quipe"},
    });
    let action = json!({"kind": "llm.completion", "name": "gpt-4o", "tags": ["nightly", "a b"]});
    let metrics = json!({
        "tokens_input": 30,
        "tokens_output": 10,
        "latency_ms": 1_234,
        "model_version": "2026-01",
        "custom": {"cache": {"hits": 3}},
    });
    let metadata = json!({"order": "A-1", "lines": [1, 2.5, null]});
    let request = ReservationCreateRequest::builder()
        .subject(from_value(subject.clone()).unwrap())
        .action(from_value(action.clone()).unwrap())
        .estimate(Amount::tokens(100))
        .build();
    let cost = CommitRequest::builder()
        .actual(Amount::tokens(40))
        .metrics(from_value(metrics.clone()).unwrap())
        .metadata(from_value::<JsonObject>(metadata.clone()).unwrap())
        .build();
    let setup = RecoverySetup::<A>::new();
    let guard = setup.client().reserve(request).unwrap();
    let id = guard.reservation_id();
    setup.sandbox.advance(Duration::from_secs(120));
    let receipt = guard.commit(cost).unwrap();
    assert!(matches!(receipt, Receipt::RecoveredViaEvent(_)), "{receipt:?}");

    setup.assert_settlements(&[CommitReservation, CreateEvent]);
    let seen = setup.settlements();
    let [sent, event] = [&seen[0], &seen[1]].map(|seen| from_slice::<Value>(&seen.body).unwrap());
    let actual = json!({"unit": "TOKENS", "amount": 40});
    assert_eq!(
        sent,
        json!({"idempotency_key": seen[0].key, "actual": actual, "metrics": metrics, "metadata": metadata})
    );
    // event_carries_original_subject_action_actual, and everything else that the commit contained
    let mut metadata = metadata;
    metadata["recovered_reservation_id"] = id.as_str().into();
    metadata["recovery_reason"] = "commit_after_reservation_expired".into();
    assert_eq!(
        event,
        json!({
            "idempotency_key": seen[0].key,
            "subject": subject,
            "action": action,
            "actual": actual,
            "metrics": metrics,
            "metadata": metadata,
        })
    );
    // settlement_occurs_at_most_once
    setup.assert_charged_once(&id, 40, CreateEvent);
}

pub fn cr_core_003_heartbeat_transport_failure_is_observable_and_non_fatal<A: Adapter>() {
    a_heartbeat_that_fails_is_told_and_goes_on::<A>();
    a_heartbeat_that_stops_is_told_and_the_action_goes_on::<A>();
}

fn a_heartbeat_that_fails_is_told_and_goes_on<A: Adapter>() {
    let setup = RecoverySetup::<A>::new();
    // Leases short enough to be extended soon.
    setup
        .sandbox
        .with_ledger(|ledger| ledger.add_tenant(Tenant::new(DEFAULT_TENANT).max_ttl_ms(4_000)));
    setup.inject("extend:reset-request@1");
    let client = setup.client();
    let (id, receipt) = client
        .with_cycles(Amount::tokens(100), |action| {
            // guarded_action_continues_under_warn_policy
            setup.wait_until("the lease is prolonged", || {
                setup.seen(&[ExtendReservation]).len() > 1
            });
            Ok((action.reservation_id(), Amount::tokens(40)))
        })
        .unwrap();
    assert!(matches!(receipt, Ok(Receipt::Committed(_))), "{receipt:?}");

    let extends = setup.seen(&[ExtendReservation]);
    assert!(!extends[0].has_arrived);
    assert_eq!(
        (&extends[0].key, &extends[0].body),
        (&extends[1].key, &extends[1].body),
        "the same key"
    );
    // heartbeat_failure_reports_reservation_and_disposition
    let is_told = |event: &Event| {
        matches!(event, Event::BeatFailed { reservation_id, retry_in, .. }
            if *reservation_id == id && !retry_in.is_zero())
    };
    setup.wait_until("the failure is reported", || setup.events().iter().any(is_told));
    // final_settlement_is_attempted
    setup.assert_settlements(&[CommitReservation]);
    setup.assert_charged_once(&id, 40, CommitReservation);
}

fn a_heartbeat_that_stops_is_told_and_the_action_goes_on<A: Adapter>() {
    let setup = RecoverySetup::<A>::new();
    setup
        .sandbox
        .with_ledger(|ledger| ledger.add_tenant(Tenant::new(DEFAULT_TENANT).max_ttl_ms(4_000)));
    setup.inject("extend:400");
    // heartbeat_failure_reports_reservation_and_disposition
    let is_told = |event: &Event, id: &ReservationId| {
        matches!(event, Event::HeartbeatStopped { reservation_id, reason: Stop::Refused, error: Some(_), .. }
            if reservation_id == id)
    };
    let (id, receipt) = setup
        .client()
        .with_cycles(Amount::tokens(100), |action| {
            let id = action.reservation_id();
            // guarded_action_continues_under_warn_policy
            setup.wait_until("the end is reported", || {
                setup.events().iter().any(|event| is_told(event, &id))
            });
            Ok((id, Amount::tokens(40)))
        })
        .unwrap();
    assert!(matches!(receipt, Ok(Receipt::Committed(_))), "{receipt:?}");

    assert_eq!(setup.seen(&[ExtendReservation]).len(), 1, "and not again");
    // final_settlement_is_attempted
    setup.assert_settlements(&[CommitReservation]);
    setup.assert_charged_once(&id, 40, CommitReservation);
}

pub fn cr_core_004_protocol_invalid_settlement_success_remains_ambiguous<A: Adapter>() {
    for fault in [
        "commit:after=201@1",
        "commit:after=202@1",
        "commit:after=204@1",
        "commit:garbage@1",
        "commit:cut@1",
        "commit:trailed@1",
        "commit:saying=ACTIVE@1",
        "commit:saying=RELEASED@1",
        "commit:without=status@1",
        "commit:without=charged@1",
    ] {
        a_nonconformant_success_is_none::<A>(fault, Duration::ZERO, &[CommitReservation; 2]);
    }
    for fault in [
        "event:after=200@1",
        "event:after=202@1",
        "event:garbage@1",
        "event:cut@1",
        "event:trailed@1",
        "event:saying=PENDING@1",
        "event:without=status@1",
        "event:without=event_id@1",
    ] {
        let late = Duration::from_secs(120);
        a_nonconformant_success_is_none::<A>(fault, late, &[CommitReservation, CreateEvent, CreateEvent]);
    }
}

/// Commits to a server whose success violates the protocol. `after` is the time from the reservation to the commit.
fn a_nonconformant_success_is_none<A: Adapter>(fault: &str, after: Duration, settlements: &[Operation]) {
    let setup = RecoverySetup::<A>::new();
    let client = setup.client();
    let guard = client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    setup.sandbox.advance(after);
    setup.inject(fault);
    // only_schema_valid_expected_status_is_terminal_success
    let receipt = guard.commit(commit(40)).unwrap();
    assert!(matches!(receipt, Receipt::Pending { .. }), "{fault}: {receipt:?}");
    assert_eq!(client.flush(PATIENCE).unwrap(), Unsettled::NOTHING);

    // ambiguous_success_retains_original_idempotency_key
    setup.assert_settlements(settlements);
    let seen = setup.settlements();
    let again = seen.last().unwrap();
    assert_eq!(again.records.len(), 1, "{fault}: recorded until then");
    setup.assert_charged_once(&id, 40, again.operation);
}

pub fn cr_boundary_001_missing_actual_is_surfaced_without_settlement<A: Adapter>() {
    let setup = RecoverySetup::<A>::new();
    let client = setup.client();
    // missing_actual_or_guarded_action_failure_is_surfaced: the action fails, …
    let mut of_the_failed = None;
    let failed = client.with_cycles(Amount::tokens(100), |action| -> Result<((), Amount), _> {
        of_the_failed = Some(action.reservation_id());
        Err(ActionFailed)
    });
    assert!(matches!(failed, Err(Error::Action(_))), "{failed:?}");
    // … commits a cost in a unit other than the reservation's, …
    let wrong = CommitRequest::builder().actual(Amount::credits(40)).build();
    let guard = client.reserve(request(100)).unwrap();
    let of_the_refused = guard.reservation_id();
    let refused = guard.commit(wrong);
    assert!(
        matches!(
            refused,
            Err(Error::InvalidCommit(InvalidCommit::WrongUnit { .. }))
        ),
        "{refused:?}"
    );
    setup.wait_until("it is told", || {
        let events = setup.events();
        events.iter().any(
            |event| matches!(event, Event::CostNotTaken { reservation_id, .. } if *reservation_id == of_the_refused),
        )
    });
    // … reports nothing, …
    let dropped = client.reserve(request(100)).unwrap();
    let of_the_dropped = dropped.reservation_id();
    drop(dropped);
    // The cost that could not be accepted is unrecorded.
    assert_eq!(client.flush(PATIENCE).unwrap(), Unsettled::NOTHING.unrecorded(1));
    // … (and, if no caller is left, the ledger gets the reason of the release), …
    for (id, why) in [
        (of_the_failed.unwrap(), "action_failed"),
        (of_the_dropped, "abandoned"),
    ] {
        let state = setup.reservation(&id);
        assert_eq!(
            (state.status, state.charged),
            (ReservationStatus::Released, None),
            "{why}"
        );
        assert_eq!(setup.release_reasons(&id), [why]);
    }
    // … or ends together with its process.
    let mut process = setup.process();
    let gone = process.reserve();
    process.kill();
    setup.flush();
    assert_eq!(setup.reservation(&gone).status, ReservationStatus::Active);

    // no_commit_or_event_without_known_actual
    setup.assert_settlements(&[]);
    assert!(setup.files("json").is_empty());
    setup.sandbox.advance(Duration::from_secs(120));
    setup.flush();
    setup.assert_settlements(&[]);
    assert_eq!(setup.reservation(&gone).status, ReservationStatus::Expired);
}
