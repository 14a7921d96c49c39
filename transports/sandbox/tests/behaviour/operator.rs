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
use http::Request;
use serde_json::{Value, json};

use crate::common::{ADMIN_KEY, Answer, Desk};

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
