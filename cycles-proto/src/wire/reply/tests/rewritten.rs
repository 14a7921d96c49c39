//! Successes that something on the way has rewritten.

use super::*;

#[test]
fn a_success_is_one_with_a_byte_order_mark_and_with_integers_written_as_floats() {
    for (written, amount) in [
        ("42.0", 42),
        ("4.2e1", 42),
        ("42E+0", 42),
        ("4200e-2", 42),
        ("0.0", 0),
        ("9007199254740993.0", 9_007_199_254_740_993),
        ("9.223372036854775807e18", i64::MAX),
    ] {
        let body = format!(
            "\u{feff}{{\"status\":\"COMMITTED\",\"charged\":{{\"unit\":\"TOKENS\",\"amount\":{written}}}}}"
        );
        match verdict::<CommitResponse>(OperationKind::CommitReservation, &response(200, &body)) {
            Verdict::Success(reply) => assert_eq!(reply.charged.amount, amount, "{written}"),
            other => panic!("{written}: {other:?}"),
        }
    }
    for other in [
        "42.5",
        "\"42\"",
        "-1.0",
        "9223372036854775808.0",
        "1e400",
        "4e-1",
        "042.0",
        "1.",
        "NaN",
    ] {
        let body = format!(r#"{{"status":"COMMITTED","charged":{{"unit":"TOKENS","amount":{other}}}}}"#);
        assert_eq!(commit(200, &body), "ambiguous", "{other}");
    }
    let mark_within = "\u{feff}\u{feff}".to_owned() + COMMITTED;
    assert_eq!(commit(200, &mark_within), "ambiguous");
}

#[test]
fn every_integer_of_every_reply_may_be_written_as_a_float() {
    fn of<T: Reply>(kind: OperationKind, body: &str) -> T {
        match verdict::<T>(kind, &response(200, body)) {
            Verdict::Success(reply) => reply,
            other => panic!("{kind:?}: {}", name(&other)),
        }
    }
    let reply: ReservationCreateResponse = of(
        LIVE,
        r#"{"decision":"ALLOW","affected_scopes":[],"reservation_id":"r","expires_at_ms":1.795e12,
        "remaining_ttl_ms":60000.0,"retry_after_ms":5e3,"caps":{"max_tokens":1e2,"max_steps_remaining":3.0,
        "cooldown_ms":0.0},"reserved":{"unit":"TOKENS","amount":1.0},"balances":[{"scope":"s","scope_path":"s",
        "remaining":{"unit":"TOKENS","amount":-5.0},"spent":{"unit":"TOKENS","amount":7e0}}]}"#,
    );
    assert_eq!(reply.remaining_ttl_ms, Some(60_000));
    assert_eq!(reply.expires_at_ms.unwrap(), 1_795_000_000_000);
    let caps = reply.caps.unwrap();
    assert_eq!(
        (
            reply.retry_after_ms,
            caps.max_tokens,
            caps.max_steps_remaining,
            caps.cooldown_ms
        ),
        (Some(5_000), Some(100), Some(3), Some(0))
    );
    let balances = reply.balances.unwrap();
    assert_eq!(balances[0].remaining.amount, -5);
    assert_eq!(balances[0].spent.as_ref().unwrap().amount, 7);
    let extended: ReservationExtendResponse = of(
        OperationKind::ExtendReservation,
        r#"{"status":"ACTIVE","expires_at_ms":2.0,"remaining_ttl_ms":1.0}"#,
    );
    assert_eq!((extended.expires_at_ms, extended.remaining_ttl_ms), (2, Some(1)));
    let detail: ReservationDetail = of(
        OperationKind::GetReservation,
        r#"{"reservation_id":"1.0","status":"ACTIVE","subject":{},"action":{"kind":"k","name":"2.0"},
        "reserved":{"unit":"TOKENS","amount":1.0},"created_at_ms":1.0,"expires_at_ms":2.0,"finalized_at_ms":3.0,
        "scope_path":"s","affected_scopes":["4.0"]}"#,
    );
    assert_eq!(detail.finalized_at_ms.unwrap(), 3);
    assert_eq!(detail.reservation_id.as_str(), "1.0");
    let keys: CyclesEvidenceJwks = of(
        OperationKind::GetEvidenceJwks,
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"x","kid":"k","cycles_nbf_ms":1.0,"cycles_exp_ms":2e0}]}"#,
    );
    assert_eq!(
        (keys.keys[0].cycles_nbf_ms, keys.keys[0].cycles_exp_ms),
        (1, Some(2))
    );
}

#[test]
fn why_a_success_cannot_be_read_is_told_without_quoting_it() {
    let unreadable = |body: &str| match verdict::<CommitResponse>(
        OperationKind::CommitReservation,
        &response(200, body),
    ) {
        Verdict::Ambiguous(reply) => reply.unreadable.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        unreadable(r#"{"status":"COMMITTED"}"#),
        "missing field `charged` at line 1 column 22"
    );
    for (body, problem) in [
        (
            r#"{"status":5,"charged":"secret"}"#,
            "`status` has an invalid value at line 1 column 11",
        ),
        (
            r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":1.5}}"#,
            "`charged.amount` has an invalid value at line 1 column 61",
        ),
        (
            r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":"42"}}"#,
            "`charged.amount` has an invalid value at line 1 column 62",
        ),
        (
            r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":-1}}"#,
            "`charged` has an invalid value at line 1 column 61",
        ),
        ("secret", "it is not a JSON object"),
        ("{secret", "it is not valid JSON at line 1 column 2"),
    ] {
        assert_eq!(unreadable(body), problem, "{body}");
    }
    assert_eq!(
        unreadable(r#"{"status":"ACTIVE","charged":{"unit":"TOKENS","amount":1}}"#),
        "its status is not COMMITTED"
    );
}
