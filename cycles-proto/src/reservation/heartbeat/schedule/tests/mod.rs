//! The protocol's HEARTBEAT GUIDANCE, sentence by sentence.

mod floor;
mod unmeasured;

use super::*;

const S: u64 = 1_000;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A success whose response arrives at `received` after `rtt`, both in milliseconds.
fn seen(received: u64, rtt: u64, remaining: u64) -> Observation {
    Observation {
        sent: Some(at(received - rtt)),
        received: at(received),
        expires_at_ms: None,
        remaining_ttl_ms: Some(remaining),
    }
}

/// A success without `remaining_ttl_ms`.
fn unmeasured(received: u64, expires: u64) -> Observation {
    Observation {
        sent: Some(at(received)),
        received: at(received),
        expires_at_ms: Some(UnixMillis(expires)),
        remaining_ttl_ms: None,
    }
}

/// A lease of `lead` ms, observed at time 10 s with `rtt`, whose attempts may take `timeout` ms.
fn lease(lead: u64, timeout: u64, rtt: u64) -> (Lease, Next) {
    let (mut lease, _) = Lease::granted(lead, at(timeout), seen(10 * S, rtt, lead + rtt));
    lease.attempt_limit = at(timeout);
    lease.had_no_delay = false;
    let next = lease.renewed(seen(10 * S, rtt, lead + rtt));
    (lease, next)
}

#[test]
fn the_protocols_worked_numbers() {
    let (_, next) = lease(60 * S, 10 * S, 1_500);
    assert_eq!(
        next,
        Next::Beat(at(10 * S + 37 * S)),
        "60 s lead, 10 s time-out, 1.5 s round trip"
    );
    let (_, next) = lease(60 * S, 30 * S, 1_500);
    assert_eq!(
        next,
        Next::Beat(at(10 * S + 250)),
        "a 30 s time-out leaves nothing: as soon as may be"
    );
}

#[test]
fn the_time_of_an_attempt_follows_the_lease_and_never_the_other_way() {
    for (lead, limit, timeout) in [
        (1, 1_000, 875),
        (4_000, 1_000, 875),
        (9_600, 1_600, 1_400),
        (30_000, 5_000, 4_375),
        (3_600_000, 5_000, 4_375),
    ] {
        let (lease, _) = Lease::granted(lead, at(60 * S), seen(10, 10, lead));
        assert_eq!(lease.attempt_timeout(), at(timeout), "{lead}");
        assert_eq!(lease.attempt_budget_ms(), limit, "{lead}");
        // The protocol's inequality, if a whole second fits.
        if lead > 3 * S + 10 {
            assert!(
                lease.attempt_budget_ms() < (lead - 10 - lease.margin_ms()) / 2,
                "{lead}"
            );
        }
    }
    let (lease, _) = Lease::granted(60_000, at(700), seen(10, 10, 60_000));
    assert_eq!(lease.attempt_timeout(), at(700), "the caller's own limit is kept");
}

#[test]
fn an_attempt_may_take_longer_than_a_second_where_the_reservation_did() {
    let (lease, _) = Lease::granted(4 * S, at(7 * S), seen(2 * S, 1_200, 4 * S));
    assert_eq!(lease.attempt_timeout(), at(2_100), "seven eighths of 2 × 1.2 s");
    assert_eq!(
        lease.attempt_budget_ms(),
        2_400,
        "which the protocol reserves anyway"
    );
    let (lease, _) = Lease::granted(60 * S, at(7 * S), seen(6 * S, 6 * S, 60 * S));
    assert_eq!(
        lease.attempt_timeout(),
        at(7 * S),
        "the caller's own limit is kept"
    );
}

#[test]
fn a_timer_that_is_late_does_not_cost_the_one_retry_that_was_reserved() {
    for ttl in [4 * S, 10 * S, 60 * S, 3_600 * S] {
        let (mut lease, next) = Lease::granted(ttl, at(7 * S), seen(10, 10, ttl));
        let late = at(50);
        let timeout = lease.attempt_timeout();
        let Next::Beat(beat) = next else {
            panic!("{next:?}")
        };
        let failed = beat + late + timeout + late;
        let next = lease.failed(failed, BeatFailure::Transient);
        let Next::Retry(again) = next else {
            panic!("{ttl}: {next:?}")
        };
        // The reserve has no room for a second loss in a row.
        let failed = again + late + timeout + late;
        assert_eq!(
            lease.failed(failed, BeatFailure::Transient),
            Next::Stop(Stop::NoTimeToRecover),
            "{ttl}"
        );
    }
}

#[test]
fn a_lease_of_four_seconds_can_be_kept() {
    let (_, next) = Lease::granted(4 * S, at(7 * S), seen(10, 10, 4 * S));
    assert_eq!(next, Next::Beat(at(10 + 990)), "4 s − 10 ms − 2 × 1 s − 1 s");
}

#[test]
fn the_round_trip_of_the_attempt_is_taken_off_and_the_largest_one_counts_for_the_budget() {
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), seen(2 * S, 2 * S, 60 * S));
    // Largest round trip 2 s: budget 5 s (the timeout), margin 4 s, reserve 14 s.
    let next = lease.renewed(seen(20 * S, 100, 60 * S));
    assert_eq!(next, Next::Beat(at(20 * S + 60 * S - 100 - 14 * S)));
}

#[test]
fn a_schedule_comes_from_the_last_response_alone() {
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), seen(10, 10, 60 * S));
    assert_eq!(
        lease.renewed(seen(40 * S, 10, 600 * S)),
        Next::Beat(at(40 * S + 600 * S - 10 - 11 * S))
    );
    assert_eq!(
        lease.renewed(seen(80 * S, 10, 60 * S)),
        Next::Beat(at(80 * S + 60 * S - 10 - 11 * S))
    );
    assert_eq!(lease.lasts_until(), Some(at(80 * S + 60 * S - 10)));
}

#[test]
fn rounding_never_uses_up_the_margin() {
    let sent = Duration::from_micros(10_000_001);
    let received = Duration::from_micros(10_000_500);
    let observed = Observation {
        sent: Some(sent),
        received,
        expires_at_ms: None,
        remaining_ttl_ms: Some(60_000),
    };
    let (_, next) = Lease::granted(60_000, at(7 * S), observed);
    assert_eq!(
        next,
        Next::Beat(received + at(60_000 - 1 - 11_000)),
        "half a millisecond is a whole one"
    );
}

#[test]
fn one_zero_delay_is_tried_as_soon_as_may_be_and_a_second_in_a_row_ends_it() {
    for (lead, first) in [
        (3 * S, 250),
        (2_260, 250),
        (2_259, 249),
        (2_011, 1),
        (2_010, 0),
        (1, 0),
        (0, 0),
    ] {
        let (mut lease, next) = Lease::granted(3 * S, at(7 * S), seen(10, 10, lead));
        assert_eq!(next, Next::Beat(at(10 + first)), "{lead}");
        assert_eq!(
            lease.renewed(seen(20 + first, 10, lead)),
            Next::Stop(Stop::TooShort),
            "{lead}"
        );
    }
}

#[test]
fn a_server_that_adds_may_turn_a_zero_delay_into_a_lease() {
    let (mut lease, _) = Lease::granted(3 * S, at(7 * S), seen(10, 10, 3 * S));
    assert_eq!(
        lease.renewed(seen(20, 10, 6 * S)),
        Next::Beat(at(20 + 6 * S - 10 - 3 * S))
    );
    assert_eq!(
        lease.renewed(seen(3_010, 10, 3 * S)),
        Next::Beat(at(3_010 + 250)),
        "the count starts again"
    );
}

#[test]
fn unknown_timing_allows_one_immediate_beat_and_no_more() {
    let blind = Observation {
        sent: None,
        ..seen(10, 0, 60 * S)
    };
    let (mut lease, next) = Lease::granted(60 * S, at(7 * S), blind);
    assert_eq!(next, Next::Beat(at(10)));
    assert_eq!(
        lease.renewed(Observation {
            received: at(20),
            ..blind
        }),
        Next::Stop(Stop::TooShort)
    );
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), blind);
    assert_eq!(
        lease.failed(at(11), BeatFailure::Transient),
        Next::Stop(Stop::NoTimeToRecover)
    );
}

#[test]
fn an_attempt_without_a_limit_never_leaves_time() {
    let (mut lease, _) = lease(60 * S, 10 * S, 10);
    lease.attempt_limit = Duration::MAX;
    assert_eq!(lease.renewed(seen(20 * S, 10, 60 * S)), Next::Beat(at(20 * S)));
    assert_eq!(
        lease.failed(at(21 * S), BeatFailure::Transient),
        Next::Stop(Stop::NoTimeToRecover)
    );
}

#[test]
fn numbers_that_overflow_are_infinite_and_not_small() {
    let (mut lease, next) = Lease::granted(u64::MAX, at(7 * S), seen(10, 10, u64::MAX));
    assert_eq!(
        next,
        Next::Beat(at(10).saturating_add(at(u64::MAX - 10 - 11 * S)))
    );
    lease.max_rtt_ms = u64::MAX;
    assert_eq!(
        lease.renewed(seen(20, 10, u64::MAX)),
        Next::Beat(at(20)),
        "an infinite reserve"
    );
}

#[test]
fn a_failure_is_tried_again_under_the_same_key_within_a_quarter_of_the_lead() {
    // Budget 5 s, margin 1 s.
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), seen(10 * S, 0, 60 * S));
    // At 59 s: 11 s left, window 5 s, a quarter 2.75 s.
    assert_eq!(
        lease.failed(at(59 * S), BeatFailure::Transient),
        Next::Retry(at(59 * S + 2_750))
    );
    // At 62.5 s: 7.5 s left, window 1.5 s: the window is the limit.
    assert_eq!(
        lease.failed(at(62_500), BeatFailure::Transient),
        Next::Retry(at(62_500 + 1_500))
    );
    // At 64.001 s: 5.999 s left, one millisecond too few.
    assert_eq!(
        lease.failed(at(64_001), BeatFailure::Transient),
        Next::Stop(Stop::NoTimeToRecover)
    );
}

#[test]
fn no_retry_waits_longer_than_thirty_seconds() {
    let (mut lease, _) = Lease::granted(3_600 * S, at(7 * S), seen(10 * S, 0, 3_600 * S));
    assert_eq!(
        lease.failed(at(20 * S), BeatFailure::Transient),
        Next::Retry(at(50 * S))
    );
}

#[test]
fn without_any_room_there_is_one_retry() {
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), seen(10 * S, 0, 60 * S));
    // 6 s left: exactly one attempt and the margin.
    assert_eq!(
        lease.failed(at(64 * S), BeatFailure::Transient),
        Next::Retry(at(64 * S))
    );
    assert_eq!(
        lease.failed(at(64 * S), BeatFailure::Transient),
        Next::Stop(Stop::NoTimeToRecover)
    );
    // A success in between starts again.
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), seen(10 * S, 0, 60 * S));
    assert_eq!(
        lease.failed(at(64 * S), BeatFailure::Transient),
        Next::Retry(at(64 * S))
    );
    lease.renewed(seen(64 * S, 0, 60 * S));
    assert_eq!(
        lease.failed(at(118 * S), BeatFailure::Transient),
        Next::Retry(at(118 * S))
    );
}

#[test]
fn a_clock_that_stands_still_cannot_make_a_loop() {
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), seen(10 * S, 0, 60 * S));
    assert!(matches!(
        lease.failed(at(20 * S), BeatFailure::Transient),
        Next::Retry(_)
    ));
    assert_eq!(
        lease.failed(at(20 * S), BeatFailure::Transient),
        Next::Stop(Stop::NoTimeToRecover)
    );
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), seen(10 * S, 0, 60 * S));
    assert!(matches!(
        lease.failed(at(20 * S), BeatFailure::Transient),
        Next::Retry(_)
    ));
    assert_eq!(
        lease.failed(at(5 * S), BeatFailure::Transient),
        Next::Stop(Stop::NoTimeToRecover),
        "time that goes back stands still"
    );
}

#[test]
fn parts_of_a_millisecond_are_time_that_passes_but_make_no_room() {
    let micros = Duration::from_micros;
    let start = || Lease::granted(60 * S, at(7 * S), seen(10 * S, 0, 60 * S)).0;
    let mut lease = start();
    for time in [micros(20_000_100), micros(20_000_900)] {
        assert_eq!(
            lease.failed(time, BeatFailure::Transient),
            Next::Retry(time + at(12_499)),
            "a quarter of 49.999 s"
        );
    }
    // 6 s left, both times: one attempt and the margin.
    let mut lease = start();
    let time = micros(63_999_100);
    assert_eq!(lease.failed(time, BeatFailure::Transient), Next::Retry(time));
    assert_eq!(
        lease.failed(micros(63_999_900), BeatFailure::Transient),
        Next::Stop(Stop::NoTimeToRecover)
    );
}

#[test]
fn throttling_is_waited_out_exactly_or_not_at_all() {
    let throttled = |seconds| BeatFailure::Throttled(Some(Duration::from_secs(seconds)));
    let start = || Lease::granted(60 * S, at(7 * S), seen(10 * S, 0, 60 * S)).0;
    // At 50 s: 20 s left, window 14 s.
    assert_eq!(start().failed(at(50 * S), throttled(14)), Next::Retry(at(64 * S)));
    assert_eq!(start().failed(at(50 * S), throttled(1)), Next::Retry(at(51 * S)));
    assert_eq!(
        start().failed(at(50 * S), throttled(15)),
        Next::Stop(Stop::Throttled)
    );
    assert_eq!(
        start().failed(at(50 * S), throttled(u64::MAX)),
        Next::Stop(Stop::Throttled)
    );
    assert_eq!(
        start().failed(at(50 * S), BeatFailure::Throttled(None)),
        Next::Stop(Stop::Throttled)
    );
}

#[test]
fn a_refusal_ends_it() {
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), seen(10 * S, 0, 60 * S));
    assert_eq!(
        lease.failed(at(11 * S), BeatFailure::Refused),
        Next::Stop(Stop::Refused)
    );
    let (mut lease, _) = Lease::granted(60 * S, at(7 * S), unmeasured(0, 60_000));
    assert_eq!(
        lease.failed(at(11 * S), BeatFailure::Refused),
        Next::Stop(Stop::Refused)
    );
}
