//! Invariants after any sequence of operations, and for any bytes.

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use cycles_sandbox::{Funding, Ledger, ReservationStatus, Unit};
use http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{Budget, Desk, KEY, START};

const SCOPES: [&str; 3] = [
    "tenant:acme",
    "tenant:acme/agent:bot",
    "tenant:acme/agent:bot/toolset:t",
];

#[derive(Clone, Debug)]
enum Step {
    /// The operation, the subject's depth, the amount, the policy, and the earlier reservation that it concerns.
    Call(Call, usize, i64, Option<&'static str>, usize),
    Wait(u64),
    Fund(usize, Funding),
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Reserve,
    DryRun,
    Decide,
    Event,
    Commit,
    Release,
    Extend,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let call = prop::sample::select(vec![
        Call::Reserve,
        Call::Reserve,
        Call::DryRun,
        Call::Decide,
        Call::Event,
        Call::Commit,
        Call::Commit,
        Call::Release,
        Call::Extend,
    ]);
    let policy = prop::sample::select(vec![
        None,
        Some("REJECT"),
        Some("ALLOW_IF_AVAILABLE"),
        Some("ALLOW_WITH_OVERDRAFT"),
    ]);
    let amount = prop_oneof![0..200_i64, 0..20_i64, Just(i64::MAX)];
    let funding = (0..60_i64).prop_flat_map(|amount| {
        prop::sample::select(vec![
            Funding::Credit(amount),
            Funding::Debit(amount),
            Funding::Reset(amount * 10),
            Funding::RepayDebt(amount),
        ])
    });
    let step = prop_oneof![
        12 => (call, 0..3_usize, amount, policy, 0..6_usize)
            .prop_map(|(call, depth, amount, policy, which)| Step::Call(call, depth, amount, policy, which)),
        2 => (0..40_000_u64).prop_map(Step::Wait),
        1 => (0..3_usize, funding).prop_map(|(scope, funding)| Step::Fund(scope, funding)),
    ];
    prop::collection::vec(step, 1..40)
}

/// The path and body of a step's request, under a new key.
fn request(desk: &mut Desk, made: &[String], step: &Step) -> Option<(String, Value)> {
    let Step::Call(call, depth, amount, policy, which) = step else {
        return None;
    };
    let mut subject = json!({"tenant": "acme"});
    for (level, value) in [("agent", "bot"), ("toolset", "t")].into_iter().take(*depth) {
        subject[level] = json!(value);
    }
    let id = made.get(made.len().saturating_sub(which + 1));
    let about = |operation: &str| Some(format!("/v1/reservations/{}/{operation}", id?));
    let more = json!({"subject": subject});
    let (path, mut body) = match call {
        Call::Reserve => (
            "/v1/reservations".to_owned(),
            desk.costing("estimate", *amount, &more),
        ),
        Call::DryRun => {
            let mut body = desk.costing("estimate", *amount, &more);
            body["dry_run"] = json!(true);
            ("/v1/reservations".to_owned(), body)
        }
        Call::Decide => ("/v1/decide".to_owned(), desk.costing("estimate", *amount, &more)),
        Call::Event => ("/v1/events".to_owned(), desk.costing("actual", *amount, &more)),
        Call::Commit => {
            let actual = json!({"unit": "TOKENS", "amount": amount});
            (
                about("commit")?,
                json!({"idempotency_key": desk.fresh_key(), "actual": actual}),
            )
        }
        Call::Release => (about("release")?, json!({"idempotency_key": desk.fresh_key()})),
        Call::Extend => {
            let extend_by_ms = (*amount).clamp(1, 86_400_000);
            (
                about("extend")?,
                json!({"idempotency_key": desk.fresh_key(), "extend_by_ms": extend_by_ms}),
            )
        }
    };
    if let (Some(policy), Call::Reserve | Call::DryRun | Call::Event) = (policy, call) {
        body["overage_policy"] = json!(policy);
    }
    Some((path, body))
}

/// Asserts that the books balance, and that the reserved amount is the sum of all active reservations.
fn check(ledger: &Ledger) {
    let held: i64 = ledger
        .reservation_ids()
        .filter_map(|id| ledger.reservation(id))
        .filter(|reservation| reservation.status == ReservationStatus::Active)
        .map(|reservation| reservation.estimate)
        .sum();
    for (scope, _, state) in ledger.budgets() {
        let sum = state.allocated - state.spent - state.reserved - state.debt;
        assert_eq!(state.remaining, sum, "{scope}: {state:?}");
        assert!(
            state.reserved >= 0 && state.spent >= 0 && state.debt >= 0,
            "{scope}: {state:?}"
        );
        assert!(state.debt <= state.overdraft_limit, "{scope}: {state:?}");
    }
    assert_eq!(ledger.budget(SCOPES[0], Unit::Tokens).unwrap().reserved, held);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_books_balance_and_replays_change_nothing(steps in steps(), limits in prop::array::uniform3(0..100_i64)) {
        let mut desk = Desk::inside();
        for ((scope, allocated), limit) in SCOPES.iter().zip([500, 300, 100]).zip(limits) {
            desk.add_budget(Budget::new(scope, Unit::Tokens, allocated).overdraft_limit(limit));
        }
        let mut made = Vec::new();
        for step in &steps {
            match step {
                Step::Wait(ms) => desk.pass(*ms),
                Step::Fund(scope, funding) => {
                    // Some fundings are refused, which is expected.
                    let _ = desk.ledger().fund(SCOPES[*scope], Unit::Tokens, *funding);
                }
                Step::Call(..) => {
                    let Some((path, body)) = request(&mut desk, &made, step) else { continue };
                    let before: Vec<_> = desk.ledger().budgets().map(|(_, _, state)| state).collect();
                    let first = desk.post(&path, &body);
                    prop_assert!(matches!(first.status, 200 | 201 | 409 | 410), "{path}: {}", first.body);
                    let after: Vec<_> = desk.ledger().budgets().map(|(_, _, state)| state).collect();
                    if first.status >= 400 {
                        // Only the sweep may change the books along with a refusal.
                        let swept = before.iter().zip(&after).all(|(b, a)| b.spent == a.spent && b.debt == a.debt);
                        prop_assert!(swept, "{path} was refused and charged");
                    } else {
                        let second = desk.post(&path, &body);
                        prop_assert_eq!((first.status, &first.bytes), (second.status, &second.bytes));
                        let again: Vec<_> = desk.ledger().budgets().map(|(_, _, state)| state).collect();
                        prop_assert_eq!(&after, &again);
                        made.extend(first.body["reservation_id"].as_str().map(str::to_owned));
                    }
                }
            }
            check(desk.ledger());
        }
    }

    #[test]
    fn no_bytes_make_the_ledger_panic(
        path in prop_oneof![
            prop::sample::select(vec!["/v1/decide", "/v1/reservations", "/v1/events", "/v1/reservations/x/commit",
                "/v1/reservations/%00%ff/extend", "/v1/evidence/%e2%82%ac", "//", "/v1/balances?tenant=%ff&cursor=9"]).prop_map(str::to_owned),
            "/[a-z0-9/%.]{0,40}(\\?[a-z_]{0,9}=[!-~&&[^#]]{0,30})?",
        ],
        post in any::<bool>(),
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), "[\\[{\"a-z:0-9.,\\-eE}\\]]{0,80}".prop_map(String::into_bytes)],
        trace in prop::collection::vec(32..=255_u8, 0..80),
    ) {
        let mut desk = Desk::inside_with_tokens(10);
        let request = Request::builder()
            .method(if post { "POST" } else { "GET" })
            .uri(path.as_str())
            .header("x-cycles-api-key", KEY)
            .header("content-type", "application/json")
            .header("traceparent", http::HeaderValue::from_bytes(&trace).unwrap_or(http::HeaderValue::from_static("x")))
            .header("x-idempotency-key", http::HeaderValue::from_bytes(&trace).unwrap_or(http::HeaderValue::from_static("x")));
        if let Ok(request) = request.body(Bytes::from(body)) {
            let response = desk.ledger().handle(UnixMillis(START), &request);
            prop_assert!(response.status().as_u16() >= 200);
        }
    }
}

#[test]
fn hostile_values_are_answered_and_never_panic() {
    let queries = [
        "cursor=eyJ2IjoxfQ",
        "cursor=A",
        "cursor=AAAAA",
        "cursor=%F0%9F%98%80&sort_by=status",
        "limit=-2147483648",
        "limit=99999999999",
        "from=0000-01-01T00:00:00Z",
        "to=9999-12-31T23:59:59.999999999-18:00",
        "from=2026-02-30T00:00:00Z",
        "from=2026-%C3%A9-01T00:00:00Z",
        "from=T",
        "to=TZ",
        "to=2026-01-01T00:00:00+1:00",
        "to=2026-01-01T00:00:00%2B%C3%A91:00",
        "sort_by=status&cursor=eyJ2IjoxLCJzYiI6InN0YXR1cyJ9",
    ];
    let mut desk = Desk::inside_with_tokens(10);
    desk.reserve(1, &Value::Null);
    for query in queries {
        let answer = desk.get(&format!("/v1/reservations?{query}"));
        assert!(
            matches!(answer.status, 200 | 400 | 500),
            "{query}: {}",
            answer.status
        );
    }
    let deep = "[".repeat(100_000);
    let wide = format!("{{{}\"a\":1}}", "\"b\":1,".repeat(50_000));
    let surrogate = r#"{"idempotency_key":"\ud800"}"#;
    for body in [
        deep.as_str(),
        wide.as_str(),
        surrogate,
        "\u{feff}{}",
        "{\"metadata\":{\"a\":1e400}}",
    ] {
        assert_eq!(desk.post_text("/v1/decide", body).status, 400);
    }
    for time in [0, u64::MAX, 1] {
        let body = desk.costing("estimate", 1, &json!({"ttl_ms": 86_400_000}));
        let requests = [
            Request::post("/v1/reservations").header("content-type", "application/json"),
            Request::get("/v1/reservations?sort_dir=asc"),
        ];
        for request in requests {
            let request = request.header("x-cycles-api-key", KEY);
            let request = request.body(Bytes::from(body.to_string())).unwrap();
            assert_eq!(desk.ledger().handle(UnixMillis(time), &request).status(), 200);
        }
    }
}

#[test]
fn the_same_seed_and_requests_give_the_same_bytes() {
    let run = || {
        let mut desk = Desk::inside_with_tokens(1_000);
        let mut bytes = Vec::new();
        for amount in [5, 700, 900, 1] {
            let answer = desk.reserve(amount, &Value::Null);
            bytes.push((answer.bytes, format!("{:?}", answer.headers)));
            desk.pass(50_000);
        }
        bytes
    };
    assert_eq!(run(), run());
}
