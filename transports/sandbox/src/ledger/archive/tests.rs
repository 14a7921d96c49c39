//! What the records of a long run take.

use ::bytes::Bytes;
use cycles_proto::time::UnixMillis;
use http::Request;

use crate::ledger::{ApiKey, Budget, Ledger, Tenant, Unit};

const KEY: &str = "cyc_live_acme_0001";
const START: u64 = 1_795_000_000_000;

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
    assert_eq!(response.status(), 200, "{path}: {:?}", response.body());
    String::from_utf8_lossy(response.body()).into_owned()
}

fn pair(ledger: &mut Ledger, now: u64, number: u64) {
    pair_of(ledger, now, number, "");
}

/// `more` are further members of the subject.
fn pair_of(ledger: &mut Ledger, now: u64, number: u64, more: &str) {
    let body = format!(
        r#"{{"idempotency_key":"r-{number}","subject":{{"tenant":"acme","agent":"bot"{more}}},"action":{{"kind":"llm.completion","name":"gpt-4o"}},"estimate":{{"unit":"TOKENS","amount":1000}}}}"#
    );
    let reply = post(ledger, now, "/v1/reservations", body);
    let (_, rest) = reply.split_once(r#""reservation_id":""#).unwrap_or_default();
    let id = rest.get(..36).unwrap_or_default();
    let body = r#"{"idempotency_key":"c","actual":{"unit":"TOKENS","amount":700}}"#;
    post(
        ledger,
        now,
        &format!("/v1/reservations/{id}/commit"),
        body.to_owned(),
    );
}

#[test]
fn a_forgotten_reservation_takes_less_than_110_bytes() {
    let mut ledger = ledger();
    for number in 0..2_000 {
        pair(&mut ledger, START + number * 10, number);
    }
    let chunks = &ledger.archive.chunks;
    let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
    let records: usize = chunks.iter().map(|chunk| chunk.count).sum();
    assert_eq!(records, 1_999);
    assert!(bytes < records * 110, "{} bytes each", bytes / records);
    assert!(chunks.iter().all(|chunk| chunk.templates.len() == 1));
}

#[test]
fn a_subject_of_its_own_adds_only_its_path() {
    let mut ledger = ledger();
    for number in 0..1_000 {
        pair_of(
            &mut ledger,
            START + number * 10,
            number,
            &format!(r#","workflow":"run-{number}""#),
        );
    }
    let chunks = &ledger.archive.chunks;
    let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
    assert!(bytes < 999 * 150, "{} bytes each", bytes / 999);
    assert!(chunks.iter().all(|chunk| chunk.templates.len() == 1));
}

#[test]
fn after_thirty_days_nothing_is_left_of_it() {
    let mut ledger = ledger();
    for number in 0..600 {
        pair(&mut ledger, START, number);
    }
    let days = 86_400_000;
    ledger.tick(UnixMillis(START + 30 * days));
    assert_eq!(ledger.archive.by_id.len(), 600);
    ledger.tick(UnixMillis(START + 30 * days + 1));
    assert!(
        ledger.archive.chunks.is_empty()
            && ledger.archive.by_id.is_empty()
            && ledger.archive.by_key.is_empty()
    );
    assert_eq!(ledger.forgotten_reservations(), 600);
    pair(&mut ledger, START + 31 * days, 1);
    ledger.tick(UnixMillis(START + 31 * days));
    assert_eq!(ledger.archive.by_key.len(), 1);
}
