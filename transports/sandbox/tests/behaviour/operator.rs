//! Short ways to call the admin plane of a desk's ledger.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used
)]

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use cycles_sandbox::ApiKey;
use http::Request;
use serde_json::{Value, json};

use crate::common::{ADMIN_KEY, Answer, Desk, merge};

/// Sends `body` to the admin plane with one key header; the n-th call gets the n-th secret.
pub fn call(desk: &mut Desk, key: (&str, &str), method: &str, path: &str, body: &Value) -> Answer {
    desk.fresh_key();
    let secret = [u8::try_from(desk.keys_made()).unwrap(); 24];
    let mut request = Request::builder().method(method).uri(path).header(key.0, key.1);
    let mut bytes = Bytes::new();
    if !body.is_null() {
        request = request.header("content-type", "application/json");
        bytes = body.to_string().into();
    }
    let now = UnixMillis(desk.now());
    let response = desk
        .ledger()
        .handle_admin(now, secret, &request.body(bytes).unwrap());
    let (head, bytes) = response.into_parts();
    Answer::new(head.status.as_u16(), head.headers, bytes)
}

pub fn admin(desk: &mut Desk, method: &str, path: &str, body: &Value) -> Answer {
    call(desk, ("x-admin-api-key", ADMIN_KEY), method, path, body)
}

/// The members that a budget needs besides its scope.
pub fn tokens(amount: i64) -> Value {
    json!({"unit": "TOKENS", "amount": amount})
}

pub fn budget(scope: &str, allocated: i64) -> Value {
    json!({"tenant_id": "acme", "scope": scope, "unit": "TOKENS", "allocated": tokens(allocated)})
}

pub const FUND: &str = "/v1/admin/budgets/fund?tenant_id=acme&scope=tenant:acme&unit=TOKENS";
pub const FREEZE: &str = "/v1/admin/budgets/freeze?scope=tenant:acme&unit=TOKENS";
pub const UNFREEZE: &str = "/v1/admin/budgets/unfreeze?scope=tenant:acme&unit=TOKENS";
pub const UPDATE: &str = "/v1/admin/budgets?scope=tenant:acme&unit=TOKENS";
pub const READER: &str = "cyc_live_reader_0001";
pub const LOOKUP: &str = "/v1/admin/budgets/lookup?scope=tenant:acme&unit=TOKENS";

pub fn get(desk: &mut Desk, path: &str) -> Answer {
    admin(desk, "GET", path, &Value::Null)
}

pub fn get_as(desk: &mut Desk, key: &str, path: &str) -> Answer {
    call(desk, ("x-cycles-api-key", key), "GET", path, &Value::Null)
}

/// One member of each row, in order.
pub fn column(listed: &Answer, rows: &str, member: &str) -> Vec<String> {
    assert_eq!(listed.status, 200, "{}", listed.body);
    let rows = listed.body[rows].as_array().unwrap();
    let cells = rows.iter().map(|row| row[member].as_str().unwrap_or("null"));
    cells.map(str::to_owned).collect()
}

pub fn tenant(desk: &mut Desk, id: &str, name: &str, more: Value) {
    let mut body = json!({"tenant_id": id, "name": name});
    merge(&mut body, &more);
    assert_eq!(admin(desk, "POST", "/v1/admin/tenants", &body).status, 201);
    desk.pass(1_000);
}

/// Five tenants: the desk's two, which nobody has named, and three of the admin plane, each a second younger.
pub fn five_tenants() -> Desk {
    let mut desk = Desk::inside();
    tenant(&mut desk, "zeta", "Blue Corp", json!({}));
    tenant(&mut desk, "eta", "Red Corp", json!({"parent_tenant_id": "zeta"}));
    tenant(
        &mut desk,
        "theta",
        "Blue Ltd",
        json!({"parent_tenant_id": "zeta"}),
    );
    desk
}

/// Four budgets of acme and one of rival, all of which the admin plane made.
pub fn five_budgets() -> Desk {
    let mut desk = Desk::inside();
    for (scope, allocated, spent) in [
        ("tenant:acme", 100, 90),
        ("tenant:acme/agent:a", 100, 20),
        ("tenant:acme/agent:b", 0, 0),
        ("tenant:acme/app:c", 1_000, 500),
    ] {
        let mut body = budget(scope, allocated);
        body["overdraft_limit"] = tokens(10);
        assert_eq!(admin(&mut desk, "POST", "/v1/admin/budgets", &body).status, 201);
        let path = FUND.replace("scope=tenant:acme", &format!("scope={scope}"));
        let body = json!({"operation": "RESET_SPENT", "amount": tokens(allocated), "spent": tokens(spent)});
        assert_eq!(admin(&mut desk, "POST", &path, &body).status, 200);
    }
    let mut body = budget("tenant:rival", 7);
    body["tenant_id"] = json!("rival");
    body["commit_overage_policy"] = json!("REJECT");
    assert_eq!(admin(&mut desk, "POST", "/v1/admin/budgets", &body).status, 201);
    desk.ledger()
        .add_api_key(ApiKey::new(READER, "acme").permissions(["budgets:read"]));
    desk
}
