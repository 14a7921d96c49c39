//! A desk to talk to a ledger from: virtual time, one tenant, short ways to say common requests.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm
)]

pub mod wire;

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use cycles_sandbox::{ApiKey, Budget, BudgetState, Ledger, OveragePolicy, Tenant, Unit};
use http::{HeaderMap, Request};
use serde_json::{Value, json};

pub const START: u64 = 1_795_000_000_000;
pub const KEY: &str = "cyc_live_acme_0001";
pub const OTHER_KEY: &str = "cyc_live_rival_0002";
pub const ADMIN_KEY: &str = "admin-secret";
pub const DAY_MS: u64 = 86_400_000;

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Bytes,
    pub body: Value,
}

impl Answer {
    /// Status and error code, the way refusals are compared.
    pub fn fault(&self) -> (u16, &str) {
        (self.status, self.body["error"].as_str().unwrap_or(""))
    }

    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or("")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn amount(&self, member: &str) -> Option<i64> {
        self.body[member]["amount"].as_i64()
    }

    pub fn id(&self) -> String {
        self.body["reservation_id"]
            .as_str()
            .unwrap_or_else(|| panic!("no reservation in {}", self.body))
            .to_owned()
    }
}

pub struct Desk {
    pub ledger: Ledger,
    pub now: u64,
    /// Sent with every request; tests of other callers change it.
    pub key: &'static str,
    pub idempotency_key: u64,
}

impl Desk {
    /// Tenants `acme` and `rival` with a key each, and no budgets.
    pub fn new() -> Self {
        let mut ledger = Ledger::new(7);
        for (tenant, key) in [("acme", KEY), ("rival", OTHER_KEY)] {
            ledger.add_tenant(Tenant::new(tenant));
            ledger.add_api_key(ApiKey::new(key, tenant));
        }
        ledger.set_admin_key(ADMIN_KEY);
        ledger.set_tenant_cache_ms(0);
        Self {
            ledger,
            now: START,
            key: KEY,
            idempotency_key: 0,
        }
    }

    /// The same with `allocated` tokens on `tenant:acme`.
    pub fn with_tokens(allocated: i64) -> Self {
        let mut desk = Self::new();
        desk.ledger
            .add_budget(Budget::new("tenant:acme", Unit::Tokens, allocated));
        desk
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::copy_from_slice(body)).unwrap();
        let (head, bytes) = self.ledger.handle(UnixMillis(self.now), &request).into_parts();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            bytes,
            body,
        }
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.post_text(path, &body.to_string())
    }

    pub fn post_text(&mut self, path: &str, body: &str) -> Answer {
        let headers = [
            ("x-cycles-api-key", self.key),
            ("content-type", "application/json"),
        ];
        self.send("POST", path, &headers, body.as_bytes())
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[("x-cycles-api-key", self.key)], b"")
    }

    pub fn fresh_key(&mut self) -> String {
        self.idempotency_key += 1;
        format!("key-{}", self.idempotency_key)
    }

    /// Reserves tokens on `tenant:acme` under a fresh key; `more` replaces or adds members.
    pub fn reserve(&mut self, amount: i64, more: &Value) -> Answer {
        let body = self.costing("estimate", amount, more);
        self.post("/v1/reservations", &body)
    }

    pub fn decide(&mut self, amount: i64, more: &Value) -> Answer {
        let body = self.costing("estimate", amount, more);
        self.post("/v1/decide", &body)
    }

    pub fn event(&mut self, amount: i64, more: &Value) -> Answer {
        let body = self.costing("actual", amount, more);
        self.post("/v1/events", &body)
    }

    /// A body with key, subject, action and an amount of tokens.
    pub fn costing(&mut self, member: &str, amount: i64, more: &Value) -> Value {
        let mut body = json!({
            "idempotency_key": self.fresh_key(),
            "subject": {"tenant": "acme"},
            "action": {"kind": "llm.completion", "name": "m"},
        });
        body[member] = json!({"unit": "TOKENS", "amount": amount});
        merge(&mut body, more);
        body
    }

    pub fn commit(&mut self, id: &str, amount: i64, more: &Value) -> Answer {
        let mut body =
            json!({"idempotency_key": self.fresh_key(), "actual": {"unit": "TOKENS", "amount": amount}});
        merge(&mut body, more);
        self.post(&format!("/v1/reservations/{id}/commit"), &body)
    }

    pub fn release(&mut self, id: &str, more: &Value) -> Answer {
        let mut body = json!({"idempotency_key": self.fresh_key()});
        merge(&mut body, more);
        self.post(&format!("/v1/reservations/{id}/release"), &body)
    }

    pub fn extend(&mut self, id: &str, by_ms: i64, more: &Value) -> Answer {
        let mut body = json!({"idempotency_key": self.fresh_key(), "extend_by_ms": by_ms});
        merge(&mut body, more);
        self.post(&format!("/v1/reservations/{id}/extend"), &body)
    }

    pub fn tokens(&self, scope: &str) -> BudgetState {
        self.ledger.budget(scope, Unit::Tokens).unwrap()
    }

    /// Remaining, reserved, spent and debt of `scope`, in tokens.
    pub fn numbers(&self, scope: &str) -> (i64, i64, i64, i64) {
        let state = self.tokens(scope);
        (state.remaining, state.reserved, state.spent, state.debt)
    }
}

/// Members of `more` replace those of `body`.
pub fn merge(body: &mut Value, more: &Value) {
    if let Value::Object(members) = more {
        for (name, value) in members {
            body[name] = value.clone();
        }
    }
}

pub fn policy(policy: OveragePolicy) -> Value {
    json!({"overage_policy": policy.name()})
}
