//! The callers: some send arbitrary requests for a tenant with little money; one has a tenant with enough money, and
//! settles its reservations.

use std::sync::Arc;

use bytes::Bytes;
use cycles_conformance::contract;
use cycles_proto::models::{Amount, ReservationId, Subject};
use cycles_proto::parts::Reply;
use cycles_proto::{CyclesConfig, Error, Operation, Seed, TraceParent, UnixMillis};
use cycles_sandbox::{ApiKey, Budget, Ledger, Tenant, Unit};
use http::Request;
use serde_json::Value;

use super::models;
use crate::common::START;
use crate::dice::Dice;

/// The tenant with little money, and the tenant with enough.
const SHORT: (&str, &str) = ("acme", "cyc_live_acme_0001");
const RICH: (&str, &str) = ("rich", "cyc_live_rich_0001");

const ENVELOPE: (&str, &str) = (
    "ca70a9c6816d463614ec46b19266ff286bde220c2caf0951ae7888cc36c485aa",
    include_str!("../../data/evidence/02-reserve-allow.json"),
);

pub(crate) struct Desk {
    dice: Dice,
    ledger: Ledger,
    now: u64,
    /// The keys of the first tenant, and of the second.
    configs: [Vec<Arc<CyclesConfig>>; 2],
    /// Recent reservations of any caller.
    reservations: Vec<ReservationId>,
    /// The second tenant's reservations that are not settled, the latest last.
    held: Vec<Hold>,
    seeds: u128,
}

#[derive(Clone)]
struct Hold {
    id: ReservationId,
    estimate: Amount,
}

impl Desk {
    pub(crate) fn new(seed: u64) -> Self {
        let mut ledger = Ledger::new(seed);
        for (tenant, key) in [SHORT, RICH] {
            ledger.add_tenant(Tenant::new(tenant));
            ledger.add_api_key(ApiKey::new(key, tenant));
        }
        ledger.set_evidence_identity("https://cycles.example.com/v1/", &"ab".repeat(32));
        ledger.publish_evidence(ENVELOPE.0, ENVELOPE.1);
        for (scope, unit, allocated) in [
            ("tenant:acme", Unit::Tokens, 1_000_000),
            ("tenant:acme", Unit::UsdMicrocents, i64::MAX),
            ("tenant:acme/agent:bot", Unit::Tokens, 2_000),
            ("tenant:acme/agent:bot", Unit::Credits, 50),
            ("tenant:rich", Unit::Tokens, 1 << 50),
            ("tenant:rich", Unit::UsdMicrocents, 1 << 50),
        ] {
            ledger.add_budget(Budget::new(scope, unit, allocated).overdraft_limit(allocated / 4));
        }
        let caps = r#"{"max_tokens":5,"tool_allowlist":["a"],"tool_denylist":[],"cooldown_ms":9}"#;
        ledger.add_budget(Budget::new("tenant:acme/app:web", Unit::Tokens, 500).caps_json(caps));
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let configs = [SHORT, RICH].map(|(tenant, key)| {
            let plain = || CyclesConfig::builder(key, "http://ledger.test").tenant(tenant);
            let traced = plain().trace_parent(parent.parse::<TraceParent>().unwrap());
            vec![
                Arc::new(plain().build().unwrap()),
                Arc::new(traced.build().unwrap()),
            ]
        });
        Self {
            dice: Dice::new(seed),
            ledger,
            now: START,
            configs,
            reservations: Vec::new(),
            held: Vec::new(),
            seeds: 0,
        }
    }

    /// An operation by its name in the document, and its request if the core can make it.
    pub(crate) fn next(&mut self) -> (&'static str, Result<Request<Bytes>, Error>) {
        let dice = &mut self.dice;
        let is_rich = dice.percent(60);
        let config = &dice.pick(&self.configs[usize::from(is_rich)]);
        self.seeds += 1;
        let seed = Seed(self.seeds.to_be_bytes());
        let hold = self.held.last().filter(|_| is_rich).cloned();
        let id = match &hold {
            Some(hold) => hold.id.clone(),
            None if self.reservations.is_empty() || dice.percent(10) => models::reservation_id(dice),
            None => dice.pick(&self.reservations),
        };
        match dice.roll(13) {
            0 => {
                let mut request = models::decide(dice);
                if is_rich {
                    (request.subject, request.estimate) = affordable(dice);
                }
                ("decide", of(Operation::decide(config, &request, seed)))
            }
            1..=3 => {
                let mut request = models::reserve(dice);
                if is_rich {
                    (request.subject, request.estimate) = affordable(dice);
                }
                let made = Operation::create_reservation(config, &request, seed);
                ("createReservation", of(made))
            }
            4 => {
                let mut request = models::commit(dice);
                if let Some(Hold { estimate, .. }) = hold {
                    let size = dice.pick(&[0, estimate.amount / 2, estimate.amount, estimate.amount + 1]);
                    request.actual = Amount::new(estimate.unit, size);
                }
                let made = Operation::commit_reservation(config, &id, &request, seed);
                ("commitReservation", of(made))
            }
            5 => {
                let made = Operation::release_reservation(config, &id, &models::release(dice), seed);
                ("releaseReservation", of(made))
            }
            6 => {
                let made = Operation::extend_reservation(config, &id, &models::extend(dice), seed);
                ("extendReservation", of(made))
            }
            7 => {
                let mut request = models::event(dice);
                if is_rich {
                    (request.subject, request.actual) = affordable(dice);
                }
                ("createEvent", of(Operation::create_event(config, &request, seed)))
            }
            8 => (
                "getReservation",
                of(Operation::get_reservation(config, &id, seed)),
            ),
            9 => {
                let made = Operation::list_reservations(config, &models::list(dice), seed);
                ("listReservations", of(made))
            }
            10 => {
                let made = Operation::get_balances(config, &models::balances(dice), seed);
                ("getBalances", of(made))
            }
            11 => {
                let published = ENVELOPE.0.to_owned();
                let ids = [
                    published.clone(),
                    published,
                    "ab".repeat(32),
                    "AB".repeat(32),
                    String::new(),
                ];
                let made = Operation::get_evidence(config, &dice.pick(&ids).into(), seed);
                ("getEvidence", of(made))
            }
            _ => ("getEvidenceJwks", of(Operation::get_evidence_jwks(config, seed))),
        }
    }

    /// The checked answer of the ledger, by its status.
    pub(crate) fn exchange(&mut self, request: &Request<Bytes>) -> u16 {
        self.now += self.dice.pick(&[0, 0, 1, 100, 9_000]);
        let response = self.ledger.handle(UnixMillis(self.now), request);
        contract::check_answer(request, &response);
        let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        if let Some(id) = body["reservation_id"]
            .as_str()
            .filter(|_| request.method() == "POST")
        {
            // Prefers recent ones.
            self.reservations.truncate(5);
            self.reservations.insert(0, id.into());
            self.hold(id.into(), request);
        }
        if response.status() == 200 && body["released"].is_object() || body["charged"].is_object() {
            let path = request.uri().path();
            self.held.retain(|hold| !path.contains(hold.id.as_str()));
        }
        response.status().as_u16()
    }

    fn hold(&mut self, id: ReservationId, request: &Request<Bytes>) {
        let asked: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        if asked["subject"]["tenant"] == RICH.0 {
            let estimate = serde_json::from_value(asked["estimate"].clone()).unwrap();
            self.held.push(Hold { id, estimate });
        }
    }
}

fn affordable(dice: &mut Dice) -> (Subject, Amount) {
    let size = dice.pick(&[0, 1, 40, 1_000, 5_000_000]);
    let amount = match dice.percent(50) {
        true => Amount::tokens(size),
        false => Amount::usd_microcents(size),
    };
    (Subject::tenant(RICH.0), amount)
}

fn of<T: Reply>(operation: Result<Operation<T>, Error>) -> Result<Request<Bytes>, Error> {
    operation.map(|operation| operation.call().request)
}
