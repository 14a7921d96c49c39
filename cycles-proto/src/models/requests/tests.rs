//! Every limit of every request names the field that breaks it.

use super::*;
use crate::models::{Amount, CyclesMetrics, JsonObject};

fn subject() -> Subject {
    Subject::tenant("acme")
}

fn action() -> Action {
    Action::new("llm.completion", "gpt-4o")
}

fn reserve() -> ReservationCreateRequestBuilder<Subject, Action, Amount> {
    ReservationCreateRequest::builder()
        .subject(subject())
        .action(action())
        .estimate(Amount::tokens(1))
}

fn event() -> EventCreateRequestBuilder<Subject, Action, Amount> {
    EventCreateRequest::builder()
        .subject(subject())
        .action(action())
        .actual(Amount::tokens(1))
}

fn commit() -> CommitRequestBuilder<Amount> {
    CommitRequest::builder().actual(Amount::tokens(1))
}

fn field(check: Result<(), InvalidRequest>) -> String {
    check.unwrap_err().field().to_owned()
}

#[test]
fn a_request_at_its_limits_is_allowed() {
    let key = "k".repeat(256);
    reserve()
        .idempotency_key(key.as_str().into())
        .ttl_ms(1_000)
        .grace_period_ms(0)
        .build()
        .check()
        .unwrap();
    reserve()
        .ttl_ms(86_400_000)
        .grace_period_ms(60_000)
        .build()
        .check()
        .unwrap();
    reserve()
        .estimate(Amount::tokens(i64::MAX))
        .build()
        .check()
        .unwrap();
    event()
        .actual(Amount::tokens(0))
        .client_time_ms(0)
        .build()
        .check()
        .unwrap();
    ReleaseRequest::builder()
        .reason("r".repeat(256))
        .build()
        .check()
        .unwrap();
    ReservationExtendRequest::new(1).check().unwrap();
    ReservationExtendRequest::new(86_400_000).check().unwrap();
}

#[test]
fn a_request_beyond_a_limit_is_refused_by_the_name_of_its_field() {
    let cases = [
        (
            reserve().idempotency_key("".into()).build().check(),
            "idempotency_key",
        ),
        (
            reserve().idempotency_key("k".repeat(257).into()).build().check(),
            "idempotency_key",
        ),
        (reserve().subject(Subject::default()).build().check(), "subject"),
        (
            reserve().action(Action::new("", "m")).build().check(),
            "action.kind",
        ),
        (
            reserve().estimate(Amount::tokens(-1)).build().check(),
            "estimate.amount",
        ),
        (reserve().ttl_ms(999).build().check(), "ttl_ms"),
        (reserve().ttl_ms(86_400_001).build().check(), "ttl_ms"),
        (
            reserve().grace_period_ms(60_001).build().check(),
            "grace_period_ms",
        ),
        (
            reserve().overage_policy("PERHAPS".into()).build().check(),
            "overage_policy",
        ),
        (
            commit().idempotency_key("".into()).build().check(),
            "idempotency_key",
        ),
        (
            commit().actual(Amount::new("EUR".into(), 1)).build().check(),
            "actual.unit",
        ),
        (
            commit().actual(Amount::tokens(-4)).build().check(),
            "actual.amount",
        ),
        (
            commit()
                .metrics(CyclesMetrics {
                    latency_ms: Some(-1),
                    ..Default::default()
                })
                .build()
                .check(),
            "metrics.latency_ms",
        ),
        (
            ReleaseRequest::builder().reason("r".repeat(257)).build().check(),
            "reason",
        ),
        (
            ReleaseRequest::builder()
                .idempotency_key("".into())
                .build()
                .check(),
            "idempotency_key",
        ),
        (ReservationExtendRequest::new(0).check(), "extend_by_ms"),
        (ReservationExtendRequest::new(86_400_001).check(), "extend_by_ms"),
        (
            event().actual(Amount::usd_microcents(-1)).build().check(),
            "actual.amount",
        ),
        (event().client_time_ms(u64::MAX).build().check(), "client_time_ms"),
        (
            event().overage_policy("?".into()).build().check(),
            "overage_policy",
        ),
    ];
    for (check, expected) in cases {
        assert_eq!(field(check), expected);
    }
}

#[test]
fn metadata_is_nested_no_deeper_than_servers_read() {
    let nested = |levels: usize| -> JsonObject {
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        serde_json::from_str(&format!(r#"{{"a":{open}1{close}}}"#)).unwrap()
    };
    let with_custom = |custom| CyclesMetrics {
        custom: Some(custom),
        ..Default::default()
    };
    type Check = fn(JsonObject) -> Result<(), InvalidRequest>;
    let checks: [(Check, &str); 5] = [
        (|deep| reserve().metadata(deep).build().check(), "metadata"),
        (|deep| commit().metadata(deep).build().check(), "metadata"),
        (|deep| event().metadata(deep).build().check(), "metadata"),
        (
            |deep| {
                ReservationExtendRequest::builder(1)
                    .metadata(deep)
                    .build()
                    .check()
            },
            "metadata",
        ),
        (
            |deep| {
                let decide = DecisionRequest::builder().subject(subject()).action(action());
                decide.estimate(Amount::tokens(1)).metadata(deep).build().check()
            },
            "metadata",
        ),
    ];
    for (check, name) in checks {
        check(nested(100)).unwrap();
        for levels in [101, 128, 5_000] {
            assert_eq!(field(check(nested(levels))), name, "{levels}");
        }
    }
    for levels in [101, 5_000] {
        let metrics = with_custom(nested(levels));
        assert_eq!(
            field(event().metrics(metrics.clone()).build().check()),
            "metrics.custom"
        );
        assert_eq!(field(commit().metrics(metrics).build().check()), "metrics.custom");
    }
    assert_eq!(
        commit()
            .metadata(nested(129))
            .build()
            .check()
            .unwrap_err()
            .to_string(),
        "`metadata` is nested 129 levels deep: at most 100 are allowed"
    );
}

#[test]
fn an_error_says_what_would_be_right() {
    let error = reserve().ttl_ms(5).build().check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`ttl_ms` is 5: it must be from 1000 to 86400000"
    );
}

#[test]
fn what_is_not_given_is_not_sent() {
    let json = serde_json::to_string(&reserve().build()).unwrap();
    assert_eq!(
        json,
        r#"{"subject":{"tenant":"acme"},"action":{"kind":"llm.completion","name":"gpt-4o"},"estimate":{"unit":"TOKENS","amount":1}}"#
    );
    let all = reserve()
        .idempotency_key("k".into())
        .ttl_ms(30_000)
        .grace_period_ms(1)
        .overage_policy(CommitOveragePolicy::AllowWithOverdraft)
        .dry_run(true)
        .metadata(JsonObject::new().with("z", 1).with("a", 2));
    let json = serde_json::to_string(&all.build()).unwrap();
    assert!(json.starts_with(r#"{"idempotency_key":"k","subject""#), "{json}");
    assert!(
        json.ends_with(
            r#""ttl_ms":30000,"grace_period_ms":1,"overage_policy":"ALLOW_WITH_OVERDRAFT","dry_run":true,"metadata":{"z":1,"a":2}}"#
        ),
        "{json}"
    );
}
