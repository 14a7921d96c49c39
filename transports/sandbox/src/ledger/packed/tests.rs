//! What the answers of a long run take.

use ::bytes::Bytes;
use cycles_proto::time::UnixMillis;
use http::Request;

use super::{Packed, Reply};
use crate::ledger::{ApiKey, Budget, Ledger, Tenant, Unit};

const KEY: &str = "cyc_live_acme_0001";
const START: u64 = 1_795_000_000_000;

/// A ledger that keeps nothing whole.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(1);
    ledger.add_tenant(Tenant::new("acme"));
    ledger.add_api_key(ApiKey::new(KEY, "acme"));
    ledger.add_budget(Budget::new("tenant:acme", Unit::Tokens, 10_000_000_000));
    ledger.add_budget(Budget::new("tenant:acme/agent:bot", Unit::Tokens, 10_000_000_000));
    ledger.set_retained(0);
    ledger
}

fn post(ledger: &mut Ledger, now: u64, path: &str, body: String) -> String {
    let request = Request::post(path)
        .header("x-cycles-api-key", KEY)
        .header("content-type", "application/json");
    let request = request.body(Bytes::from(body)).unwrap_or_default();
    let response = ledger.handle(UnixMillis(now), &request);
    assert!(response.status().is_success(), "{path}: {:?}", response.body());
    String::from_utf8_lossy(response.body()).into_owned()
}

/// The body of a request that costs something. `more` are further members of the subject.
fn body(number: u64, cost: &str, more: &str) -> String {
    format!(
        r#"{{"idempotency_key":"r-{number}","subject":{{"tenant":"acme","agent":"bot"{more}}},"action":{{"kind":"llm.completion","name":"gpt-4o"}},"{cost}":{{"unit":"TOKENS","amount":1000}}}}"#
    )
}

fn pair(ledger: &mut Ledger, now: u64, number: u64, more: &str) {
    let reply = post(ledger, now, "/v1/reservations", body(number, "estimate", more));
    let (_, rest) = reply.split_once(r#""reservation_id":""#).unwrap_or_default();
    let id = rest.get(..36).unwrap_or_default();
    let commit = r#"{"idempotency_key":"c","actual":{"unit":"TOKENS","amount":700}}"#;
    post(
        ledger,
        now,
        &format!("/v1/reservations/{id}/commit"),
        commit.to_owned(),
    );
}

/// How many answers there are, how many bytes they take, and how many templates.
fn taken<R: Reply>(packed: &Packed<R>) -> (usize, usize, usize) {
    let sum = |of: fn(&super::Chunk<R>) -> usize| packed.chunks.iter().map(of).sum();
    (
        sum(|chunk| chunk.count),
        sum(|chunk| chunk.bytes.len()),
        sum(|chunk| chunk.templates.len()),
    )
}

#[test]
fn a_forgotten_pair_takes_little_more_than_a_hundred_bytes() {
    for (more, most) in [("", 60), (r#","workflow":"run-NUMBER""#, 110)] {
        let mut ledger = ledger();
        for number in 0..2_000 {
            let more = more.replace("NUMBER", &number.to_string());
            pair(&mut ledger, START + number * 10, number, &more);
        }
        let (answers, bytes, templates) = taken(ledger.reserved.packed_answers());
        assert!(
            answers >= 1_999 && templates == 8 && bytes < 2_000 * most,
            "{answers} {bytes} {templates}"
        );
        let (answers, bytes, templates) = taken(ledger.reservations.packed_answers());
        assert!(
            answers >= 1_999 && templates == 8 && bytes < 2_000 * 60,
            "{answers} {bytes} {templates}"
        );
    }
}

#[test]
fn forgotten_decisions_events_and_dry_runs_take_even_less() {
    let mut ledger = ledger();
    for number in 0..1_000 {
        post(
            &mut ledger,
            START + number,
            "/v1/decide",
            body(number, "estimate", ""),
        );
        post(
            &mut ledger,
            START + number,
            "/v1/events",
            body(number, "actual", ""),
        );
    }
    let (answers, bytes, _) = taken(ledger.decided.packed_answers());
    assert!(answers >= 999 && bytes < 1_000 * 30, "{answers} {bytes}");
    let (answers, bytes, _) = taken(ledger.recorded.packed_answers());
    assert!(answers >= 999 && bytes < 1_000 * 60, "{answers} {bytes}");
}

#[test]
fn each_is_dropped_when_its_time_is_over() {
    let mut ledger = ledger();
    for number in 0..600 {
        pair(&mut ledger, START, number, "");
    }
    let day = 86_400_000;
    let kept = |ledger: &Ledger| {
        let keys = ledger.reserved.packed_answers();
        let reservations = ledger.reservations.packed_answers();
        (keys.index.len(), reservations.index.len())
    };
    ledger.tick(UnixMillis(START + day));
    assert_eq!(kept(&ledger), (600, 600));
    ledger.tick(UnixMillis(START + day + 1));
    assert_eq!(kept(&ledger), (0, 600));
    ledger.tick(UnixMillis(START + 30 * day + 1));
    assert_eq!(kept(&ledger), (0, 0));
    assert!(ledger.reservations.packed_answers().chunks.is_empty());
    assert_eq!(ledger.forgotten_reservations(), 600);
    pair(&mut ledger, START + 31 * day, 1, "");
    ledger.tick(UnixMillis(START + 31 * day));
    assert_eq!(kept(&ledger), (1, 1));
}
