//! A desk to talk to a server: one tenant, and short ways to make common requests. The server is a ledger in this
//! process, in virtual time. With `CYCLES_BASE_URL` it is the server at that address instead; the program of
//! `CYCLES_SEED` sets up its tenants, keys and budgets (its lines are described in [`setup`]). Without that program,
//! only the tests run that need nothing but the funds of the tenant `CYCLES_TENANT` and its `CYCLES_API_KEY`. Tests
//! that are skipped say so.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm
)]

pub mod answer;
pub mod backend;
pub mod browser;
pub mod live;
pub mod program;
pub mod setup;
pub mod tally;
pub mod wire;

use cycles_sandbox::{BudgetStatus, Funding, Ledger, OveragePolicy, TenantStatus, Unit};
use serde_json::{Value, json};

pub use self::answer::{Answer, Numbers};
use self::backend::{Backend, Inside};
use self::live::Live;
pub use self::setup::{ApiKey, Budget, Setup, Tenant};

/// The start of virtual time.
pub const START: u64 = 1_795_000_000_000;
pub const KEY: &str = "cyc_live_acme_0001";
pub const OTHER_KEY: &str = "cyc_live_rival_0002";
pub const ADMIN_KEY: &str = "admin-secret";
pub const DAY_MS: u64 = 86_400_000;

pub struct Desk {
    backend: Box<dyn Backend>,
    /// Sent with every request; tests of other callers change it.
    pub key: &'static str,
    idempotency_key: u64,
}

impl Desk {
    /// Tenants `acme` and `rival` with a key each, and no budgets. `None` if that cannot be set up.
    pub fn new() -> Option<Self> {
        let backend: Box<dyn Backend> = match live::base_url() {
            None => Box::new(Inside::new()),
            Some(url) if live::has_seed() => Box::new(Live::seeded(&url)),
            Some(_) => {
                tally::skipped("it needs tenants and budgets of its own, and CYCLES_SEED names no program");
                return None;
            }
        };
        Some(Self::furnished(backend))
    }

    /// The same with `allocated` tokens on `tenant:acme`.
    pub fn with_tokens(allocated: i64) -> Option<Self> {
        let mut desk = Self::new()?;
        desk.add_budget(Budget::new("tenant:acme", Unit::Tokens, allocated));
        Some(desk)
    }

    /// `acme` with more tokens than any test spends.
    pub fn with_enough_tokens() -> Self {
        match live::base_url() {
            Some(url) if !live::has_seed() => {
                tally::ran();
                Self::at(Box::new(Live::unseeded(&url)))
            }
            _ => Self::with_tokens(1_000_000_000).expect("it can be set up"),
        }
    }

    /// The same as `with_tokens`, but `None` on a live server, for this `reason`.
    pub fn in_virtual_time(allocated: i64, reason: &str) -> Option<Self> {
        if live::base_url().is_some() {
            tally::skipped(reason);
            return None;
        }
        Self::with_tokens(allocated)
    }

    /// A ledger of this process, in any case.
    pub fn inside() -> Self {
        Self::furnished(Box::new(Inside::new()))
    }

    /// The same with `allocated` tokens on `tenant:acme`.
    pub fn inside_with_tokens(allocated: i64) -> Self {
        let mut desk = Self::inside();
        desk.add_budget(Budget::new("tenant:acme", Unit::Tokens, allocated));
        desk
    }

    pub fn furnished(backend: Box<dyn Backend>) -> Self {
        let mut desk = Self::at(backend);
        for (tenant, key) in [("acme", KEY), ("rival", OTHER_KEY)] {
            desk.add_tenant(Tenant::new(tenant));
            desk.add_api_key(ApiKey::new(key, tenant));
        }
        if live::base_url().is_some() && desk.is_live() {
            tally::ran();
        }
        desk
    }

    fn at(backend: Box<dyn Backend>) -> Self {
        Self {
            backend,
            key: KEY,
            idempotency_key: 0,
        }
    }

    pub fn is_live(&mut self) -> bool {
        self.backend.ledger().is_none()
    }

    /// Whether the server is another process; if so, reports why the rest of the test is skipped.
    pub fn ends_live(&mut self, reason: &str) -> bool {
        if self.is_live() {
            tally::skipped(reason);
        }
        self.is_live()
    }

    /// Whether the admin key can be used; reports it if not.
    pub fn has_admin_key(&mut self) -> bool {
        let known = self.backend.ledger().is_some() || live::has_admin_key();
        if !known {
            tally::skipped("it needs CYCLES_ADMIN_KEY");
        }
        known
    }

    /// The ledger of this process.
    pub fn ledger(&mut self) -> &mut Ledger {
        self.backend
            .ledger()
            .expect("this part of the test is for a ledger of this process")
    }

    pub fn add_tenant(&mut self, tenant: Tenant) {
        self.backend.set_up(&Setup::Tenant(tenant));
    }

    pub fn add_api_key(&mut self, key: ApiKey) {
        self.backend.set_up(&Setup::Key(key));
    }

    pub fn add_budget(&mut self, budget: Budget) {
        self.backend.set_up(&Setup::Budget(budget));
    }

    pub fn set_budget_status(&mut self, scope: &str, unit: Unit, status: BudgetStatus) {
        self.backend
            .set_up(&Setup::Status(scope.to_owned(), unit, status));
    }

    pub fn set_tenant_status(&mut self, id: &str, status: TenantStatus) {
        self.add_tenant(Tenant::new(id).status(status));
    }

    /// Credits `scope` with tokens, which clears its over-limit flag.
    pub fn credit(&mut self, scope: &str, amount: i64) {
        if let Some(ledger) = self.backend.ledger() {
            ledger.fund(scope, Unit::Tokens, Funding::Credit(amount)).unwrap();
        } else {
            let Numbers {
                allocated,
                remaining,
                debt,
                ..
            } = self.tokens(scope);
            let funds = [allocated + amount, remaining + amount, debt];
            self.backend
                .set_up(&Setup::Funds(scope.to_owned(), Unit::Tokens, funds));
        }
    }

    /// Lets `id` and its grace period expire, and waits for the sweep.
    pub fn expire(&mut self, id: &str) {
        self.backend.set_up(&Setup::Expire(id.to_owned()));
        if self.is_live() {
            let path = format!("/v1/reservations/{id}");
            for _ in 0..100 {
                if self.get(&path).status == 410 {
                    return;
                }
                self.backend.pass(100);
            }
            panic!("no sweep found {id} within ten seconds");
        }
    }

    /// Milliseconds since 1970, by the local clock.
    pub fn now(&self) -> u64 {
        self.backend.now()
    }

    /// Lets time pass: in real time on a live server, where it must be two seconds or less.
    pub fn pass(&mut self, ms: u64) {
        self.backend.pass(ms);
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.backend.exchange(method, path, headers, body)
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
        format!("{}key-{}", self.backend.salt(), self.idempotency_key)
    }

    /// The number of them so far.
    pub fn keys_made(&self) -> u64 {
        self.idempotency_key
    }

    /// Reserves tokens on `tenant:acme` under a new key; `more` replaces or adds members.
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

    /// The tokens of a scope of `acme`, from its balances.
    pub fn tokens(&mut self, scope: &str) -> Numbers {
        let headers = [("x-cycles-api-key", KEY)];
        let answer = self.send("GET", "/v1/balances?tenant=acme&limit=200", &headers, b"");
        let rows = answer.body["balances"]
            .as_array()
            .unwrap_or_else(|| panic!("{}", answer.body));
        let is_asked = |row: &&Value| row["scope_path"] == scope && row["spent"]["unit"] == "TOKENS";
        let row = rows
            .iter()
            .find(is_asked)
            .unwrap_or_else(|| panic!("no {scope} in {}", answer.body));
        let amount = |member: &str| row[member]["amount"].as_i64().unwrap_or(0);
        Numbers {
            allocated: amount("allocated"),
            remaining: amount("remaining"),
            reserved: amount("reserved"),
            spent: amount("spent"),
            debt: amount("debt"),
            overdraft_limit: amount("overdraft_limit"),
            is_over_limit: row["is_over_limit"] == true,
        }
    }

    /// Remaining, reserved, spent and debt of `scope`, in tokens.
    pub fn numbers(&mut self, scope: &str) -> (i64, i64, i64, i64) {
        let state = self.tokens(scope);
        (state.remaining, state.reserved, state.spent, state.debt)
    }

    /// When a reservation of `acme` was created, and when it expires.
    pub fn times(&mut self, id: &str) -> (u64, u64) {
        let row = self
            .send(
                "GET",
                &format!("/v1/reservations/{id}"),
                &[("x-cycles-api-key", KEY)],
                b"",
            )
            .body;
        let time = |member: &str| row[member].as_u64().unwrap_or_else(|| panic!("{row}"));
        (time("created_at_ms"), time("expires_at_ms"))
    }
}

/// Merges `more` into `body`; its members win.
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
