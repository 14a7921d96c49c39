//! Repeated keys: they get the first answer, a mismatch, or a new operation.

use cycles_sandbox::{BudgetStatus, Unit};
use serde_json::{Value, json};

use crate::common::{Answer, Budget, DAY_MS, Desk, merge};

#[test]
fn a_repeated_reserve_gets_the_first_answer_with_a_fresh_time_to_live() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    let body = desk.costing("estimate", 10, &json!({"ttl_ms": 20_000}));
    let first = desk.post("/v1/reservations", &body);
    assert_eq!(first.body["remaining_ttl_ms"], 20_000);
    desk.pass(1_000);
    // On a live server, time passes by itself.
    let left = |answer: &Answer| {
        let left = answer.body["remaining_ttl_ms"].as_i64().unwrap();
        assert!((14_000..=19_000).contains(&left), "{left}");
        left
    };
    let mut expected = first.body.clone();
    let again = desk.post("/v1/reservations", &body);
    expected["remaining_ttl_ms"] = json!(left(&again));
    assert_eq!(again.body, expected);
    assert_eq!(desk.numbers("tenant:acme"), (90, 10, 0, 0));

    let id = first.id();
    desk.extend(&id, 60_000, &Value::Null);
    let again = desk.post("/v1/reservations", &body);
    left(&again); // Later extensions are not part of the first answer.
    desk.commit(&id, 5, &Value::Null);
    expected["remaining_ttl_ms"] = json!(0);
    assert_eq!(
        desk.post("/v1/reservations", &body).body,
        expected,
        "still ALLOW with the old balances"
    );
}

#[test]
fn every_operation_replays_byte_for_byte_and_changes_nothing() {
    let Some(mut desk) = Desk::with_tokens(1000) else {
        return;
    };
    let id = desk.reserve(100, &Value::Null).id();
    let released = desk.reserve(100, &Value::Null).id();
    let actual = json!({"unit": "TOKENS", "amount": 40});
    let event = desk.costing("actual", 7, &Value::Null);
    let decide = desk.costing("estimate", 7, &Value::Null);
    let calls = [
        ("/v1/decide".to_owned(), decide, 200),
        ("/v1/events".to_owned(), event, 201),
        (
            format!("/v1/reservations/{id}/extend"),
            json!({"idempotency_key": "x", "extend_by_ms": 500}),
            200,
        ),
        (
            format!("/v1/reservations/{id}/commit"),
            json!({"idempotency_key": "x", "actual": actual}),
            200,
        ),
        (
            format!("/v1/reservations/{released}/release"),
            json!({"idempotency_key": "x"}),
            200,
        ),
    ];
    for (path, body, status) in calls {
        let first = desk.post(&path, &body);
        assert_eq!(first.status, status, "{path}: {}", first.body);
        let numbers = desk.numbers("tenant:acme");
        let mut second = desk.post(&path, &body);
        if path.ends_with("extend") {
            let left = second.body["remaining_ttl_ms"].as_i64().unwrap();
            assert!((55_000..=60_500).contains(&left), "{left}");
            second.body["remaining_ttl_ms"] = first.body["remaining_ttl_ms"].clone();
            assert_eq!((second.status, second.body), (status, first.body));
        } else {
            assert_eq!((second.status, &second.bytes), (status, &first.bytes), "{path}");
        }
        assert_eq!(desk.numbers("tenant:acme"), numbers, "{path}");
        let mut other = body.clone();
        merge(
            &mut other,
            &if path.ends_with("release") {
                json!({"reason": "r"})
            } else {
                json!({"metadata": {}})
            },
        );
        assert_eq!(
            desk.post(&path, &other).fault(),
            (409, "IDEMPOTENCY_MISMATCH"),
            "{path}"
        );
    }
}

#[test]
fn dry_runs_and_live_reservations_share_their_keys() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    let live = desk.costing("estimate", 10, &Value::Null);
    let mut dry = live.clone();
    dry["dry_run"] = json!(true);
    assert_eq!(desk.post("/v1/reservations", &live).status, 200);
    assert_eq!(
        desk.post("/v1/reservations", &dry).fault(),
        (409, "IDEMPOTENCY_MISMATCH")
    );
}

#[test]
fn a_denial_without_a_hold_sticks_for_a_day_even_after_funding() {
    let Some(mut desk) = Desk::with_tokens(5) else {
        return;
    };
    let decide = desk.costing("estimate", 10, &Value::Null);
    let dry = desk.costing("estimate", 10, &json!({"dry_run": true}));
    for (path, body) in [("/v1/decide", &decide), ("/v1/reservations", &dry)] {
        assert_eq!(desk.post(path, body).body["decision"], "DENY");
    }
    desk.credit("tenant:acme", 100);
    for (path, body) in [("/v1/decide", &decide), ("/v1/reservations", &dry)] {
        assert_eq!(desk.post(path, body).body["decision"], "DENY", "{path}");
    }
    if desk.ends_live("the end of a day is not waited for") {
        return;
    }
    desk.pass(DAY_MS);
    for (path, body) in [("/v1/decide", &decide), ("/v1/reservations", &dry)] {
        assert_eq!(desk.post(path, body).body["decision"], "DENY", "{path}");
    }
    desk.pass(1);
    for (path, body) in [("/v1/decide", &decide), ("/v1/reservations", &dry)] {
        assert_eq!(desk.post(path, body).body["decision"], "ALLOW", "{path}");
    }
}

#[test]
fn a_refused_operation_leaves_its_key_free_for_another_payload() {
    let Some(mut desk) = Desk::with_tokens(5) else {
        return;
    };
    let key = json!({"idempotency_key": "k"});
    assert_eq!(desk.reserve(10, &key).fault(), (409, "BUDGET_EXCEEDED"));
    assert_eq!(desk.reserve(4, &key).status, 200);
    let reject = json!({"idempotency_key": "k", "overage_policy": "REJECT"});
    assert_eq!(desk.event(10, &reject).fault(), (409, "BUDGET_EXCEEDED"));
    assert_eq!(desk.event(1, &key).status, 201);
}

#[test]
fn the_same_text_may_be_a_key_of_every_operation_and_reservation() {
    let Some(mut desk) = Desk::with_tokens(1000) else {
        return;
    };
    let key = json!({"idempotency_key": "k"});
    let first = desk.reserve(10, &key).id();
    let second = desk.reserve(10, &Value::Null).id();
    assert_eq!(desk.decide(1, &key).status, 200);
    assert_eq!(desk.event(1, &key).status, 201);
    for id in [&first, &second] {
        assert_eq!(desk.extend(id, 100, &key).status, 200);
        assert_eq!(desk.commit(id, 1, &key).status, 200);
    }
}

#[test]
fn another_key_on_a_settled_reservation_is_finalized_and_no_mismatch() {
    let Some(mut desk) = Desk::with_tokens(1000) else {
        return;
    };
    let id = desk.reserve(10, &Value::Null).id();
    let key = json!({"idempotency_key": "k"});
    assert_eq!(desk.commit(&id, 5, &key).status, 200);
    assert_eq!(desk.commit(&id, 6, &key).fault(), (409, "IDEMPOTENCY_MISMATCH"));
    assert_eq!(
        desk.commit(&id, 5, &Value::Null).fault(),
        (409, "RESERVATION_FINALIZED")
    );
    assert_eq!(desk.release(&id, &key).fault(), (409, "RESERVATION_FINALIZED"));
    assert_eq!(
        desk.extend(&id, 100, &key).fault(),
        (409, "RESERVATION_FINALIZED")
    );
}

#[test]
fn payloads_are_compared_after_parsing_except_inside_free_maps() {
    let base = r#"{"idempotency_key":"k","subject":{"tenant":"acme"},"action":{"kind":"a","name":"b"},
        "estimate":{"unit":"TOKENS","amount":5}"#;
    let same = [
        r#","dry_run":false,"grace_period_ms":5000}"#,
        r#","ttl_ms":null,"metadata":null,"overage_policy":null} trailing"#,
        r#","estimate":{"amount":"5","unit":1}}"#,
        r#","estimate":{"amount":5.9,"unit":" TOKENS "}}"#,
    ];
    let different = [
        r#","dry_run":null}"#,
        r#","grace_period_ms":null}"#,
        r#","ttl_ms":60000}"#,
        r#","overage_policy":"ALLOW_IF_AVAILABLE"}"#,
        r#","metadata":{}}"#,
    ];
    for (tails, status) in [(&same[..], 200), (&different[..], 409)] {
        for tail in tails {
            let Some(mut desk) = Desk::with_tokens(100) else {
                return;
            };
            assert_eq!(
                desk.post_text("/v1/reservations", &format!("{base}}}")).status,
                200
            );
            let answer = desk.post_text("/v1/reservations", &format!("{base}{tail}"));
            assert_eq!(answer.status, status, "{tail}: {}", answer.body);
        }
    }
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    let with = |metadata: &str| format!(r#"{base},"metadata":{metadata}}}"#);
    assert_eq!(
        desk.post_text("/v1/reservations", &with(r#"{"a":1,"b":2}"#))
            .status,
        200
    );
    assert_eq!(
        desk.post_text("/v1/reservations", &with(r#"{ "a" : 1 , "b" : 2 }"#))
            .status,
        200
    );
    for other in [r#"{"b":2,"a":1}"#, r#"{"a":1.0,"b":2}"#] {
        assert_eq!(
            desk.post_text("/v1/reservations", &with(other)).status,
            409,
            "{other}"
        );
    }
}

#[test]
fn replays_come_before_the_checks_of_budget_and_state() {
    let Some(mut desk) = Desk::with_tokens(1000) else {
        return;
    };
    let body = desk.costing("estimate", 10, &Value::Null);
    let id = desk.post("/v1/reservations", &body).id();
    let extend = json!({"idempotency_key": "e"});
    desk.extend(&id, 1000, &extend);
    desk.commit(&id, 1, &Value::Null);
    desk.set_budget_status("tenant:acme", Unit::Tokens, BudgetStatus::Closed);
    assert_eq!(desk.post("/v1/reservations", &body).status, 200);
    let replayed = desk.extend(&id, 1000, &extend);
    assert_eq!(
        (replayed.status, &replayed.body["remaining_ttl_ms"]),
        (200, &json!(0))
    );
}

#[test]
fn after_a_day_the_key_of_a_reservation_makes_a_new_one() {
    let reason = "a day is not waited for";
    let Some(mut desk) = Desk::in_virtual_time(100, reason) else {
        return;
    };
    let body = desk.costing("estimate", 10, &Value::Null);
    let first = desk.post("/v1/reservations", &body).id();
    desk.pass(DAY_MS);
    assert_eq!(desk.post("/v1/reservations", &body).id(), first);
    desk.pass(1);
    assert_ne!(desk.post("/v1/reservations", &body).id(), first);
    let rows = desk.get(&format!(
        "/v1/reservations?idempotency_key={}",
        body["idempotency_key"].as_str().unwrap()
    ));
    assert_eq!(rows.body["reservations"].as_array().unwrap().len(), 2);
}

#[test]
fn an_event_key_is_kept_for_seven_days() {
    let reason = "seven days are not waited for";
    let Some(mut desk) = Desk::in_virtual_time(100, reason) else {
        return;
    };
    let body = desk.costing("actual", 10, &Value::Null);
    let first = desk.post("/v1/events", &body);
    desk.pass(7 * DAY_MS);
    assert_eq!(desk.post("/v1/events", &body).bytes, first.bytes);
    desk.pass(1);
    assert_ne!(
        desk.post("/v1/events", &body).body["event_id"],
        first.body["event_id"]
    );
    assert_eq!(desk.ledger().events_applied(), 2);
}

#[test]
fn an_extend_key_is_forgotten_with_its_own_expiry_and_then_extends_again() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    let id = desk.reserve(1, &json!({"ttl_ms": 1000})).id();
    let short = json!({"idempotency_key": "short"});
    let (_, expires_at) = desk.times(&id);
    assert_eq!(
        desk.extend(&id, 200, &short).body["expires_at_ms"],
        expires_at + 200
    );
    assert_eq!(
        desk.extend(&id, 5_000, &Value::Null).body["expires_at_ms"],
        expires_at + 5_200
    );
    desk.pass(1_201);
    assert_eq!(
        desk.extend(&id, 200, &short).body["expires_at_ms"],
        expires_at + 5_400
    );
}

#[test]
fn an_answer_that_could_not_be_written_stays_an_error_under_its_key() {
    let Some(mut desk) = Desk::new() else { return };
    desk.add_budget(Budget::new("tenant:acme", Unit::Tokens, 100).caps_json("no json"));
    let body = desk.costing("estimate", 10, &Value::Null);
    for _ in 0..2 {
        assert_eq!(
            desk.post("/v1/reservations", &body).fault(),
            (500, "INTERNAL_ERROR")
        );
    }
    assert_eq!(desk.tokens("tenant:acme").reserved, 10, "held once");
}

#[test]
fn the_header_must_repeat_the_key_of_the_body_if_it_is_there() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    let body = desk
        .costing("estimate", 10, &json!({"idempotency_key": "k"}))
        .to_string();
    for (header, status) in [("k", 200), ("other", 400), ("", 400)] {
        let headers = [
            ("x-cycles-api-key", crate::common::KEY),
            ("content-type", "application/json"),
            ("x-idempotency-key", header),
        ];
        assert_eq!(
            desk.send("POST", "/v1/reservations", &headers, body.as_bytes())
                .status,
            status,
            "{header:?}"
        );
    }
}
