//! The two sides, the objects on both, and one step of them.

use cycles_proto::time::UnixMillis;
use cycles_sandbox::{BudgetStatus, OveragePolicy, TenantStatus, Unit};

use super::compare::{self, Difference};
use super::operations::{self, Request, SCOPES, Step};
use super::rows;
use crate::common::backend::{Backend, Inside};
use crate::common::live::{self, Live};
use crate::common::{ADMIN_KEY, Answer, ApiKey, Budget, KEY, OTHER_KEY, Setup, Tenant};
use crate::dice::Dice;

/// The objects that have a different id on each side, in the order of their creation.
#[derive(Default)]
pub struct Known {
    pub reservations: Vec<[String; 2]>,
    pub evidence: Vec<[String; 2]>,
}

pub struct Pair {
    inside: Inside,
    other: Live,
    /// Whether the other side's clock can be moved.
    is_virtual: bool,
    pub known: Known,
    /// When these were created.
    created: Vec<[u64; 2]>,
    /// Requests to repeat.
    pub past: Vec<Request>,
    pub fresh_keys: u64,
    pub has_admin: bool,
    closed: bool,
}

impl Pair {
    pub fn new(other: Live, is_virtual: bool, dice: &mut Dice) -> Self {
        let has_admin = is_virtual || live::has_admin_key();
        let mut inside = Inside::on_the_wall_clock();
        let sweep_ms = super::number("CYCLES_DIFFERENTIAL_SWEEP_MS").unwrap_or(100);
        inside.ledger().unwrap().set_sweep_interval_ms(sweep_ms);
        let mut pair = Self {
            inside,
            other,
            is_virtual,
            known: Known::default(),
            created: Vec::new(),
            past: Vec::new(),
            fresh_keys: 0,
            has_admin,
            closed: false,
        };
        if let Some((server_id, signer_did)) = live::evidence_identity() {
            let ledger = pair.inside.ledger().unwrap();
            ledger.set_evidence_identity(&server_id, &signer_did);
        }
        pair.other.tune(|ledger| {
            if let Some((server_id, signer_did)) = live::evidence_identity() {
                ledger.set_evidence_identity(&server_id, &signer_did);
            }
            ledger.set_sweep_interval_ms(sweep_ms);
            ledger.set_tenant_cache_ms(0);
        });
        for (tenant, key) in [("acme", KEY), ("rival", OTHER_KEY)] {
            pair.set_up(&Setup::Tenant(tenant_of(tenant, dice)));
            pair.set_up(&Setup::Key(ApiKey::new(key, tenant)));
        }
        for scope in SCOPES {
            for unit in [Unit::Tokens, Unit::Credits, Unit::UsdMicrocents, Unit::RiskPoints] {
                let chance = if unit == Unit::Tokens { 70 } else { 12 };
                if dice.percent(chance) {
                    pair.set_up(&Setup::Budget(budget_of(scope, unit, dice)));
                }
            }
        }
        pair
    }

    fn set_up(&mut self, setup: &Setup) {
        self.inside.set_up(setup);
        self.other.set_up(setup);
    }

    /// One operation on both sides.
    pub fn step(&mut self, dice: &mut Dice) -> Result<(), String> {
        if self.closed {
            // A closed tenant soon has no more interesting answers.
            if dice.percent(30) {
                self.closed = false;
                self.set_up(&Setup::Tenant(tenant_of("acme", dice)));
            }
        }
        match operations::next(self, dice) {
            Step::Send(request) => {
                self.send(&request)?;
                self.past.push(request);
                Ok(())
            }
            Step::Walk(request) => {
                let walks = [0, 1]
                    .map(|side| rows::walk(&mut |path| self.get(side, &request.with_path(path)), &request));
                let [left, right] = walks;
                let outcome = rows::compare(&left, &right, &request.path, &mut self.known);
                outcome.map_err(|difference| format!("{}\n{difference}", request.path))
            }
            Step::Status(scope, unit, status) => {
                if self.inside.ledger().unwrap().budget(scope, unit).is_some() {
                    self.set_up(&Setup::Status(scope.to_owned(), unit, status));
                }
                Ok(())
            }
            Step::Tenant => {
                let mut tenant = tenant_of("acme", dice);
                if dice.percent(15) {
                    self.closed = true;
                    tenant = tenant.status(dice.pick(&[TenantStatus::Closed, TenantStatus::Suspended]));
                } else if dice.percent(15) {
                    self.closed = true;
                    tenant = tenant.malformed_status();
                }
                self.set_up(&Setup::Tenant(tenant));
                Ok(())
            }
            Step::Expiry => self.expiry(dice),
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), String> {
        let [left, right] = [0, 1].map(|side| self.get(side, request));
        let outcome = compare::answers(&left, &right, &mut self.known);
        self.note_times();
        outcome.map_err(|Difference(at)| {
            format!(
                "{request:?}\ndiffers at {at}\nhere:  {} {}\nthere: {} {}",
                left.status,
                String::from_utf8_lossy(&left.bytes),
                right.status,
                String::from_utf8_lossy(&right.bytes)
            )
        })
    }

    /// The request for one side, with that side's ids and times.
    fn get(&mut self, side: usize, request: &Request) -> Answer {
        let mut path = request.path.clone();
        while let Some(at) = path.find('<') {
            let end = at + path[at..].find('>').unwrap();
            let number: usize = path[at + 2..end].parse().unwrap();
            let text = match &path[at + 1..at + 2] {
                "r" => self.known.reservations[number][side].clone(),
                _ => UnixMillis(self.created[number][side]).to_string(),
            };
            path.replace_range(at..=end, &text);
        }
        let headers: Vec<(&str, &str)> = request.headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let backend: &mut dyn Backend = if side == 0 {
            &mut self.inside
        } else {
            &mut self.other
        };
        backend.exchange(request.method, &path, &headers, request.body.as_bytes())
    }

    /// The creation times of new objects.
    fn note_times(&mut self) {
        for number in self.created.len()..self.known.reservations.len() {
            let mut times = [0; 2];
            for (side, time) in times.iter_mut().enumerate() {
                for key in [KEY, OTHER_KEY] {
                    let request = Request::get(&format!("/v1/reservations/<r{number}>"), key);
                    *time = self.get(side, &request).body["created_at_ms"]
                        .as_u64()
                        .unwrap_or(*time);
                }
            }
            self.created.push(times);
        }
    }

    /// Lets reservations expire while nothing else happens.
    fn expiry(&mut self, dice: &mut Dice) -> Result<(), String> {
        let first = self.known.reservations.len();
        for grace_ms in [0, 0, 500, 60_000] {
            let more = format!(r#","ttl_ms":1000,"grace_period_ms":{grace_ms}"#);
            let request = operations::reserve(self, dice, &more);
            self.send(&request)?;
            self.past.push(request);
        }
        if self.known.reservations.len() > first {
            let request = operations::about(self, dice, "extend", first);
            self.send(&request)?;
        }
        self.other.pass(1_900);
        if self.is_virtual {
            self.inside.pass(1_900);
        }
        for number in first..self.known.reservations.len() {
            for operation in ["extend", "commit", "release"] {
                let request = operations::about(self, dice, operation, number);
                self.send(&request)?;
            }
            self.send(&Request::get(&format!("/v1/reservations/<r{number}>"), KEY))?;
        }
        Ok(())
    }
}

fn tenant_of(id: &str, dice: &mut Dice) -> Tenant {
    let mut tenant = Tenant::new(id);
    if dice.percent(20) {
        let policies = [
            OveragePolicy::Reject,
            OveragePolicy::AllowIfAvailable,
            OveragePolicy::AllowWithOverdraft,
        ];
        tenant = tenant.default_overage_policy(dice.pick(&policies));
    } else if dice.percent(4) {
        tenant = tenant.default_overage_policy_text("SOMETIMES");
    }
    if dice.percent(15) {
        tenant = tenant.default_ttl_ms(120_000);
    }
    if dice.percent(15) {
        tenant = tenant.max_ttl_ms(dice.pick(&[100_000, 86_400_000]));
    }
    if dice.percent(20) {
        tenant = tenant.max_extensions(dice.pick(&[0, 1, 2]));
    }
    tenant
}

fn budget_of(scope: &str, unit: Unit, dice: &mut Dice) -> Budget {
    let allocated = dice.pick(&[0, 50, 200, 1_000, 5_000, 5_000, i64::MAX]);
    let mut budget = Budget::new(scope, unit, allocated);
    if dice.percent(30) {
        budget = budget.overdraft_limit(dice.pick(&[1, 50, 500, i64::MAX]));
    }
    if dice.percent(7) {
        budget = budget.debt(dice.pick(&[1, 60]));
    }
    if dice.percent(4) {
        budget = budget.over_limit();
    }
    if dice.percent(8) {
        budget = budget.status(dice.pick(&[BudgetStatus::Frozen, BudgetStatus::Closed]));
    }
    if dice.percent(15) {
        let caps = [
            r#"{"max_tokens":5}"#,
            r#"{"max_steps_remaining":2,"tool_allowlist":["a"],"tool_denylist":[],"cooldown_ms":9}"#,
            "{}",
            r#"{"max_tokens":"7","tool_allowlist":null}"#,
            "{",
            r#"{"max_tokens":1.9}"#,
            r#"{"unknown":1}"#,
        ];
        budget = budget.caps_json(dice.pick(&caps));
    }
    budget
}

#[test]
fn what_differs_is_noticed() {
    let answer = |text: &str| Answer::new(200, Default::default(), text.to_owned().into());
    let rows = [
        (r#"{"a":1}"#, r#"{"a":2}"#),
        (r#"{"a":null}"#, r"{}"),
        (r#"{"a":[1,2]}"#, r#"{"a":[1]}"#),
        (r#"{"reservation_id":"x"}"#, r#"{"reservation_id":"z"}"#),
        (
            r#"[{"evidence_id":"x"},{"evidence_id":"x"}]"#,
            r#"[{"evidence_id":"x"},{"evidence_id":"y"}]"#,
        ),
    ];
    for (left, right) in rows {
        let mut known = Known {
            reservations: vec![["x".to_owned(), "y".to_owned()]],
            ..Known::default()
        };
        assert!(
            compare::answers(&answer(left), &answer(right), &mut known).is_err(),
            "{left}"
        );
    }
    let (left, right) = (
        r#"{"reservation_id":"x","expires_at_ms":5}"#,
        r#"{"reservation_id":"y","expires_at_ms":9}"#,
    );
    let mut known = Known::default();
    assert!(compare::answers(&answer(left), &answer(right), &mut known).is_ok());
}

pub const ADMIN: &str = ADMIN_KEY;
