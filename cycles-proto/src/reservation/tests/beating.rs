//! The heartbeat of a reservation. The tests of the lease cover its arithmetic.

use http::Response;

use super::super::*;
use super::desk::*;
use crate::outcome::{Event, Stop};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn every_beat_has_a_key_of_its_own_and_asks_for_the_first_ttl() {
    let mut desk = Desk::held_with(config(), 30_000);
    desk.run([extended(30_000), extended(30_000), extended(30_000)]);
    // Each beat reserves two attempts of 5 s and a margin of 1 s out of the 29.995 s that are certain.
    assert_eq!(desk.mono, Duration::from_millis(5 + 3 * (18_995 + 5)));
    let mut keys = desk.keys("/extend");
    keys.dedup();
    assert_eq!(keys.len(), 3);
    assert_eq!(desk.body("/extend")["extend_by_ms"], 30_000);
    // An eighth of the 5 s is reserved for late timers.
    assert_eq!(desk.calls[0].timeout, Duration::from_millis(4_375));
    assert_eq!(
        desk.log(),
        ["POST r-1/extend", "extended"].repeat(3),
        "each success has an event"
    );
    let expires_at = desk.reservation.grant().unwrap().expires_at;
    assert_eq!(expires_at.unwrap().0, WALL + 7_000, "the ledger's last word");
}

#[test]
fn without_a_ttl_in_the_request_a_minute_is_asked_for() {
    let mut desk = Desk::new();
    desk.run([granted(60_000), extended(60_000)]);
    assert_eq!(desk.body("/extend")["extend_by_ms"], 60_000);
}

#[test]
fn a_beat_that_failed_is_told_and_repeated_with_the_same_bytes() {
    let outage = answer(
        401,
        r#"{"error":"UNAUTHORIZED","message":"INTERNAL_ERROR","request_id":"q"}"#,
    );
    for failure in [
        Err(FailureKind::Lost),
        answer(500, ""),
        throttled(2),
        outage,
        answer(200, "{}"),
        answer(302, ""),
        answer(407, "<html>"),
        answer(408, "<html>"),
        answer(421, ""),
        answer(425, ""),
        answer(499, ""),
    ] {
        let mut desk = Desk::held();
        desk.run([failure, extended(60_000)]);
        assert_eq!(
            desk.log(),
            ["POST r-1/extend", "beat failed", "POST r-1/extend", "extended"]
        );
        let bodies = desk.bodies("/extend");
        assert_eq!(bodies[0], bodies[1]);
        let Event::BeatFailed {
            reservation_id,
            retry_in,
            ..
        } = &desk.events[0]
        else {
            panic!()
        };
        assert_eq!(reservation_id.as_str(), "r-1");
        assert!(*retry_in > Duration::ZERO);
    }
}

#[test]
fn an_extension_that_is_answered_late_counts_as_a_time_out_and_does_not_swell_the_reserve() {
    let mut desk = Desk::held();
    desk.reservation.extend(60 * SECOND).unwrap();
    desk.settle();
    desk.mono += Duration::from_millis(5_100);
    desk.reply(extended(60_000));
    desk.run([extended(60_000)]);
    assert_eq!(desk.log(), ["POST r-1/extend", "POST r-1/extend", "extended"]);
    let bodies = desk.bodies("/extend");
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(
        desk.settle(),
        Some(desk.mono + Duration::from_millis(48_995)),
        "two attempts of 5 s and a margin of 1 s"
    );
}

#[test]
fn a_beat_that_failed_is_repeated_at_the_time_that_was_told_and_not_before() {
    let mut desk = Desk::held();
    desk.run([Err(FailureKind::Lost)]);
    let Event::BeatFailed { retry_in, .. } = desk.events[0] else {
        panic!()
    };
    let at = desk.mono + retry_in;
    assert_eq!((desk.settle(), desk.open.len()), (Some(at), 0));
    desk.mono = at;
    desk.settle();
    assert_eq!(desk.open.len(), 1);
}

#[test]
fn the_keys_of_extensions_are_counted_from_zero() {
    let mut desk = Desk::held_with(config(), 30_000);
    desk.run([extended(30_000), extended(30_000)]);
    let keys = [0, 1].map(|number| SEED.idempotency_key("extend", number).as_str().to_owned());
    assert_eq!(desk.keys("/extend")[..2], keys);
}

#[test]
fn an_extension_that_is_answered_in_the_last_moment_counts() {
    let mut desk = Desk::held();
    desk.reservation.extend(60 * SECOND).unwrap();
    desk.settle();
    desk.mono += desk.calls[0].timeout;
    desk.reply(extended(60_000));
    assert_eq!(desk.log(), ["POST r-1/extend", "extended"]);
}

#[test]
fn a_key_that_is_refused_stops_the_heartbeat() {
    for (status, code) in [(401, "UNAUTHORIZED"), (403, "FORBIDDEN")] {
        let mut desk = Desk::held();
        desk.run([refusal(status, code)]);
        assert_eq!(desk.log(), ["POST r-1/extend", "heartbeat stopped"]);
    }
}

#[test]
fn a_beat_waits_for_whole_seconds_and_for_no_other_form_of_a_pause() {
    let beats_again = |pause: &str| {
        let busy = Response::builder().status(429).header("retry-after", pause);
        let busy = busy.header("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let mut desk = Desk::held();
        desk.run([Ok(busy.body(Bytes::new()).unwrap())]);
        desk.log()[1] == "beat failed"
    };
    assert!(beats_again("2") && beats_again("0"));
    for other in ["1.5", "2, 2", "Sun, 06 Nov 1994 08:49:39 GMT", "soon"] {
        assert!(!beats_again(other), "{other}");
    }
}

#[test]
fn an_adapter_that_never_answers_a_beat_stops_the_heartbeat_and_not_the_life() {
    let mut desk = Desk::held();
    desk.pass_s(60);
    assert_eq!(
        desk.log(),
        [
            "POST r-1/extend",
            "beat failed",
            "POST r-1/extend",
            "heartbeat stopped",
            "lease lost"
        ]
    );
    assert!(desk.reservation.grant().is_some());
    desk.open.clear();
    desk.commit(5).unwrap();
    desk.run([ok(COMMITTED)]);
    assert!(desk.receipt().is_settled());
}

#[test]
fn a_refused_beat_stops_the_heartbeat_and_tells_how_long_the_lease_lasts() {
    let mut desk = Desk::held();
    desk.run([refusal(409, "MAX_EXTENSIONS_EXCEEDED")]);
    assert_eq!(desk.log(), ["POST r-1/extend", "heartbeat stopped"]);
    let Event::HeartbeatStopped {
        reason,
        lease_lasts,
        error,
        ..
    } = &desk.events[0]
    else {
        panic!()
    };
    assert_eq!(*reason, Stop::Refused);
    assert!(error.is_some());
    let lasts = lease_lasts.unwrap();
    assert!(lasts > 10 * SECOND && lasts < 12 * SECOND, "{lasts:?}");
    desk.pass(lasts);
    assert_eq!(desk.log(), ["lease lost"]);
    desk.pass_s(3_600);
    assert_eq!(desk.log(), [""; 0], "told once");
}

#[test]
fn a_lease_that_the_ledger_ended_is_lost_at_once_and_its_cost_is_still_taken() {
    for code in ["RESERVATION_EXPIRED", "RESERVATION_FINALIZED"] {
        let mut desk = Desk::held();
        desk.run([refusal(410, code)]);
        assert_eq!(desk.log(), ["POST r-1/extend", "heartbeat stopped", "lease lost"]);
        desk.commit(5).unwrap();
        desk.run([refusal(410, "RESERVATION_EXPIRED"), answer(201, APPLIED)]);
        assert!(matches!(desk.receipt(), Receipt::RecoveredViaEvent(_)));
    }
}

#[test]
fn a_bare_410_of_a_proxy_ends_no_lease_before_its_time() {
    let mut desk = Desk::held();
    desk.run([answer(410, "<html>")]);
    assert_eq!(desk.log(), ["POST r-1/extend", "heartbeat stopped"]);
    desk.pass_s(12);
    assert_eq!(desk.log(), ["lease lost"], "by the clock");
}

#[test]
fn a_lease_of_unknown_length_is_lost_by_the_clock_only_once_nothing_prolongs_it() {
    let granted = format!(
        r#"{{"decision":"ALLOW","reservation_id":"r-1","affected_scopes":[],"expires_at_ms":{}}}"#,
        WALL + 4_000
    );
    let extended = |ms: u64| ok(&format!(r#"{{"status":"ACTIVE","expires_at_ms":{}}}"#, WALL + ms));
    let mut request = reserve();
    request.ttl_ms = Some(4_000);
    let mut desk = Desk::with(config(), request);
    // The grants add up to one second, which is over before the next beat.
    desk.run([ok(&granted), extended(5_000)]);
    desk.log();
    desk.pass(Duration::from_millis(998));
    assert_eq!(desk.log(), [""; 0], "it still beats");
    desk.run([refusal(409, "MAX_EXTENSIONS_EXCEEDED")]);
    assert_eq!(
        desk.log(),
        ["POST r-1/extend", "heartbeat stopped", "lease lost"],
        "nothing extends it any more"
    );
}

#[test]
fn a_beat_that_is_tried_again_does_not_tell_that_the_lease_is_lost() {
    let mut desk = Desk::held();
    desk.run([refusal(500, "RESERVATION_EXPIRED"), extended(60_000)]);
    assert_eq!(
        desk.log(),
        ["POST r-1/extend", "beat failed", "POST r-1/extend", "extended"]
    );
}

#[test]
fn beats_go_on_while_a_commit_is_tried_again() {
    let mut desk = Desk::held_with(patient(), 4_000);
    desk.commit(5).unwrap();
    desk.run([Err(FailureKind::Lost)]);
    let mut extensions = 0;
    for _ in 0..20 {
        desk.run([]);
        desk.mono = desk.settle().unwrap();
        desk.settle();
        while let Some((call, sent)) = desk.open.pop_front() {
            let is_extension = call.request.uri().path().ends_with("/extend");
            extensions += u32::from(is_extension);
            let answer = if is_extension {
                extended(4_000)
            } else {
                answer(503, "")
            };
            desk.mono += Duration::from_millis(5);
            desk.hand_in(call.ticket, sent, answer);
        }
    }
    assert!(extensions > 5, "{:?}", desk.log);
    let log = desk.log();
    assert!(!log.contains(&"lease lost".to_owned()) && !log.contains(&"heartbeat stopped".to_owned()));
    let mut keys = desk.keys("/commit");
    assert!(keys.len() > 3);
    keys.dedup();
    assert_eq!(keys.len(), 1);
}

#[test]
fn while_a_cost_is_settled_a_lease_that_is_over_is_no_news() {
    for over in [
        refusal(409, "RESERVATION_FINALIZED"),
        refusal(410, "RESERVATION_EXPIRED"),
    ] {
        let mut desk = Desk::held_with(patient(), 60_000);
        desk.pass_s(49);
        desk.commit(5).unwrap();
        desk.settle();
        assert_eq!(desk.log(), ["POST r-1/extend", "put commit", "POST r-1/commit"]);
        desk.reply(over);
        desk.reply(Err(FailureKind::Lost));
        assert_eq!(desk.log(), ["commit failed"]);
        desk.pass_s(60);
        assert!(desk.bodies("/extend").len() == 1 && !desk.log().contains(&"lease lost".to_owned()));
    }
}

#[test]
fn a_settled_life_beats_no_more() {
    let mut desk = Desk::held();
    desk.commit(5).unwrap();
    desk.run([ok(COMMITTED)]);
    desk.log();
    desk.pass_s(3_600);
    assert_eq!(desk.log(), [""; 0]);
    assert!(desk.is_done());
}

/// A configuration that retries a commit for a long time.
fn patient() -> CyclesConfig {
    let retry = crate::config::RetryPolicy {
        max_attempts: 100,
        max_delay: SECOND,
        ..Default::default()
    };
    CyclesConfig::builder(KEY, "http://h")
        .retry(retry)
        .build()
        .unwrap()
}

#[test]
fn a_beat_that_never_left_is_not_said_to_have_been_acted_on() {
    let unknown = |kinds: [FailureKind; 2]| {
        let mut desk = Desk::held();
        desk.run(kinds.map(Err));
        let errors = desk.events.iter().filter_map(|event| {
            let Event::BeatFailed { error, .. } = event else {
                return None;
            };
            Some(error.outcome_is_unknown())
        });
        errors.collect::<Vec<_>>()
    };
    assert_eq!(unknown([FailureKind::Connect; 2]), [false, false]);
    assert_eq!(unknown([FailureKind::Lost, FailureKind::Connect]), [true, true]);
}

/// A held reservation of a minute whose heartbeat ends at this age, in seconds.
fn held_to_the_age_of(seconds: u64) -> Desk {
    let config = CyclesConfig::builder(KEY, "http://h").max_lease_age(Duration::from_secs(seconds));
    Desk::held_with(config.build().unwrap(), 60_000)
}

#[test]
fn the_heartbeat_of_an_action_that_hangs_ends_at_its_age_and_the_lease_runs_out() {
    let mut desk = held_to_the_age_of(60);
    desk.run([extended(60_000)]);
    assert_eq!(desk.log(), ["POST r-1/extend", "extended"]);
    let granted_at = Duration::from_millis(5);
    desk.pass(granted_at + 60 * SECOND - desk.mono);
    assert_eq!(desk.log(), ["heartbeat stopped"]);
    let Event::HeartbeatStopped {
        reason,
        lease_lasts,
        error,
        ..
    } = desk.events.last().unwrap()
    else {
        panic!()
    };
    assert_eq!((*reason, error.is_none()), (Stop::TooOld, true));
    let lasts = lease_lasts.unwrap();
    assert!(lasts > 30 * SECOND, "{lasts:?}");
    desk.pass(lasts);
    assert_eq!(desk.log(), ["lease lost"]);
    desk.commit(5).unwrap();
    desk.run([ok(COMMITTED)]);
    assert!(desk.receipt().is_settled(), "a cost is accepted at any age");
}

#[test]
fn a_beat_under_way_at_the_age_is_the_last_one() {
    for last in [extended(60_000), Err(FailureKind::Lost)] {
        let mut desk = held_to_the_age_of(50);
        desk.pass_s(50);
        assert_eq!(desk.log(), ["POST r-1/extend"], "the beat is due after 49 s");
        desk.reply(last);
        assert_eq!(desk.log().last().unwrap(), "heartbeat stopped");
        desk.pass_s(3_600);
        assert!(
            !desk
                .log()
                .iter()
                .any(|line| line.contains("/extend") || line.contains("stopped"))
        );
    }
}

#[test]
fn a_manual_extension_works_at_any_age_and_starts_no_heartbeat() {
    let mut desk = held_to_the_age_of(10);
    desk.pass_s(11);
    desk.reservation.extend(60 * SECOND).unwrap();
    desk.run([extended(108_000)]);
    // Whoever extends by hand is told that no beat follows.
    let log = desk.log();
    assert_eq!(
        log,
        [
            "heartbeat stopped",
            "POST r-1/extend",
            "extended",
            "heartbeat stopped"
        ]
    );
    desk.pass_s(107);
    assert_eq!(desk.log(), [""; 0]);
    desk.pass_s(2);
    assert_eq!(desk.log(), ["lease lost"]);
}

#[test]
fn a_lease_is_kept_at_any_age_while_its_cost_is_on_its_way() {
    let mut desk = held_to_the_age_of(10);
    desk.commit(5).unwrap();
    desk.settle();
    desk.pass_s(50);
    assert!(desk.log().iter().any(|line| line.contains("/extend")));
    assert!(!desk.log().iter().any(|line| line.contains("stopped")));
}

#[test]
fn without_known_time_left_an_action_that_hangs_loses_its_lease_too() {
    let config = CyclesConfig::builder(KEY, "http://h").max_lease_age(10 * SECOND);
    let mut request = reserve();
    request.ttl_ms = Some(60_000);
    let mut desk = Desk::with(config.build().unwrap(), request);
    let (first, second) = (WALL + 60_000, WALL + 120_000);
    desk.run([
        ok(&format!(
            r#"{{"decision":"ALLOW","reservation_id":"r-1","affected_scopes":[],"expires_at_ms":{first}}}"#
        )),
        ok(&format!(r#"{{"status":"ACTIVE","expires_at_ms":{second}}}"#)),
    ]);
    desk.pass_s(11);
    assert!(desk.log().contains(&"heartbeat stopped".to_owned()));
    desk.pass_s(300);
    assert!(desk.log().contains(&"lease lost".to_owned()));
}
