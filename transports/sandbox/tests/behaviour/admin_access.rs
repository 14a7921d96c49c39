//! Access to the admin plane, and the calls that it does not have.

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use cycles_sandbox::{ApiKey, Budget, Tenant, Unit};
use http::Request;
use serde_json::{Value, json};

use crate::common::{ADMIN_KEY, Desk, KEY, START};
use crate::operator::{
    FREEZE, FUND, LOOKUP, READER, UNFREEZE, UPDATE, admin, budget, call, column, five_budgets, get, get_as,
    tokens,
};

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
fn what_is_not_there_and_what_has_no_content_type() {
    let mut desk = Desk::inside();
    assert_eq!(
        admin(&mut desk, "GET", "/v1/admin/policies", &Value::Null).fault(),
        (500, "INTERNAL_ERROR")
    );
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

#[test]
fn tenants_and_keys_are_shown_to_the_admin_key_only() {
    let mut desk = five_budgets();
    for path in [
        "/v1/admin/tenants",
        "/v1/admin/tenants/acme",
        "/v1/admin/api-keys",
    ] {
        assert_eq!(get(&mut desk, path).status, 200);
        for key in [
            ("x-cycles-api-key", READER),
            ("x-admin-api-key", "wrong"),
            ("x-admin-api-key", " "),
            ("x-none", ""),
        ] {
            let refused = call(&mut desk, key, "GET", path, &Value::Null);
            assert_eq!(refused.fault(), (401, "UNAUTHORIZED"), "{path}");
        }
    }
}

#[test]
fn budgets_are_shown_to_the_admin_key_and_to_keys_that_may_read_them() {
    let mut desk = five_budgets();
    for (key, permission) in [
        ("cyc_live_implied_1", "admin:read"),
        ("cyc_live_writing_1", "budgets:write"),
    ] {
        desk.ledger()
            .add_api_key(ApiKey::new(key, "acme").permissions([permission]));
    }
    for path in ["/v1/admin/budgets", LOOKUP] {
        assert_eq!(get(&mut desk, path).status, 200);
        assert_eq!(get_as(&mut desk, READER, path).status, 200);
        assert_eq!(get_as(&mut desk, "cyc_live_implied_1", path).status, 200);
        for key in [KEY, "cyc_live_writing_1"] {
            let refused = get_as(&mut desk, key, path);
            assert_eq!(refused.fault(), (403, "INSUFFICIENT_PERMISSIONS"), "{path}");
        }
        assert_eq!(
            get_as(&mut desk, "cyc_live_unknown", path).fault(),
            (403, "FORBIDDEN")
        );
        let none = call(&mut desk, ("x-none", ""), "GET", path, &Value::Null);
        assert_eq!(none.fault(), (401, "UNAUTHORIZED"));
        let wrong = call(&mut desk, ("x-admin-api-key", "wrong"), "GET", path, &Value::Null);
        assert_eq!(wrong.fault(), (401, "UNAUTHORIZED"));
    }
}

#[test]
fn an_api_key_lists_its_own_tenant_whatever_it_asks_for() {
    let mut desk = five_budgets();
    for query in ["", "?tenant_id=rival", "?tenant_id="] {
        let listed = get_as(&mut desk, READER, &format!("/v1/admin/budgets{query}"));
        assert_eq!(column(&listed, "ledgers", "tenant_id"), ["acme"; 4], "{query}");
    }
    let page = get_as(&mut desk, READER, "/v1/admin/budgets?limit=1");
    let cursor = page.body["next_cursor"].as_str().unwrap();
    assert_eq!(page.body["ledgers"][0]["ledger_id"], cursor);
}

#[test]
fn a_tenant_with_capitals_in_its_id_sees_its_budgets() {
    let mut desk = Desk::inside();
    let key = "cyc_live_capital_1";
    desk.ledger().add_tenant(Tenant::new("Acme-North"));
    desk.ledger()
        .add_api_key(ApiKey::new(key, "Acme-North").permissions(["budgets:read"]));
    desk.ledger()
        .add_budget(Budget::new("tenant:Acme-North", Unit::Tokens, 1));
    let listed = get_as(&mut desk, key, "/v1/admin/budgets");
    assert_eq!(column(&listed, "ledgers", "scope"), ["tenant:acme-north"]);
}

#[test]
fn a_scope_filter_refuses_what_is_outside_it_but_not_the_whole_list() {
    let mut desk = five_budgets();
    let body = json!({
        "tenant_id": "acme", "name": "agents", "permissions": ["budgets:read"], "scope_filter": ["agent:*"],
    });
    let made = admin(&mut desk, "POST", "/v1/admin/api-keys", &body);
    let key = made.body["key_secret"].as_str().unwrap();
    for (path, status) in [
        ("/v1/admin/budgets?scope_prefix=tenant:acme/agent:a", 200),
        ("/v1/admin/budgets?scope_prefix=tenant:acme/app:c", 403),
        ("/v1/admin/budgets", 200),
        ("/v1/admin/budgets?scope_prefix=", 200),
        (
            "/v1/admin/budgets/lookup?scope=tenant:acme/agent:a&unit=TOKENS",
            200,
        ),
        (LOOKUP, 403),
        // A wrong type comes before the filter, a wrong word after it.
        ("/v1/admin/budgets?scope_prefix=tenant:acme&limit=many", 400),
        ("/v1/admin/budgets?scope_prefix=tenant:acme&sort_by=colour", 403),
        (
            "/v1/admin/budgets?scope_prefix=tenant:acme&utilization_min=2",
            403,
        ),
    ] {
        let answer = get_as(&mut desk, key, path);
        assert_eq!(answer.status, status, "{path}");
        if status == 403 {
            assert_eq!(answer.fault(), (403, "FORBIDDEN"));
        }
    }
}

#[test]
fn a_scope_filter_of_nothing_but_blanks_refuses_every_scope() {
    let mut desk = five_budgets();
    for filter in [json!([""]), json!([null])] {
        let body = json!({
            "tenant_id": "acme", "name": "none", "permissions": ["budgets:read"], "scope_filter": filter,
        });
        let made = admin(&mut desk, "POST", "/v1/admin/api-keys", &body);
        let key = made.body["key_secret"].as_str().unwrap();
        assert_eq!(
            get_as(&mut desk, key, LOOKUP).fault(),
            (403, "FORBIDDEN"),
            "{filter}"
        );
    }
}

#[test]
fn methods_that_a_path_does_not_have_are_refused_with_those_that_it_has() {
    let mut desk = five_budgets();
    for (method, path, allowed) in [
        ("DELETE", "/v1/admin/tenants", "GET, POST"),
        ("DELETE", "/v1/admin/tenants/acme", "GET, PATCH"),
        ("PATCH", "/v1/admin/api-keys", "GET, POST"),
        ("GET", "/v1/admin/api-keys/key_1", "DELETE"),
        ("PATCH", "/v1/admin/budgets/lookup", "GET"),
    ] {
        let refused = admin(&mut desk, method, path, &Value::Null);
        assert_eq!(refused.fault(), (405, "INVALID_REQUEST"), "{path}");
        assert_eq!(refused.header("allow"), Some(allowed), "{path}");
    }
    // Before any key is looked at.
    let refused = get_as(&mut desk, "cyc_live_nobody_00", "/v1/admin/budgets/fund");
    assert_eq!(refused.fault(), (405, "INVALID_REQUEST"));
    let refused = get_as(&mut desk, READER, "/v1/admin/budgets/fund");
    assert_eq!(refused.header("allow"), Some("POST"));
    let headed = admin(&mut desk, "HEAD", "/v1/admin/tenants", &Value::Null);
    assert_eq!(headed.status, 200);
}
