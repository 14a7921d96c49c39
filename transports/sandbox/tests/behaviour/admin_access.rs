//! Access to the admin plane, and the calls that it does not have.

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use cycles_sandbox::ApiKey;
use http::Request;
use serde_json::{Value, json};

use crate::common::{ADMIN_KEY, Desk, KEY, START};
use crate::operator::{FREEZE, FUND, UNFREEZE, UPDATE, admin, budget, call, tokens};

#[test]
fn the_admin_key_is_asked_for_everywhere_but_at_the_probes() {
    let mut desk = Desk::inside_with_tokens(1);
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
    *desk.ledger() = cycles_sandbox::Ledger::new(1);
    let unset = admin(&mut desk, "POST", "/v1/admin/tenants", &Value::Null);
    assert_eq!(unset.fault(), (500, "INTERNAL_ERROR"));
}

#[test]
fn an_api_key_makes_and_funds_budgets_of_its_tenant_if_it_may_write_them() {
    let mut desk = Desk::inside_with_tokens(1);
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
    desk.ledger()
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
    let mut desk = Desk::inside();
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
    let mut desk = Desk::inside();
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
        desk.ledger()
            .handle_admin(UnixMillis(START), [0; 24], &form)
            .status(),
        500
    );
}
