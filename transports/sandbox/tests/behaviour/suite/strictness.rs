//! Request bodies that are accepted, coerced or refused, and the messages.

use serde_json::{Value, json};

use crate::common::Desk;

/// A reserve body in which `text` replaces one member's value, or is added after the others.
fn body(desk: &mut Desk, member: &str, text: &str) -> String {
    let mut members = vec![
        ("idempotency_key", format!("\"{}\"", desk.fresh_key())),
        ("subject", r#"{"tenant":"acme"}"#.to_owned()),
        ("action", r#"{"kind":"llm.completion","name":"m"}"#.to_owned()),
        ("estimate", r#"{"unit":"TOKENS","amount":5}"#.to_owned()),
    ];
    if text != "-" {
        members.retain(|(name, _)| *name != member);
        members.push((member, text.to_owned()));
    } else {
        members.retain(|(name, _)| *name != member);
    }
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// `None` for an accepted body, else the message of its 400.
fn refusal_of(desk: &mut Desk, text: &str) -> Option<String> {
    let answer = desk.post_text("/v1/reservations", text);
    match answer.status {
        200 => None,
        400 => Some(answer.message().to_owned()),
        _ => panic!("{text}: {} {}", answer.status, answer.body),
    }
}

const MALFORMED: &str = "Malformed request body";

#[test]
fn bodies_that_are_no_request_at_all_are_malformed() {
    let mut desk = Desk::with_enough_tokens();
    let bodies = [
        "",
        " ",
        "null",
        "[]",
        "5",
        "\"x\"",
        "{",
        "{'a':1}",
        "/*c*/{}",
        "{\"a\":NaN}",
        "{\"a\":01}",
        "{\"a\":1,}",
        "{\"a\"}",
        "{}}x[",
    ];
    for text in bodies {
        let refusal = refusal_of(&mut desk, text).unwrap();
        if text.starts_with("{}") {
            assert!(refusal.starts_with("Validation failed: "), "{text}: {refusal}");
        } else {
            assert_eq!(refusal, MALFORMED, "{text}");
        }
    }
    let marked = format!("\u{feff}{}", body(&mut desk, "dry_run", "false"));
    assert_eq!(
        refusal_of(&mut desk, &marked),
        None,
        "a byte order mark is skipped"
    );
    let followed = body(&mut desk, "dry_run", "false") + " }]garbage";
    assert_eq!(refusal_of(&mut desk, &followed), None, "what follows is ignored");
}

#[test]
fn values_are_coerced_as_the_servers_mapper_does() {
    let mut desk = Desk::with_enough_tokens();
    let accepted = [
        ("estimate", r#"{"unit":"TOKENS","amount":"5"}"#),
        ("estimate", r#"{"unit":"TOKENS","amount":5.9}"#),
        ("estimate", r#"{"unit":"TOKENS","amount":1e3}"#),
        ("estimate", r#"{"unit":1,"amount":5}"#),
        ("estimate", r#"{"unit":"1","amount":5}"#),
        ("estimate", r#"{"unit":" TOKENS ","amount":5}"#),
        ("estimate", r#"{"unit":"CREDITS","unit":"TOKENS","amount":5}"#),
        ("idempotency_key", "5"),
        ("idempotency_key", "true"),
        ("idempotency_key", r#"" ""#),
        ("dry_run", r#""true""#),
        ("dry_run", "1"),
        ("dry_run", r#""""#),
        ("dry_run", "null"),
        ("ttl_ms", r#""""#),
        ("ttl_ms", r#""60000""#),
        ("overage_policy", "0"),
        ("overage_policy", "null"),
        ("metadata", r#"{"unknown":{"deep":[1,null]}}"#),
        ("metadata", "null"),
        (
            "subject",
            r#"{"tenant":"acme","dimensions":{"a":5,"b":null,"C c":"x"}}"#,
        ),
        ("action", r#"{"kind":"k","name":5,"tags":["a",null,7]}"#),
    ];
    for (member, text) in accepted {
        let body = body(&mut desk, member, text);
        assert_eq!(refusal_of(&mut desk, &body), None, "{member}: {text}");
    }
    let cut = body(&mut desk, "estimate", r#"{"unit":"TOKENS","amount":5.9}"#);
    let answer = desk.post_text("/v1/reservations", &cut);
    assert_eq!(answer.amount("reserved"), Some(5));
}

#[test]
fn values_of_the_wrong_kind_are_malformed() {
    let mut desk = Desk::with_enough_tokens();
    let malformed = [
        ("estimate", r#"{"unit":"TOKENS","amount":"5.9"}"#),
        ("estimate", r#"{"unit":"TOKENS","amount":true}"#),
        ("estimate", r#"{"unit":"TOKENS","amount":[5]}"#),
        ("estimate", r#"{"unit":"TOKENS","amount":9223372036854775808}"#),
        ("estimate", r#"{"unit":"TOKENS","amount":1e30}"#),
        ("estimate", r#"{"unit":"tokens","amount":5}"#),
        ("estimate", r#"{"unit":"","amount":5}"#),
        ("estimate", r#"{"unit":4,"amount":5}"#),
        ("estimate", r#"{"unit":"TOKENS","amount":5,"extra":null}"#),
        ("idempotency_key", "{}"),
        ("dry_run", r#""yes""#),
        ("dry_run", "1.5"),
        ("overage_policy", r#""reject""#),
        ("metadata", r#""text""#),
        ("metadata", "[]"),
        ("action", r#"{"kind":"k","name":"n","tags":"a"}"#),
        ("subject", r#"{"tenant":"acme","dimensions":{"a":{}}}"#),
        ("subject", r#"{"tenant":"acme","team":"x"}"#),
        ("dryRun", "true"),
        ("policy_keys", "null"),
    ];
    for (member, text) in malformed {
        let body = body(&mut desk, member, text);
        assert_eq!(
            refusal_of(&mut desk, &body).as_deref(),
            Some(MALFORMED),
            "{member}: {text}"
        );
    }
}

#[test]
fn values_outside_their_limits_are_named_in_camel_case() {
    let mut desk = Desk::with_enough_tokens();
    let long = |length: usize| format!("\"{}\"", "x".repeat(length));
    let tags = format!("[{}]", ["\"t\""; 11].join(","));
    let dimensions: Vec<String> = (0..17).map(|index| format!("\"d{index}\":\"v\"")).collect();
    let rows = [
        (
            "idempotency_key",
            "null".to_owned(),
            "idempotencyKey: must not be null",
        ),
        (
            "idempotency_key",
            "-".to_owned(),
            "idempotencyKey: must not be null",
        ),
        (
            "idempotency_key",
            long(257),
            "idempotencyKey: size must be between 1 and 256",
        ),
        ("subject", "-".to_owned(), "subject: must not be null"),
        (
            "subject",
            r#"{"tenant":""}"#.to_owned(),
            "subject.tenant: must contain only alphanumeric",
        ),
        (
            "subject",
            r#"{"tenant":"acme","agent":"a b"}"#.to_owned(),
            "subject.agent: must contain only alphanumeric",
        ),
        (
            "subject",
            format!(r#"{{"app":{}}}"#, long(129)),
            "subject.app: size must be between 0 and 128",
        ),
        (
            "subject",
            r#"{"dimensions":{"a":"b"}}"#.to_owned(),
            "subject.hasAtLeastOneStandardField: At least one",
        ),
        (
            "subject",
            format!(r#"{{"app":"a","dimensions":{{{}}}}}"#, dimensions.join(",")),
            "subject.dimensions: size",
        ),
        ("action", "null".to_owned(), "action: must not be null"),
        (
            "action",
            r#"{"kind":" ","name":"n"}"#.to_owned(),
            "action.kind: must not be blank",
        ),
        (
            "action",
            r#"{"kind":"k"}"#.to_owned(),
            "action.name: must not be blank",
        ),
        (
            "action",
            format!(r#"{{"kind":{},"name":"n"}}"#, long(65)),
            "action.kind: size must be between 0 and 64",
        ),
        (
            "action",
            format!(r#"{{"kind":"k","name":"n","tags":{tags}}}"#),
            "action.tags: size must be between 0 and 10",
        ),
        (
            "action",
            format!(r#"{{"kind":"k","name":"n","tags":[{}]}}"#, long(65)),
            "action.tags[0]: size",
        ),
        ("estimate", "-".to_owned(), "estimate: must not be null"),
        (
            "estimate",
            r#"{"amount":5}"#.to_owned(),
            "estimate.unit: must not be null",
        ),
        (
            "estimate",
            r#"{"unit":"TOKENS"}"#.to_owned(),
            "estimate.amount: must not be null",
        ),
        (
            "estimate",
            r#"{"unit":"TOKENS","amount":-1}"#.to_owned(),
            "estimate.amount: must be greater than or equal to 0",
        ),
        (
            "ttl_ms",
            "999".to_owned(),
            "ttlMs: must be greater than or equal to 1000",
        ),
        (
            "ttl_ms",
            "86400001".to_owned(),
            "ttlMs: must be less than or equal to 86400000",
        ),
        (
            "grace_period_ms",
            "60001".to_owned(),
            "gracePeriodMs: must be less than or equal to 60000",
        ),
    ];
    for (member, text, expected) in rows {
        let body = body(&mut desk, member, &text);
        let refusal = refusal_of(&mut desk, &body).unwrap_or_else(|| panic!("{member}: {text} was accepted"));
        assert!(
            refusal.starts_with("Validation failed: ") && refusal.contains(expected),
            "{member}: {text}: {refusal}"
        );
    }
}

#[test]
fn limits_of_the_other_operations_hold() {
    let mut desk = Desk::with_enough_tokens();
    let id = desk.reserve(10, &Value::Null).id();
    let rows = [
        (
            desk.extend(&id, 0, &Value::Null),
            "extendByMs: must be greater than or equal to 1",
        ),
        (
            desk.extend(&id, 86_400_001, &Value::Null),
            "extendByMs: must be less than or equal to 86400000",
        ),
        (
            desk.extend(&id, 1, &json!({"extend_by_ms": null})),
            "extendByMs: must not be null",
        ),
        (
            desk.release(&id, &json!({"reason": "x".repeat(257)})),
            "reason: size must be between 0 and 256",
        ),
        (
            desk.commit(&id, -1, &Value::Null),
            "actual.amount: must be greater than or equal to 0",
        ),
        (
            desk.commit(&id, 1, &json!({"metrics": {"tokens_input": -1}})),
            "metrics.tokensInput: must be greater than or equal to 0",
        ),
        (
            desk.commit(&id, 1, &json!({"metrics": {"model_version": "x".repeat(129)}})),
            "metrics.modelVersion: size must be between 0 and 128",
        ),
        (
            desk.event(1, &json!({"client_time_ms": -1})),
            "clientTimeMs: must be greater than or equal to 0",
        ),
    ];
    for (answer, expected) in rows {
        assert_eq!(answer.fault(), (400, "INVALID_REQUEST"));
        assert_eq!(answer.message(), format!("Validation failed: {expected}"));
    }
    let malformed = [
        desk.commit(&id, 1, &json!({"metrics": {"latency_ms": 2_147_483_648_i64}})),
        desk.commit(&id, 1, &json!({"subject": {"tenant": "acme"}})),
        desk.release(&id, &json!({"metadata": {}})),
        desk.decide(1, &json!({"ttl_ms": 1000})),
    ];
    for answer in malformed {
        assert_eq!(answer.message(), MALFORMED);
    }
    let fine = json!({"metrics": {"latency_ms": 5, "custom": {"any": [1]}}, "metadata": {}});
    assert_eq!(desk.commit(&id, 1, &fine).status, 200);
}

#[test]
fn several_violations_are_reported_together() {
    let mut desk = Desk::with_enough_tokens();
    let refusal = refusal_of(&mut desk, "{}").unwrap();
    for path in ["idempotencyKey", "subject", "action", "estimate"] {
        assert!(
            refusal.contains(&format!("{path}: must not be null")),
            "{refusal}"
        );
    }
}
