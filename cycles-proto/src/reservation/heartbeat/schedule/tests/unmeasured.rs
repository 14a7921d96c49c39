//! The fallback, for servers that do not say how much time is left.

use super::*;

fn beat(next: Next) -> u64 {
    match next {
        Next::Beat(time) => millis_ceil(time),
        Next::Retry(_) | Next::Stop(_) => panic!("{next:?}"),
    }
}

#[test]
fn without_a_measured_lead_the_first_beat_is_at_once_and_the_next_at_half_a_grant() {
    let (mut lease, next) = Lease::granted(60 * S, at(7 * S), unmeasured(5 * S, 1_000_000));
    assert_eq!(beat(next), 5 * S);
    assert_eq!(lease.lasts_until(), None, "nothing is known of the first lease");
    assert_eq!(beat(lease.renewed(unmeasured(5 * S, 1_060_000))), 35 * S);
    assert_eq!(lease.lasts_until(), Some(at(65 * S)));
}

#[test]
fn a_beat_is_skipped_while_a_grant_and_a_half_are_left() {
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), unmeasured(0, 60_000));
    assert_eq!(beat(lease.renewed(unmeasured(0, 120_000))), 30 * S);
    // At 30 s there are 30 s of the first grant left and 60 s of the second: 90 s, a grant and a half.
    assert_eq!(beat(lease.renewed(unmeasured(30 * S, 180_000))), 60 * S);
    // At 60 s there are 120 s, at 90 s still 90 s: the beat at 90 s is skipped.
    assert_eq!(beat(lease.renewed(unmeasured(60 * S, 240_000))), 120 * S);
}

#[test]
fn a_server_that_grants_more_than_was_asked_for_is_not_beaten_slower() {
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), unmeasured(0, 60_000));
    assert_eq!(beat(lease.renewed(unmeasured(0, 660_000))), 30 * S);
}

#[test]
fn an_answer_without_an_expiry_grants_nothing_that_is_known() {
    let nameless = |received: u64| Observation {
        expires_at_ms: None,
        ..unmeasured(received, 0)
    };
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), unmeasured(0, 60_000));
    assert_eq!(beat(lease.renewed(unmeasured(0, 120_000))), 30 * S);
    assert_eq!(lease.lasts_until(), Some(at(60 * S)));
    assert_eq!(
        beat(lease.renewed(nameless(30 * S))),
        60 * S,
        "asked again at a bounded pace"
    );
    assert_eq!(lease.lasts_until(), Some(at(60 * S)));
    // The next expiry has no predecessor to compare it with; the one after that has.
    lease.renewed(unmeasured(50 * S, 300_000));
    assert_eq!(lease.lasts_until(), Some(at(60 * S)));
    lease.renewed(unmeasured(51 * S, 310_000));
    assert_eq!(lease.lasts_until(), Some(at(70 * S)));
}

#[test]
fn a_lead_that_was_measured_is_not_prolonged_by_an_answer_without_an_expiry() {
    let (mut lease, _) = lease(60 * S, 7 * S, 0);
    let measured = lease.lasts_until();
    lease.renewed(Observation {
        expires_at_ms: None,
        ..unmeasured(10 * S, 0)
    });
    assert_eq!(lease.lasts_until(), measured);
}

#[test]
fn a_server_that_caps_each_extension_is_beaten_faster() {
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), unmeasured(0, 60_000));
    assert_eq!(beat(lease.renewed(unmeasured(0, 70_000))), 5 * S);
    assert_eq!(beat(lease.renewed(unmeasured(5 * S, 80_000))), 10 * S);
}

#[test]
fn a_server_that_clamps_the_lead_is_held_at_a_bounded_pace() {
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), unmeasured(0, 60_000));
    assert_eq!(
        beat(lease.renewed(unmeasured(0, 60_000))),
        30 * S,
        "a grant of nothing"
    );
    assert_eq!(
        beat(lease.renewed(unmeasured(30 * S, 90_000))),
        60 * S,
        "a grant that echoes the time between"
    );
    let (mut lease, _) = Lease::granted(600 * S, at(7 * S), unmeasured(0, 600_000));
    assert_eq!(
        beat(lease.renewed(unmeasured(0, 599_000))),
        30 * S,
        "never slower than 30 s"
    );
}

/// The protocol's counterexample: 24 s requested, each extension capped at 10 s. Once a grant is measured across a
/// skipped beat, the server looks as if it clamped the lead, and the lease erodes.
#[test]
fn the_limit_of_the_fallback_is_the_protocols_own_counterexample() {
    let (mut lease, _) = Lease::granted(24 * S, at(7 * S), unmeasured(0, 24_000));
    let (mut now, mut expires) = (0, 24_000);
    let mut pace = Vec::new();
    for _ in 0..8 {
        expires += 10_000;
        let next = beat(lease.renewed(unmeasured(now, expires)));
        pace.push(next - now);
        now = next;
    }
    assert_eq!(
        pace,
        [5_000, 5_000, 10_000, 12_000, 12_000, 12_000, 12_000, 12_000]
    );
    let lead_before = expires - (now - 12_000);
    expires += 10_000;
    assert!(
        expires - now < lead_before,
        "every beat at 12 s loses 2 s of a 10 s grant"
    );
}

#[test]
fn without_a_measured_lead_failures_are_retried_at_a_bounded_pace_until_the_lease_is_long_over() {
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), unmeasured(0, 60_000));
    lease.renewed(unmeasured(0, 120_000));
    assert_eq!(
        lease.failed(at(40 * S), BeatFailure::Transient),
        Next::Retry(at(42_500))
    );
    assert_eq!(
        lease.failed(at(119 * S), BeatFailure::Transient),
        Next::Retry(at(121_500))
    );
    assert_eq!(
        lease.failed(at(120 * S), BeatFailure::Transient),
        Next::Stop(Stop::NoTimeToRecover)
    );
    let wait = |seconds| BeatFailure::Throttled(Some(Duration::from_secs(seconds)));
    assert_eq!(lease.failed(at(40 * S), wait(30)), Next::Retry(at(70 * S)));
    assert_eq!(lease.failed(at(40 * S), wait(31)), Next::Stop(Stop::Throttled));
    assert_eq!(
        lease.failed(at(40 * S), BeatFailure::Throttled(None)),
        Next::Stop(Stop::Throttled)
    );
}

#[test]
fn without_a_measured_lead_one_loss_after_a_long_pause_does_not_end_a_lease_that_has_time_left() {
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), unmeasured(0, 60_000));
    lease.renewed(unmeasured(0, 3_660_000));
    // An hour was granted by hand, so beats are skipped until a grant and a half is left.
    let next = beat(lease.renewed(unmeasured(30 * S, 3_720_000)));
    assert_eq!(next, 3_600 * S);
    assert_eq!(lease.lasts_until(), Some(at(3_660 * S)));
    assert_eq!(
        lease.failed(at(next), BeatFailure::Transient),
        Next::Retry(at(next + 2_500))
    );
    assert_eq!(
        lease.failed(at(3_659 * S), BeatFailure::Transient),
        Next::Retry(at(3_659 * S + 2_500))
    );
    assert_eq!(
        lease.failed(at(3_660 * S), BeatFailure::Transient),
        Next::Stop(Stop::NoTimeToRecover),
        "nothing is left"
    );
}

#[test]
fn without_a_measured_lead_one_loss_does_not_end_the_shortest_lease_that_is_held_at_a_pace() {
    let (mut lease, _) = Lease::granted(4 * S, at(7 * S), unmeasured(0, 4_000));
    assert_eq!(beat(lease.renewed(unmeasured(0, 4_000))), 2 * S);
    let failed = at(2 * S) + lease.attempt_timeout();
    let Next::Retry(again) = lease.failed(failed, BeatFailure::Transient) else {
        panic!("no retry")
    };
    assert!(
        again + at(500) <= at(4 * S),
        "{again:?}: half a second before the end"
    );
}

#[test]
fn a_server_that_starts_or_stops_measuring_switches_the_way() {
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), unmeasured(0, 60_000));
    let measured = Observation {
        expires_at_ms: Some(UnixMillis(120_000)),
        ..seen(100, 100, 120_000)
    };
    assert!(!lease.is_measured());
    assert_eq!(lease.renewed(measured), Next::Beat(at(120_000 - 11_000)));
    assert!(lease.is_measured());
    // Without the field: 119.9 s were left at 0.1 s and 60 s were granted since, so at 90.1 s less than a
    // grant and a half is left.
    assert_eq!(beat(lease.renewed(unmeasured(60_100, 180_000))), 60_100 + 30_000);
    assert_eq!(lease.lasts_until(), Some(at(100 + 119_900 + 60_000)));
    assert!(!lease.is_measured());
}
