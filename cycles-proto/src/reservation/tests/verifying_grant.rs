//! Grants that have no time left.

use super::super::*;
use super::desk::*;
use crate::models::ReservationStatus;
use crate::outcome::Error;
use crate::time::UnixMillis;

const ASKED: [&str; 2] = ["POST reservations", "POST r-1/extend"];

fn status(desk: &Desk) -> Option<ReservationStatus> {
    let Error::StaleReplay { status, .. } = desk.error() else {
        panic!("{:?}", desk.error())
    };
    status.clone()
}

#[test]
fn a_replay_of_what_is_over_is_an_error_and_nothing_is_released() {
    for (look, expected) in [
        (detail("COMMITTED"), Some(ReservationStatus::Committed)),
        (detail("RELEASED"), Some(ReservationStatus::Released)),
        (detail("EXPIRED"), Some(ReservationStatus::Expired)),
        (
            refusal(410, "RESERVATION_EXPIRED"),
            Some(ReservationStatus::Expired),
        ),
        (refusal(404, "NOT_FOUND"), None),
        (refusal(401, "UNAUTHORIZED"), None),
        (throttled(1), None),
    ] {
        let mut desk = Desk::new();
        desk.run([granted(0), refusal(409, "RESERVATION_FINALIZED"), look]);
        assert_eq!(desk.log(), [&ASKED[..], &["GET r-1"]].concat());
        assert_eq!(status(&desk), expected);
        assert!(desk.is_done());
    }
}

#[test]
fn what_the_ledger_calls_expired_is_not_looked_at() {
    let mut desk = Desk::new();
    desk.run([granted(0), refusal(410, "RESERVATION_EXPIRED")]);
    assert_eq!(desk.log(), ASKED);
    assert_eq!(status(&desk), Some(ReservationStatus::Expired));
}

#[test]
fn where_nobody_told_what_became_of_the_reservation_the_error_does_not_say_either() {
    for silence in [
        refusal(401, "UNAUTHORIZED"),
        refusal(403, "FORBIDDEN"),
        throttled(0),
    ] {
        let mut desk = Desk::new();
        desk.run([granted(0), silence]);
        assert_eq!(desk.log(), ASKED);
        assert_eq!(status(&desk), None);
        let text = desk.error().to_string();
        assert!(text.contains("could not be determined"), "{text}");
        assert!(
            !text.contains("is over") && !text.contains("Nothing is held"),
            "{text}"
        );
    }
    let mut desk = Desk::new();
    desk.run([
        granted(0),
        refusal(409, "RESERVATION_FINALIZED"),
        detail("COMMITTED"),
    ]);
    assert!(desk.error().to_string().contains("is now COMMITTED"));
}

#[test]
fn a_question_without_an_answer_is_repeated_once() {
    for silence in [
        Err(FailureKind::Timeout),
        answer(503, ""),
        ok("{}"),
        answer(408, "<html>"),
        answer(307, ""),
        answer(407, ""),
    ] {
        let mut desk = Desk::new();
        desk.run([granted(0), silence.clone(), extended(60_000)]);
        assert!(desk.reservation.grant().is_some(), "{silence:?}");
        let bodies = desk.bodies("/extend");
        assert_eq!((bodies.len(), &bodies[0]), (2, &bodies[1]));
        let mut desk = Desk::new();
        desk.run([granted(0), silence.clone(), silence.clone()]);
        assert_eq!(status(&desk), None);
        let mut desk = Desk::new();
        desk.run([granted(0), answer(410, "<html>"), silence, detail("COMMITTED")]);
        assert_eq!(status(&desk), Some(ReservationStatus::Committed));
    }
}

#[test]
fn no_question_is_repeated_when_retries_are_off() {
    let config = CyclesConfig::builder(KEY, "http://h").retry_enabled(false);
    let mut desk = Desk::with(config.build().unwrap(), reserve());
    desk.run([granted(0), answer(500, "")]);
    assert_eq!(status(&desk), None);
}

#[test]
fn a_replay_that_can_be_prolonged_is_held() {
    let mut desk = Desk::new();
    desk.run([granted(0)]);
    assert_eq!(desk.log(), ASKED);
    assert!(desk.reservation.grant().is_none(), "not before it was extended");
    assert_eq!(desk.body("/extend")["extend_by_ms"], 60_000);
    desk.run([extended(60_000)]);
    assert_eq!(desk.log(), ["granted"]);
    let grant = desk.reservation.grant().unwrap();
    assert_eq!(grant.expires_at, Some(UnixMillis(WALL + 7_000)), "as it is now");
    desk.run([extended(60_000)]);
    assert_eq!(
        desk.log(),
        ["POST r-1/extend", "extended"],
        "and it is kept alive"
    );
    let mut keys = desk.keys("/extend");
    keys.dedup();
    assert_eq!(keys.len(), 2, "each extension under a key of its own");
    desk.commit(5).unwrap();
    desk.run([ok(COMMITTED)]);
    assert!(desk.receipt().is_settled());
}

/// The server has not swept it yet, or its extensions are used up.
#[test]
fn a_replay_that_is_active_but_cannot_be_prolonged_is_not_believed() {
    for refused in [
        answer(410, "<html>"),
        refusal(409, "MAX_EXTENSIONS_EXCEEDED"),
        refusal(409, "TENANT_CLOSED"),
        refusal(404, "NOT_FOUND"),
        extended(0),
    ] {
        let what = format!("{refused:?}");
        let mut desk = Desk::new();
        desk.run([granted(0), refused, detail("ACTIVE")]);
        assert_eq!(desk.log(), [&ASKED[..], &["GET r-1"]].concat(), "{what}");
        assert_eq!(status(&desk), None, "{what}");
        assert!(desk.is_done() && desk.reservation.grant().is_none(), "{what}");
    }
}

#[test]
fn a_grant_whose_time_passed_on_its_way_is_prolonged_first_too() {
    for (remaining, is_believed) in [(0, false), (1, false), (5, false), (6, true)] {
        let mut desk = Desk::new();
        // The round trip of an answer is 5 ms.
        desk.run([granted(remaining)]);
        assert_eq!(desk.reservation.grant().is_some(), is_believed, "{remaining}");
        desk.run([extended(60_000)]);
        assert!(desk.reservation.grant().is_some(), "{remaining}");
    }
}

#[test]
fn a_rest_that_is_less_than_nothing_is_no_grant() {
    let mut desk = Desk::new();
    let less = || {
        ok(
            r#"{"decision":"ALLOW","reservation_id":"r-1","affected_scopes":[],"expires_at_ms":1,"remaining_ttl_ms":-1}"#,
        )
    };
    desk.run([less(), less()]);
    assert!(desk.error().outcome_is_unknown());
}

#[test]
fn a_fresh_grant_that_took_too_long_is_given_back_if_the_caller_leaves() {
    let mut desk = Desk::new();
    desk.run([granted(3)]);
    desk.reservation.abandon(desk.now());
    assert_eq!(desk.log(), [&ASKED[..], &["POST r-1/release"]].concat());
}

#[test]
fn an_adapter_that_never_answers_ends_with_the_time_of_the_whole_reservation() {
    let mut desk = Desk::new();
    desk.run([granted(0)]).pass_s(14);
    let told = desk.error().to_string();
    assert!(
        told.contains("gave up after 14s; reserve_timeout sets this limit"),
        "{told}"
    );
    assert!(desk.error().outcome_is_unknown());
}

#[test]
fn an_adapter_that_never_answers_ends_in_a_stale_replay_if_there_is_more_time() {
    let config = CyclesConfig::builder(KEY, "http://h").reserve_timeout(Duration::from_secs(60));
    let mut desk = Desk::with(config.build().unwrap(), reserve());
    desk.run([granted(0)]).pass_s(14);
    assert!(matches!(desk.error(), Error::StaleReplay { status: None, .. }));
}

#[test]
fn a_caller_that_leaves_meanwhile_takes_it_from_nobody() {
    let mut leaves_late = Desk::new();
    leaves_late.run([granted(0)]);
    leaves_late.reservation.abandon(leaves_late.now());
    let mut leaves_early = Desk::new();
    leaves_early.settle();
    leaves_early.reservation.abandon(leaves_early.now());
    leaves_early.run([granted(0)]);
    for mut desk in [leaves_late, leaves_early] {
        assert!(desk.is_done());
        assert!(matches!(
            desk.outcome(),
            Outcome::Released(Released::LeftToExpire(None))
        ));
        assert!(desk.bodies("/release").is_empty());
    }
}

#[test]
fn a_late_grant_without_time_left_is_released_by_nobody() {
    let mut desk = Desk::new();
    desk.pass_s(14);
    desk.reply(granted(0));
    assert!(desk.is_done() && desk.error().outcome_is_unknown());
    assert!(desk.bodies("/release").is_empty());
}
