//! Tenants and API keys on the admin plane: statuses, defaults, and their effect on the client-facing server.

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use cycles_sandbox::{BudgetStatus, TenantStatus, Unit};
use http::Request;
use serde_json::{Value, json};

use crate::common::{ADMIN_KEY, DAY_MS, Desk, START};
use crate::operator::{FUND, UNFREEZE, UPDATE, admin, budget, tokens};

#[test]
fn a_tenant_is_made_once_with_the_defaults_spelled_out() {
    let mut desk = Desk::inside();
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
    desk.pass(5);
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
        let refused = admin(&mut Desk::inside(), "POST", "/v1/admin/tenants", &body);
        assert_eq!(refused.fault(), (400, "INVALID_REQUEST"), "{body}");
    }
}

#[test]
fn settings_of_a_tenant_apply_to_its_reservations() {
    let mut desk = Desk::inside_with_tokens(1_000);
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
    let mut desk = Desk::inside_with_tokens(1_000);
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
    assert_eq!(
        desk.ledger().budget("tenant:acme", Unit::Tokens).unwrap().status,
        BudgetStatus::Closed
    );
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
    let mut desk = Desk::inside_with_tokens(1_000);
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
    desk.pass(90 * DAY_MS);
    assert_eq!(desk.get("/v1/balances?tenant=acme").message(), "KEY_EXPIRED");

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
    let mut desk = Desk::inside();
    desk.ledger()
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
    let mut desk = Desk::inside();
    let mut secrets = Vec::new();
    for _ in 0..3 {
        let secret = std::array::from_fn(|place| u8::try_from(place).unwrap());
        let request = Request::post("/v1/admin/api-keys")
            .header("x-admin-api-key", ADMIN_KEY)
            .header("content-type", "application/json")
            .body(Bytes::from_static(br#"{"tenant_id":"acme","name":"k"}"#))
            .unwrap();
        let response = desk.ledger().handle_admin(UnixMillis(START), secret, &request);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        secrets.push(body["key_secret"].as_str().unwrap()[..14].to_owned());
    }
    assert_eq!(secrets[0], "cyc_live_AAECA");
    assert!(secrets[0] != secrets[1] && secrets[1] != secrets[2] && secrets[0] != secrets[2]);
}
