//! The admin plane as an operator meets it: statuses, defaults and what the server proper makes of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bytes::Bytes;
use common::{ADMIN_KEY, Answer, DAY_MS, Desk, KEY, START};
use cycles_proto::time::UnixMillis;
use cycles_sandbox::{ApiKey, Budget, BudgetStatus, TenantStatus, Unit};
use http::Request;
use serde_json::{Value, json};

/// Sends `body` to the admin plane with one header for the key; the n-th call gets the n-th secret.
fn call(desk: &mut Desk, key: (&str, &str), method: &str, path: &str, body: &Value) -> Answer {
    desk.idempotency_key += 1;
    let secret = [u8::try_from(desk.idempotency_key).unwrap(); 24];
    let mut request = Request::builder().method(method).uri(path).header(key.0, key.1);
    let mut bytes = Bytes::new();
    if !body.is_null() {
        request = request.header("content-type", "application/json");
        bytes = body.to_string().into();
    }
    let response = desk
        .ledger
        .handle_admin(UnixMillis(desk.now), secret, &request.body(bytes).unwrap());
    let (head, bytes) = response.into_parts();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: serde_json::from_slice(&bytes).unwrap(),
        bytes,
    }
}

fn admin(desk: &mut Desk, method: &str, path: &str, body: &Value) -> Answer {
    call(desk, ("x-admin-api-key", ADMIN_KEY), method, path, body)
}

/// What a budget call needs besides its scope.
fn tokens(amount: i64) -> Value {
    json!({"unit": "TOKENS", "amount": amount})
}

fn budget(scope: &str, allocated: i64) -> Value {
    json!({"tenant_id": "acme", "scope": scope, "unit": "TOKENS", "allocated": tokens(allocated)})
}

const FUND: &str = "/v1/admin/budgets/fund?tenant_id=acme&scope=tenant:acme&unit=TOKENS";
const FREEZE: &str = "/v1/admin/budgets/freeze?scope=tenant:acme&unit=TOKENS";
const UNFREEZE: &str = "/v1/admin/budgets/unfreeze?scope=tenant:acme&unit=TOKENS";
const UPDATE: &str = "/v1/admin/budgets?scope=tenant:acme&unit=TOKENS";

#[test]
fn a_tenant_is_made_once_with_the_defaults_spelled_out() {
    let mut desk = Desk::new();
    let body = json!({"tenant_id": "acme-corp", "name": "Acme"});
    let made = admin(&mut desk, "POST", "/v1/admin/tenants", &body);
    assert_eq!(made.status, 201);
    assert_eq!(
        made.body,
        json!({
            "tenant_id": "acme-corp", "name": "Acme", "status": "ACTIVE", "created_at": "2026-11-18T11:06:40Z",
            "default_commit_overage_policy": "ALLOW_IF_AVAILABLE", "default_reservation_ttl_ms": 60_000,
            "max_reservation_ttl_ms": 3_600_000, "max_reservation_extensions": 10,
        })
    );
    desk.now += 5;
    let again = admin(&mut desk, "POST", "/v1/admin/tenants", &body);
    assert_eq!((again.status, again.body), (200, made.body));
    let other = json!({"tenant_id": "acme-corp", "name": "Other"});
    let refused = admin(&mut desk, "POST", "/v1/admin/tenants", &other);
    assert_eq!(refused.fault(), (409, "DUPLICATE_RESOURCE"));
}

#[test]
fn limits_of_a_new_tenant() {
    for (member, value) in [
        ("tenant_id", json!("ab")),
        ("tenant_id", json!("Acme")),
        ("tenant_id", json!("a".repeat(65))),
        ("tenant_id", Value::Null),
        ("name", json!(" ")),
        ("name", json!("n".repeat(257))),
        ("default_reservation_ttl_ms", json!(999)),
        ("max_reservation_ttl_ms", json!(86_400_001)),
        ("max_reservation_extensions", json!(-1)),
        ("default_commit_overage_policy", json!("SOMETIMES")),
        ("reservation_expiry_policy", json!("NEVER")),
        ("colour", json!("blue")),
    ] {
        let mut body = json!({"tenant_id": "new", "name": "New"});
        body[member] = value;
        let refused = admin(&mut Desk::new(), "POST", "/v1/admin/tenants", &body);
        assert_eq!(refused.fault(), (400, "INVALID_REQUEST"), "{body}");
    }
}

#[test]
fn settings_of_a_tenant_apply_to_its_reservations() {
    let mut desk = Desk::with_tokens(1_000);
    let body = json!({"default_reservation_ttl_ms": 5_000, "name": "Acme", "metadata": {"tier": "1"}});
    let changed = admin(&mut desk, "PATCH", "/v1/admin/tenants/acme", &body);
    assert_eq!(changed.status, 200);
    assert_eq!(changed.body["name"], "Acme");
    assert_eq!(changed.body["metadata"], json!({"tier": "1"}));
    assert_eq!(desk.reserve(1, &json!({})).body["remaining_ttl_ms"], 5_000);
    let missing = admin(&mut desk, "PATCH", "/v1/admin/tenants/nobody", &body);
    assert_eq!(missing.fault(), (404, "TENANT_NOT_FOUND"));
}

#[test]
fn a_closed_tenant_takes_its_budgets_and_keys_with_it_for_good() {
    let mut desk = Desk::with_tokens(1_000);
    let id = desk.reserve(10, &json!({})).id();
    let suspended = admin(
        &mut desk,
        "PATCH",
        "/v1/admin/tenants/acme",
        &json!({"status": "SUSPENDED"}),
    );
    assert_eq!(
        (suspended.status, &suspended.body["status"]),
        (200, &json!("SUSPENDED"))
    );
    assert_eq!(desk.commit(&id, 1, &json!({})).message(), "TENANT_SUSPENDED");
    for _ in 0..2 {
        let closed = admin(
            &mut desk,
            "PATCH",
            "/v1/admin/tenants/acme",
            &json!({"status": "CLOSED"}),
        );
        assert_eq!((closed.status, &closed.body["status"]), (200, &json!("CLOSED")));
    }
    assert_eq!(desk.tokens("tenant:acme").status, BudgetStatus::Closed);
    assert_eq!(desk.commit(&id, 1, &json!({})).message(), "KEY_REVOKED");
    let reopened = admin(
        &mut desk,
        "PATCH",
        "/v1/admin/tenants/acme",
        &json!({"status": "ACTIVE"}),
    );
    assert_eq!(reopened.fault(), (400, "INVALID_REQUEST"));
    for (method, path, body) in [
        (
            "POST",
            "/v1/admin/api-keys",
            json!({"tenant_id": "acme", "name": "k"}),
        ),
        ("POST", "/v1/admin/budgets", budget("tenant:acme/agent:a", 1)),
        ("POST", FUND, json!({"operation": "CREDIT", "amount": tokens(1)})),
        ("POST", UNFREEZE, Value::Null),
        ("PATCH", UPDATE, json!({})),
    ] {
        let refused = admin(&mut desk, method, path, &body);
        assert_eq!(refused.fault(), (409, "TENANT_CLOSED"), "{path}");
    }
}

#[test]
fn a_new_key_works_for_ninety_days_and_until_it_is_revoked() {
    let mut desk = Desk::with_tokens(1_000);
    let made = admin(
        &mut desk,
        "POST",
        "/v1/admin/api-keys",
        &json!({"tenant_id": "acme", "name": "dev"}),
    );
    assert_eq!(made.status, 201);
    let secret = made.body["key_secret"].as_str().unwrap().to_owned();
    assert_eq!((secret.len(), &secret[..9]), (9 + 32, "cyc_live_"));
    assert_eq!(made.body["key_prefix"], secret[..14]);
    assert_eq!(made.body["expires_at"], "2027-02-16T11:06:40Z");
    assert_eq!(made.body["permissions"].as_array().unwrap().len(), 6);

    desk.key = Box::leak(secret.clone().into_boxed_str());
    assert_eq!(desk.get("/v1/balances?tenant=acme").status, 200);
    desk.now = START + 90 * DAY_MS;
    assert_eq!(desk.get("/v1/balances?tenant=acme").message(), "KEY_EXPIRED");

    desk.now = START + 1;
    let path = format!("/v1/admin/api-keys/{}", made.body["key_id"].as_str().unwrap());
    let revoked = admin(
        &mut desk,
        "DELETE",
        &format!("{path}?reason=lost+it"),
        &Value::Null,
    );
    assert_eq!(
        (revoked.status, &revoked.body["status"]),
        (200, &json!("REVOKED"))
    );
    assert_eq!(revoked.body["revoked_reason"], "lost it");
    assert!(!String::from_utf8_lossy(&revoked.bytes).contains(&secret));
    assert_eq!(desk.get("/v1/balances?tenant=acme").message(), "KEY_REVOKED");
    assert_eq!(
        admin(&mut desk, "DELETE", &path, &Value::Null).fault(),
        (409, "KEY_REVOKED")
    );
    let missing = admin(&mut desk, "DELETE", "/v1/admin/api-keys/key_none", &Value::Null);
    assert_eq!(missing.fault(), (404, "NOT_FOUND"));
}

#[test]
fn refusals_of_new_keys() {
    let mut desk = Desk::new();
    desk.ledger
        .set_tenant_status("rival", TenantStatus::Suspended)
        .unwrap();
    for (body, fault) in [
        (
            json!({"tenant_id": "nobody", "name": "k"}),
            (404, "TENANT_NOT_FOUND"),
        ),
        (
            json!({"tenant_id": "rival", "name": "k"}),
            (400, "INVALID_REQUEST"),
        ),
        (json!({"tenant_id": "acme"}), (400, "INVALID_REQUEST")),
        (
            json!({"tenant_id": "acme", "name": "k", "permissions": ["fly"]}),
            (400, "INVALID_REQUEST"),
        ),
        (
            json!({"tenant_id": "acme", "name": "k", "expires_at": "soon"}),
            (400, "INVALID_REQUEST"),
        ),
    ] {
        let refused = admin(&mut desk, "POST", "/v1/admin/api-keys", &body);
        assert_eq!(refused.fault(), fault, "{body}");
    }
}

#[test]
fn two_keys_never_begin_alike_even_from_the_same_randomness() {
    let mut desk = Desk::new();
    let mut secrets = Vec::new();
    for _ in 0..3 {
        let secret = std::array::from_fn(|place| u8::try_from(place).unwrap());
        let request = Request::post("/v1/admin/api-keys")
            .header("x-admin-api-key", ADMIN_KEY)
            .header("content-type", "application/json")
            .body(Bytes::from_static(br#"{"tenant_id":"acme","name":"k"}"#))
            .unwrap();
        let response = desk.ledger.handle_admin(UnixMillis(START), secret, &request);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        secrets.push(body["key_secret"].as_str().unwrap()[..14].to_owned());
    }
    assert_eq!(secrets[0], "cyc_live_AAECA");
    assert!(secrets[0] != secrets[1] && secrets[1] != secrets[2] && secrets[0] != secrets[2]);
}

#[test]
fn a_budget_is_made_in_lower_case_and_can_be_reserved_from() {
    let mut desk = Desk::new();
    let mut body = budget("tenant:acme/agent:Bot", 500);
    body["overdraft_limit"] = tokens(50);
    body["rollover_policy"] = json!("NONE");
    let made = admin(&mut desk, "POST", "/v1/admin/budgets", &body);
    assert_eq!(made.status, 201);
    assert_eq!(made.body["scope"], "tenant:acme/agent:bot");
    assert_eq!(made.body["tenant_id"], "acme");
    assert_eq!(
        (made.amount("remaining"), made.amount("overdraft_limit")),
        (Some(500), Some(50))
    );
    assert_eq!(
        (&made.body["status"], &made.body["is_over_limit"]),
        (&json!("ACTIVE"), &json!(false))
    );
    assert_eq!(made.body["rollover_policy"], "NONE");
    let subject = json!({"subject": {"tenant": "acme", "agent": "Bot"}});
    assert_eq!(desk.reserve(100, &subject).status, 200);
    let twice = admin(&mut desk, "POST", "/v1/admin/budgets", &body);
    assert_eq!(twice.fault(), (409, "DUPLICATE_RESOURCE"));
}

#[test]
fn refusals_of_new_budgets() {
    let mut desk = Desk::new();
    desk.ledger
        .set_tenant_status("rival", TenantStatus::Suspended)
        .unwrap();
    let merged = |more: Value| {
        let mut body = budget("tenant:acme", 1);
        common::merge(&mut body, &more);
        body
    };
    for (body, fault) in [
        (merged(json!({"scope": "agent:a"})), (400, "INVALID_REQUEST")),
        (
            merged(json!({"scope": "tenant:acme/agent:a/app:b"})),
            (400, "INVALID_REQUEST"),
        ),
        (
            merged(json!({"scope": "tenant:acme/florb:a"})),
            (400, "INVALID_REQUEST"),
        ),
        (
            merged(json!({"scope": "tenant:acme/agent:*"})),
            (400, "INVALID_REQUEST"),
        ),
        (
            merged(json!({"scope": "tenant:acme//agent:a"})),
            (400, "INVALID_REQUEST"),
        ),
        (merged(json!({"scope": "tenant:rival"})), (400, "INVALID_REQUEST")),
        (merged(json!({"tenant_id": null})), (400, "INVALID_REQUEST")),
        (merged(json!({"unit": "CREDITS"})), (400, "UNIT_MISMATCH")),
        (merged(json!({"unit": null})), (400, "INVALID_REQUEST")),
        (merged(json!({"allocated": tokens(-1)})), (400, "INVALID_REQUEST")),
        (
            merged(json!({"tenant_id": "none", "scope": "tenant:none"})),
            (404, "TENANT_NOT_FOUND"),
        ),
        (
            merged(json!({"tenant_id": "rival", "scope": "tenant:rival"})),
            (400, "INVALID_REQUEST"),
        ),
    ] {
        let refused = admin(&mut desk, "POST", "/v1/admin/budgets", &body);
        assert_eq!(refused.fault(), fault, "{body}");
    }
}

#[test]
fn funding_step_by_step() {
    let mut desk = Desk::with_tokens(1_000);
    desk.event(300, &json!({}));
    desk.reserve(100, &json!({}));
    // Operation and amount, then allocated, remaining, reserved and spent.
    for (operation, amount, numbers) in [
        ("CREDIT", 500, (1_500, 1_100, 100, 300)),
        ("DEBIT", 100, (1_400, 1_000, 100, 300)),
        ("RESET", 600, (600, 200, 100, 300)),
        ("REPAY_DEBT", 10, (610, 210, 100, 300)),
        ("RESET_SPENT", 1_000, (1_000, 900, 100, 0)),
    ] {
        let before = desk.tokens("tenant:acme");
        let body = json!({"operation": operation, "amount": tokens(amount)});
        let funded = admin(&mut desk, "POST", FUND, &body);
        assert_eq!(funded.status, 200, "{}", funded.body);
        let after = desk.tokens("tenant:acme");
        assert_eq!(
            (after.allocated, after.remaining, after.reserved, after.spent),
            numbers
        );
        assert_eq!(funded.body["operation"], operation);
        assert_eq!(funded.amount("previous_remaining"), Some(before.remaining));
        assert_eq!(funded.amount("new_remaining"), Some(after.remaining));
        assert_eq!(funded.amount("new_spent"), Some(after.spent));
    }
    let body = json!({"operation": "RESET_SPENT", "amount": tokens(1_000), "spent": tokens(250)});
    assert_eq!(
        admin(&mut desk, "POST", FUND, &body).amount("new_remaining"),
        Some(650)
    );
    let body = json!({"operation": "DEBIT", "amount": tokens(651)});
    assert_eq!(
        admin(&mut desk, "POST", FUND, &body).fault(),
        (409, "BUDGET_EXCEEDED")
    );
}

#[test]
fn a_repeated_funding_key_pays_once() {
    let mut desk = Desk::with_tokens(100);
    let body = json!({"operation": "CREDIT", "amount": tokens(7), "idempotency_key": "top-up"});
    for _ in 0..2 {
        assert_eq!(
            admin(&mut desk, "POST", FUND, &body).amount("new_allocated"),
            Some(107)
        );
    }
    let other = json!({"operation": "CREDIT", "amount": tokens(8), "idempotency_key": "top-up"});
    assert_eq!(
        admin(&mut desk, "POST", FUND, &other).fault(),
        (409, "IDEMPOTENCY_MISMATCH")
    );
    desk.now += DAY_MS + 1;
    assert_eq!(
        admin(&mut desk, "POST", FUND, &body).amount("new_allocated"),
        Some(114)
    );
}

#[test]
fn refusals_of_funding() {
    let mut desk = Desk::with_tokens(100);
    desk.ledger
        .add_budget(Budget::new("tenant:rival", Unit::Tokens, 1));
    let credit = json!({"operation": "CREDIT", "amount": tokens(1)});
    let at = |query: &str| format!("/v1/admin/budgets/fund?{query}");
    for (query, body, fault) in [
        ("scope=tenant:acme&unit=TOKENS", &credit, (400, "INVALID_REQUEST")),
        ("tenant_id=acme&unit=TOKENS", &credit, (400, "INVALID_REQUEST")),
        (
            "tenant_id=acme&scope=tenant:acme&unit=GOLD",
            &credit,
            (400, "INVALID_REQUEST"),
        ),
        (
            "tenant_id=acme&scope=tenant:acme&unit=CREDITS",
            &credit,
            (400, "UNIT_MISMATCH"),
        ),
        (
            "tenant_id=acme&scope=tenant:acme/agent:x&unit=TOKENS",
            &credit,
            (404, "BUDGET_NOT_FOUND"),
        ),
        (
            "tenant_id=acme&scope=tenant:rival&unit=TOKENS",
            &credit,
            (403, "FORBIDDEN"),
        ),
        (
            "tenant_id=acme&scope=tenant:acme&unit=TOKENS",
            &json!({"operation": "CREDIT", "amount": tokens(1), "spent": tokens(1)}),
            (400, "INVALID_REQUEST"),
        ),
        (
            "tenant_id=acme&scope=tenant:acme&unit=TOKENS",
            &json!({"amount": tokens(1)}),
            (400, "INVALID_REQUEST"),
        ),
    ] {
        let refused = admin(&mut desk, "POST", &at(query), body);
        assert_eq!(refused.fault(), fault, "{query}");
    }
    for (status, error) in [
        (BudgetStatus::Frozen, "BUDGET_FROZEN"),
        (BudgetStatus::Closed, "BUDGET_CLOSED"),
    ] {
        desk.ledger
            .set_budget_status("tenant:acme", Unit::Tokens, status)
            .unwrap();
        assert_eq!(admin(&mut desk, "POST", FUND, &credit).fault(), (409, error));
    }
}

#[test]
fn freezing_and_unfreezing_once_each() {
    let mut desk = Desk::with_tokens(100);
    let reason = json!({"reason": "audit"});
    let frozen = admin(&mut desk, "POST", FREEZE, &reason);
    assert_eq!((frozen.status, &frozen.body["status"]), (200, &json!("FROZEN")));
    assert_eq!(
        admin(&mut desk, "POST", FREEZE, &Value::Null).fault(),
        (409, "INVALID_REQUEST")
    );
    assert_eq!(desk.reserve(1, &json!({})).fault(), (409, "BUDGET_FROZEN"));
    assert_eq!(admin(&mut desk, "POST", UNFREEZE, &Value::Null).status, 200);
    assert_eq!(
        admin(&mut desk, "POST", UNFREEZE, &Value::Null).fault(),
        (409, "INVALID_REQUEST")
    );
    assert_eq!(desk.reserve(1, &json!({})).status, 200);
}

#[test]
fn a_changed_overdraft_limit_counts_from_the_next_commit_and_ends_an_over_limit() {
    let mut desk = Desk::with_tokens(100);
    let overdraft = json!({"overage_policy": "ALLOW_WITH_OVERDRAFT"});
    let id = desk.reserve(100, &overdraft).id();
    assert_eq!(desk.commit(&id, 130, &json!({})).amount("charged"), Some(100));
    assert!(desk.tokens("tenant:acme").is_over_limit);
    let body = json!({"overdraft_limit": tokens(50), "commit_overage_policy": "REJECT"});
    let changed = admin(&mut desk, "PATCH", UPDATE, &body);
    assert_eq!(
        (changed.status, changed.amount("overdraft_limit")),
        (200, Some(50))
    );
    assert_eq!(changed.body["is_over_limit"], false);
    assert_eq!(desk.event(20, &overdraft).status, 201);
    assert_eq!(desk.tokens("tenant:acme").debt, 20);
}

#[test]
fn the_admin_key_is_asked_for_everywhere_but_at_the_probes() {
    let mut desk = Desk::with_tokens(1);
    let calls = [
        ("POST", "/v1/admin/tenants"),
        ("PATCH", "/v1/admin/tenants/acme"),
        ("POST", "/v1/admin/api-keys"),
        ("DELETE", "/v1/admin/api-keys/key_1"),
        ("PATCH", UPDATE),
        ("POST", FREEZE),
        ("POST", UNFREEZE),
    ];
    for (method, path) in calls {
        for key in [
            ("x-cycles-api-key", KEY),
            ("x-admin-api-key", "wrong"),
            ("x-admin-api-key", " "),
        ] {
            let refused = call(&mut desk, key, method, path, &Value::Null);
            assert_eq!(refused.fault(), (401, "UNAUTHORIZED"), "{path}");
            assert_eq!(
                refused.header("x-request-id"),
                refused.body["request_id"].as_str()
            );
            assert_eq!(
                refused.header("x-cycles-trace-id"),
                refused.body["trace_id"].as_str()
            );
        }
    }
    let health = call(&mut desk, ("x-none", ""), "GET", "/actuator/health", &Value::Null);
    assert_eq!((health.status, &health.body), (200, &json!({"status": "UP"})));
    desk.ledger = cycles_sandbox::Ledger::new(1);
    let unset = admin(&mut desk, "POST", "/v1/admin/tenants", &Value::Null);
    assert_eq!(unset.fault(), (500, "INTERNAL_ERROR"));
}

#[test]
fn an_api_key_makes_and_funds_budgets_of_its_tenant_if_it_may_write_them() {
    let mut desk = Desk::with_tokens(1);
    let mut body = budget("tenant:acme/agent:a", 5);
    body.as_object_mut().unwrap().remove("tenant_id");
    let refused = call(
        &mut desk,
        ("x-cycles-api-key", KEY),
        "POST",
        "/v1/admin/budgets",
        &body,
    );
    assert_eq!(refused.fault(), (403, "INSUFFICIENT_PERMISSIONS"));
    let missing = call(&mut desk, ("x-none", ""), "POST", "/v1/admin/budgets", &body);
    assert_eq!(missing.fault(), (401, "UNAUTHORIZED"));
    let unknown = call(
        &mut desk,
        ("x-cycles-api-key", "cyc_live_unknown"),
        "POST",
        FUND,
        &body,
    );
    assert_eq!(unknown.fault(), (403, "FORBIDDEN"));

    let writer = "cyc_live_writer_1";
    desk.ledger
        .add_api_key(ApiKey::new(writer, "acme").permissions(["budgets:write"]));
    let key = ("x-cycles-api-key", writer);
    assert_eq!(
        call(&mut desk, key, "POST", "/v1/admin/budgets", &body).status,
        201
    );
    let named = call(
        &mut desk,
        key,
        "POST",
        "/v1/admin/budgets",
        &budget("tenant:acme/agent:b", 5),
    );
    assert_eq!(named.fault(), (400, "INVALID_REQUEST"));
    let credit = json!({"operation": "CREDIT", "amount": tokens(1)});
    assert_eq!(
        call(&mut desk, key, "POST", FUND, &credit).amount("new_allocated"),
        Some(2)
    );
}

#[test]
fn a_scope_filter_narrows_what_a_key_may_write() {
    let mut desk = Desk::new();
    let body = json!({
        "tenant_id": "acme", "name": "eng", "permissions": ["budgets:write"],
        "scope_filter": ["workspace:eng", "agent:*"],
    });
    let made = admin(&mut desk, "POST", "/v1/admin/api-keys", &body);
    let key = ("x-cycles-api-key", made.body["key_secret"].as_str().unwrap());
    for (scope, status) in [
        ("tenant:acme/workspace:eng", 201),
        ("tenant:acme/agent:any", 201),
        ("tenant:acme", 403),
        ("tenant:acme/workspace:sales", 403),
    ] {
        let body = json!({"scope": scope, "unit": "TOKENS", "allocated": tokens(1)});
        assert_eq!(
            call(&mut desk, key, "POST", "/v1/admin/budgets", &body).status,
            status,
            "{scope}"
        );
    }
}

#[test]
fn what_is_not_there_and_what_comes_by_another_method() {
    let mut desk = Desk::new();
    assert_eq!(
        admin(&mut desk, "GET", "/v1/admin/policies", &Value::Null).fault(),
        (500, "INTERNAL_ERROR")
    );
    let listed = admin(&mut desk, "GET", "/v1/admin/tenants", &Value::Null);
    assert_eq!(listed.fault(), (405, "INVALID_REQUEST"));
    assert_eq!(listed.header("allow"), Some("POST"));
    let form = Request::post("/v1/admin/tenants")
        .header("x-admin-api-key", ADMIN_KEY)
        .body(Bytes::from_static(b"{}"))
        .unwrap();
    assert_eq!(
        desk.ledger
            .handle_admin(UnixMillis(START), [0; 24], &form)
            .status(),
        500
    );
}
