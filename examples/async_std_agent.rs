//! An agent on async-std that calls all its tools at once. Each tool is one guarded call on the same budget, and tools
//! that the budget cannot pay for do not run.
//!
//! `cargo run -p cycles-examples --features async-std --bin async_std_agent` needs no setup: it starts its own server.
//! async-std is discontinued; `smol_agent` uses the same crate on smol, which is maintained.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use async_std::task;
use cycles_async_std::models::Amount;
use cycles_async_std::{CyclesClient, Error, WithCyclesConfig, with_cycles};
use cycles_examples::{Failure, journal};
use cycles_sandbox::{Budget, DEFAULT_TENANT_SCOPE, Sandbox, Unit};

/// The tools, and the tokens that each one uses.
const TOOLS: [(&str, i64); 4] = [
    ("search", 420),
    ("weather", 180),
    ("calendar", 260),
    ("translate", 510),
];

/// The most tokens that a tool uses.
const ESTIMATE: i64 = 600;

fn main() -> Result<(), Failure> {
    // Enough to hold three of the four at once.
    let budget = Budget::new(DEFAULT_TENANT_SCOPE, Unit::Tokens, 3 * ESTIMATE);
    let sandbox = Sandbox::builder().budget(budget).start()?;
    let client = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        .journal_dir(journal("async_std_agent"))
        .build();
    task::block_on(agent(client))
}

async fn agent(client: CyclesClient) -> Result<(), Failure> {
    let asked = TOOLS.map(|(tool, tokens)| {
        let client = client.clone();
        (tool, task::spawn(async move { ask(&client, tool, tokens).await }))
    });
    for (tool, answer) in asked {
        match answer.await {
            Ok(answer) => println!("{answer}"),
            Err(Error::BudgetExceeded { message, .. }) => println!("{tool} did not run: {message}"),
            Err(error) => return Err(error.into()),
        }
    }
    let left = client.flush(Duration::from_secs(10)).await?;
    println!("Nothing left to settle: {}", left.is_complete());
    Ok(())
}

/// The guarded call of a tool.
async fn ask(client: &CyclesClient, tool: &'static str, tokens: i64) -> Result<String, Error> {
    let config = WithCyclesConfig::new(Amount::tokens(ESTIMATE)).action("tool.call", tool);
    with_cycles(client, config, |_ctx| async move {
        // Stands in for the tool's work.
        task::sleep(Duration::from_millis(200)).await;
        Ok((format!("{tool} took {tokens} tokens"), Amount::tokens(tokens)))
    })
    .await
}
