//! Giving budget back.

use http::Response;

use super::super::*;
use super::desk::*;
use crate::outcome::Event;

#[test]
fn what_is_given_back_ends_with_the_ledgers_word() {
    let mut desk = Desk::held();
    desk.reservation.release(desk.now(), "the tool is gone".into());
    assert!(desk.reservation.grant().is_none());
    desk.run([ok(RELEASED)]);
    assert_eq!(desk.log(), ["POST r-1/release"]);
    assert_eq!(desk.body("/release")["reason"], "the tool is gone");
    assert!(
        matches!(desk.outcome(), Outcome::Released(Released::Confirmed(reply)) if reply.released.amount == 9)
    );
    assert!(desk.is_done());
}

#[test]
fn a_reason_is_cut_to_what_the_protocol_takes() {
    let mut desk = Desk::held();
    desk.reservation.release(desk.now(), "ä".repeat(300).into());
    desk.run([ok(RELEASED)]);
    assert_eq!(
        desk.body("/release")["reason"].as_str().unwrap().chars().count(),
        256
    );
}

#[test]
fn a_release_is_repeated_with_the_same_bytes_until_the_lease_has_ended() {
    let mut desk = Desk::held_with(config(), 60_000);
    desk.pass_s(20);
    desk.release();
    let mut attempts = 0;
    while !desk.is_done() && attempts < 100 {
        desk.run([answer(503, "")]);
        attempts += 1;
    }
    assert!((5..20).contains(&attempts), "{attempts}");
    assert!(desk.mono < Duration::from_secs(60) && desk.mono > Duration::from_secs(20));
    let bodies = desk.bodies("/release");
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert!(matches!(
        desk.outcome(),
        Outcome::Released(Released::LeftToExpire(Some(error))) if error.outcome_is_unknown()
    ));
    let last = desk.events.last().unwrap();
    assert!(matches!(last, Event::ReleaseFailed { retry_in: None, .. }));
}

#[test]
fn a_long_lease_is_given_back_for_as_long_as_it_lasts_and_not_for_a_number_of_attempts() {
    let mut desk = Desk::held_with(config(), 900_000);
    desk.release();
    desk.run([(); 20].map(|()| answer(503, "")));
    assert!(!desk.is_done());
    desk.run([ok(RELEASED)]);
    assert!(desk.is_done());
}

#[test]
fn a_release_that_would_come_as_the_lease_ends_is_not_made() {
    // The lease lasts until a minute after the beginning; the answer comes a second after it.
    let after = |pause| {
        let mut desk = Desk::held();
        desk.pass(Duration::from_millis(990));
        desk.release();
        desk.run([throttled(pause)]);
        assert_eq!(desk.mono, Duration::from_secs(1));
        desk.is_done()
    };
    assert!(!after(58));
    assert!(after(59));
}

#[test]
fn a_release_waits_as_long_as_a_busy_server_asks() {
    let busy = Response::builder().status(503).header("retry-after", "6.5");
    let mut desk = Desk::held();
    desk.release();
    desk.run([Ok(busy.body(Bytes::new()).unwrap()), ok(RELEASED)]);
    assert_eq!(desk.mono.as_secs(), 7);
    assert!(desk.is_done());
}

#[test]
fn a_release_that_may_have_been_made_stays_so_when_the_key_is_refused_later() {
    for (first, is_open) in [
        (Err(FailureKind::Lost), true),
        (answer(503, ""), true),
        (answer(307, ""), true),
        (answer(408, "<html>"), true),
        (answer(499, ""), true),
        (answer(407, "<html>"), false),
        (Err(FailureKind::Connect), false),
    ] {
        let mut desk = Desk::held();
        desk.release();
        desk.run([first, refusal(401, "UNAUTHORIZED")]);
        let Outcome::Released(Released::LeftToExpire(Some(error))) = desk.outcome() else {
            panic!("{:?}", desk.outcome())
        };
        assert_eq!(error.outcome_is_unknown(), is_open);
    }
}

#[test]
fn an_outage_is_waited_for_and_a_refused_key_is_not() {
    let outage = answer(
        401,
        r#"{"error":"UNAUTHORIZED","message":"INTERNAL_ERROR","request_id":"q"}"#,
    );
    let mut desk = Desk::held();
    desk.release();
    desk.run([outage, throttled(7), Err(FailureKind::Connect), ok(RELEASED)]);
    assert!(desk.mono >= Duration::from_secs(7), "a pause is kept");
    assert!(matches!(
        desk.outcome(),
        Outcome::Released(Released::Confirmed(_))
    ));
    for refused in [
        refusal(401, "UNAUTHORIZED"),
        refusal(409, "RESERVATION_FINALIZED"),
        refusal(410, "RESERVATION_EXPIRED"),
        refusal(404, "NOT_FOUND"),
    ] {
        let mut desk = Desk::held();
        desk.release();
        desk.run([refused]);
        assert_eq!(desk.log(), ["POST r-1/release", "release failed"]);
        assert!(desk.is_done());
        assert!(matches!(
            desk.outcome(),
            Outcome::Released(Released::LeftToExpire(Some(_)))
        ));
    }
}

#[test]
fn a_release_is_not_repeated_when_retries_are_off() {
    let config = CyclesConfig::builder(KEY, "http://h")
        .retry_enabled(false)
        .build()
        .unwrap();
    let mut desk = Desk::held_with(config, 60_000);
    desk.release();
    desk.run([answer(503, "")]);
    assert!(desk.is_done());
}

#[test]
fn an_adapter_that_never_answers_leaves_the_budget_to_expire() {
    let mut desk = Desk::held();
    desk.release();
    desk.pass_s(70);
    assert!(desk.is_done());
    assert!(desk.bodies("/release").len() > 3);
}

#[test]
fn a_life_that_releases_beats_no_more_and_a_late_beat_changes_nothing() {
    let mut desk = Desk::held();
    desk.pass_s(49);
    desk.release();
    desk.settle();
    assert_eq!(desk.log(), ["POST r-1/extend", "POST r-1/release"]);
    desk.reply(extended(60_000));
    desk.reply(ok(RELEASED));
    assert_eq!(desk.log(), [""; 0]);
    assert!(desk.is_done());
}

#[test]
fn after_the_first_release_another_changes_nothing() {
    let mut desk = Desk::held();
    desk.release();
    desk.reservation.release(desk.now(), "again".into());
    desk.reservation.abandon(desk.now());
    desk.run([ok(RELEASED)]);
    desk.release();
    assert_eq!(desk.log(), ["POST r-1/release"]);
    assert_eq!(desk.body("/release")["reason"], "action_failed");
}
