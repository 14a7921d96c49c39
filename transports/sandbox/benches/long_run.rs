//! A million pairs of reserve and commit: what they take of memory, and whether the last thousand are as fast as the
//! first. Then sorted and filtered lists of 300 000 reservations. `cargo bench -p cycles-sandbox --bench long_run`.
//!
//! It talks to the ledger itself, without sockets, prints figures and asserts nothing, because they depend on the machine.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use cycles_sandbox::{ApiKey, Budget, Ledger, Tenant, Unit};
use http::Request;

const KEY: &str = "cyc_live_acme_0001";
const START: u64 = 1_795_000_000_000;
const PAIRS: u64 = 1_000_000;
const ROWS: u64 = 300_000;

fn main() {
    // Medians of eleven, without the first ones, in which the machine warms up.
    let median = |some: &[Duration]| {
        let mut some = some.to_vec();
        some.sort();
        some[some.len() / 2]
    };
    let mut ledger = ledger();
    let before = resident();
    let mut thousands: Vec<Duration> = Vec::new();
    for thousand in 0..PAIRS / 1_000 {
        let began = Instant::now();
        for number in thousand * 1_000..(thousand + 1) * 1_000 {
            pair(&mut ledger, number);
        }
        thousands.push(began.elapsed());
        if (thousand + 1) % 100 == 0 {
            println!(
                "{} pairs: {} {:?}",
                (thousand + 1) * 1_000,
                grown(before),
                median(&thousands[thousands.len() - 11..])
            );
        }
    }
    let (first, last) = (
        median(&thousands[20..31]),
        median(&thousands[thousands.len() - 11..]),
    );
    println!(
        "the last thousand took {last:?} and the first {first:?}: {:.2} times as long; the slowest {:?}",
        last.as_secs_f64() / first.as_secs_f64(),
        thousands.iter().skip(20).max().unwrap()
    );
    drop(ledger);

    let mut ledger = self::ledger();
    ledger.set_retained(usize::MAX);
    for number in 0..ROWS {
        pair(&mut ledger, number);
    }
    for query in [
        "sort_by=created_at_ms",
        "sort_by=reserved&sort_dir=asc&limit=200",
        "status=ACTIVE",
        "sort_by=status&agent=other",
        "limit=200",
    ] {
        let mut times: Vec<Duration> = (0..5)
            .map(|_| {
                let began = Instant::now();
                get(&mut ledger, &format!("/v1/reservations?{query}"));
                began.elapsed()
            })
            .collect();
        times.sort();
        println!(
            "{ROWS} reservations, {query}: {:?} ({:?} to {:?})",
            times[2], times[0], times[4]
        );
    }
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::new(1);
    ledger.add_tenant(Tenant::new("acme"));
    ledger.add_api_key(ApiKey::new(KEY, "acme"));
    for scope in ["tenant:acme", "tenant:acme/agent:bot"] {
        ledger.add_budget(Budget::new(scope, Unit::Tokens, 10_000_000_000));
    }
    ledger
}

fn pair(ledger: &mut Ledger, number: u64) {
    let body = format!(
        r#"{{"idempotency_key":"r-{number}","subject":{{"tenant":"acme","agent":"bot"}},"action":{{"kind":"llm.completion","name":"gpt-4o"}},"estimate":{{"unit":"TOKENS","amount":1000}}}}"#
    );
    let now = UnixMillis(START + number);
    let reply = post(ledger, now, "/v1/reservations", body);
    let id = reply
        .split(r#""reservation_id":""#)
        .nth(1)
        .expect("a reservation")[..36]
        .to_owned();
    let body = format!(
        r#"{{"idempotency_key":"c-{number}","actual":{{"unit":"TOKENS","amount":{}}}}}"#,
        500 + number % 500
    );
    post(ledger, now, &format!("/v1/reservations/{id}/commit"), body);
}

fn post(ledger: &mut Ledger, now: UnixMillis, path: &str, body: String) -> String {
    let request = Request::post(path)
        .header("x-cycles-api-key", KEY)
        .header("content-type", "application/json");
    let response = ledger.handle(now, &request.body(Bytes::from(body)).unwrap());
    assert_eq!(response.status(), 200, "{path}");
    String::from_utf8(response.body().to_vec()).unwrap()
}

fn get(ledger: &mut Ledger, path: &str) {
    let request = Request::get(path)
        .header("x-cycles-api-key", KEY)
        .body(Bytes::new())
        .unwrap();
    assert_eq!(
        ledger.handle(UnixMillis(START + PAIRS), &request).status(),
        200,
        "{path}"
    );
}

/// The memory of this process, in bytes; 0 where that cannot be read.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = text.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .trim()
            .strip_suffix(" kB")?
            .parse()
            .ok()
    });
    kib.unwrap_or(0) * 1_024
}

fn grown(before: u64) -> String {
    format!(
        "{} MB more than before",
        (resident().saturating_sub(before)) / 1_000_000
    )
}
