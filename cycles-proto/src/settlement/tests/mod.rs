//! A settlement with answers from a test, in virtual time.

mod age;
mod aside;
mod compared;
mod desk;
mod drivers;
mod expired;
mod verdicts;

use self::desk::{
    APPLIED, Answered, COMMITTED, DAY_MS, Desk, SEED, WALL, answer, config, detail, record, refusal,
};
use http::Response;

use bytes::Bytes;

use super::*;
use crate::models::{Amount, ReservationStatus};

#[test]
fn a_cost_is_stored_then_committed_then_forgotten() {
    let mut desk = Desk::new();
    desk.run([answer(200, COMMITTED)]);
    assert_eq!(desk.log(), ["put commit", "POST r/commit", "remove"]);
    assert!(
        matches!(desk.outcome(), Receipt::Committed(done) if done.response.as_ref().unwrap().charged == Amount::tokens(5))
    );
}

#[test]
fn an_open_outcome_is_tried_again_with_the_same_bytes_and_the_same_key() {
    let mut desk = Desk::new();
    desk.run([
        answer(503, ""),
        Err(FailureKind::Timeout),
        answer(200, "garbage"),
        Err(FailureKind::Lost),
        answer(202, COMMITTED),
        answer(200, COMMITTED),
    ]);
    assert!(matches!(desk.outcome(), Receipt::Committed(_)));
    assert!(desk.bodies.len() == 6 && desk.bodies.iter().all(|body| *body == desk.bodies[0]));
    assert!(desk.keys.iter().all(|key| key == "key-1"), "{:?}", desk.keys);
    assert!(
        desk.mono > Duration::from_millis(7_750),
        "the waits add up: {:?}",
        desk.mono
    );
}

#[test]
fn a_cost_that_cannot_be_settled_now_stays_recorded() {
    let mut desk = Desk::new();
    desk.run(std::iter::repeat_n((), 6).map(|()| answer(500, "")));
    assert_eq!(desk.log().last().unwrap(), "failed");
    assert!(!desk.log().contains(&"remove".to_owned()));
    assert!(matches!(
        desk.outcome(),
        Receipt::Pending {
            is_recorded: true,
            error: Some(_),
            ..
        }
    ));
}

#[test]
fn the_error_of_a_cost_in_a_record_asks_nobody_to_repeat_it_and_that_of_one_without_does() {
    // The record is written at once, after the first attempt, or never.
    for (works_from, is_recorded) in [(0, true), (1, true), (usize::MAX, false)] {
        let mut desk = Desk::new();
        for attempt in 0..6 {
            desk.journal_works = attempt >= works_from;
            desk.run([answer(503, "")]);
        }
        desk.run([]);
        let Receipt::Pending {
            error: Some(error),
            is_recorded: told,
        } = desk.outcome()
        else {
            panic!("{:?}", desk.outcome());
        };
        assert_eq!(*told, is_recorded);
        let sentence = error.to_string();
        assert_eq!(
            sentence.contains("; repeat it under the key"),
            !is_recorded,
            "{sentence}"
        );
        let from_record =
            "; the client repeats it from its record under the key key-1, and it counts only once";
        assert_eq!(sentence.contains(from_record), is_recorded, "{sentence}");
    }
}

#[test]
fn a_journal_that_fails_is_told_and_the_settlement_is_tried_all_the_same() {
    let mut desk = Desk::new();
    desk.journal_works = false;
    desk.run([answer(200, COMMITTED)]);
    assert_eq!(
        desk.log(),
        [
            "put commit",
            "journal failed: disk full",
            "POST r/commit",
            "remove",
        ],
        "a record that was never there is not said to stay"
    );
    assert!(matches!(desk.outcome(), Receipt::Committed(done) if done.response.is_some()));
}

#[test]
fn a_cost_without_a_record_is_tried_for_the_whole_schedule_whatever_is_answered() {
    let mut desk = Desk::new();
    desk.journal_works = false;
    desk.run(std::iter::repeat_n((), 6).map(|()| answer(401, "")));
    let attempts = desk.log().iter().filter(|line| *line == "POST r/commit").count();
    assert_eq!(attempts, 6);
    let error = desk.outcome().clone().into_result().unwrap_err();
    assert!(matches!(error, Error::Unrecorded(_)), "{error}");
    assert_eq!(
        (error.status(), error.idempotency_key()),
        (Some(401), Some(&"key-1".into()))
    );
    assert_eq!(
        error.to_string(),
        "commitReservation of r-1 (POST http://h/v1/reservations/r-1/commit): 401, not an answer from a Cycles server. Something between the client and the server answered, and it is not known whether the server saw the request; repeat it \
         under the key key-1, and it counts only once. There is no record of the cost, and the client \
         has stopped trying: commit it again under the key key-1. An event in its place counts a second time if a commit got through."
    );
}

#[test]
fn a_record_that_could_not_be_stored_is_stored_before_the_next_attempt() {
    let mut desk = Desk::new();
    desk.journal_works = false;
    desk.run([]);
    desk.journal_works = true;
    desk.settlement
        .handle_response(desk.now(), desk.ticket(), &answer(401, "").unwrap());
    desk.run([answer(401, "")]);
    assert_eq!(
        desk.log(),
        [
            "put commit",
            "journal failed: disk full",
            "POST r/commit",
            "failed, again",
            "put commit",
            "POST r/commit",
            "failed"
        ]
    );
    assert!(desk.is_left_recorded());
}

#[test]
fn a_pause_that_the_server_asks_for_is_stored_before_it_is_waited_for() {
    let mut desk = Desk::new();
    desk.run([verdicts::throttled(), answer(200, COMMITTED)]);
    assert_eq!(
        desk.log(),
        [
            "put commit",
            "POST r/commit",
            "failed, again",
            "put commit not before 120s",
            "POST r/commit",
            "remove",
            "settled late"
        ]
    );
    assert!(desk.mono >= Duration::from_secs(120));
}

#[test]
fn a_pause_is_kept_however_it_is_written_and_whatever_says_it() {
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (pause, waited_s) in [
        ("4", 4),
        ("3.1", 4),
        ("4, 4", 4),
        ("Sun, 06 Nov 1994 08:49:41 GMT", 4),
        ("Sun Nov  6 08:49:41 1994", 4),
        ("86400", 3_600),
        ("99999999999999999999", 3_600),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3_600),
    ] {
        for status in [429, 503] {
            let busy = Response::builder().status(status).header("retry-after", pause);
            let busy = busy.header("date", DATE).body(Bytes::new()).unwrap();
            let mut desk = Desk::new();
            desk.run([Ok(busy), answer(200, COMMITTED)]);
            let stored = format!("put commit not before {waited_s}s");
            assert!(desk.log().contains(&stored), "{status} {pause}: {:?}", desk.log());
            assert_eq!(desk.mono.as_secs(), waited_s, "{status} {pause}");
        }
    }
    for nothing in ["0", "-5", "soon", "NaN", "Sat, 05 Nov 1994 08:49:37 GMT"] {
        let busy = Response::builder().status(503).header("retry-after", nothing);
        let busy = busy.header("date", DATE).body(Bytes::new()).unwrap();
        let mut desk = Desk::new();
        desk.run([Ok(busy), answer(200, COMMITTED)]);
        assert_eq!(desk.mono.as_secs(), 0, "{nothing}: our own wait");
    }
}

#[test]
fn a_pause_outlives_the_process_for_an_hour_at_most() {
    for (floor_s, waited_s) in [(90, 90), (90_000_000, 3_600)] {
        let record = record().with_not_before(UnixMillis(WALL + floor_s * 1_000));
        let mut desk = Desk::resumed(record, 0, false);
        desk.run([answer(200, COMMITTED)]);
        assert_eq!(desk.mono.as_secs(), waited_s);
    }
}

#[test]
fn a_resumed_commit_may_have_been_sent_before() {
    let mut desk = Desk::resumed(record(), 0, false);
    desk.run([answer(410, ""), detail("COMMITTED"), answer(200, COMMITTED)]);
    assert_eq!(
        desk.log(),
        [
            "POST r/commit",
            "GET r",
            "failed, again",
            "POST r/commit",
            "remove",
            "settled late"
        ]
    );
}

#[test]
fn what_another_key_or_another_server_may_settle_is_kept() {
    for kept in [
        refusal(401, "UNAUTHORIZED"),
        answer(403, "<html>"),
        refusal(403, "INSUFFICIENT_PERMISSIONS"),
        answer(404, "<html>"),
        refusal(409, "NEW_CODE"),
    ] {
        let mut desk = Desk::new();
        desk.run([kept]);
        assert_eq!(desk.log(), ["put commit", "POST r/commit", "failed"]);
        assert!(desk.is_left_recorded());
    }
}

#[test]
fn an_error_never_says_that_nothing_was_done_while_a_commit_may_have_been() {
    for (first, is_unknown) in [(Err(FailureKind::Lost), true), (Err(FailureKind::Connect), false)] {
        let mut desk = Desk::new();
        desk.run([first, refusal(401, "UNAUTHORIZED")]);
        let Receipt::Pending {
            error: Some(error), ..
        } = desk.outcome()
        else {
            panic!("{:?}", desk.outcome())
        };
        assert_eq!(error.outcome_is_unknown(), is_unknown, "{error}");
    }
    let mut desk = Desk::new();
    desk.run([
        refusal(410, "RESERVATION_EXPIRED"),
        Err(FailureKind::Lost),
        refusal(401, "UNAUTHORIZED"),
    ]);
    let Receipt::Pending {
        error: Some(error), ..
    } = desk.outcome()
    else {
        panic!("{:?}", desk.outcome())
    };
    assert!(
        error.outcome_is_unknown(),
        "the event may have been applied: {error}"
    );
}

#[test]
fn what_the_ledger_refuses_for_good_is_set_aside_and_never_released() {
    for code in ["UNIT_MISMATCH", "BUDGET_EXCEEDED", "NOT_FOUND"] {
        let mut desk = Desk::new();
        desk.run([refusal(409, code)]);
        assert_eq!(
            desk.log(),
            [
                "put commit",
                "POST r/commit",
                "failed",
                "set aside rejected",
                "told Rejected"
            ],
            "{code}"
        );
        let Receipt::Rejected {
            error: Some(error), ..
        } = desk.outcome()
        else {
            panic!("{:?}", desk.outcome())
        };
        assert_eq!(error.code().unwrap().as_str(), code);
    }
}

#[test]
fn what_somebody_else_finalized_is_looked_at_once_to_tell_how() {
    let after = |look: Answered| {
        let mut desk = Desk::new();
        desk.run([refusal(409, "RESERVATION_FINALIZED"), look]);
        assert_eq!(
            desk.log(),
            [
                "put commit",
                "POST r/commit",
                "GET r",
                "failed",
                "set aside rejected",
                "told Rejected"
            ]
        );
        let Receipt::Rejected {
            error: Some(error),
            found,
            ..
        } = desk.outcome().clone()
        else {
            panic!()
        };
        assert_eq!(
            error.code().unwrap().as_str(),
            "RESERVATION_FINALIZED",
            "what counts"
        );
        found
    };
    assert_eq!(after(detail("COMMITTED")), Some(ReservationStatus::Committed));
    assert_eq!(after(detail("RELEASED")), Some(ReservationStatus::Released));
    assert_eq!(after(answer(500, "")), None);
    assert_eq!(after(Err(FailureKind::Timeout)), None);
}

#[test]
fn a_frozen_budget_keeps_an_event_alive() {
    let event = record().into_event().unwrap();
    let mut desk = Desk::resumed(event.clone(), 0, false);
    desk.run([refusal(409, "BUDGET_FROZEN")]);
    assert!(desk.is_left_recorded());
    let mut desk = Desk::resumed(event, 0, false);
    desk.run([refusal(409, "BUDGET_CLOSED")]);
    assert!(matches!(desk.outcome(), Receipt::Rejected { .. }));
}

#[test]
fn a_long_pause_of_a_cost_from_an_earlier_run_is_recorded_and_waited_for_by_nobody() {
    for status in [429, 503] {
        let busy = |pause: u64| {
            let busy = Response::builder().status(status).header("retry-after", pause);
            Ok(busy.body(Bytes::new()).unwrap())
        };
        let mut desk = Desk::resumed(record(), 0, false);
        desk.run([busy(3_600)]);
        assert_eq!(
            desk.log(),
            ["POST r/commit", "failed, again", "put commit not before 3600s"],
            "{status}"
        );
        assert!(desk.is_left_recorded());
        assert_eq!(desk.mono.as_secs(), 0, "{status}: it makes room at once");

        // A pause within the range of our own waits is waited for.
        let mut desk = Desk::resumed(record(), 0, false);
        desk.run([busy(30), answer(200, COMMITTED)]);
        assert!(desk.outcome().is_settled());

        // So is a pause that could not be recorded, or of a cost that is not from an earlier run or is forced.
        let mut desk = Desk::resumed(record(), 0, false);
        desk.journal_works = false;
        desk.run([busy(3_600), answer(200, COMMITTED)]);
        assert!(desk.outcome().is_settled() && desk.mono.as_secs() >= 3_600);
        for mut desk in [Desk::new(), Desk::resumed(record(), 0, true)] {
            desk.run([busy(3_600), answer(200, COMMITTED)]);
            assert!(desk.outcome().is_settled() && desk.mono.as_secs() >= 3_600);
        }
    }
}
