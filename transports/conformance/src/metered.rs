//! Streams that are charged for the consumed items, no matter where consumption ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use cycles_proto::{Error, Event};
use cycles_sandbox::ReservationStatus;

use super::test_setup::{TestSetup, actual, assert_pending_and_recorded, request};
use super::{ActionFailed, Adapter, COST_PANICS, Client as _, Consumed, Guard as _, Metering};

const COSTS: [i64; 5] = [3, 0, 5, 1, 8];

const ALL: Metering = Metering {
    take: usize::MAX,
    stop_at: None,
    panics: false,
};

fn items() -> Vec<Result<i64, ActionFailed>> {
    COSTS.map(Ok).into()
}

fn sum(costs: &[i64]) -> i64 {
    costs.iter().sum()
}

fn seen(costs: &[i64]) -> Vec<Option<i64>> {
    costs.iter().copied().map(Some).collect()
}

/// Asserts that exactly `tokens` are charged, and marked as partial if `is_partial`; or, for 0 tokens, that the
/// reservation was released.
#[track_caller]
fn assert_charged<A: Adapter>(setup: &TestSetup<A>, tokens: i64, is_partial: bool) {
    setup.flush_everything();
    setup.assert_spent(tokens);
    let commits = setup.commits();
    if is_partial && tokens == 0 {
        assert!(commits.is_empty(), "{commits:?}");
        let [id] = setup.reservations().try_into().unwrap();
        assert_eq!(setup.status(&id), ReservationStatus::Released);
        return;
    }
    assert_eq!(commits.len(), 1);
    assert!(commits[0].contains(&actual(tokens)), "{commits:?}");
    let is_marked = commits[0].contains(r#""actual_source":"partial""#);
    assert_eq!(is_marked, is_partial, "{commits:?}");
}

pub fn a_metered_stream_dropped_at_any_item_leaves_the_ledger_exact<A: Adapter>() {
    for take in 0..=COSTS.len() + 1 {
        let setup = TestSetup::<A>::new();
        let guard = setup.client.reserve(request(100)).unwrap();
        let Consumed { seen: got, settled } = guard.meter(items(), Metering { take, ..ALL });
        let consumed = &COSTS[..take.min(COSTS.len())];
        assert_eq!(got, seen(consumed));
        let receipt = settled.unwrap();
        assert_eq!(receipt.is_some(), take > 0, "{receipt:?}");
        assert!(receipt.is_none_or(|receipt| receipt.is_settled()));
        assert_charged(&setup, sum(consumed), take <= COSTS.len());
    }
}

pub fn a_metered_stream_whose_consumer_panics_at_any_item_leaves_the_ledger_exact<A: Adapter>() {
    for take in 0..=COSTS.len() {
        let setup = TestSetup::<A>::new();
        let guard = setup.client.reserve(request(100)).unwrap();
        let panics = true;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            guard.meter(items(), Metering { take, panics, ..ALL })
        }));
        assert!(outcome.is_err(), "the panic reaches the caller");
        assert_charged(&setup, sum(&COSTS[..take]), true);
    }
}

pub fn a_metered_stream_that_fails_is_charged_what_came_before<A: Adapter>() {
    for good in 0..COSTS.len() {
        let setup = TestSetup::<A>::new();
        let guard = setup.client.reserve(request(100)).unwrap();
        let mut items = items();
        items[good] = Err(ActionFailed);
        let Consumed { seen: got, settled } = guard.meter(items, ALL);
        // The error is passed through, as the last item.
        let mut expected = seen(&COSTS[..good]);
        expected.push(None);
        assert_eq!(got, expected);
        assert_eq!(settled.unwrap().is_some(), good > 0);
        assert_charged(&setup, sum(&COSTS[..good]), true);
    }
}

pub fn a_metered_stream_ends_at_its_limit_and_is_charged_what_was_consumed<A: Adapter>() {
    for (most, expected) in [(0, 0), (3, 1), (4, 3), (8, 3), (9, 4), (17, 5), (100, 5)] {
        let setup = TestSetup::<A>::new();
        let guard = setup.client.reserve(request(100)).unwrap();
        let stop_at = Some(most);
        let Consumed { seen: got, settled } = guard.meter(items(), Metering { stop_at, ..ALL });
        assert_eq!(got, seen(&COSTS[..expected]), "at {most}");
        assert!(settled.unwrap().is_some_and(|receipt| receipt.is_settled()));
        assert_charged(&setup, sum(&COSTS[..expected]), false);
    }
}

pub fn a_metered_stream_keeps_to_the_caps_of_its_reservation<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let caps = r#"{"max_tokens":8,"max_steps_remaining":2,"cooldown_ms":250,"tool_allowlist":[],"tool_denylist":["web.search"]}"#;
    if !setup.cap(caps) {
        return;
    }
    let guard = setup.client.reserve(request(100)).unwrap();
    let caps = guard.caps().unwrap();
    assert!(!caps.is_tool_allowed("web.search") && caps.is_tool_allowed("calculator"));
    assert_eq!(
        (caps.steps_left(), caps.cooldown()),
        (Some(2), Duration::from_millis(250))
    );
    assert_eq!((caps.clamp_max_tokens(500), caps.clamp_max_tokens(5)), (8, 5));
    let stop_at = Some(caps.clamp_max_tokens(500));
    let Consumed { seen: got, settled } = guard.meter(items(), Metering { stop_at, ..ALL });
    assert_eq!(got, seen(&COSTS[..3]));
    assert!(settled.unwrap().is_some_and(|receipt| receipt.is_settled()));
    assert_charged(&setup, 8, false);
}

pub fn a_metered_stream_that_ends_while_the_server_fails_is_charged_later<A: Adapter>() {
    for take in [2, usize::MAX] {
        let setup = TestSetup::<A>::new();
        setup.inject("commit:503");
        let guard = setup.client.reserve(request(100)).unwrap();
        let id = guard.reservation_id();
        let consumed = guard.meter(items(), Metering { take, ..ALL });
        let receipt = consumed.settled.unwrap().unwrap();
        assert_pending_and_recorded(&receipt);
        let tokens = sum(&COSTS[..take.min(COSTS.len())]);
        setup.assert_recorded(&id, tokens);
        setup.clear_faults();
        setup.flush_everything();
        setup.assert_spent(tokens);
    }
}

/// Meters items of which one cannot be counted. Asserts that the others are charged as partial, and that the uncounted
/// one is reported by an event and by the flush.
fn assert_uncounted<A: Adapter>(items: &[i64], metering: Metering) {
    let is_counted = |item: &&i64| **item >= 0;
    let charged: i64 = items.iter().filter(is_counted).sum();
    let setup = TestSetup::<A>::new();
    let guard = setup.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    let items = items.iter().copied().map(Ok).collect();
    let Consumed { settled, .. } = guard.meter(items, metering);
    assert!(matches!(settled, Err(Error::InvalidCommit(_))), "{settled:?}");
    setup.flush_all_but(1);
    assert_eq!(setup.budget().spent, charged);
    setup.wait_for_event(
        |event| matches!(event, Event::CostNotTaken { reservation_id, .. } if *reservation_id == id),
    );
    let is_active = setup.status(&id) == ReservationStatus::Active;
    assert_eq!(
        is_active,
        charged == 0,
        "nothing is given back for what may have cost something"
    );
    for commit in setup.commits() {
        assert!(commit.contains(r#""actual_source":"partial""#), "{commit}");
    }
}

pub fn a_metered_item_whose_cost_panics_is_told_and_counted_though_the_stream_goes_on<A: Adapter>() {
    for items in [
        &[3, COST_PANICS, 5] as &[i64],
        &[COST_PANICS, 3, 5],
        &[3, 5, COST_PANICS],
        &[3, COST_PANICS, 5, 0],
        &[COST_PANICS],
    ] {
        assert_uncounted::<A>(items, ALL);
    }
    assert_uncounted::<A>(&[3, COST_PANICS, 5], Metering { take: 2, ..ALL });
    assert_uncounted::<A>(
        &[3, COST_PANICS, 5],
        Metering {
            stop_at: Some(8),
            ..ALL
        },
    );
}

pub fn a_metered_item_that_cannot_be_counted_is_told_and_counted<A: Adapter>() {
    assert_uncounted::<A>(&[3, -5, 5], ALL);
    assert_uncounted::<A>(&[-5], ALL);
}
