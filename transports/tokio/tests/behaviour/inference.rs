//! Arguments that say `into()` and leave the type to the method: each of these lines compiles because its method takes one
//! type, or is told it by the rest.

use std::borrow::Cow;
use std::collections::HashMap;

use cycles_tokio::models::*;
use cycles_tokio::{CyclesClient, CyclesConfig, Error, ReservationGuard, WithCyclesConfig, with_cycles};
use serde_json::json;

#[test]
fn the_settings_of_a_guarded_action() {
    let config = || WithCyclesConfig::new(Amount::tokens(1000));
    let tags: Vec<String> = vec!["prod".into(), "chat".into()];
    for config in [
        config().action_tags(vec!["prod".into(), "chat".into()]),
        config().action_tags(["prod".into(), "chat".into()]),
        config().action_tags(tags.clone()),
        config().action_tags(vec!["prod".to_string(), "chat".to_owned()]),
        config().action_tags(["prod", "chat"].map(String::from)),
        config().action_tags(tags.iter().cloned()),
        config().action_tags(
            ["prod", "chat"]
                .iter()
                .map(|tag| (*tag).into())
                .collect::<Vec<_>>(),
        ),
    ] {
        assert_eq!(config.request().action.tags.as_ref(), Some(&tags));
    }
    assert_eq!(config().action_tags(vec![]).request().action.tags, Some(vec![]));

    let config = config()
        .action("llm.completion", String::from("gpt-4o"))
        .subject(Subject {
            tenant: Some("acme-corp".into()),
            dimensions: Some([("region".into(), "eu".into())].into()),
            ..Default::default()
        })
        .ttl_ms(30_000)
        .grace_period_ms(5_u32.into())
        .overage_policy(CommitOveragePolicy::Reject)
        .idempotency_key("req-001".into())
        .metadata(json!({ "request_id": "req-abc" }))
        .metrics(CyclesMetrics {
            model_version: Some("gpt-4o-2024-05".into()),
            tokens_input: Some(5_i32.into()),
            ..Default::default()
        });
    let key = config.request().idempotency_key;
    assert_eq!(key.as_ref().map(IdempotencyKey::as_str), Some("req-001"));
}

#[test]
fn the_fields_of_requests() {
    let subject = || Subject {
        tenant: Some("acme-corp".into()),
        app: Some("chat".to_string()),
        ..Default::default()
    };
    let action = || Action {
        kind: "llm.completion".into(),
        name: "gpt-4o".into(),
        tags: Some(vec!["prod".into()]),
    };
    let keys = [
        ReservationCreateRequest::builder()
            .subject(subject())
            .action(action())
            .estimate(Amount::tokens(5_i32.into()))
            .ttl_ms(30_000_u32.into())
            .idempotency_key("k".into())
            .metadata(json!({ "a": 1 }))
            .build()
            .idempotency_key,
        DecisionRequest::builder()
            .subject(subject())
            .action(action())
            .estimate(Amount::usd_microcents(5))
            .idempotency_key(String::from("k").into())
            .metadata(json!({ "a": 1 }))
            .build()
            .idempotency_key,
        CommitRequest::builder()
            .actual(Amount::tokens(5))
            .idempotency_key(IdempotencyKey::from("k"))
            .metadata(json!({ "a": 1 }))
            .build()
            .idempotency_key,
        EventCreateRequest::builder()
            .subject(subject())
            .action(action())
            .actual(Amount::tokens(5))
            .idempotency_key("k".into())
            .client_time_ms(5_u32.into())
            .metadata(json!({ "a": 1 }))
            .build()
            .idempotency_key,
        ReleaseRequest::builder()
            .idempotency_key("k".into())
            .build()
            .idempotency_key,
    ];
    assert!(keys.iter().flatten().all(|key| key.as_str() == "k") && keys.iter().all(Option::is_some));
    let _ = BalanceParams {
        tenant: Some("acme-corp".into()),
        ..Default::default()
    };
    let _ = ListReservationsParams {
        status: Some("ACTIVE".into()),
        limit: Some(20),
        ..Default::default()
    };
}

#[test]
fn metadata_may_be_any_json() {
    let of = |value: serde_json::Value| {
        let request = CommitRequest::builder()
            .actual(Amount::tokens(5))
            .metadata(value)
            .build();
        request.metadata.unwrap().to_string()
    };
    let map: HashMap<&str, i32> = [("attempt", 2)].into();
    assert_eq!(
        of(json!({ "request_id": "r", "n": [1, null] })),
        r#"{"n":[1,null],"request_id":"r"}"#
    );
    assert_eq!(of(json!(map)), r#"{"attempt":2}"#);
    assert_eq!(of(json!("a note")), r#"{"value":"a note"}"#);
    assert_eq!(of(json!([1, 2])), r#"{"value":[1,2]}"#);
    assert_eq!(of(json!(null)), "{}");
}

/// Never called: it only has to compile.
#[expect(dead_code, reason = "it has to compile")]
async fn the_ends_of_actions(client: CyclesClient, guard: fn() -> ReservationGuard) -> Result<(), Error> {
    let reason = String::from("user_cancelled");
    let _ = guard().release("user_cancelled").await;
    let _ = guard().release(&reason).await;
    let _ = guard().release(format!("cancelled by {reason}")).await;
    let _ = guard().release(Cow::from("user_cancelled")).await;
    let _ = guard().release(Box::<str>::from("user_cancelled")).await;
    let _ = guard().release(reason).await;

    let _: Result<(), Error> = with_cycles(&client, WithCyclesConfig::new(Amount::tokens(1)), |_ctx| async {
        let _tokens: i64 = "42".parse()?;
        Err("the model refused".into())
    })
    .await;
    client
        .commit_reservation(
            &"rsv_1".into(),
            &CommitRequest::builder().actual(Amount::tokens(1)).build(),
        )
        .await?;
    client.get_reservation(&"rsv_1".into()).await?;
    Ok(())
}

#[test]
fn the_settings_of_a_client() {
    let client = CyclesClient::builder(String::from("cyc_live_k"), "http://localhost:7878")
        .tenant(String::from("acme-corp"))
        .journal_dir("/var/lib/journal")
        .try_build();
    assert!(client.is_ok());
    let config = CyclesConfig::builder("cyc_live_k", "http://localhost:7878").journal_dir(String::from("/j"));
    assert!(config.build().is_ok());
}
