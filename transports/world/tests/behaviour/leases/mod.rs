//! Leases that are held for a day, in virtual time. This command checks all days and prints them as Markdown:
//!
//! ```console
//! $ cargo test --release -p cycles-world --test behaviour leases:: -- --ignored --nocapture
//! ```

mod day;
mod exhaustion;
mod server;
mod table;

use cycles_proto::outcome::Stop;

use self::day::{Day, Tally};
use self::server::Rule;

const TTLS_MS: [u64; 5] = [4_000, 10_000, 30_000, 60_000, 3_600_000];
const SEED: u64 = 7;

#[test]
fn while_nothing_is_lost_no_lease_that_holds_the_retry_reserve_stops_or_lapses() {
    for day in quick_days(true, 0) {
        check(day, &day.run(SEED));
    }
}

/// The leases that are too short for their own reserve; all of them stop by the rule of two zero delays.
#[test]
fn the_leases_that_cannot_hold_the_retry_reserve_are_these() {
    let short = days(true, 0, &table::RTTS_MS, 24).filter(|day| !day.can_hold_the_reserve());
    let short: Vec<_> = short.map(|day| (day.ttl_ms, day.rtt_ms, day.rule)).collect();
    let quarter = |rtt_ms| (4_000, rtt_ms, Rule::ClampsGrant(1_000));
    let expected = [
        quarter(1),
        quarter(50),
        quarter(200),
        (4_000, 500, Rule::ClampsGrant(2_000)),
        quarter(500),
        (4_000, 1_000, Rule::Adds),
        (4_000, 1_000, Rule::ClampsGrant(2_000)),
        quarter(1_000),
        (4_000, 1_000, Rule::ClampsLead(4_000)),
        (10_000, 1_000, Rule::ClampsGrant(2_500)),
    ];
    assert_eq!(short, expected);
}

#[test]
fn of_five_lost_attempts_in_a_hundred_only_two_in_a_row_stop_a_heartbeat() {
    for day in quick_days(true, 5) {
        check(day, &day.run(SEED));
    }
}

#[test]
fn without_the_field_whole_grants_and_clamped_leads_are_held_while_nothing_is_lost() {
    for day in quick_days(false, 0) {
        check(day, &day.run(SEED));
    }
}

#[test]
fn without_the_field_grants_that_pass_for_a_clamped_lead_erode_as_the_protocol_says() {
    let day = Day {
        rule: Rule::ClampsGrant(10_000),
        is_measured: false,
        ttl_ms: 24_000,
        rtt_ms: 20,
        loss: 0,
        hours: 24,
    };
    let (fieldless, measured) = (
        day.run(SEED),
        Day {
            is_measured: true,
            ..day
        }
        .run(SEED),
    );
    assert!(fieldless.lapses > 0, "{fieldless:?}");
    assert_eq!((measured.lapses, measured.stops.len()), (0, 0), "{measured:?}");
}

#[test]
fn a_day_follows_from_its_seed() {
    let day = quick_days(true, 5).next().unwrap();
    assert_eq!(day.run(1), day.run(1));
    assert_ne!(day.run(1), day.run(2));
}

/// The assertions for every day.
fn check(day: Day, tally: &Tally) {
    match (day.is_measured, day.can_hold_the_reserve()) {
        (true, true) => check_measured(day, tally),
        (true, false) if day.loss == 0 => {
            assert!(tally.stops.len() > 1, "{day:?}: {tally:?}");
            assert!(tally.stops.iter().all(|stop| *stop == Stop::TooShort), "{day:?}");
        }
        // Nothing can be guaranteed for a lease that is too short for one loss.
        (true, false) => {}
        (false, _) => check_fieldless(day, tally),
    }
}

fn check_measured(day: Day, tally: &Tally) {
    assert_eq!((tally.lapses, tally.false_alarms), (0, 0), "{day:?}");
    let stops = tally.stops.len();
    if day.loss == 0 {
        assert_eq!((tally.reservations, stops, tally.repeats), (1, 0, 0), "{day:?}");
        assert!(
            tally.beats <= day.most_beats() + 2,
            "{day:?}: {} beats",
            tally.beats
        );
    } else {
        let expected = day.demanded_stops(tally);
        // Five standard deviations of a rare event.
        let tolerance = 5.0 * expected.max(1.0).sqrt();
        let off = (stops as f64 - expected).abs();
        assert!(off <= tolerance, "{day:?}: {stops} stops, {expected} expected");
    }
}

/// The lease that differences between expiries can guarantee: none if grants are cut.
fn check_fieldless(day: Day, tally: &Tally) {
    assert_eq!(tally.false_alarms, 0, "{day:?}");
    let is_cut = matches!(day.rule, Rule::ClampsGrant(_));
    if day.loss == 0 && !is_cut {
        assert_eq!(
            (tally.reservations, tally.stops.len(), tally.lapses),
            (1, 0, 0),
            "{day:?}"
        );
    } else if day.rule == Rule::Adds {
        assert_eq!(tally.lapses, 0, "{day:?}");
    }
}

/// Days with two different round-trip times; the shortest leases run for an hour.
fn quick_days(is_measured: bool, loss: u64) -> impl Iterator<Item = Day> {
    days(is_measured, loss, &[200, 1_000], 24).map(|day| Day {
        hours: if day.ttl_ms < 30_000 { 1 } else { 24 },
        ..day
    })
}

/// Every time to live on every kind of server.
fn days(is_measured: bool, loss: u64, rtts_ms: &[u64], hours: u64) -> impl Iterator<Item = Day> {
    let of_a_ttl = move |ttl_ms| {
        rtts_ms.iter().flat_map(move |&rtt_ms| {
            Rule::all(ttl_ms).map(|rule| Day {
                rule,
                is_measured,
                ttl_ms,
                rtt_ms,
                loss,
                hours,
            })
        })
    };
    TTLS_MS.into_iter().flat_map(of_a_ttl)
}
