//! Time to live, grace, extensions and the sweep.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{DAY_MS, Desk, START};
use cycles_proto::time::UnixMillis;
use cycles_sandbox::{ReservationStatus, Tenant};
use serde_json::{Value, json};

#[test]
fn the_time_to_live_is_capped_silently() {
    let mut desk = Desk::with_tokens(1000);
    let rows = [
        (Tenant::new("acme"), Value::Null, 60_000),
        (Tenant::new("acme"), json!({"ttl_ms": 86_400_000}), 3_600_000),
        (Tenant::new("acme").default_ttl_ms(9_000), Value::Null, 9_000),
        (Tenant::new("acme").max_ttl_ms(5_000), Value::Null, 5_000),
        (
            Tenant::new("acme").max_ttl_ms(86_400_000),
            json!({"ttl_ms": 86_400_000}),
            86_400_000,
        ),
    ];
    for (tenant, more, granted) in rows {
        desk.ledger.add_tenant(tenant);
        let answer = desk.reserve(1, &more);
        assert_eq!(answer.body["remaining_ttl_ms"], granted);
        assert_eq!(answer.body["expires_at_ms"], START + granted);
    }
}

#[test]
fn tenant_settings_are_cached_for_a_minute() {
    let mut desk = Desk::with_tokens(1000);
    desk.ledger.set_tenant_cache_ms(60_000);
    assert_eq!(desk.reserve(1, &Value::Null).body["remaining_ttl_ms"], 60_000);
    desk.ledger.add_tenant(Tenant::new("acme").default_ttl_ms(9_000));
    desk.now += 59_999;
    assert_eq!(desk.reserve(1, &Value::Null).body["remaining_ttl_ms"], 60_000);
    desk.now += 1;
    assert_eq!(desk.reserve(1, &Value::Null).body["remaining_ttl_ms"], 9_000);
}

#[test]
fn commit_and_release_are_allowed_through_the_last_moment_of_grace() {
    for (late_by, status) in [(0, 200), (1, 410)] {
        let mut desk = Desk::with_tokens(1000);
        desk.ledger.set_sweep_interval_ms(0);
        let more = json!({"ttl_ms": 1_000, "grace_period_ms": 500});
        let (first, second) = (desk.reserve(1, &more).id(), desk.reserve(1, &more).id());
        desk.now = START + 1_500 + late_by;
        assert_eq!(desk.commit(&first, 1, &Value::Null).status, status);
        assert_eq!(desk.release(&second, &Value::Null).status, status);
    }
}

#[test]
fn extend_has_no_grace_and_adds_to_the_current_expiry() {
    let mut desk = Desk::with_tokens(1000);
    let id = desk.reserve(1, &json!({"ttl_ms": 1_000})).id();
    desk.now += 1_000;
    let extended = desk.extend(&id, 86_400_000, &Value::Null);
    assert_eq!(extended.body["expires_at_ms"], START + 1_000 + DAY_MS);
    assert_eq!(extended.body["remaining_ttl_ms"], DAY_MS);
    assert_eq!(
        desk.extend(&id, 86_400_000, &Value::Null).body["expires_at_ms"],
        START + 1_000 + 2 * DAY_MS
    );
    let other = desk.reserve(1, &json!({"ttl_ms": 1_000})).id();
    desk.now += 1_001;
    assert_eq!(
        desk.extend(&other, 1_000, &Value::Null).fault(),
        (410, "RESERVATION_EXPIRED")
    );
    assert_eq!(
        desk.commit(&other, 1, &Value::Null).status,
        200,
        "grace is for settlement"
    );
}

#[test]
fn ten_extensions_are_granted_and_replays_do_not_count() {
    let mut desk = Desk::with_tokens(1000);
    let id = desk.reserve(1, &Value::Null).id();
    let replayed = json!({"idempotency_key": "same"});
    for _ in 0..5 {
        assert_eq!(
            desk.extend(&id, 100, &replayed).body["expires_at_ms"],
            START + 60_100
        );
    }
    for _ in 0..9 {
        assert_eq!(desk.extend(&id, 100, &Value::Null).status, 200);
    }
    assert_eq!(
        desk.extend(&id, 100, &Value::Null).fault(),
        (409, "MAX_EXTENSIONS_EXCEEDED")
    );
    assert_eq!(desk.ledger.reservation(&id).unwrap().extensions, 10);
}

#[test]
fn an_overdue_reservation_is_active_and_holds_until_the_sweep() {
    let mut desk = Desk::with_tokens(100);
    let id = desk
        .reserve(30, &json!({"ttl_ms": 1_000, "grace_period_ms": 0}))
        .id();
    let path = format!("/v1/reservations/{id}");
    desk.now = START + 4_999;
    assert_eq!(
        desk.commit(&id, 1, &Value::Null).fault(),
        (410, "RESERVATION_EXPIRED")
    );
    let active = desk.get(&path);
    assert_eq!((active.status, &active.body["status"]), (200, &json!("ACTIVE")));
    assert_eq!(desk.numbers("tenant:acme"), (70, 30, 0, 0));
    desk.now = START + 5_000;
    let expired = desk.get(&path);
    assert_eq!(expired.fault(), (410, "RESERVATION_EXPIRED"));
    assert_eq!(expired.message(), "Provided reservation has already expired");
    assert_eq!(desk.numbers("tenant:acme"), (100, 0, 0, 0));
    let rows = desk.get("/v1/reservations");
    assert_eq!(rows.body["reservations"][0]["status"], "EXPIRED");
    assert!(rows.body["reservations"][0].get("finalized_at_ms").is_none());
}

#[test]
fn sweeps_nobody_saw_are_made_up_for_as_of_the_last_one() {
    let mut desk = Desk::with_tokens(100);
    let early = desk
        .reserve(1, &json!({"ttl_ms": 7_000, "grace_period_ms": 0}))
        .id();
    let late = desk
        .reserve(1, &json!({"ttl_ms": 10_500, "grace_period_ms": 0}))
        .id();
    desk.now = START + 14_000;
    desk.get("/v1/reservations");
    assert_eq!(
        desk.ledger.reservation(&early).unwrap().status,
        ReservationStatus::Expired
    );
    assert_eq!(
        desk.ledger.reservation(&late).unwrap().status,
        ReservationStatus::Active
    );
    desk.now = START + 15_000;
    desk.get("/v1/reservations");
    assert_eq!(
        desk.ledger.reservation(&late).unwrap().status,
        ReservationStatus::Expired
    );
}

#[test]
fn a_sweep_by_hand_expires_what_is_past_its_grace_and_no_more() {
    let mut desk = Desk::with_tokens(100);
    desk.ledger.set_sweep_interval_ms(0);
    let id = desk
        .reserve(1, &json!({"ttl_ms": 1_000, "grace_period_ms": 1_000}))
        .id();
    assert_eq!(desk.ledger.next_expiry(), Some(UnixMillis(START + 2_000)));
    assert_eq!(desk.ledger.sweep(UnixMillis(START + 2_000)), 0);
    assert_eq!(desk.ledger.sweep(UnixMillis(START + 2_001)), 1);
    assert_eq!(
        desk.ledger.reservation(&id).unwrap().status,
        ReservationStatus::Expired
    );
    assert_eq!(desk.ledger.next_expiry(), None);
}

#[test]
fn a_finished_reservation_is_forgotten_after_thirty_days() {
    let mut desk = Desk::with_tokens(100);
    let id = desk.reserve(1, &Value::Null).id();
    let settle = json!({"idempotency_key": "settle"});
    desk.commit(&id, 1, &settle);
    desk.now = START + 30 * DAY_MS;
    assert_eq!(desk.commit(&id, 1, &settle).status, 200);
    desk.now += 1;
    assert_eq!(desk.commit(&id, 1, &settle).fault(), (404, "NOT_FOUND"));
}

#[test]
fn settlement_touches_the_budgets_of_the_time_of_reservation() {
    let mut desk = Desk::with_tokens(100);
    let more = json!({"subject": {"tenant": "acme", "agent": "bot"}});
    let id = desk.reserve(10, &more).id();
    let budget = cycles_sandbox::Budget::new("tenant:acme/agent:bot", cycles_sandbox::Unit::Tokens, 50);
    desk.ledger.add_budget(budget);
    let answer = desk.commit(&id, 10, &Value::Null);
    assert_eq!(answer.body["balances"].as_array().unwrap().len(), 1);
    assert_eq!(desk.numbers("tenant:acme/agent:bot"), (50, 0, 0, 0));
}
