//! The guarded part of the getting-started page, spelled as it stands there, on a running server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use cycles_sandbox::Sandbox;
use cycles_tokio::{CyclesClient, Error, WithCyclesConfig, models::*, with_cycles};

fn client(sandbox: &Sandbox) -> CyclesClient {
    CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant("acme-corp")
        .journal_dir(std::env::temp_dir().join(format!("cycles-test-{}", std::process::id())))
        .build()
}

async fn call_llm(_prompt: &str) -> String {
    "Hello!".to_owned()
}

#[tokio::test]
async fn automatic_lifecycle() -> Result<(), Error> {
    let sandbox = Sandbox::start().unwrap();
    let client = client(&sandbox);
    let reply = with_cycles(
        &client,
        WithCyclesConfig::new(Amount::tokens(1000))
            .action("llm.completion", "gpt-4o")
            .subject(Subject {
                tenant: Some("acme-corp".into()),
                ..Default::default()
            }),
        |ctx| async move {
            println!("Decision: {:?}", ctx.decision);
            println!("Reservation: {}", ctx.reservation_id);
            let response = call_llm("Hello").await;
            let actual_tokens = 42;
            Ok((response, Amount::tokens(actual_tokens)))
        },
    )
    .await?;
    assert_eq!(reply, "Hello!");
    Ok(())
}

#[tokio::test]
async fn guard() -> Result<(), Error> {
    let sandbox = Sandbox::start().unwrap();
    let client = client(&sandbox);
    let guard = client
        .reserve(
            ReservationCreateRequest::builder()
                .subject(Subject {
                    tenant: Some("acme-corp".into()),
                    ..Default::default()
                })
                .action(Action::new("llm.completion", "gpt-4o"))
                .estimate(Amount::tokens(2000))
                .ttl_ms(30_000_u64)
                .build(),
        )
        .await?;
    if let Some(caps) = guard.caps() {
        println!("Max tokens: {:?}", caps.max_tokens);
    }
    println!("{:?}", guard.extend(10_000).await?);
    let receipt = guard
        .commit(CommitRequest::builder().actual(Amount::tokens(100)).build())
        .await?;
    println!("{receipt:?}");
    println!("{:?}", client.flush(std::time::Duration::from_secs(5)).await?);
    Ok(())
}

#[tokio::test]
async fn denials() {
    let sandbox = Sandbox::start().unwrap();
    let client = client(&sandbox);
    match with_cycles(
        &client,
        WithCyclesConfig::new(Amount::tokens(999_999_999))
            .action("llm.completion", "gpt-4o")
            .subject(Subject {
                tenant: Some("acme-corp".into()),
                ..Default::default()
            }),
        |_ctx| async move { Ok(("".to_string(), Amount::tokens(0))) },
    )
    .await
    {
        Ok(_) => println!("Success"),
        Err(Error::BudgetExceeded { message, .. }) => {
            println!("Budget exhausted: {message} — using fallback");
        }
        Err(e) => println!("Error: {e}"),
    }
}
