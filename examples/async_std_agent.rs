//! An agent on async-std that asks its tools all at once: one guarded call each, from one budget, and those that it
//! cannot pay for do not run.
//!
//! `cargo run -p cycles-examples --features async-std --bin async_std_agent` needs nothing: it starts a server of its
//! own. async-std is discontinued; `smol_agent` is the same crate on what is maintained.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use async_std::task;
use cycles_async_std::models::Amount;
use cycles_async_std::{CyclesClient, Error, WithCyclesConfig, with_cycles};
use cycles_examples::{Failure, journal};
use cycles_sandbox::{Budget, DEFAULT_TENANT_SCOPE, Sandbox, Unit};

/// Each tool with the tokens that it takes.
const TOOLS: [(&str, i64); 4] = [
    ("search", 420),
    ("weather", 180),
    ("calendar", 260),
    ("translate", 510),
];

/// What a tool takes at most.
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

/// The answer of a tool, paid for.
async fn ask(client: &CyclesClient, tool: &'static str, tokens: i64) -> Result<String, Error> {
    let config = WithCyclesConfig::new(Amount::tokens(ESTIMATE)).action("tool.call", tool);
    with_cycles(client, config, |_ctx| async move {
        // Stands for the tool.
        task::sleep(Duration::from_millis(200)).await;
        Ok((format!("{tool} took {tokens} tokens"), Amount::tokens(tokens)))
    })
    .await
}
