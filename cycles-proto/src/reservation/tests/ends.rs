//! The last event of a reservation: what became of it, for whom, and how long it took.

use super::super::*;
use super::desk::*;
use crate::journal::record::JournalRecord;
use crate::outcome::{ActualSource, ChargedBy, Event};

const INFO: &str = "9 TOKENS, llm.completion m, tenant:acme";

/// The last event of the reservation: its label, what it is for, and its JSON.
fn end(desk: &mut Desk) -> Event {
    desk.settle();
    assert!(desk.is_done(), "{:?}", desk.log);
    assert_eq!(desk.ends.len(), 1, "{:?}", desk.ends);
    let end = desk.ends.remove(0);
    assert!(end.is_end());
    end
}

fn info(event: &Event) -> String {
    event.info().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn a_denial_is_the_last_event_and_names_who_wanted_what() {
    for denial in [refusal(409, "BUDGET_EXCEEDED"), decided("DENY", "r-1", 0)] {
        let mut desk = Desk::new();
        desk.run([denial]);
        // A decision that names a reservation gives it back.
        if !desk.open.is_empty() {
            desk.run([ok(RELEASED)]);
        }
        let denied = end(&mut desk);
        let Event::Denied { error, took, .. } = &denied else {
            panic!("{denied:?}")
        };
        assert!(error.is_denied() && error.to_string().contains(INFO), "{error}");
        assert!(*took >= Duration::from_millis(5), "{took:?}");
        assert_eq!((denied.kind(), info(&denied)), ("denied", INFO.to_owned()));
    }
}

#[test]
fn a_reservation_that_nobody_could_make_is_told_from_one_that_was_denied() {
    let mut desk = Desk::new();
    desk.run([Err(FailureKind::Connect)]);
    let failed = end(&mut desk);
    assert_eq!((failed.kind(), info(&failed)), ("not_reserved", INFO.to_owned()));
}

#[test]
fn a_dry_run_ends_with_the_answer_that_a_real_one_would_have_had() {
    let mut request = reserve();
    request.dry_run = true;
    let mut desk = Desk::with(config(), request);
    desk.run([ok(r#"{"decision":"ALLOW","affected_scopes":[]}"#)]);
    let evaluated = end(&mut desk);
    assert!(
        matches!(&evaluated, Event::Evaluated { response, .. } if response.decision.is_allowed()),
        "{evaluated:?}"
    );
}

#[test]
fn a_cost_in_the_ledger_is_told_with_what_was_charged_and_how() {
    type Commit = fn(&mut Desk);
    let commit: [(Commit, ActualSource); 3] = [
        (|desk| desk.commit(5).unwrap(), ActualSource::Action),
        (
            |desk| {
                desk.reservation.spent(&Amount::tokens(5)).unwrap();
                desk.release();
            },
            ActualSource::Partial,
        ),
        (
            |desk| {
                let mut request = cost(5);
                request.metadata = Some(crate::models::JsonObject::new().with("actual_source", "estimate"));
                desk.reservation.commit(desk.now(), request).unwrap();
            },
            ActualSource::Estimate,
        ),
    ];
    for (commit, expected) in commit {
        for (answers, by, amount) in [
            (vec![ok(COMMITTED)], ChargedBy::Commit, Some(Amount::tokens(5))),
            (
                vec![refusal(410, "RESERVATION_EXPIRED"), answer(201, APPLIED)],
                ChargedBy::Event,
                Some(Amount::tokens(5)),
            ),
        ] {
            let mut desk = Desk::held();
            commit(&mut desk);
            desk.run(answers);
            let committed = end(&mut desk);
            let Event::Committed {
                reservation_id,
                charged,
                charged_by,
                source,
                took,
                ..
            } = &committed
            else {
                panic!("{committed:?}")
            };
            assert_eq!((reservation_id.as_str(), charged), ("r-1", &amount));
            assert_eq!((*charged_by, *source), (by, expected));
            assert!(
                took.is_some_and(|took| took >= Duration::from_millis(10)),
                "{took:?}"
            );
            assert_eq!(
                (committed.kind(), info(&committed)),
                ("committed", INFO.to_owned())
            );
        }
    }
}

#[test]
fn a_budget_that_is_given_back_is_told_with_the_reason() {
    let mut desk = Desk::held();
    desk.release();
    desk.run([ok(RELEASED)]);
    let released = end(&mut desk);
    let Event::Released { reason, .. } = &released else {
        panic!("{released:?}")
    };
    assert_eq!(
        (reason.as_str(), info(&released)),
        ("action_failed", INFO.to_owned())
    );
    assert_eq!(released.reservation_id(), Some(&"r-1".into()));
}

#[test]
fn a_budget_that_could_not_be_given_back_is_told_as_expired() {
    let mut desk = Desk::held();
    desk.release();
    desk.run([refusal(404, "NOT_FOUND")]);
    let expired = end(&mut desk);
    assert!(
        matches!(&expired, Event::Expired { error: Some(error), .. } if error.to_string().contains(INFO)),
        "{expired:?}"
    );
}

#[test]
fn spending_that_could_not_be_accepted_ends_as_expired_and_not_as_released() {
    let mut desk = Desk::held();
    assert!(desk.reservation.spent(&Amount::credits(5)).is_err());
    desk.release();
    let expired = end(&mut desk);
    assert!(
        matches!(&expired, Event::Expired { error: None, .. }),
        "{expired:?}"
    );
}

#[test]
fn a_caller_that_leaves_before_anything_is_sent_is_no_end_of_a_reservation() {
    let mut desk = Desk::new();
    desk.reservation.abandon(desk.now());
    assert!(desk.is_done() && desk.ends.is_empty(), "{:?}", desk.ends);
}

#[test]
fn a_cost_of_an_earlier_run_is_told_with_its_subject_and_without_an_estimate() {
    let mut desk = Desk::held();
    desk.journal = Journal::Works;
    desk.commit(5).unwrap();
    desk.settle();
    let text = desk.records[0].to_json();
    let record = JournalRecord::parse(text.as_bytes()).unwrap();
    let mut later = Desk::of(Reservation::resume(Arc::new(config()), record, SEED, desk.now()));
    later.run([ok(COMMITTED)]);
    let committed = end(&mut later);
    assert!(
        matches!(&committed, Event::Committed { took: None, .. }),
        "{committed:?}"
    );
    assert_eq!(info(&committed), "llm.completion m, tenant:acme");
}

#[test]
fn every_event_of_a_reservation_names_who_spends_what() {
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
    for event in &desk.events {
        assert_eq!(info(event), INFO, "{event:?}");
    }
}

#[test]
fn a_late_grant_that_is_given_back_is_no_second_end() {
    let mut desk = Desk::new();
    desk.settle();
    let (call, sent) = (desk.open[0].0.ticket, desk.mono);
    desk.run([Err(FailureKind::Timeout), Err(FailureKind::Timeout)]);
    assert_eq!(end(&mut desk).kind(), "not_reserved");
    desk.hand_in(call, sent, granted(60_000));
    desk.run([ok(RELEASED)]);
    assert!(desk.is_done() && desk.ends.is_empty(), "{:?}", desk.ends);
}
