//! Grants without any time left.

use super::super::*;
use super::desk::*;
use crate::error::Error;
use crate::models::ReservationStatus;
use crate::time::UnixMillis;

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
        desk.run([granted(0), look]);
        assert_eq!(desk.log(), ["POST reservations", "GET r-1"]);
        let Error::StaleReplay { status, .. } = desk.error() else {
            panic!("{:?}", desk.error())
        };
        assert_eq!(*status, expected);
        assert!(desk.is_done());
    }
}

#[test]
fn where_nobody_told_what_became_of_the_reservation_the_error_does_not_say_either() {
    for look in [refusal(401, "UNAUTHORIZED"), throttled(1), answer(410, "<html>")] {
        let mut desk = Desk::new();
        desk.run([granted(0), look]);
        let error = desk.error();
        assert!(
            matches!(error, Error::StaleReplay { status: None, .. }),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(text.contains("could not be learnt"), "{text}");
        assert!(
            !text.contains("is over") && !text.contains("Nothing is held"),
            "{text}"
        );
    }
    let mut desk = Desk::new();
    desk.run([granted(0), detail("COMMITTED")]);
    assert!(desk.error().to_string().contains("is COMMITTED by now"));
}

#[test]
fn a_look_without_an_answer_is_repeated_once() {
    for open in [
        Err(FailureKind::Lost),
        answer(408, "<html>"),
        answer(307, ""),
        answer(407, ""),
    ] {
        let mut desk = Desk::new();
        desk.run([granted(0), open, detail("ACTIVE")]);
        assert_eq!(desk.log()[..3], ["POST reservations", "GET r-1", "GET r-1"]);
        assert!(desk.life.grant().is_some());
    }
    let mut desk = Desk::new();
    desk.run([granted(0), answer(500, ""), Err(FailureKind::Timeout)]);
    assert!(matches!(desk.error(), Error::StaleReplay { status: None, .. }));
}

#[test]
fn a_look_is_not_repeated_when_retries_are_off() {
    let config = CyclesConfig::builder(KEY, "http://h").retry_enabled(false);
    let mut desk = Desk::with(config.build().unwrap(), reserve());
    desk.run([granted(0), answer(500, "")]);
    assert!(matches!(desk.error(), Error::StaleReplay { status: None, .. }));
}

#[test]
fn a_reservation_that_is_active_goes_on_and_is_prolonged_at_once() {
    let mut desk = Desk::new();
    desk.run([granted(0), detail("ACTIVE")]);
    assert_eq!(
        desk.log(),
        ["POST reservations", "GET r-1", "granted", "POST r-1/extend"]
    );
    let grant = desk.life.grant().unwrap();
    assert_eq!(grant.expires_at, Some(UnixMillis(WALL + 90_000)), "as it is now");
    desk.run([extended(60_000)]);
    assert_eq!(desk.log(), ["extended"]);
    desk.commit(5).unwrap();
    desk.run([ok(COMMITTED)]);
    assert!(desk.receipt().is_settled());
}

#[test]
fn an_adapter_that_never_answers_ends_in_a_stale_replay() {
    let mut desk = Desk::new();
    desk.run([granted(0)]).pass_s(14);
    assert!(matches!(desk.error(), Error::StaleReplay { status: None, .. }));
}

#[test]
fn a_caller_that_leaves_meanwhile_takes_it_from_nobody() {
    let mut leaves_late = Desk::new();
    leaves_late.run([granted(0)]);
    leaves_late.life.abandon(leaves_late.now());
    let mut leaves_early = Desk::new();
    leaves_early.settle();
    leaves_early.life.abandon(leaves_early.now());
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
