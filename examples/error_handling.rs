//! Errors, grouped by how a program reacts: stop, ask for less, wait, repeat, or do nothing.
//!
//! `cargo run --bin error_handling` needs no setup: it starts its own server and injects faults. Set `CYCLES_BASE_URL`,
//! `CYCLES_API_KEY` and `CYCLES_TENANT` to use your own server, where less goes wrong.
#![allow(clippy::print_stdout)]

use std::net::TcpListener;
use std::process::ExitCode;

use cycles_examples::{Failure, Scene, end};
use cycles_sandbox::Sandbox;
use cycles_tokio::models::*;
use cycles_tokio::{
    BoxError, CyclesClient, Error, NotCompleted, Receipt, WithCyclesConfig, try_with_cycles, with_cycles,
};

#[tokio::main]
async fn main() -> ExitCode {
    end("error_handling", run().await)
}

async fn run() -> Result<(), Failure> {
    // Kept until the end: dropping it stops the server.
    let scene = Scene::new("error_handling")?;
    let client = CyclesClient::new(scene.config.clone());

    println!("The action must not run:");
    for (what, tokens) in [
        ("a little", 500),
        ("far too much", 1_000_000_000_000),
        ("nonsense", -1),
    ] {
        println!("  {what}: {}", ask(&client, Amount::tokens(tokens)).await);
    }
    println!("  another unit: {}", ask(&client, Amount::risk_points(5)).await);
    let base_url = client.config().base_url.clone();
    let stranger = elsewhere("cyc_live_not_a_key_of_this_server", base_url)?;
    println!("  another key: {}", ask(&stranger, Amount::tokens(500)).await);
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let lonely = elsewhere("cyc_live_0123456789abcdef", format!("http://{nobody}"))?;
    println!("  no server: {}", ask(&lonely, Amount::tokens(500)).await);

    println!("The action fails:");
    own_error(&client).await?;

    println!("The action succeeds, and then something goes wrong:");
    cost_in_another_unit(&client).await?;
    server_goes_away(&client, scene.sandbox.as_ref()).await?;

    println!("The outcome of a call is unknown:");
    open_outcome(&client, scene.sandbox.as_ref()).await?;

    let left = client.flush(client.config().retry_flush_timeout).await?;
    // The cost in the wrong unit is in no ledger and in no record, so the flush is not complete.
    println!(
        "Left to settle: {}; in no ledger and no record: {}; complete: {}",
        left.ending + left.recorded,
        left.unrecorded,
        left.is_complete()
    );
    Ok(())
}

/// Returns the answer, or advice about the error. The arms are ordered: money, our own mistakes, temporary problems.
async fn ask(client: &CyclesClient, estimate: Amount) -> String {
    let config = WithCyclesConfig::new(estimate).action("llm.completion", "gpt-4o");
    let asked = with_cycles(client, config, |_ctx| async {
        Ok(("an answer", Amount::tokens(120)))
    });
    match asked.await {
        Ok(answer) => answer.to_owned(),
        Err(Error::BudgetExceeded {
            reason, retry_after, ..
        }) => {
            format!("ask for less, or for more budget ({reason}; retry after {retry_after:?})")
        }
        Err(Error::Denied { message, .. }) => format!("a policy denies it: {message}"),
        Err(Error::BudgetNotFound { unit, .. }) => format!("an operator has to set up a budget in {unit}"),
        Err(Error::Validation(call)) => format!("a bug in this program: {}", call.problem),
        Err(error) if error.is_auth_error() => format!("check the API key. {error}"),
        Err(error) if error.is_retryable() => format!("try again later. {error}"),
        Err(error) => format!("give up. {error}"),
    }
}

#[derive(Debug)]
enum ModelError {
    Overloaded,
}

/// Shows that the action's own error is returned unchanged, and the budget is given back.
async fn own_error(client: &CyclesClient) -> Result<(), Failure> {
    let config = WithCyclesConfig::new(Amount::tokens(500));
    let action = |_ctx| async { Err::<(String, Amount), _>(ModelError::Overloaded) };
    match try_with_cycles(client, config, action).await {
        Err(NotCompleted::Action(ModelError::Overloaded)) => println!("  overloaded: try another model"),
        Err(NotCompleted::NotReserved(error) | NotCompleted::Cancelled(error)) => return Err(error.into()),
        Err(other) => return Err(format!("{other:?}").into()),
        Ok(completed) => println!("  {}", completed.value),
    }
    Ok(())
}

/// Shows that the answer is not lost if its cost cannot be charged.
async fn cost_in_another_unit(client: &CyclesClient) -> Result<(), Failure> {
    let config = WithCyclesConfig::new(Amount::tokens(500));
    let action = |_ctx| async { Ok::<_, BoxError>(("an answer", Amount::usd_microcents(120))) };
    let completed = try_with_cycles(client, config, action)
        .await
        .map_err(Error::from)?;
    match completed.receipt {
        Err(invalid) => println!("  {}, but {invalid}", completed.value),
        Ok(receipt) => println!("  {}, {receipt:?}", completed.value),
    }
    Ok(())
}

/// Shows that the cost is on disk before it is sent, so that it is settled later.
async fn server_goes_away(client: &CyclesClient, sandbox: Option<&Sandbox>) -> Result<(), Failure> {
    if let Some(sandbox) = sandbox {
        sandbox.inject("commit:reset-request@1".parse()?);
    }
    let config = WithCyclesConfig::new(Amount::tokens(500));
    let action = |_ctx| async { Ok::<_, BoxError>(("an answer", Amount::tokens(120))) };
    let completed = try_with_cycles(client, config, action)
        .await
        .map_err(Error::from)?;
    let receipt = completed.receipt?;
    let what = if let Receipt::Pending {
        error: Some(error),
        is_recorded: true,
        ..
    } = &receipt
    {
        format!("its cost is in the journal and will be sent again automatically. {error}")
    } else if receipt.is_settled() {
        "its cost is in the ledger".to_owned()
    } else {
        // Refused for good, or neither settled nor recorded.
        format!("its cost needs attention: {receipt:?}")
    };
    println!("  {}, {what}", completed.value);
    Ok(())
}

/// Repeats a call without a guard once if its outcome is unknown. If the outcome is still unknown then, the caller
/// decides: the error contains the key under which the call counts only once, however often it is sent.
async fn open_outcome(client: &CyclesClient, sandbox: Option<&Sandbox>) -> Result<(), Failure> {
    if let Some(sandbox) = sandbox {
        sandbox.inject("event:reset-response@1,2".parse()?);
    }
    let mut request = EventCreateRequest::builder()
        .subject(client.config().subject())
        .action(Action::new("tool.search", "web"))
        .actual(Amount::tokens(80))
        .build();
    let event = loop {
        match client.create_event(&request).await {
            Ok(event) => break event,
            Err(error) if error.outcome_is_unknown() && request.idempotency_key.is_none() => {
                println!("  {error}");
                request.idempotency_key = error.idempotency_key().cloned();
            }
            Err(error) => return Err(error.into()),
        }
    };
    println!("  {}, exactly once", event.status);
    Ok(())
}

/// A client that the server will refuse, or that has no server. It needs no journal, because it never has a cost.
fn elsewhere(key: &str, base_url: String) -> Result<CyclesClient, Failure> {
    let client = CyclesClient::builder(key, base_url)
        .tenant("acme-corp")
        .journal_enabled(false);
    Ok(client.try_build()?)
}
