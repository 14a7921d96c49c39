//! The walkthrough of the Python client, without its decorator, in blocking Rust: fixed and dynamic estimates,
//! balances, a dry run, metrics, denials, and calls made by hand.
//!
//! `cargo run --bin blocking_walkthrough` starts its own server.
#![allow(clippy::print_stdout)]

use cycles_examples::{Failure, journal};
use cycles_sandbox::Sandbox;
use cycles_ureq::models::*;
use cycles_ureq::{CyclesClient, CyclesConfig, Error, WithCyclesConfig, with_cycles};

fn main() -> Result<(), Failure> {
    // Kept until the end: dropping it stops the server.
    let sandbox = Sandbox::start()?;
    let config = CyclesConfig::builder(sandbox.api_key(), sandbox.base_url())
        .tenant("acme-corp")
        .journal_dir(journal("blocking_walkthrough"))
        .build()?;
    let client = CyclesClient::new(config);

    println!("1. A fixed estimate: {}", hello(&client, "world")?);
    println!("2. {}", balance(&client)?);
    dry_run(&client)?;
    println!("   {}: unchanged", balance(&client)?);
    println!("4. {}", generate(&client, "Explain budgets", 500)?);
    println!("5. {}", expensive(&client)?);
    programmatic(&client)?;
    println!("   {}", balance(&client)?);

    let left = client.flush(std::time::Duration::from_secs(10))?;
    println!("Nothing left to settle: {}", left.is_complete());
    Ok(())
}

/// Charges the estimate.
fn hello(client: &CyclesClient, name: &str) -> Result<String, Error> {
    let estimate = Amount::usd_microcents(1_000);
    with_cycles(client, WithCyclesConfig::new(estimate.clone()), |_ctx| {
        Ok((format!("Hello, {name}!"), estimate))
    })
}

fn balance(client: &CyclesClient) -> Result<String, Error> {
    let response = client.get_balances(&BalanceParams {
        tenant: Some("acme-corp".into()),
        ..Default::default()
    })?;
    let dollars = |balance: &&Balance| {
        balance.scope == "tenant:acme-corp" && balance.remaining.unit == Unit::UsdMicrocents
    };
    let found = response.balances.iter().find(dollars);
    Ok(format!(
        "{} microcents remain",
        found.map_or(0, |balance| balance.remaining.amount)
    ))
}

/// Asks for a decision only: the closure never runs.
fn dry_run(client: &CyclesClient) -> Result<(), Error> {
    let config = WithCyclesConfig::new(Amount::usd_microcents(500)).dry_run(true);
    match with_cycles(client, config, |_ctx| {
        Ok(("this is not run", Amount::usd_microcents(500)))
    }) {
        Err(Error::DryRun(result)) => println!("3. A dry run: {}", result.decision),
        other => println!("3. This was not a dry run: {other:?}"),
    }
    Ok(())
}

/// Takes the estimate from the arguments and the cost from the result, and adds metrics to the commit.
fn generate(client: &CyclesClient, prompt: &str, max_tokens: i64) -> Result<String, Error> {
    let config =
        WithCyclesConfig::new(Amount::usd_microcents(max_tokens * 10)).action("llm.completion", "gpt-4");
    with_cycles(client, config, |ctx| {
        if let Some(caps) = &ctx.caps {
            println!("   at most {:?} tokens", caps.max_tokens);
        }
        ctx.set_metrics(CyclesMetrics {
            tokens_input: i64::try_from(prompt.len()).ok(),
            tokens_output: Some(max_tokens),
            model_version: Some("gpt-4o-mini".into()),
            ..Default::default()
        });
        ctx.insert_metadata("request_id", "req-abc-123");
        let result = format!("Generated response for: {prompt}");
        let cost = i64::try_from(result.len())? * 5;
        Ok((result, Amount::usd_microcents(cost)))
    })
}

fn expensive(client: &CyclesClient) -> Result<String, Error> {
    let config = WithCyclesConfig::new(Amount::usd_microcents(999_999_999_999));
    let answer = with_cycles(client, config, |_ctx| {
        Ok(("this needs a lot of budget".to_owned(), Amount::usd_microcents(1)))
    });
    match answer {
        Err(Error::BudgetExceeded { message, .. }) => {
            Ok(format!("Budget exhausted ({message}): using the fallback"))
        }
        other => other,
    }
}

/// Makes every call by hand, with the program's own idempotency keys.
fn programmatic(client: &CyclesClient) -> Result<(), Failure> {
    let subject = || Subject {
        tenant: Some("acme-corp".into()),
        agent: Some("support-bot".into()),
        ..Default::default()
    };
    let action = || Action::new("llm.completion", "gpt-4");
    let decision = client.decide(
        &DecisionRequest::builder()
            .idempotency_key("decide-001".into())
            .subject(subject())
            .action(action())
            .estimate(Amount::usd_microcents(500_000))
            .build(),
    )?;
    println!("6. By hand: {}", decision.decision);

    let held = client.create_reservation(
        &ReservationCreateRequest::builder()
            .idempotency_key("req-001".into())
            .subject(subject())
            .action(action())
            .estimate(Amount::usd_microcents(500_000))
            .ttl_ms(30_000_u64)
            .build(),
    )?;
    let id = held.reservation_id.ok_or("nothing is held")?;
    match call_llm("Hello") {
        Ok(_reply) => {
            let commit = CommitRequest::builder()
                .idempotency_key("commit-001".into())
                .actual(Amount::usd_microcents(420_000))
                .metrics(CyclesMetrics {
                    tokens_input: Some(1_200),
                    tokens_output: Some(800),
                    ..Default::default()
                })
                .build();
            let committed = client.commit_reservation(&id, &commit)?;
            println!("   {}, {} charged", committed.status, committed.charged.amount);
        }
        Err(error) => {
            let release = ReleaseRequest::builder()
                .idempotency_key("release-001".into())
                .reason("Processing failed")
                .build();
            client.release_reservation(&id, &release)?;
            return Err(error);
        }
    }

    let event = client.create_event(
        &EventCreateRequest::builder()
            .idempotency_key("evt-001".into())
            .subject(subject())
            .action(Action::new("api.call", "geocode"))
            .actual(Amount::usd_microcents(1_500))
            .build(),
    )?;
    println!("   {} without a reservation", event.status);
    Ok(())
}

/// Stands in for a model.
fn call_llm(prompt: &str) -> Result<String, Failure> {
    Ok(format!("{prompt} to you"))
}
