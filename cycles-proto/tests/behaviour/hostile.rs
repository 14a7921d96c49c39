//! Hostile answers: an operation ends with a value or an error and never with a panic, nothing that it returns shows
//! the API key, and no settlement succeeds unless the answer explicitly says so.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::models::*;
use cycles_proto::parts::Reply;
use cycles_proto::{CyclesConfig, Error, Operation, Progress, Seed};
use http::Response;

const KEY: &str = "cyc_live_0123456789";

#[test]
fn ten_thousand_hostile_responses_give_errors_and_no_panic() {
    let mut dice = Dice(0x5eed);
    let (mut errors, mut successes) = (0, 0);
    for _ in 0..10_000 {
        let response = hostile(&mut dice);
        let oks = answer_all(&response);
        for ok in &oks {
            if *ok { successes += 1 } else { errors += 1 }
        }
        for (settled, word) in [(oks[3], "COMMITTED"), (oks[4], "RELEASED"), (oks[8], "APPLIED")] {
            let says = String::from_utf8_lossy(response.body()).contains(word);
            assert!(!settled || says && response.status().is_success(), "{response:?}");
        }
    }
    // A mutation may leave an answer valid; most must not.
    assert!(errors > 10 * successes, "{errors} errors, {successes} successes");
}

#[test]
fn ten_mebibytes_of_anything_give_errors_and_no_panic() {
    let size = 10 << 20;
    for body in [
        vec![b' '; size],
        vec![b'['; size],
        vec![0xff; size],
        b"{\"a\":".repeat(size / 5),
        format!(r#"{{"decision":"{}"#, "A".repeat(size)).into_bytes(),
        format!(
            r#"{{"status":"COMMITTED","charged":{{"unit":"TOKENS","amount":{}}}}}"#,
            "9".repeat(size)
        )
        .into_bytes(),
    ] {
        for status in [200, 409] {
            let response = Response::builder()
                .status(status)
                .body(Bytes::from(body.clone()))
                .unwrap();
            assert!(answer(commit(), &response).is_err(), "{status}");
        }
    }
}

#[test]
fn a_large_error_page_makes_a_small_message() {
    let response = Response::builder()
        .status(404)
        .body(Bytes::from(vec![b'x'; 10 << 20]))
        .unwrap();
    let error = answer(commit(), &response).unwrap_err();
    assert!(error.to_string().len() < 1_000 && format!("{error:?}").len() < 3_000);
}

/// Gives the same response to every operation. Returns whether each succeeded.
fn answer_all(response: &Response<Bytes>) -> Vec<bool> {
    let (config, seed) = (config(), Seed([1; 16]));
    let id = ReservationId::from("r");
    let balances = BalanceParams {
        tenant: Some("t".into()),
        ..Default::default()
    };
    let subject = || Subject::tenant("t");
    let action = || Action::new("k", "n");
    let create = |dry_run| {
        ReservationCreateRequest::builder()
            .subject(subject())
            .action(action())
            .estimate(Amount::tokens(1))
            .dry_run(dry_run)
            .build()
    };
    let decide = DecisionRequest::builder()
        .subject(subject())
        .action(action())
        .estimate(Amount::tokens(1))
        .build();
    let event = EventCreateRequest::builder()
        .subject(subject())
        .action(action())
        .actual(Amount::tokens(1))
        .build();
    let release = ReleaseRequest::builder().build();
    let extend = ReservationExtendRequest::new(1);
    let list = ListReservationsParams::default();
    vec![
        answer(Operation::decide(&config, &decide, seed).unwrap(), response).is_ok(),
        answer(
            Operation::create_reservation(&config, &create(false), seed).unwrap(),
            response,
        )
        .is_ok(),
        answer(
            Operation::create_reservation(&config, &create(true), seed).unwrap(),
            response,
        )
        .is_ok(),
        answer(commit(), response).is_ok(),
        answer(
            Operation::release_reservation(&config, &id, &release, seed).unwrap(),
            response,
        )
        .is_ok(),
        answer(
            Operation::extend_reservation(&config, &id, &extend, seed).unwrap(),
            response,
        )
        .is_ok(),
        answer(Operation::get_reservation(&config, &id, seed).unwrap(), response).is_ok(),
        answer(
            Operation::list_reservations(&config, &list, seed).unwrap(),
            response,
        )
        .is_ok(),
        answer(Operation::create_event(&config, &event, seed).unwrap(), response).is_ok(),
        answer(
            Operation::get_balances(&config, &balances, seed).unwrap(),
            response,
        )
        .is_ok(),
        answer(
            Operation::get_evidence(&config, &"0".repeat(64).into(), seed).unwrap(),
            response,
        )
        .is_ok(),
        answer(Operation::get_evidence_jwks(&config, seed).unwrap(), response).is_ok(),
        answer(Operation::health(&config, seed).unwrap(), response).is_ok(),
    ]
}

fn config() -> Arc<CyclesConfig> {
    Arc::new(CyclesConfig::new(KEY, "http://localhost:7878").unwrap())
}

fn commit() -> Operation<CommitResponse> {
    let request = CommitRequest::builder().actual(Amount::tokens(1)).build();
    Operation::commit_reservation(&config(), &"r".into(), &request, Seed([1; 16])).unwrap()
}

/// Gives the same answer until the operation ends.
fn answer<T: Reply + Debug>(mut operation: Operation<T>, response: &Response<Bytes>) -> Result<T, Error> {
    loop {
        match operation.handle(Duration::ZERO, Ok(response)) {
            Progress::Again(same) => operation = same,
            Progress::Done(result) => {
                let text = match &result {
                    Ok(reply) => format!("{reply:?}"),
                    Err(error) => format!("{error} {error:?}"),
                };
                assert!(!text.contains(KEY), "{text}");
                return result;
            }
        }
    }
}

/// A good response with something done to it.
fn hostile(dice: &mut Dice) -> Response<Bytes> {
    const GOOD: [&str; 8] = [
        r#"{"decision":"ALLOW","reservation_id":"r","affected_scopes":["tenant:t"],"expires_at_ms":1,"remaining_ttl_ms":60000,"reserved":{"unit":"TOKENS","amount":1},"balances":[{"scope":"s","scope_path":"s","remaining":{"unit":"TOKENS","amount":-1}}]}"#,
        r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":9223372036854775807},"released":null}"#,
        r#"{"status":"RELEASED","released":{"unit":"TOKENS","amount":0}}"#,
        r#"{"status":"ACTIVE","expires_at_ms":1795357430109,"remaining_ttl_ms":61000}"#,
        r#"{"status":"APPLIED","event_id":"e","charged":{"unit":"CREDITS","amount":1}}"#,
        r#"{"error":"BUDGET_EXCEEDED","message":"m","request_id":"r","trace_id":"t","details":{"a":[1,{"b":null}]}}"#,
        r#"{"reservations":[{"reservation_id":"r","status":"ACTIVE","subject":{"tenant":"t","dimensions":null},"action":{"kind":"k","name":"n","tags":null},"reserved":{"unit":"TOKENS","amount":1},"created_at_ms":1,"expires_at_ms":2,"scope_path":"s","affected_scopes":[]}],"has_more":false,"next_cursor":null}"#,
        r#"{"schema_version":"v","artifact_type":"decide","server_id":"s","signer_did":"d","issued_at_ms":1,"payload":{},"evidence_id":"e","signature":"s","keys":[],"balances":[],"status":"UP"}"#,
    ];
    const TOKENS: [&str; 16] = [
        "null",
        "true",
        "-1",
        "1e308",
        "1.5",
        "99999999999999999999999999",
        "\"\"",
        "[]",
        "{}",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "-9223372036854775809",
        "NaN",
        "\u{feff}",
        "18446744073709551616",
        "\"TOKENS\"",
    ];
    const STATUSES: [u16; 20] = [
        200, 201, 200, 201, 200, 204, 206, 226, 300, 302, 304, 400, 401, 403, 404, 409, 410, 429, 500, 503,
    ];
    const HEADERS: [(&str, &str); 7] = [
        ("content-type", "text/html"),
        ("content-type", "application/octet-stream"),
        ("retry-after", "99999999999999999999999"),
        ("retry-after", "-5"),
        ("x-request-id", KEY),
        ("x-ratelimit-remaining", "NaN"),
        ("x-cycles-trace-id", "\t"),
    ];

    let good = GOOD[dice.below(GOOD.len())];
    let mut body = good.as_bytes().to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(body.len().max(1));
        match dice.below(9) {
            0 => body.truncate(at),
            1 => body = (0..dice.below(300)).map(|_| dice.byte()).collect(),
            2 if !body.is_empty() => body[at] = dice.byte(),
            3 => {
                let token = TOKENS[dice.below(TOKENS.len())];
                body.splice(at..at, token.bytes());
            }
            4 => body = replace_a_value(&body, TOKENS[dice.below(TOKENS.len())]),
            5 => {
                let depth = dice.below(3_000);
                body = [b"[".repeat(depth), b"{\"a\":".repeat(depth)].concat();
            }
            6 => body.extend_from_within(at..),
            7 => {
                let key = if at.is_multiple_of(2) {
                    KEY.to_owned()
                } else {
                    KEY.replace('_', "\\u005f")
                };
                body.splice(at..at, format!("\"{key}\"").into_bytes());
            }
            _ => body.clear(),
        }
    }
    let mut response = Response::builder().status(STATUSES[dice.below(STATUSES.len())]);
    for _ in 0..dice.below(3) {
        let (name, value) = HEADERS[dice.below(HEADERS.len())];
        response = response.header(name, value);
    }
    response.body(Bytes::from(body)).unwrap()
}

/// Replaces the first member's value with `token`.
fn replace_a_value(body: &[u8], token: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    match (text.find(':'), text.find(',')) {
        (Some(colon), Some(comma)) if colon < comma => {
            format!("{}{token}{}", &text[..=colon], &text[comma..]).into_bytes()
        }
        _ => token.as_bytes().to_vec(),
    }
}

/// A small random generator (splitmix64), with the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
