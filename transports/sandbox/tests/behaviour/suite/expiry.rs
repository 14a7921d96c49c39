//! Time to live, grace, extensions and the sweep.

use cycles_proto::time::UnixMillis;
use cycles_sandbox::{ReservationStatus, Unit};
use serde_json::{Value, json};

use crate::common::{Budget, DAY_MS, Desk, START, Tenant};

#[test]
fn the_time_to_live_is_capped_silently() {
    let Some(mut desk) = Desk::with_tokens(1000) else {
        return;
    };
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
        desk.add_tenant(tenant);
        let answer = desk.reserve(1, &more);
        assert_eq!(answer.body["remaining_ttl_ms"], granted);
        let (created_at, expires_at) = desk.times(&answer.id());
        assert_eq!(expires_at, created_at + granted);
        assert_eq!(answer.body["expires_at_ms"], expires_at);
    }
}

#[test]
fn tenant_settings_are_cached_for_a_minute() {
    let reason = "a minute is not waited for, and the cache is off for the other tests";
    let Some(mut desk) = Desk::in_virtual_time(1000, reason) else {
        return;
    };
    desk.ledger().set_tenant_cache_ms(60_000);
    assert_eq!(desk.reserve(1, &Value::Null).body["remaining_ttl_ms"], 60_000);
    desk.add_tenant(Tenant::new("acme").default_ttl_ms(9_000));
    desk.pass(59_999);
    assert_eq!(desk.reserve(1, &Value::Null).body["remaining_ttl_ms"], 60_000);
    desk.pass(1);
    assert_eq!(desk.reserve(1, &Value::Null).body["remaining_ttl_ms"], 9_000);
}

#[test]
fn commit_and_release_are_allowed_through_the_last_moment_of_grace() {
    for (late_by, status) in [(0, 200), (1, 410)] {
        let reason = "no clock is met to the millisecond";
        let Some(mut desk) = Desk::in_virtual_time(1000, reason) else {
            return;
        };
        desk.ledger().set_sweep_interval_ms(0);
        let more = json!({"ttl_ms": 1_000, "grace_period_ms": 500});
        let (first, second) = (desk.reserve(1, &more).id(), desk.reserve(1, &more).id());
        desk.pass(1_500 + late_by);
        assert_eq!(desk.commit(&first, 1, &Value::Null).status, status);
        assert_eq!(desk.release(&second, &Value::Null).status, status);
    }
}

#[test]
fn a_lease_can_be_extended_through_its_last_moment() {
    let reason = "no clock is met to the millisecond";
    let Some(mut desk) = Desk::in_virtual_time(1000, reason) else {
        return;
    };
    let id = desk.reserve(1, &json!({"ttl_ms": 1_000})).id();
    desk.pass(1_000);
    let extended = desk.extend(&id, 86_400_000, &Value::Null);
    assert_eq!(extended.body["expires_at_ms"], START + 1_000 + DAY_MS);
    assert_eq!(extended.body["remaining_ttl_ms"], DAY_MS);
}

#[test]
fn extend_has_no_grace_and_adds_to_the_current_expiry() {
    let Some(mut desk) = Desk::with_tokens(1000) else {
        return;
    };
    let id = desk.reserve(1, &json!({"ttl_ms": 10_000})).id();
    let (_, expires_at) = desk.times(&id);
    for days in 1..=3 {
        let extended = desk.extend(&id, 86_400_000, &Value::Null);
        assert_eq!(extended.body["expires_at_ms"], expires_at + days * DAY_MS);
        let left = extended.body["remaining_ttl_ms"].as_u64().unwrap();
        assert!(
            (left..=left + 5_000).contains(&(10_000 + days * DAY_MS)),
            "{left}"
        );
    }
    let other = desk.reserve(1, &json!({"ttl_ms": 1_000})).id();
    desk.pass(1_001);
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
    let Some(mut desk) = Desk::with_tokens(1000) else {
        return;
    };
    let id = desk.reserve(1, &Value::Null).id();
    let (_, expires_at) = desk.times(&id);
    let replayed = json!({"idempotency_key": "same"});
    for _ in 0..5 {
        assert_eq!(
            desk.extend(&id, 100, &replayed).body["expires_at_ms"],
            expires_at + 100
        );
    }
    for _ in 0..9 {
        assert_eq!(desk.extend(&id, 100, &Value::Null).status, 200);
    }
    assert_eq!(
        desk.extend(&id, 100, &Value::Null).fault(),
        (409, "MAX_EXTENSIONS_EXCEEDED")
    );
    assert_eq!(desk.times(&id).1, expires_at + 1_000);
}

#[test]
fn an_overdue_reservation_is_active_and_holds_until_the_sweep() {
    let reason = "the server's own sweep may come first";
    let Some(mut desk) = Desk::in_virtual_time(100, reason) else {
        return;
    };
    let id = desk
        .reserve(30, &json!({"ttl_ms": 1_000, "grace_period_ms": 0}))
        .id();
    let path = format!("/v1/reservations/{id}");
    desk.pass(4_999);
    assert_eq!(
        desk.commit(&id, 1, &Value::Null).fault(),
        (410, "RESERVATION_EXPIRED")
    );
    let active = desk.get(&path);
    assert_eq!((active.status, &active.body["status"]), (200, &json!("ACTIVE")));
    assert_eq!(desk.numbers("tenant:acme"), (70, 30, 0, 0));
    desk.pass(1);
    assert_eq!(desk.get(&path).fault(), (410, "RESERVATION_EXPIRED"));
    assert_eq!(desk.numbers("tenant:acme"), (100, 0, 0, 0));
}

#[test]
fn the_sweep_gives_the_hold_back_and_leaves_a_row_that_only_lists_show() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    let more = json!({"subject": {"tenant": "acme", "agent": "bot"}});
    let id = desk.reserve(30, &more).id();
    desk.expire(&id);
    let expired = desk.get(&format!("/v1/reservations/{id}"));
    assert_eq!(expired.fault(), (410, "RESERVATION_EXPIRED"));
    assert_eq!(expired.message(), "Provided reservation has already expired");
    assert_eq!(desk.numbers("tenant:acme"), (100, 0, 0, 0));
    let rows = desk.get("/v1/reservations");
    assert_eq!(rows.body["reservations"][0]["status"], "EXPIRED");
    assert!(rows.body["reservations"][0].get("finalized_at_ms").is_none());
    for refused in [
        desk.commit(&id, 1, &Value::Null),
        desk.release(&id, &Value::Null),
        desk.extend(&id, 1_000, &Value::Null),
    ] {
        assert_eq!(refused.fault(), (410, "RESERVATION_EXPIRED"));
    }
}

#[test]
fn sweeps_nobody_saw_are_made_up_for_as_of_the_last_one() {
    let mut desk = Desk::inside();
    desk.add_budget(Budget::new("tenant:acme", Unit::Tokens, 100));
    let early = desk
        .reserve(1, &json!({"ttl_ms": 7_000, "grace_period_ms": 0}))
        .id();
    let late = desk
        .reserve(1, &json!({"ttl_ms": 10_500, "grace_period_ms": 0}))
        .id();
    desk.pass(14_000);
    desk.get("/v1/reservations");
    assert_eq!(
        desk.ledger().reservation(&early).unwrap().status,
        ReservationStatus::Expired
    );
    assert_eq!(
        desk.ledger().reservation(&late).unwrap().status,
        ReservationStatus::Active
    );
    desk.pass(1_000);
    desk.get("/v1/reservations");
    assert_eq!(
        desk.ledger().reservation(&late).unwrap().status,
        ReservationStatus::Expired
    );
}

#[test]
fn a_sweep_by_hand_expires_what_is_past_its_grace_and_no_more() {
    let mut desk = Desk::inside();
    desk.add_budget(Budget::new("tenant:acme", Unit::Tokens, 100));
    desk.ledger().set_sweep_interval_ms(0);
    let id = desk
        .reserve(1, &json!({"ttl_ms": 1_000, "grace_period_ms": 1_000}))
        .id();
    assert_eq!(desk.ledger().next_expiry(), Some(UnixMillis(START + 2_000)));
    assert_eq!(desk.ledger().sweep(UnixMillis(START + 2_000)), 0);
    assert_eq!(desk.ledger().sweep(UnixMillis(START + 2_001)), 1);
    assert_eq!(
        desk.ledger().reservation(&id).unwrap().status,
        ReservationStatus::Expired
    );
    assert_eq!(desk.ledger().next_expiry(), None);
}

#[test]
fn a_finished_reservation_is_forgotten_after_thirty_days() {
    let reason = "thirty days are not waited for";
    let Some(mut desk) = Desk::in_virtual_time(100, reason) else {
        return;
    };
    let id = desk.reserve(1, &Value::Null).id();
    let settle = json!({"idempotency_key": "settle"});
    desk.commit(&id, 1, &settle);
    desk.pass(30 * DAY_MS);
    assert_eq!(desk.commit(&id, 1, &settle).status, 200);
    desk.pass(1);
    assert_eq!(desk.commit(&id, 1, &settle).fault(), (404, "NOT_FOUND"));
}

#[test]
fn settlement_touches_the_budgets_of_the_time_of_reservation() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    let more = json!({"subject": {"tenant": "acme", "agent": "bot"}});
    let id = desk.reserve(10, &more).id();
    desk.add_budget(Budget::new("tenant:acme/agent:bot", Unit::Tokens, 50));
    let answer = desk.commit(&id, 10, &Value::Null);
    assert_eq!(answer.body["balances"].as_array().unwrap().len(), 1);
    assert_eq!(desk.numbers("tenant:acme/agent:bot"), (50, 0, 0, 0));
}
