//! The order of the checks: the error for a request with several faults.

use cycles_sandbox::{BudgetStatus, TenantStatus, Unit};
use serde_json::{Value, json};

use crate::common::{ADMIN_KEY, Budget, Desk, OTHER_KEY, Tenant};

const TENANT: &str = "tenant:acme";
const AGENT: &str = "tenant:acme/agent:bot";

fn bot() -> Value {
    json!({"subject": {"tenant": "acme", "agent": "bot"}})
}

#[test]
fn the_broadest_failing_scope_wins() {
    let Some(mut desk) = Desk::with_tokens(10) else {
        return;
    };
    desk.add_budget(Budget::new(AGENT, Unit::Tokens, 100).status(BudgetStatus::Frozen));
    assert_eq!(desk.reserve(11, &bot()).fault(), (409, "BUDGET_EXCEEDED"));
    let frozen = desk.reserve(10, &bot());
    assert_eq!(frozen.fault(), (409, "BUDGET_FROZEN"));
    assert_eq!(frozen.message(), format!("Budget is frozen for scope: {AGENT}"));
}

#[test]
fn within_a_scope_status_beats_over_limit_beats_debt_beats_shortage() {
    let Some(mut desk) = Desk::new() else { return };
    desk.add_budget(Budget::new(TENANT, Unit::Tokens, 100).overdraft_limit(50));
    desk.event(120, &json!({"overage_policy": "ALLOW_WITH_OVERDRAFT"}));
    assert_eq!(desk.reserve(0, &Value::Null).fault(), (409, "BUDGET_EXCEEDED"));
    desk.event(1, &Value::Null);
    assert_eq!(
        desk.reserve(0, &Value::Null).fault(),
        (409, "OVERDRAFT_LIMIT_EXCEEDED")
    );
    desk.set_budget_status(TENANT, Unit::Tokens, BudgetStatus::Closed);
    assert_eq!(desk.reserve(0, &Value::Null).fault(), (409, "BUDGET_CLOSED"));
}

#[test]
fn decisions_name_the_reason_that_a_live_reservation_would_be_refused_for() {
    let Some(mut desk) = Desk::with_tokens(10) else {
        return;
    };
    let denied = desk.decide(11, &Value::Null);
    assert_eq!(denied.status, 200);
    assert_eq!(
        denied.body,
        json!({"decision": "DENY", "reason_code": "BUDGET_EXCEEDED", "affected_scopes": [TENANT]})
    );
    let dry = desk.reserve(11, &json!({"dry_run": true}));
    let text = std::str::from_utf8(&dry.bytes).unwrap();
    assert_eq!(
        text,
        r#"{"decision":"DENY","affected_scopes":["tenant:acme"],"scope_path":"tenant:acme","reason_code":"BUDGET_EXCEEDED"}"#
    );
    let allowed = desk.reserve(10, &json!({"dry_run": true}));
    assert_eq!(allowed.body["decision"], "ALLOW");
    assert_eq!(allowed.body["balances"][0]["remaining"]["amount"], 10);
    for absent in ["reservation_id", "expires_at_ms", "remaining_ttl_ms"] {
        assert!(allowed.body.get(absent).is_none(), "{absent}");
    }
    assert_eq!(desk.numbers(TENANT), (10, 0, 0, 0), "a dry run holds nothing");
}

#[test]
fn a_missing_budget_is_404_live_a_deny_without_a_hold_and_400_in_another_unit() {
    let Some(mut desk) = Desk::new() else { return };
    let missing = desk.reserve(1, &bot());
    assert_eq!(missing.fault(), (404, "NOT_FOUND"));
    assert_eq!(
        missing.message(),
        format!("Budget not found for provided scope: {AGENT}")
    );
    assert_eq!(desk.event(1, &bot()).fault(), (404, "NOT_FOUND"));
    assert_eq!(desk.decide(1, &bot()).body["reason_code"], "BUDGET_NOT_FOUND");
    assert_eq!(
        desk.reserve(1, &json!({"dry_run": true})).body["reason_code"],
        "BUDGET_NOT_FOUND"
    );

    desk.add_budget(Budget::new(TENANT, Unit::Credits, 5));
    desk.add_budget(Budget::new(TENANT, Unit::UsdMicrocents, 5));
    let answers = [
        desk.reserve(1, &bot()),
        desk.reserve(1, &json!({"dry_run": true})),
        desk.decide(1, &bot()),
        desk.event(1, &bot()),
    ];
    for answer in answers {
        assert_eq!(answer.fault(), (400, "UNIT_MISMATCH"));
        assert_eq!(
            answer.body["details"],
            json!({"scope": TENANT, "requested_unit": "TOKENS", "expected_units": ["USD_MICROCENTS", "CREDITS"]})
        );
        assert_eq!(
            answer.message(),
            "Budget at scope 'tenant:acme' exists but in a different unit (requested: TOKENS, \
             expected: [USD_MICROCENTS, CREDITS])"
        );
    }
}

#[test]
fn common_checks_come_in_the_order_auth_route_json_limits_header_404_403() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    let foreign = desk.reserve(1, &Value::Null).id();
    desk.key = OTHER_KEY;
    let key = ("x-cycles-api-key", OTHER_KEY);
    let json_type = ("content-type", "application/json");
    let other_header = ("x-idempotency-key", "other");
    let id = "0".repeat(129);
    let good = br#"{"idempotency_key":"k","actual":{"unit":"TOKENS","amount":1}}"#.as_slice();
    let invalid = br#"{"idempotency_key":"","actual":{"unit":"TOKENS","amount":1}}"#.as_slice();
    let commit = |id: &str| format!("/v1/reservations/{id}/commit");
    let unknown = "00000000-0000-4000-8000-000000000000";

    let fault = desk.send("POST", "/v1/nowhere", &[], b"");
    assert_eq!(fault.fault(), (401, "UNAUTHORIZED"));
    let fault = desk.send("POST", "/v1/nowhere", &[key], b"");
    assert_eq!(fault.fault(), (500, "INTERNAL_ERROR"));
    let fault = desk.send("POST", &commit(&id), &[key, json_type, other_header], b"{");
    assert_eq!(fault.message(), "Malformed request body");
    let fault = desk.send("POST", &commit(&id), &[key, json_type, other_header], invalid);
    assert_eq!(
        fault.message(),
        "Validation failed: idempotencyKey: size must be between 1 and 256"
    );
    let fault = desk.send("POST", &commit(&id), &[key, json_type, other_header], good);
    assert_eq!(
        fault.message(),
        "Validation failed: reservationId: size must be between 1 and 128"
    );
    let fault = desk.send("POST", &commit(&foreign), &[key, json_type, other_header], good);
    assert_eq!(fault.fault(), (400, "INVALID_REQUEST"));
    let fault = desk.send("POST", &commit(unknown), &[key, json_type], good);
    assert_eq!(fault.fault(), (404, "NOT_FOUND"));
    assert_eq!(fault.message(), format!("Resource not found: {unknown}"));
    let fault = desk.send("POST", &commit(&foreign), &[key, json_type], good);
    assert_eq!(fault.fault(), (403, "FORBIDDEN"));
}

#[test]
fn a_wrong_unit_is_reported_before_the_time() {
    let reason = "the server's own sweep may come first";
    let Some(mut desk) = Desk::in_virtual_time(100, reason) else {
        return;
    };
    let id = desk
        .reserve(10, &json!({"ttl_ms": 1000, "grace_period_ms": 0}))
        .id();
    desk.pass(2_000);
    let credits = json!({"actual": {"unit": "CREDITS", "amount": 1}});
    assert_eq!(desk.commit(&id, 1, &credits).fault(), (400, "UNIT_MISMATCH"));
}

#[test]
fn a_wrong_unit_is_reported_after_the_state_and_without_details() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    let id = desk.reserve(10, &Value::Null).id();
    let credits = json!({"actual": {"unit": "CREDITS", "amount": 1}});
    let refused = desk.commit(&id, 1, &credits);
    assert_eq!(refused.fault(), (400, "UNIT_MISMATCH"));
    assert!(refused.body.get("details").is_none());
    desk.expire(&id);
    assert_eq!(
        desk.commit(&id, 1, &credits).fault(),
        (410, "RESERVATION_EXPIRED")
    );
}

#[test]
fn an_expired_lease_is_reported_before_the_number_of_extensions() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    desk.add_tenant(Tenant::new("acme").max_extensions(0));
    let id = desk.reserve(10, &json!({"ttl_ms": 1000})).id();
    let fault = desk.extend(&id, 1000, &Value::Null);
    assert_eq!(fault.fault(), (409, "MAX_EXTENSIONS_EXCEEDED"));
    assert_eq!(fault.message(), "Maximum reservation extensions (0) reached");
    desk.pass(1_001);
    assert_eq!(
        desk.extend(&id, 1000, &Value::Null).fault(),
        (410, "RESERVATION_EXPIRED")
    );
}

#[test]
fn a_closed_tenant_is_401_by_api_key_and_409_for_the_admin() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    if !desk.has_admin_key() {
        return;
    }
    let id = desk.reserve(10, &Value::Null).id();
    desk.set_tenant_status("acme", TenantStatus::Closed);
    let denied = desk.get("/v1/balances?tenant=acme");
    assert_eq!(
        (denied.fault(), denied.message()),
        ((401, "UNAUTHORIZED"), "TENANT_CLOSED")
    );
    let admin = [
        ("x-admin-api-key", ADMIN_KEY),
        ("content-type", "application/json"),
    ];
    let path = format!("/v1/reservations/{id}/release");
    let refused = desk.send("POST", &path, &admin, br#"{"idempotency_key":"r"}"#);
    assert_eq!(refused.fault(), (409, "TENANT_CLOSED"));
    desk.set_tenant_status("acme", TenantStatus::Active);
    assert_eq!(
        desk.send("POST", &path, &admin, br#"{"idempotency_key":"r"}"#)
            .status,
        200
    );
}

#[test]
fn a_tenant_record_without_status_authenticates_and_then_fails_mutations() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    desk.add_tenant(Tenant::new("acme").malformed_status());
    for answer in [
        desk.reserve(1, &Value::Null),
        desk.decide(1, &Value::Null),
        desk.event(1, &Value::Null),
    ] {
        assert_eq!(answer.fault(), (500, "INTERNAL_ERROR"));
        assert_eq!(answer.message(), "Malformed tenant record: tenant:acme");
    }
    assert_eq!(desk.get("/v1/balances?tenant=acme").status, 200);
}

#[test]
fn an_unknown_default_policy_is_400_before_anything_is_looked_up() {
    let Some(mut desk) = Desk::new() else { return };
    desk.add_tenant(Tenant::new("acme").default_overage_policy_text("SOMETIMES"));
    assert_eq!(desk.reserve(1, &Value::Null).fault(), (400, "INVALID_REQUEST"));
    assert_eq!(desk.event(1, &Value::Null).fault(), (400, "INVALID_REQUEST"));
    assert_eq!(
        desk.event(1, &json!({"overage_policy": "REJECT"})).fault(),
        (404, "NOT_FOUND")
    );
}

#[test]
fn caps_come_from_the_deepest_scope_alone() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    desk.add_budget(
        Budget::new(AGENT, Unit::Tokens, 50).caps_json(r#"{"max_tokens":5,"tool_denylist":["x"]}"#),
    );
    let caps = json!({"max_tokens": 5, "tool_denylist": ["x"]});
    for answer in [desk.reserve(1, &bot()), desk.decide(1, &bot())] {
        assert_eq!(answer.body["decision"], "ALLOW_WITH_CAPS");
        assert_eq!(answer.body["caps"], caps);
    }
    assert_eq!(desk.decide(1, &Value::Null).body["decision"], "ALLOW");
    let deeper = json!({"subject": {"tenant": "acme", "agent": "bot", "toolset": "t"}});
    assert_eq!(desk.decide(1, &deeper).body["decision"], "ALLOW");

    desk.add_budget(Budget::new(AGENT, Unit::Tokens, 50).caps_json("{"));
    assert_eq!(desk.reserve(1, &bot()).fault(), (500, "INTERNAL_ERROR"));
    assert_eq!(
        desk.tokens(AGENT).reserved,
        1,
        "the hold is taken before the caps are read"
    );
}

#[test]
fn funding_reopens_what_a_cap_had_blocked() {
    let Some(mut desk) = Desk::with_tokens(10) else {
        return;
    };
    desk.event(11, &Value::Null);
    assert_eq!(
        desk.reserve(0, &Value::Null).fault(),
        (409, "OVERDRAFT_LIMIT_EXCEEDED")
    );
    desk.credit(TENANT, 5);
    assert_eq!(desk.reserve(5, &Value::Null).status, 200);
}
