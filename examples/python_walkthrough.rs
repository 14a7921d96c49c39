//! The Python client's walkthrough, in the same order, on tokio: the decorator becomes an attribute. The Python code is
//! above each piece.
//!
//! `cargo run --bin python_walkthrough` starts its own server.
#![allow(clippy::print_stdout)]

use cycles_examples::{Failure, journal};
use cycles_sandbox::Sandbox;
use cycles_tokio::models::*;
use cycles_tokio::{
    CyclesClient, CyclesConfig, CyclesContext, Error, RawRequest, cycles, set_default_client,
};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // Kept until the end: dropping it stops the server.
    let sandbox = Sandbox::builder()
        .budget("tenant:acme-corp=USD_MICROCENTS:10000000".parse()?)
        .start()?;

    // config = CyclesConfig(base_url="http://localhost:7878", api_key="cyc_live_...", tenant="acme-corp")
    let config = CyclesConfig::builder(sandbox.api_key(), sandbox.base_url())
        .tenant("acme-corp")
        .journal_dir(journal("python_walkthrough"))
        .build()?;

    // client = CyclesClient(config)
    // set_default_client(client)
    let client = CyclesClient::new(config);
    set_default_client(client.clone());

    println!("1. Reserve and commit with a fixed estimate");
    let result = hello("world").await?;
    println!("   {result}");

    println!("2. Check your balance");
    println!("   {}", balance(&client).await?);

    println!("3. Try a dry run");
    match dry_run_func().await {
        Err(Error::DryRun(result)) => println!("   {}, and nothing was run", result.decision),
        other => println!("   this was not a dry run: {other:?}"),
    }
    println!("   {}", balance(&client).await?);

    println!("4. Use dynamic estimates with metrics");
    let result = generate("Explain budgets", 500).await?;
    println!("   {result}");
    println!("   {}", balance(&client).await?);

    println!("5. Handle denials gracefully");
    // try: expensive_func()
    // except BudgetExceededError: print("Budget exhausted — using fallback")
    match expensive_func().await {
        Ok(result) => println!("   {result}"),
        Err(Error::BudgetExceeded { .. }) => println!("   Budget exhausted — using fallback"),
        Err(error) => return Err(error.into()),
    }

    println!("6. The programmatic client");
    programmatic(&client).await?;
    println!("   {}", balance(&client).await?);

    let left = client.flush(std::time::Duration::from_secs(10)).await?;
    println!("Nothing left to settle: {}", left.is_complete());
    Ok(())
}

// @cycles(estimate=1000)
// def hello(name: str) -> str:
//     return f"Hello, {name}!"
#[cycles(estimate = 1000)]
async fn hello(name: &str) -> Result<String, Error> {
    Ok(format!("Hello, {name}!"))
}

// @cycles(estimate=500, dry_run=True)
// def dry_run_func() -> str:
//     return "This won't consume budget"
#[cycles(estimate = 500, dry_run = true)]
async fn dry_run_func() -> Result<&'static str, Error> {
    Ok("This won't consume budget")
}

// @cycles(
//     estimate=lambda prompt, max_tokens: max_tokens * 10,
//     actual=lambda result: len(result) * 5,
//     action_kind="llm.completion",
//     action_name="gpt-4",
// )
// def generate(prompt: str, max_tokens: int) -> str:
//     ctx = get_cycles_context()
//     ctx.metrics = CyclesMetrics(tokens_input=len(prompt), tokens_output=max_tokens)
//     ctx.commit_metadata = {"request_id": "req-abc-123"}
//     return f"Generated response for: {prompt}"
#[cycles(
    estimate = max_tokens * 10,
    actual = result.len() * 5,
    action_kind = "llm.completion",
    action_name = "gpt-4",
)]
async fn generate(prompt: &str, max_tokens: i64) -> Result<String, Error> {
    if let Some(ctx) = CyclesContext::current() {
        if let Some(caps) = &ctx.caps {
            println!("   at most {:?} tokens", caps.max_tokens);
        }
        ctx.set_metrics(CyclesMetrics {
            tokens_input: i64::try_from(prompt.len()).ok(),
            tokens_output: Some(max_tokens),
            ..Default::default()
        });
        ctx.insert_metadata("request_id", "req-abc-123");
    }
    Ok(format!("Generated response for: {prompt}"))
}

// @cycles(estimate=999_999_999)
// def expensive_func() -> str:
//     return "This needs a lot of budget"
#[cycles(estimate = 999_999_999)]
async fn expensive_func() -> Result<&'static str, Error> {
    Ok("This needs a lot of budget")
}

// response = client.get_balances(tenant="acme-corp")
// print(response.body)
async fn balance(client: &CyclesClient) -> Result<String, Failure> {
    let params = BalanceParams {
        tenant: Some("acme-corp".into()),
        ..Default::default()
    };
    let response = client.get_balances(&params).await?;
    let of_the_tenant = |balance: &&Balance| {
        balance.scope == "tenant:acme-corp" && balance.remaining.unit == Unit::UsdMicrocents
    };
    let balance = response
        .balances
        .iter()
        .find(of_the_tenant)
        .ok_or("no budget found")?;
    Ok(format!("{}: {} remain", balance.scope, balance.remaining))
}

async fn programmatic(client: &CyclesClient) -> Result<(), Failure> {
    let subject = || Subject {
        tenant: Some("acme-corp".into()),
        agent: Some("support-bot".into()),
        ..Default::default()
    };
    let action = || Action::new("llm.completion", "gpt-4");

    // response = client.decide(DecisionRequest(...))
    // decision = response.get_body_attribute("decision")
    let decide = DecisionRequest::builder()
        .idempotency_key("decide-001".into())
        .subject(subject())
        .action(action())
        .estimate(Amount::usd_microcents(500_000))
        .build();
    println!("   decide: {}", client.decide(&decide).await?.decision);

    // response = client.create_reservation(ReservationCreateRequest(...))
    // if not response.is_success:
    //     raise RuntimeError(f"Reservation failed: {response.error_message}")
    // reservation_id = response.get_body_attribute("reservation_id")
    let reserve = ReservationCreateRequest::builder()
        .idempotency_key("req-001".into())
        .subject(subject())
        .action(action())
        .estimate(Amount::usd_microcents(500_000))
        .ttl_ms(30_000_u64)
        .build();
    let response = client.raw(RawRequest::CreateReservation(&reserve)).await?;
    if !response.is_success() {
        return Err(format!("Reservation failed: {:?}", response.error_message()).into());
    }
    let reservation_id: ReservationId = response
        .body_attribute("reservation_id")
        .ok_or("nothing is held")?;

    // try: result = call_llm("Hello"); client.commit_reservation(reservation_id, CommitRequest(...))
    // except Exception: client.release_reservation(reservation_id, ReleaseRequest(...)); raise
    match call_llm("Hello").await {
        Ok(result) => {
            let commit = CommitRequest::builder()
                .idempotency_key("commit-001".into())
                .actual(Amount::usd_microcents(420_000))
                .metrics(CyclesMetrics {
                    tokens_input: Some(1200),
                    tokens_output: Some(800),
                    ..Default::default()
                })
                .build();
            let committed = client.commit_reservation(&reservation_id, &commit).await?;
            println!("   {result}: {}, {} charged", committed.status, committed.charged);
        }
        Err(error) => {
            let release = ReleaseRequest::builder()
                .idempotency_key("release-001".into())
                .reason("Processing failed")
                .build();
            client.release_reservation(&reservation_id, &release).await?;
            return Err(error);
        }
    }

    // response = client.create_event(EventCreateRequest(...))
    let event = EventCreateRequest::builder()
        .idempotency_key("evt-001".into())
        .subject(subject())
        .action(Action::new("api.call", "geocode"))
        .actual(Amount::usd_microcents(1_500))
        .build();
    println!("   event: {}", client.create_event(&event).await?.status);
    Ok(())
}

/// Stands in for a model.
async fn call_llm(prompt: &str) -> Result<String, Failure> {
    Ok(format!("{prompt} to you"))
}
