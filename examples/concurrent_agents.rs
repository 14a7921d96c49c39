//! 64 agents on one budget that is too small for all of them, over a network that loses some of the answers. In the end
//! the ledger is exact.
//!
//! `cargo run --bin concurrent_agents` needs no setup: it starts its own server. Set `CYCLES_BASE_URL`,
//! `CYCLES_API_KEY` and `CYCLES_TENANT` to use your own; nothing else should spend from its budget meanwhile.
#![allow(clippy::print_stdout)]

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use cycles_examples::{Failure, Scene, end, own_balance};
use cycles_sandbox::{Budget, DEFAULT_TENANT_SCOPE, Sandbox};
use cycles_tokio::models::*;
use cycles_tokio::{CyclesClient, Error, WithCyclesConfig, with_cycles};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const AGENTS: usize = 64;
const CALLS: usize = 5;
/// The most that one call may cost.
const ESTIMATE: i64 = 600;

#[tokio::main]
async fn main() -> ExitCode {
    end("concurrent_agents", run().await)
}

async fn run() -> Result<(), Failure> {
    // Kept until the end: dropping it stops the server.
    let budget = Budget::new(DEFAULT_TENANT_SCOPE, cycles_sandbox::Unit::Tokens, 100_000);
    let scene = Scene::with("concurrent_agents", Sandbox::builder().budget(budget))?;
    if let Some(sandbox) = &scene.sandbox {
        sandbox.inject("commit:reset-response@p=0.1/7".parse()?); // done, but the answer is lost
    }
    let client = CyclesClient::new(scene.config.clone());
    let before = own_balance(&client, Unit::Tokens).await?;

    let (costs, mut spent) = mpsc::unbounded_channel();
    let mut agents = JoinSet::new();
    for agent in 0..AGENTS {
        agents.spawn(work(client.clone(), agent, costs.clone()));
    }
    drop(costs); // the last agent that ends closes the channel

    let (mut calls, mut tokens) = (0, 0);
    while let Some(cost) = spent.recv().await {
        calls += 1;
        tokens += cost;
        bar(calls, tokens, calls.is_multiple_of(64));
    }
    bar(calls, tokens, true);
    println!();
    let mut stopped = 0;
    while let Some(ended) = agents.join_next().await {
        stopped += usize::from(ended?? == Ended::BudgetIsUsedUp);
    }
    println!("{calls} calls; {stopped} of {AGENTS} agents were stopped by the budget");

    // Some answers were lost: those commits are repeated under the same keys, so that each counts once.
    let timeout = client.config().retry_flush_timeout;
    let left = client.flush(timeout).await?;
    let after = own_balance(&client, Unit::Tokens).await?;
    let amount = |amount: Option<Amount>| amount.map_or(0, |amount| amount.amount);
    let charged = amount(after.spent) - amount(before.spent);
    let held = amount(after.reserved) - amount(before.reserved);
    println!("The agents spent {tokens} tokens; the ledger has {charged} charged and {held} still held");
    if left.is_complete() && (charged, held) == (tokens, 0) {
        println!("The ledger is exact.");
        Ok(())
    } else {
        Err(format!("the ledger is not exact, or not yet: {left:?}").into())
    }
}

#[derive(PartialEq)]
enum Ended {
    WorkIsDone,
    BudgetIsUsedUp,
}

/// One agent. While others hold large estimates, a reservation can be denied although money is left, so an agent asks
/// again before it gives up.
async fn work(client: CyclesClient, agent: usize, costs: mpsc::UnboundedSender<i64>) -> Result<Ended, Error> {
    let name = format!("agent-{agent}");
    for call in 0..CALLS {
        let mut denials = 0;
        loop {
            let config = WithCyclesConfig::new(Amount::tokens(ESTIMATE))
                .action("llm.completion", "gpt-4o")
                .metadata(JsonObject::from_iter([("agent", name.clone())]))
                .overage_policy(CommitOveragePolicy::Reject);
            match with_cycles(&client, config, |_ctx| call_model(agent, call)).await {
                Ok(cost) => {
                    let _ = costs.send(cost);
                    break;
                }
                Err(Error::BudgetExceeded { .. }) if denials < 3 => {
                    denials += 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(Error::BudgetExceeded { .. }) => return Ok(Ended::BudgetIsUsedUp),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Ended::WorkIsDone)
}

/// Stands in for a model: takes a moment, uses some tokens, and returns how many.
async fn call_model(agent: usize, call: usize) -> Result<(i64, Amount), cycles_tokio::BoxError> {
    let cost = i64::try_from(200 + (agent * 131 + call * 61) % 400)?;
    tokio::time::sleep(Duration::from_millis(20 + (agent * 7 % 30) as u64)).await;
    Ok((cost, Amount::tokens(cost)))
}

fn bar(calls: usize, tokens: i64, is_milestone: bool) {
    const WIDTH: usize = 40;
    let all = AGENTS * CALLS;
    let filled = "#".repeat(calls * WIDTH / all);
    let mut out = std::io::stdout();
    // On a terminal the bar grows in place; otherwise a line is printed from time to time.
    if out.is_terminal() {
        let _ = write!(
            out,
            "\r[{filled:<WIDTH$}] {calls:>3}/{all} calls {tokens:>6} tokens"
        );
        let _ = out.flush();
    } else if is_milestone {
        let _ = writeln!(
            out,
            "[{filled:<WIDTH$}] {calls:>3}/{all} calls {tokens:>6} tokens"
        );
    }
}
