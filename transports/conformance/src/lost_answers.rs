//! Lost answers, answers from intermediaries, and refusals.

use std::fs;
use std::thread;
use std::time::Duration;

use cycles_proto::models::{Amount, CommitRequest};
use cycles_proto::{CyclesConfig, Error, Event, Receipt};
use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT, ReservationStatus};

use super::scripted::{Scripted, http};
use super::test_setup::{
    PATIENCE, TestSetup, actual, assert_pending_and_recorded, commit, request, request_for,
};
use super::{Adapter, Client as _, Guard as _, Unsettled};

pub fn a_denied_action_does_not_run<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let mut has_run = false;
    let outcome = setup.client.with_cycles(Amount::tokens(999_999_999), |_| {
        has_run = true;
        Ok(((), Amount::tokens(1)))
    });
    assert!(
        matches!(outcome, Err(Error::BudgetExceeded { .. })),
        "{outcome:?}"
    );
    assert!(!has_run);
    let guard = setup.client.reserve(request(999_999_999));
    assert!(matches!(guard, Err(Error::BudgetExceeded { .. })), "{guard:?}");
    setup.assert_spent(0);
    setup.flush_everything();
}

pub fn a_denial_is_the_same_error_as_a_decision_and_as_a_refusal<A: Adapter>() {
    for (reason, is_about_the_budget) in [("BUDGET_FROZEN", true), ("TENANT_CLOSED", false)] {
        let decision =
            format!(r#"{{"decision":"DENY","reason_code":"{reason}","affected_scopes":["tenant:a"]}}"#);
        let refusal = format!(r#"{{"error":"{reason}","message":"no","request_id":"q"}}"#);
        for (status, body) in [(200, decision), (409, refusal)] {
            let server = Scripted::answering(http(status, "", &body));
            let config = CyclesConfig::builder(DEFAULT_API_KEY, &server.url)
                .tenant(DEFAULT_TENANT)
                .journal_enabled(false);
            let client = A::client(config.build().unwrap(), |_| {});
            let guard = client.reserve(request(1)).map(drop);
            let action = client.with_cycles(Amount::tokens(1), |_| -> Result<((), Amount), _> {
                panic!("it does not run")
            });
            for error in [guard.unwrap_err(), action.unwrap_err()] {
                assert_eq!(error.reason().unwrap().as_str(), reason, "{error}");
                assert!(error.is_denied() && error.is_budget_exceeded() == is_about_the_budget);
                assert_eq!(
                    matches!(error, Error::Denied { .. }),
                    !is_about_the_budget,
                    "{error}"
                );
            }
        }
    }
}

pub fn a_reservation_whose_answer_is_lost_is_made_once<A: Adapter>() {
    for fault in [
        "reserve:lose-response@1",
        "reserve:reset-response@1",
        "reserve:garbage@1",
        "reserve:after=500@1",
    ] {
        let setup = TestSetup::<A>::new();
        setup.inject(fault);
        let guard = setup.client.reserve(request(100)).unwrap();
        assert_eq!(setup.reservations(), [guard.reservation_id()], "{fault}");
        let receipt = guard.commit(commit(7)).unwrap();
        assert!(receipt.is_settled(), "{receipt:?}");
        setup.assert_spent(7);
    }
}

pub fn a_commit_whose_answer_is_lost_is_charged_once<A: Adapter>() {
    for fault in [
        "commit:lose-response@1",
        "commit:reset-response@1",
        "commit:lose-response@1,2,3",
    ] {
        let setup = TestSetup::<A>::new();
        setup.inject(fault);
        let guard = setup.client.reserve(request(100)).unwrap();
        let id = guard.reservation_id();
        let receipt = guard.commit(commit(7)).unwrap();
        assert_pending_and_recorded(&receipt);
        // First the attempts of the reservation itself, then those from the record.
        while setup.client.flush(PATIENCE).unwrap() != Unsettled::NOTHING {}
        assert!(setup.records().is_empty());
        assert_eq!(setup.reservation(&id).charged, Some(7), "{fault}");
        setup.assert_spent(7);
        let commits = setup.commits();
        assert!(
            commits.len() > 1 && commits.iter().all(|body| *body == commits[0]),
            "{commits:?}"
        );
    }
}

pub fn a_release_whose_answer_is_lost_is_confirmed_by_its_repetition<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("release:lose-response@1");
    let guard = setup.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    assert!(!guard.release("not needed").unwrap(), "it is not known yet");
    setup.flush_everything();
    assert_eq!(setup.status(&id), ReservationStatus::Released);
    setup.assert_spent(0);
}

pub fn an_extension_whose_answer_is_lost_is_made_once<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("extend:lose-response@1");
    let guard = setup.client.reserve(request(100)).unwrap();
    let before = setup.reservation(&guard.reservation_id());
    guard.extend(10_000).unwrap();
    let after = setup.reservation(&guard.reservation_id());
    assert_eq!(after.extensions, 1);
    assert_eq!(after.expires_at_ms, before.expires_at_ms + 10_000);
    assert!(guard.commit(commit(1)).unwrap().is_settled());
}

pub fn a_foreign_page_in_place_of_a_grant_is_an_error_and_no_action_runs<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("reserve:page=502");
    let error = setup.client.reserve(request(100)).unwrap_err();
    assert_eq!(error.status(), Some(502), "{error}");
    assert!(error.error_code().is_none(), "{error}");
    assert!(setup.reservations().is_empty());
}

pub fn a_cost_that_is_known_after_the_lease_is_charged_by_an_event<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let guard = setup.client.reserve(request_for(100, 60_000)).unwrap();
    let id = guard.reservation_id();
    setup.advance(Duration::from_secs(120));
    let receipt = guard.commit(commit(42)).unwrap();
    assert!(matches!(receipt, Receipt::RecoveredViaEvent(_)), "{receipt:?}");
    setup.flush_everything();
    assert_eq!(setup.status(&id), ReservationStatus::Expired);
    assert_eq!(setup.events_applied(), 1);
    setup.assert_spent(42);
}

pub fn what_one_client_left_another_settles<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("commit:503");
    for cost in [1, 2, 3] {
        let guard = setup.client.reserve(request(100)).unwrap();
        assert!(!guard.commit(commit(cost)).unwrap().is_settled());
    }
    let left = setup.client.flush(PATIENCE).unwrap();
    assert_eq!((left.ending, left.recorded, left.is_certain), (0, 3, true));
    setup.clear_faults();
    let another = setup.another_client();
    assert_eq!(another.flush(PATIENCE).unwrap(), Unsettled::NOTHING);
    assert!(setup.records().is_empty());
    setup.assert_spent(6);
    let is_late = |event: &Event| matches!(event, Event::SettledLate { .. });
    setup.wait_until("the end of each is reported", || {
        setup.events().iter().filter(|event| is_late(event)).count() == 3
    });
}

pub fn a_pause_for_one_record_is_one_for_all_of_them<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    leave_records(&setup, 12);
    setup.inject("commit:429=3600");
    let before = setup.commits().len();
    let left = setup.another_client().flush(PATIENCE).unwrap();
    assert_eq!((left.ending, left.recorded), (0, 12));
    // One commit, plus those that were already being sent.
    let asked = setup.commits().len() - before;
    assert!((1..=8).contains(&asked), "{asked}");
}

pub fn answers_that_say_nothing_of_a_record_are_not_asked_for_with_every_record<A: Adapter>() {
    for fault in ["commit:page=404", "commit:page=409"] {
        let setup = TestSetup::<A>::new();
        leave_records(&setup, 40);
        setup.inject(fault);
        let before = setup.commits().len();
        let another = setup.another_client();
        let left = another.flush(PATIENCE).unwrap();
        assert_eq!((left.ending, left.recorded), (0, 40), "{fault}");
        let asked = setup.commits().len() - before;
        assert!((3..=10).contains(&asked), "{fault}: {asked}");
        setup.clear_faults();
        assert_eq!(another.flush(PATIENCE).unwrap(), Unsettled::NOTHING, "{fault}");
        setup.assert_spent(40);
    }
}

pub fn a_key_that_is_refused_is_not_tried_with_every_record<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    leave_records(&setup, 40);
    setup.inject("commit:error=403");
    let before = setup.commits().len();
    let another = setup.another_client();
    let left = another.flush(PATIENCE).unwrap();
    assert_eq!((left.ending, left.recorded), (0, 40));
    // Three commits, plus those that were already being sent.
    let asked = setup.commits().len() - before;
    assert!((3..=10).contains(&asked), "{asked}");
    setup.clear_faults();
    assert_eq!(another.flush(PATIENCE).unwrap(), Unsettled::NOTHING);
    setup.assert_spent(40);
}

/// Leaves records of `count` costs of one token each, by making the server fail.
fn leave_records<A: Adapter>(setup: &TestSetup<A>, count: usize) {
    setup.inject("commit:503");
    for _ in 0..count {
        let guard = setup.client.reserve(request(100)).unwrap();
        assert!(!guard.commit(commit(1)).unwrap().is_settled());
    }
    while setup.client.flush(PATIENCE).unwrap().ending > 0 {}
    setup.clear_faults();
}

pub fn two_that_settle_one_journal_at_once_send_each_record_once<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("commit:503");
    for _ in 0..20 {
        let guard = setup.client.reserve(request(100)).unwrap();
        assert!(!guard.commit(commit(1)).unwrap().is_settled());
    }
    while setup.client.flush(PATIENCE).unwrap().ending > 0 {}
    setup.clear_faults();
    setup.inject("commit:delay=50ms");
    let before = setup.commits().len();
    let others = [setup.another_client(), setup.another_client()];
    thread::scope(|scope| {
        for other in &others {
            scope.spawn(|| assert_eq!(other.flush(PATIENCE).unwrap(), Unsettled::NOTHING));
        }
    });
    setup.assert_spent(20);
    // Other systems have no claims, so records may be sent twice there, but they count once.
    if cfg!(unix) {
        assert_eq!(setup.commits().len() - before, 20);
    }
}

/// Changes the only record in the journal into what another program might have written.
fn rewrite<A: Adapter>(setup: &TestSetup<A>, from: &str, to: &str) {
    let file = setup.files("json").remove(0);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&file, text.replace(from, to)).unwrap();
}

const WRITTEN: &str = r#""z":1,"a":{"y":1,"b":2}"#;
const SORTED: &str = r#""a":{"b":2,"y":1},"z":1"#;

fn commit_with_metadata(tokens: i64) -> CommitRequest {
    let mut request = commit(tokens);
    request.metadata = Some(serde_json::from_str(&format!("{{{WRITTEN}}}")).unwrap());
    request
}

pub fn a_record_that_counted_and_that_another_sdk_has_sorted_counts_once<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("commit:lose-response");
    let guard = setup.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    let receipt = guard.commit(commit_with_metadata(42)).unwrap();
    assert_pending_and_recorded(&receipt);
    // The client makes no more attempts by itself.
    while setup.client.flush(PATIENCE).unwrap().ending > 0 {}
    setup.clear_faults();
    rewrite(&setup, WRITTEN, SORTED);

    assert_eq!(
        setup.another_client().flush(PATIENCE).unwrap(),
        Unsettled::NOTHING
    );
    assert!(setup.records().is_empty() && setup.set_aside("rejected").is_empty());
    assert_eq!((setup.budget().spent, setup.events_applied()), (42, 0));
    setup.wait_for_event(|event| {
        matches!(event, Event::SettledLate { reservation_id, receipt, .. }
            if *reservation_id == id && matches!(&**receipt, Receipt::Committed(done) if done.response.is_none()))
    });
}

pub fn a_record_whose_key_was_answered_for_another_amount_is_for_a_person<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("commit:lose-response");
    let guard = setup.client.reserve(request(100)).unwrap();
    let receipt = guard.commit(commit_with_metadata(42)).unwrap();
    assert_pending_and_recorded(&receipt);
    // The client makes no more attempts by itself.
    while setup.client.flush(PATIENCE).unwrap().ending > 0 {}
    setup.clear_faults();
    rewrite(&setup, &actual(42), &actual(77));

    let _ = setup.another_client().flush(PATIENCE).unwrap();
    assert!(setup.records().is_empty() && setup.set_aside("rejected").len() == 1);
    assert_eq!((setup.budget().spent, setup.events_applied()), (42, 0));
    setup.wait_for_event(|event| {
        let Event::SetAside { receipt, .. } = event else {
            return false;
        };
        let Receipt::Rejected { actual, charged, .. } = &**receipt else {
            return false;
        };
        (actual, charged) == (&Some(Amount::tokens(77)), &Some(Amount::tokens(42)))
    });
}

pub fn an_event_that_counted_and_that_another_sdk_has_sorted_is_for_a_person<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("event:lose-response");
    let guard = setup.client.reserve(request(100)).unwrap();
    setup.inject("commit:410");
    let receipt = guard.commit(commit_with_metadata(42)).unwrap();
    assert_pending_and_recorded(&receipt);
    // The client makes no more attempts by itself.
    while setup.client.flush(PATIENCE).unwrap().ending > 0 {}
    setup.clear_faults();
    rewrite(&setup, WRITTEN, SORTED);

    let _ = setup.another_client().flush(PATIENCE).unwrap();
    assert!(setup.records().is_empty() && setup.set_aside("rejected").len() == 1);
    assert_eq!((setup.budget().spent, setup.events_applied()), (42, 1));
}

pub fn what_is_too_old_to_be_sent_is_sent_by_force_and_counts_once<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("commit:503");
    let guard = setup.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    assert!(!guard.commit(commit(42)).unwrap().is_settled());
    while setup.client.flush(PATIENCE).unwrap().ending > 0 {}
    setup.clear_faults();
    // The reservation has expired, and the record was not replayed for a week.
    setup.advance(Duration::from_secs(120));
    setup.age_record(Duration::from_secs(7 * 86_400));
    let key = setup.records()[0].idempotency_key().cloned();

    let another = setup.another_client();
    let left = another.flush(PATIENCE).unwrap();
    assert_eq!(
        (left.ending, left.recorded, left.set_aside),
        (0, 0, 1),
        "{left:?}"
    );
    assert_eq!((setup.records().len(), setup.set_aside("stale").len()), (0, 1));
    setup.wait_for_event(|event| matches!(event, Event::SetAside { .. }));
    assert_eq!(setup.events_applied(), 0, "it may have been charged before");

    setup.inject("event:503");
    let left = another.flush_stale(PATIENCE).unwrap();
    assert_eq!((left.ending, left.recorded, left.is_certain), (0, 1, true));
    let kept = setup.set_aside("stale");
    assert_eq!((kept.len(), kept[0].idempotency_key()), (1, key.as_ref()));
    setup.clear_faults();
    setup.inject("event:lose-response@1");
    assert_eq!(another.flush_stale(PATIENCE).unwrap(), Unsettled::NOTHING);
    assert!(setup.files("stale").is_empty() && setup.records().is_empty());
    assert_eq!(
        (setup.events_applied(), setup.status(&id)),
        (1, ReservationStatus::Expired)
    );
    setup.assert_spent(42);
    assert_eq!(another.flush_stale(PATIENCE).unwrap(), Unsettled::NOTHING);
    assert_eq!(setup.events_applied(), 1);
}

pub fn a_throttled_commit_waits_as_long_as_it_was_told<A: Adapter>() {
    for busy in ["commit:429=3600@1", "commit:503=3600@1"] {
        waits_as_long_as_it_was_told::<A>(busy);
    }
}

fn waits_as_long_as_it_was_told<A: Adapter>(busy: &str) {
    let setup = TestSetup::<A>::new();
    setup.inject(busy);
    let guard = setup.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    let receipt = guard.commit(commit(42)).unwrap();
    assert_pending_and_recorded(&receipt);
    // The pause is in the record before the receipt reports it, so that it survives a restart.
    setup.wait_until("the pause is recorded", || {
        setup
            .records()
            .iter()
            .any(|record| record.to_json().contains(r#""not_before_ms":1"#))
    });
    setup.assert_recorded(&id, 42);
    let another = setup.another_client();
    let left = another.flush(PATIENCE).unwrap();
    assert_eq!((left.ending, left.recorded), (0, 1), "nobody else is faster");
    assert_eq!(setup.commits().len(), 1);
}
