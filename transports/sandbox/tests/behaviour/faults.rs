//! Injected faults, as a client on a socket sees them.

use std::time::Duration;

use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Sandbox, Unit};

use crate::common::wire::{Ending, Line};

/// A sandbox with this fault.
fn with(rule: &str) -> Sandbox {
    let sandbox = Sandbox::start().unwrap();
    sandbox.inject(rule.parse().unwrap());
    sandbox
}

/// Sends an event that costs 10 tokens, and returns how its answer ended.
fn event(sandbox: &Sandbox) -> Ending {
    let body = r#"{"idempotency_key":"e","subject":{"tenant":"acme-corp"},"action":{"kind":"k","name":"n"},"actual":{"unit":"TOKENS","amount":10}}"#;
    Line::open(sandbox).exchange(sandbox, "POST", "/v1/events", body)
}

fn spent(sandbox: &Sandbox) -> i64 {
    sandbox
        .with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens))
        .unwrap()
        .spent
}

#[test]
fn a_refusal_that_was_put_in_the_way_leaves_the_ledger_alone_and_ends() {
    let sandbox = with("event:503@first=1");
    assert_eq!(event(&sandbox).status(), Some(503));
    assert_eq!(spent(&sandbox), 0);
    assert_eq!(event(&sandbox).status(), Some(201));
    let sandbox = with("event:429=7");
    let answer = event(&sandbox);
    assert_eq!(
        (answer.status(), answer.header("retry-after")),
        (Some(429), Some("7"))
    );
    assert!(answer.body().contains("LIMIT_EXCEEDED"));
    let answer = event(&with("event:429"));
    assert_eq!((answer.status(), answer.header("retry-after")), (Some(429), None));
}

#[test]
fn a_refusal_for_a_while_ends_with_the_while() {
    let sandbox = with("event:401@for=10s");
    assert_eq!(event(&sandbox).status(), Some(401));
    sandbox.advance(Duration::from_secs(10));
    assert_eq!(event(&sandbox).status(), Some(201));
}

#[test]
fn a_page_of_somebody_else_is_no_answer_of_the_protocol() {
    for status in [403, 404, 410] {
        let sandbox = with(&format!("event:page={status}"));
        let answer = event(&sandbox);
        assert_eq!(
            (answer.status(), answer.header("content-type")),
            (Some(status), Some("text/html"))
        );
        assert_eq!(spent(&sandbox), 0);
    }
}

#[test]
fn what_is_lost_before_the_ledger_was_never_done_and_what_is_lost_after_it_was() {
    for (rule, ending, done) in [
        ("event:lose-request", Ending::Closed, 0),
        ("event:lose-response", Ending::Closed, 10),
        ("event:reset-request", Ending::Reset, 0),
        ("event:reset-response", Ending::Reset, 10),
    ] {
        let sandbox = with(rule);
        assert_eq!((event(&sandbox), spent(&sandbox)), (ending, done), "{rule}");
    }
}

#[test]
fn an_answer_that_hides_what_was_done() {
    let sandbox = with("event:after=500");
    assert_eq!((event(&sandbox).status(), spent(&sandbox)), (Some(500), 10));
    let sandbox = with("event:garbage");
    let answer = event(&sandbox);
    assert_eq!((answer.status(), spent(&sandbox)), (Some(201), 10));
    assert!(serde_json::from_str::<serde_json::Value>(answer.body()).is_err());
    let refused = with("event:garbage");
    refused.with_ledger(|ledger| {
        let status = cycles_sandbox::BudgetStatus::Frozen;
        ledger
            .set_budget_status(DEFAULT_TENANT_SCOPE, Unit::Tokens, status)
            .unwrap();
    });
    assert_eq!(
        event(&refused).status(),
        Some(200),
        "garbage is always a success by its status"
    );
}

#[test]
fn an_answer_that_the_protocol_does_not_have_follows_what_was_done() {
    let whole = event(&with("event:delay=1ms"));
    let spoilt = |rule: &str| {
        let sandbox = with(rule);
        let answer = event(&sandbox);
        assert_eq!((answer.status(), spent(&sandbox)), (Some(201), 10), "{rule}");
        answer.body().to_owned()
    };
    let parsed = |body: &str| serde_json::from_str::<serde_json::Value>(body).unwrap();
    assert!(!parsed(whole.body())["event_id"].is_null());
    let without = parsed(&spoilt("event:without=event_id"));
    assert!(
        without["event_id"].is_null() && without["status"] == "APPLIED",
        "{without}"
    );
    let saying = parsed(&spoilt("event:saying=PENDING"));
    assert!(
        !saying["event_id"].is_null() && saying["status"] == "PENDING",
        "{saying}"
    );
    let trailed = spoilt("event:trailed");
    let mut documents = serde_json::Deserializer::from_str(&trailed).into_iter::<serde_json::Value>();
    assert_eq!(documents.next().unwrap().unwrap()["status"], "APPLIED");
    assert!(documents.next().unwrap().is_err(), "{trailed}");
    let refused = with("event:trailed");
    refused.with_ledger(|ledger| {
        let status = cycles_sandbox::BudgetStatus::Frozen;
        ledger
            .set_budget_status(DEFAULT_TENANT_SCOPE, Unit::Tokens, status)
            .unwrap();
    });
    parsed(event(&refused).body());
}

#[test]
fn a_cut_answer_stops_in_its_middle() {
    let sandbox = with("event:cut");
    let Ending::Partial { promised, got } = event(&sandbox) else {
        panic!("whole")
    };
    assert!(got > 0 && got < promised, "{got} of {promised}");
    assert_eq!(spent(&sandbox), 10);
}

#[test]
fn a_dripping_answer_arrives_whole() {
    let sandbox = with("event:drip=1ms");
    let began = std::time::Instant::now();
    let answer = event(&sandbox);
    assert_eq!(answer.status(), Some(201));
    assert!(answer.body().contains("APPLIED"), "{}", answer.body());
    let drops = u32::try_from(answer.body().len()).unwrap();
    assert!(
        began.elapsed() >= drops * Duration::from_millis(1),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_delayed_request_is_answered_later() {
    let sandbox = with("event:delay=30ms");
    let began = std::time::Instant::now();
    assert_eq!(event(&sandbox).status(), Some(201));
    assert!(began.elapsed() >= Duration::from_millis(30));
}

#[test]
fn other_operations_go_on_and_a_cleared_fault_is_gone() {
    let sandbox = with("commit,extend:lose-request");
    assert_eq!(event(&sandbox).status(), Some(201));
    let sandbox = with("*:503");
    assert_eq!(event(&sandbox).status(), Some(503));
    sandbox.clear_faults();
    assert_eq!(event(&sandbox).status(), Some(201));
}
