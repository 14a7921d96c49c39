//! The plain operations: what the core refuses is not sent, and what it sends is valid, as is the ledger's answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cycles_proto::models::ReservationId;
use cycles_proto::reply::Reply;
use cycles_proto::{CyclesConfig, Error, Operation, Seed, TraceParent, UnixMillis};
use cycles_sandbox::{ApiKey, Budget, Ledger, Tenant, Unit};
use http::Request;
use serde_json::Value;

use crate::common::{START, contract};
use crate::dice::Dice;
use crate::{models, number, spec};

const KEY: &str = "cyc_live_acme_0001";

#[test]
fn whatever_the_core_sends_is_valid_and_so_is_the_answer() {
    let Some(spec) = spec() else { return };
    let (seed, count) = (
        number("CYCLES_CONTRACT_SEED", 1),
        number("CYCLES_CONTRACT_REQUESTS", 8_000),
    );
    println!("CYCLES_CONTRACT_SEED={seed}");
    let mut desk = Desk::new(seed);
    let (mut sent, mut refused) = (BTreeMap::<&str, u64>::new(), BTreeMap::<String, u64>::new());
    let mut answers = BTreeMap::<u16, u64>::new();
    for _ in 0..count {
        let (operation, request) = desk.next();
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                let reason = error.to_string();
                let reason = reason
                    .split_once(':')
                    .map_or(&*reason, |(reason, _)| reason)
                    .to_owned();
                *refused.entry(reason).or_default() += 1;
                continue;
            }
        };
        let violations = spec.request(&request);
        assert!(
            violations.is_empty(),
            "{violations:#?}\n{request:?}\n{}",
            String::from_utf8_lossy(request.body())
        );
        *sent.entry(operation).or_default() += 1;
        *answers.entry(desk.exchange(&request)).or_default() += 1;
    }
    let met = contract::met();
    println!("sent: {sent:?}\nanswers: {answers:?}\ndeviations: {met:?}");
    for deviation in contract::DEVIATIONS {
        println!("{}: {}", deviation.name, deviation.reason);
        assert!(
            met.contains_key(deviation.name),
            "no answer deviates like this any more"
        );
    }
    let operations: Vec<&str> = spec.operations().collect();
    assert!(
        operations.iter().all(|operation| sent.contains_key(operation)),
        "{operations:?}"
    );
    assert!(
        sent.values().all(|times| *times > count / 200),
        "too few are sent: {sent:?}"
    );
    assert!(
        refused.values().sum::<u64>() > count / 10,
        "nothing is near a limit: {refused:?}"
    );
    assert!(answers.get(&200) > answers.get(&400), "{answers:?}");
}

/// Callers of a ledger in which money is short.
struct Desk {
    dice: Dice,
    ledger: Ledger,
    now: u64,
    configs: Vec<Arc<CyclesConfig>>,
    reservations: Vec<ReservationId>,
    seeds: u128,
}

impl Desk {
    fn new(seed: u64) -> Self {
        let mut ledger = Ledger::new(seed);
        ledger.add_tenant(Tenant::new("acme"));
        ledger.add_api_key(ApiKey::new(KEY, "acme"));
        ledger.set_evidence_identity("https://cycles.example.com/v1/", &"ab".repeat(32));
        for (scope, unit, allocated) in [
            ("tenant:acme", Unit::Tokens, 1_000_000),
            ("tenant:acme", Unit::UsdMicrocents, i64::MAX),
            ("tenant:acme/agent:bot", Unit::Tokens, 2_000),
            ("tenant:acme/agent:bot", Unit::Credits, 50),
        ] {
            ledger.add_budget(Budget::new(scope, unit, allocated).overdraft_limit(allocated / 4));
        }
        let caps = r#"{"max_tokens":5,"tool_allowlist":["a"],"tool_denylist":[],"cooldown_ms":9}"#;
        ledger.add_budget(Budget::new("tenant:acme/app:web", Unit::Tokens, 500).caps_json(caps));
        let plain = || CyclesConfig::builder(KEY, "http://ledger.test").tenant("acme");
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let traced = plain().trace_parent(parent.parse::<TraceParent>().unwrap());
        Self {
            dice: Dice::new(seed),
            ledger,
            now: START,
            configs: vec![
                Arc::new(plain().build().unwrap()),
                Arc::new(traced.build().unwrap()),
            ],
            reservations: Vec::new(),
            seeds: 0,
        }
    }

    /// An operation by its name in the document, and its request if the core makes one.
    fn next(&mut self) -> (&'static str, Result<Request<Bytes>, Error>) {
        let dice = &mut self.dice;
        let config = &dice.pick(&self.configs);
        self.seeds += 1;
        let seed = Seed(self.seeds.to_be_bytes());
        let id = match self.reservations.is_empty() || dice.percent(10) {
            true => models::reservation_id(dice),
            false => dice.pick(&self.reservations),
        };
        match dice.roll(11) {
            0 => (
                "decide",
                of(Operation::decide(config, &models::decide(dice), seed)),
            ),
            1 => (
                "createReservation",
                of(Operation::create_reservation(
                    config,
                    &models::reserve(dice),
                    seed,
                )),
            ),
            2 => (
                "commitReservation",
                of(Operation::commit_reservation(
                    config,
                    &id,
                    &models::commit(dice),
                    seed,
                )),
            ),
            3 => (
                "releaseReservation",
                of(Operation::release_reservation(
                    config,
                    &id,
                    &models::release(dice),
                    seed,
                )),
            ),
            4 => (
                "extendReservation",
                of(Operation::extend_reservation(
                    config,
                    &id,
                    &models::extend(dice),
                    seed,
                )),
            ),
            5 => (
                "createEvent",
                of(Operation::create_event(config, &models::event(dice), seed)),
            ),
            6 => (
                "getReservation",
                of(Operation::get_reservation(config, &id, seed)),
            ),
            7 => (
                "listReservations",
                of(Operation::list_reservations(config, &models::list(dice), seed)),
            ),
            8 => (
                "getBalances",
                of(Operation::get_balances(config, &models::balances(dice), seed)),
            ),
            9 => {
                let id = dice.pick(&["ab".repeat(32), "AB".repeat(32), "ab".repeat(31), String::new()]);
                (
                    "getEvidence",
                    of(Operation::get_evidence(config, &id.into(), seed)),
                )
            }
            _ => ("getEvidenceJwks", of(Operation::get_evidence_jwks(config, seed))),
        }
    }

    /// The ledger's answer, checked, by its status.
    fn exchange(&mut self, request: &Request<Bytes>) -> u16 {
        self.now += self.dice.pick(&[0, 0, 1, 100, 9_000]);
        let response = self.ledger.handle(UnixMillis(self.now), request);
        contract::check_answer(request, &response);
        let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        if let Some(id) = body["reservation_id"]
            .as_str()
            .filter(|_| request.method() == "POST")
        {
            // The latest are of most interest.
            self.reservations.truncate(5);
            self.reservations.insert(0, id.into());
        }
        response.status().as_u16()
    }
}

fn of<T: Reply>(operation: Result<Operation<T>, Error>) -> Result<Request<Bytes>, Error> {
    operation.map(|operation| operation.call().request)
}
