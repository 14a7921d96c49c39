//! Costs for which the ledger has something else, or has charged less.

use super::desk::{charged, throttled_for};
use super::*;
use crate::journal::record::Mode;
use crate::models::ErrorCode;

#[test]
fn a_commit_that_was_found_is_ours_only_if_the_ledger_repeats_its_answer_to_our_key() {
    let bare = [answer(410, ""), answer(410, "<html>"), answer(410, "{}")];
    for bare in bare {
        let mut desk = Desk::new();
        desk.run([
            bare.clone(),
            charged(7),
            refusal(409, "RESERVATION_FINALIZED"),
            charged(7),
        ]);
        let Receipt::Rejected {
            actual,
            charged,
            found,
            ..
        } = desk.outcome()
        else {
            panic!("{:?}", desk.outcome())
        };
        assert_eq!(
            (actual, charged, found),
            (
                &Some(Amount::tokens(5)),
                &Some(Amount::tokens(7)),
                &Some(ReservationStatus::Committed)
            )
        );
        let mut desk = Desk::new();
        desk.run([bare, charged_by_us(), answer(200, COMMITTED)]);
        assert!(matches!(desk.outcome(), Receipt::Committed(done) if done.response.is_some()));
        assert!(desk.bodies.len() == 2 && desk.bodies[0] == desk.bodies[1]);
    }
}

#[test]
fn a_bare_410_and_a_commit_that_is_found_again_and_again_end_like_any_other_failure() {
    let mut desk = Desk::new();
    desk.run((0..100).flat_map(|_| [answer(410, ""), charged(7)]));
    assert!(desk.is_left_recorded());
    let attempts = desk.log().iter().filter(|line| *line == "POST r/commit").count();
    assert_eq!(attempts, 6, "as many as the policy has");
}

#[test]
fn a_key_that_was_answered_for_other_bytes_is_settled_if_the_ledger_has_the_same_amount() {
    for is_resumed in [false, true] {
        let mut desk = match is_resumed {
            true => Desk::resumed(record(), 0, false),
            false => Desk::new(),
        };
        desk.run([refusal(409, "IDEMPOTENCY_MISMATCH"), charged_by_us()]);
        assert!(matches!(desk.outcome(), Receipt::Committed(done) if done.response.is_none()));
        assert_eq!(
            desk.log().last_chunk().unwrap(),
            &["POST r/commit", "GET r", "remove", "settled late"],
            "it is told how"
        );
    }
}

#[test]
fn a_key_that_was_answered_for_another_amount_is_for_a_person_who_is_told_both() {
    for (look, has) in [
        (charged(7), Some(Amount::tokens(7))),
        (charged(4), Some(Amount::tokens(4))),
        (detail("COMMITTED"), None),
        (detail("RELEASED"), None),
        (detail("EXPIRED"), None),
        (refusal(410, "RESERVATION_EXPIRED"), None),
    ] {
        let mut desk = Desk::new();
        desk.run([refusal(409, "IDEMPOTENCY_MISMATCH"), look]);
        let Receipt::Rejected {
            error: Some(error),
            actual,
            charged,
            found: Some(_),
            ..
        } = desk.outcome()
        else {
            panic!("{:?}", desk.outcome())
        };
        assert_eq!((actual, charged), (&Some(Amount::tokens(5)), &has));
        assert_eq!(error.code(), Some(&ErrorCode::IdempotencyMismatch));
        assert!(error.to_string().contains("compare"), "{error}");
        assert_eq!(
            desk.log().last_chunk().unwrap(),
            &["failed", "set aside rejected", "told Rejected"]
        );
    }
}

#[test]
fn what_the_ledger_has_is_asked_again_as_long_as_it_does_not_answer() {
    for open in [
        answer(500, ""),
        answer(200, "garbage"),
        answer(404, "<html>"),
        refusal(404, "NOT_FOUND"),
        answer(410, ""),
        detail("ACTIVE"),
        detail("NEW_STATE"),
        Err(FailureKind::Timeout),
        Err(FailureKind::Connect),
        throttled_for(1),
    ] {
        let mut desk = Desk::new();
        let mismatch = || refusal(409, "IDEMPOTENCY_MISMATCH");
        desk.run([mismatch(), open, mismatch(), charged_by_us()]);
        assert!(
            matches!(desk.outcome(), Receipt::Committed(done) if done.response.is_none()),
            "{:?}",
            desk.log()
        );
    }
    let mut desk = Desk::new();
    desk.run([refusal(409, "IDEMPOTENCY_MISMATCH"), refusal(401, "UNAUTHORIZED")]);
    assert!(desk.is_left_recorded());
}

#[test]
fn an_event_whose_key_was_answered_is_for_a_person_because_events_cannot_be_looked_at() {
    let mut desk = Desk::resumed(record().into_event().unwrap(), 0, false);
    desk.run([refusal(409, "IDEMPOTENCY_MISMATCH")]);
    let Receipt::Rejected {
        error: Some(error),
        actual,
        found: None,
        charged: None,
        ..
    } = desk.outcome()
    else {
        panic!("{:?}", desk.outcome())
    };
    assert_eq!(actual, &Some(Amount::tokens(5)));
    assert!(error.to_string().contains("compare"), "{error}");
    assert_eq!(
        desk.log(),
        ["POST events", "failed", "set aside rejected", "told Rejected"]
    );
}

#[test]
fn every_code_of_the_ledger_is_decided_and_one_that_is_not_known_sets_nothing_aside() {
    const KEPT: &str = "kept";
    const ASIDE: &str = "set aside";
    for (code, commit, event) in [
        ("INVALID_REQUEST", ASIDE, ASIDE),
        ("UNAUTHORIZED", KEPT, KEPT),
        ("FORBIDDEN", KEPT, KEPT),
        ("NOT_FOUND", ASIDE, ASIDE),
        ("BUDGET_EXCEEDED", ASIDE, ASIDE),
        ("BUDGET_FROZEN", KEPT, KEPT),
        ("BUDGET_CLOSED", ASIDE, ASIDE),
        ("RESERVATION_FINALIZED", "GET r", KEPT),
        ("IDEMPOTENCY_MISMATCH", "GET r", ASIDE),
        ("UNIT_MISMATCH", ASIDE, ASIDE),
        ("OVERDRAFT_LIMIT_EXCEEDED", ASIDE, ASIDE),
        ("DEBT_OUTSTANDING", ASIDE, ASIDE),
        ("MAX_EXTENSIONS_EXCEEDED", KEPT, KEPT),
        ("TENANT_CLOSED", ASIDE, ASIDE),
        ("INTERNAL_ERROR", KEPT, KEPT),
        ("ACTION_KIND_DENIED", KEPT, KEPT),
        ("SOMETHING_NEW", KEPT, KEPT),
        ("", KEPT, KEPT),
    ] {
        for (mode, expected) in [(Mode::Commit, commit), (Mode::Event, event)] {
            let record = match mode {
                Mode::Commit => record(),
                Mode::Event => record().into_event().unwrap(),
            };
            for status in [400, 404, 409, 422] {
                let mut desk = Desk::resumed(record.clone(), 0, false);
                desk.run([refusal(status, code)]);
                let came_of_it = match desk.settlement.outcome() {
                    Some(Receipt::Pending {
                        is_recorded: true, ..
                    }) => KEPT.to_owned(),
                    Some(Receipt::Rejected { .. }) => ASIDE.to_owned(),
                    _ => desk.log().pop().unwrap(),
                };
                assert_eq!(came_of_it, expected, "{mode} {status} {code}");
                assert!(
                    expected == "GET r" || desk.log().contains(&"failed".to_owned()),
                    "it is told"
                );
            }
        }
    }
}

#[test]
fn a_cost_that_was_charged_for_less_is_told_with_both_amounts() {
    for (charges, unit, uncharged) in [
        (0, "TOKENS", Some(5)),
        (4, "TOKENS", Some(1)),
        (5, "TOKENS", None),
        (6, "TOKENS", None),
        (0, "CREDITS", Some(5)),
        (1, "CREDITS", Some(5)),
        (5, "USD_MICROCENTS", Some(5)),
        (i64::MAX, "CREDITS", Some(5)),
        (5, "EUR_CENTS", Some(5)),
    ] {
        let part = format!(r#""charged":{{"unit":"{unit}","amount":{charges}}}"#);
        let commit = answer(200, &format!(r#"{{"status":"COMMITTED",{part}}}"#));
        let event = answer(201, &format!(r#"{{"status":"APPLIED","event_id":"e",{part}}}"#));
        let mut at_once = Desk::new();
        at_once.run([commit.clone()]);
        let mut late = Desk::new();
        late.run([answer(503, ""), commit.clone()]);
        let mut resumed = Desk::resumed(record(), 0, false);
        resumed.run([commit]);
        let mut by_event = Desk::new();
        by_event.run([refusal(410, "RESERVATION_EXPIRED"), event.clone()]);
        let mut event_resumed = Desk::resumed(record().into_event().unwrap(), 0, false);
        event_resumed.run([event]);
        for desk in [at_once, late, resumed, by_event, event_resumed] {
            let receipt = desk.outcome().clone();
            assert!(receipt.is_settled());
            assert_eq!(
                receipt.uncharged(),
                uncharged.map(Amount::tokens),
                "{:?}",
                desk.log()
            );
            assert_eq!(
                Receipt::LeaseLost(Box::new(receipt)).uncharged(),
                uncharged.map(Amount::tokens)
            );
            let told = format!("{charges} {unit} of 5 TOKENS");
            assert_eq!(
                desk.log().contains(&told),
                uncharged.is_some(),
                "{:?}",
                desk.log()
            );
        }
    }
    let mut desk = Desk::resumed(record().into_event().unwrap(), 0, false);
    desk.run([answer(201, APPLIED)]);
    assert_eq!(
        desk.outcome().uncharged(),
        None,
        "an event that is charged in full does not say so"
    );
}

/// The reservation, charged as in the record.
fn charged_by_us() -> Answered {
    charged(5)
}
