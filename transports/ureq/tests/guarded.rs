//! The guarded part of the getting-started page, spelled as it stands there, on a running server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use cycles_sandbox::Sandbox;
use cycles_ureq::{CyclesClient, Error, WithCyclesConfig, models::*, with_cycles};

fn client(sandbox: &Sandbox) -> CyclesClient {
    CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant("acme-corp")
        .journal_dir(std::env::temp_dir().join(format!("cycles-test-{}", std::process::id())))
        .build()
}

fn call_llm(_prompt: &str) -> String {
    "Hello!".to_owned()
}

#[test]
fn automatic_lifecycle() -> Result<(), Error> {
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
        |ctx| {
            println!("Decision: {:?}", ctx.decision);
            println!("Reservation: {}", ctx.reservation_id);
            let response = call_llm("Hello");
            let actual_tokens = 42;
            Ok((response, Amount::tokens(actual_tokens)))
        },
    )?;
    assert_eq!(reply, "Hello!");
    Ok(())
}

#[test]
fn guard() -> Result<(), Error> {
    let sandbox = Sandbox::start().unwrap();
    let client = client(&sandbox);
    let guard = client.reserve(
        ReservationCreateRequest::builder()
            .subject(Subject {
                tenant: Some("acme-corp".into()),
                ..Default::default()
            })
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::tokens(2000))
            .ttl_ms(30_000_u64)
            .build(),
    )?;
    if let Some(caps) = guard.caps() {
        println!("Max tokens: {:?}", caps.max_tokens);
    }
    println!("{:?}", guard.extend(10_000)?);
    let receipt = guard.commit(CommitRequest::builder().actual(Amount::tokens(100)).build())?;
    println!("{receipt:?}");
    println!("{:?}", client.flush(std::time::Duration::from_secs(5))?);
    Ok(())
}

#[test]
fn denials() {
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
        |_ctx| Ok(("".to_string(), Amount::tokens(0))),
    ) {
        Ok(_) => println!("Success"),
        Err(Error::BudgetExceeded { message, .. }) => {
            println!("Budget exhausted: {message} — using fallback");
        }
        Err(e) => println!("Error: {e}"),
    }
}
