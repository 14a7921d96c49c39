//! Costs of a reservation. The tests of the settlement cover how a cost gets into the ledger.

use super::super::*;
use super::desk::*;
use crate::models::{CyclesMetrics, IdempotencyKey, JsonObject, Unit};
use crate::outcome::Event;

#[test]
fn where_not_all_can_go_at_once_costs_go_first_and_then_the_lease_that_ends_first() {
    use crate::wire::Urgency;
    let mut desk = Desk::new();
    desk.run([granted(60_000)]);
    desk.pass_s(49);
    desk.commit(5).unwrap();
    desk.settle();
    let urgencies: Vec<Urgency> = desk.calls.iter().map(|call| call.urgency).collect();
    let lasts = Duration::from_millis(5 + 59_995);
    assert_eq!(
        urgencies,
        [Urgency::Other, Urgency::Lease(lasts), Urgency::Settlement]
    );
    assert!(urgencies.is_sorted_by(|later, sooner| later > sooner));
}

#[test]
fn a_cost_is_stored_then_committed_under_a_key_of_the_life() {
    let mut desk = Desk::held();
    desk.commit(5).unwrap();
    desk.run([Err(FailureKind::Lost), ok(COMMITTED)]);
    assert_eq!(
        desk.log(),
        [
            "put commit",
            "POST r-1/commit",
            "commit failed",
            "POST r-1/commit",
            "remove",
            "settled late"
        ]
    );
    let key = format!("{SEED}-commit-0");
    assert_eq!(desk.keys("/commit"), [key.as_str(); 2]);
    let bodies = desk.bodies("/commit");
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[0], desk.records[0].body().as_bytes());
    assert!(desk.is_done() && desk.receipt().is_settled());
    assert!(desk.reservation.grant().is_none());
}

#[test]
fn the_callers_own_key_is_kept() {
    let mut desk = Desk::held();
    let mut request = cost(5);
    request.idempotency_key = Some("mine".into());
    desk.reservation.commit(desk.now(), request).unwrap();
    desk.run([ok(COMMITTED)]);
    assert_eq!(desk.keys("/commit"), ["mine"]);
}

#[test]
fn the_caller_hears_that_a_cost_is_pending_once_it_is_stored_and_the_first_attempt_failed() {
    let mut desk = Desk::held();
    assert!(desk.reservation.receipt().is_none());
    desk.commit(5).unwrap();
    assert!(desk.reservation.receipt().is_none(), "not stored");
    desk.settle();
    assert!(desk.reservation.receipt().is_none(), "not answered");
    desk.reply(answer(503, ""));
    let receipt = desk.reservation.receipt().unwrap();
    assert!(matches!(
        receipt,
        Receipt::Pending {
            is_recorded: true,
            error: Some(_),
            ..
        }
    ));
    assert!(desk.reservation.outcome().is_none(), "attempts continue");
    desk.run([ok(COMMITTED)]);
    assert!(desk.reservation.receipt().unwrap().is_settled());
}

#[test]
fn the_caller_hears_that_a_cost_is_committed_before_its_record_is_gone() {
    let mut desk = Desk::held();
    desk.commit(5).unwrap();
    desk.settle();
    desk.journal = Journal::Silent;
    desk.reply(ok(COMMITTED));
    assert!(desk.reservation.receipt().unwrap().is_settled());
    assert_eq!(desk.log(), ["put commit", "POST r-1/commit", "remove"]);
    assert!(desk.reservation.receipt().unwrap().is_settled());
    assert!(
        desk.reservation.outcome().is_none(),
        "the record is not known to be gone"
    );
}

type Is = fn(&InvalidCommit) -> bool;

#[test]
fn a_cost_that_cannot_be_charged_changes_nothing_and_another_can_be_handed_over() {
    let wrong: [(CommitRequest, Is); 4] = [
        (
            CommitRequest::builder().actual(Amount::credits(5)).build(),
            |error| {
                matches!(
                    error,
                    InvalidCommit::WrongUnit {
                        reserved: Unit::Tokens,
                        given: Unit::Credits
                    }
                )
            },
        ),
        (cost(-1), |error| matches!(error, InvalidCommit::Invalid(_))),
        (with_key(""), |error| matches!(error, InvalidCommit::Invalid(_))),
        (with_key(&"k".repeat(257)), |error| {
            matches!(error, InvalidCommit::Invalid(_))
        }),
    ];
    for (request, is_expected) in wrong {
        let mut desk = Desk::held();
        let error = desk.reservation.commit(desk.now(), request).unwrap_err();
        assert!(is_expected(&error), "{error:?}");
        assert!(
            error
                .to_string()
                .contains("his cost was not sent. Spending that was reported"),
            "{error}"
        );
        assert_eq!(desk.log(), [""; 0]);
        desk.commit(5).unwrap();
        desk.run([ok(COMMITTED)]);
        assert_eq!(desk.log(), ["put commit", "POST r-1/commit", "remove"]);
    }
}

#[test]
fn what_breaks_a_limit_beside_the_amount_is_left_out_and_told() {
    let metrics = CyclesMetrics {
        model_version: Some("v".repeat(129)),
        ..CyclesMetrics::default()
    };
    let metadata = JsonObject::new().with("page", "x".repeat(600_000));
    let request = CommitRequest::builder()
        .actual(Amount::tokens(5))
        .metrics(metrics)
        .metadata(metadata);
    let mut desk = Desk::held();
    desk.reservation.commit(desk.now(), request.build()).unwrap();
    desk.run([ok(COMMITTED)]);
    assert_eq!(
        desk.log(),
        ["trimmed", "trimmed", "put commit", "POST r-1/commit", "remove"]
    );
    let body = desk.body("/commit");
    assert_eq!(body["actual"]["amount"], 5);
    assert!(body.get("metrics").is_none() && body.get("metadata").is_none());
    assert!(
        matches!(&desk.events[0], Event::CommitTrimmed { reservation_id, .. } if *reservation_id == "r-1".into())
    );
}

#[test]
fn a_reservation_is_committed_once() {
    let mut desk = Desk::held();
    desk.commit(5).unwrap();
    assert_eq!(desk.commit(6), Err(InvalidCommit::AlreadyCommitted));
    desk.run([ok(COMMITTED)]);
    assert_eq!(desk.commit(6), Err(InvalidCommit::AlreadyCommitted));
    assert_eq!(desk.bodies("/commit").len(), 1);
    assert_eq!(desk.body("/commit")["actual"]["amount"], 5);
}

#[test]
fn where_nothing_is_held_nothing_is_committed() {
    let mut desk = Desk::new();
    assert_eq!(desk.commit(5), Err(InvalidCommit::NotHeld));
    assert_eq!(
        desk.reservation.spent(&Amount::tokens(5)),
        Err(InvalidCommit::NotHeld)
    );
    desk.run([granted(60_000)]).release();
    assert_eq!(desk.commit(5), Err(InvalidCommit::NotHeld));
    desk.run([ok(RELEASED)]);
    assert_eq!(desk.commit(5), Err(InvalidCommit::NotHeld));
    assert_eq!(desk.bodies("/commit").len(), 0);
}

#[test]
fn a_cost_that_was_handed_over_survives_its_caller() {
    let mut desk = Desk::held();
    desk.commit(5).unwrap();
    desk.reservation.abandon(desk.now());
    desk.release();
    desk.run([answer(503, "")]);
    desk.reservation.abandon(desk.now());
    desk.run([ok(COMMITTED)]);
    assert!(desk.receipt().is_settled());
    assert!(desk.bodies("/release").is_empty());
}

#[test]
fn what_the_ledger_refuses_is_set_aside_and_nothing_is_released() {
    let mut desk = Desk::held();
    desk.commit(5).unwrap();
    desk.run([refusal(409, "BUDGET_EXCEEDED")]);
    assert_eq!(
        desk.log(),
        [
            "put commit",
            "POST r-1/commit",
            "commit failed",
            "set aside rejected",
            "told aside"
        ]
    );
    assert!(matches!(desk.receipt(), Receipt::Rejected { error: Some(_), .. }));
    desk.release();
    assert!(desk.is_done());
}

#[test]
fn an_expired_reservation_is_settled_by_an_event_about_what_was_reserved() {
    let config = CyclesConfig::builder(KEY, "http://h")
        .agent("bot")
        .build()
        .unwrap();
    let mut desk = Desk::held_with(config, 60_000);
    desk.commit(5).unwrap();
    desk.run([refusal(410, "RESERVATION_EXPIRED"), answer(201, APPLIED)]);
    assert_eq!(
        desk.log(),
        [
            "put commit",
            "POST r-1/commit",
            "by event",
            "put event",
            "POST events",
            "remove",
            "settled late"
        ]
    );
    let event = desk.body("events");
    assert_eq!(
        event["subject"],
        serde_json::json!({"tenant": "acme", "agent": "bot"})
    );
    assert_eq!(event["action"]["name"], "m");
    assert_eq!(event["actual"]["amount"], 5);
    assert_eq!(event["metadata"]["recovered_reservation_id"], "r-1");
    assert_eq!(event["idempotency_key"], desk.body("/commit")["idempotency_key"]);
}

#[test]
fn a_bare_410_is_looked_into_while_a_commit_may_have_been_applied() {
    let mut desk = Desk::held();
    desk.commit(5).unwrap();
    desk.run([
        Err(FailureKind::Lost),
        answer(410, ""),
        detail("COMMITTED"),
        ok(COMMITTED),
    ]);
    assert_eq!(
        desk.log()[2..],
        [
            "commit failed",
            "POST r-1/commit",
            "GET r-1",
            "commit failed",
            "POST r-1/commit",
            "remove",
            "settled late"
        ]
    );
    assert!(matches!(desk.receipt(), Receipt::Committed(done) if done.response.is_some()));
}

#[test]
fn a_cost_that_is_not_settled_by_this_life_ends_it_as_pending() {
    let mut desk = Desk::held();
    desk.commit(5).unwrap();
    desk.run([refusal(401, "UNAUTHORIZED")]);
    assert!(desk.is_done());
    assert!(matches!(
        desk.receipt(),
        Receipt::Pending {
            is_recorded: true,
            ..
        }
    ));
}

fn with_key(key: &str) -> CommitRequest {
    let mut request = cost(5);
    request.idempotency_key = Some(IdempotencyKey::from(key));
    request
}
