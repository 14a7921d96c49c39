//! An agent on smol that streams its answer until the reader has had enough. The words so far are charged, and the rest
//! of the estimate is given back.
//!
//! `cargo run -p cycles-examples --features smol --bin smol_agent` needs no setup: it starts its own server.
#![allow(clippy::print_stdout)]

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use cycles_async_std::CyclesClient;
use cycles_async_std::models::{
    Action, Amount, BalanceParams, CommitRequest, ReservationCreateRequest, Subject,
};
use cycles_examples::{Failure, journal};
use cycles_sandbox::Sandbox;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::FutureExt as _;
use smol::{LocalExecutor, Timer};

const WORDS: [&str; 9] = ["A", "budget", "is", "a", "promise", "to", "stop", "in", "time."];

/// The cost of a word.
const TOKENS: i64 = 10;

fn main() -> Result<(), Failure> {
    let sandbox = Sandbox::start()?;
    let client = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        .journal_dir(journal("smol_agent"))
        .build();
    // One thread, with tasks that cannot leave it; the client keeps the leases alive on its own thread.
    let executor = Rc::new(LocalExecutor::new());
    let agent = executor.spawn(agent(client, Rc::clone(&executor)));
    smol::block_on(executor.run(agent))
}

async fn agent(client: CyclesClient, executor: Rc<LocalExecutor<'_>>) -> Result<(), Failure> {
    for patience in [WORDS.len() + 1, 4] {
        let (speaker, listener) = bounded(1);
        let speaking = executor.spawn(speak(client.clone(), speaker));
        // The first to end wins; the other one is dropped. Dropping the speaker drops its guard.
        let end = speaking.or(listen(listener, patience)).await?;
        println!(" ({end})");
    }

    // A dropped guard is settled in the background, so a program has to flush before it ends.
    let left = client.flush(Duration::from_secs(10)).await?;
    println!("Nothing left to settle: {}", left.is_complete());
    let params = BalanceParams {
        tenant: client.config().tenant.clone(),
        ..Default::default()
    };
    for balance in client.get_balances(&params).await?.balances {
        if let Some(spent) = balance.spent.filter(|spent| spent.amount > 0) {
            println!("{}: {} {} spent", balance.scope, spent.amount, spent.unit);
        }
    }
    Ok(())
}

/// Sends every word, and reports the cost so far to the guard.
async fn speak(client: CyclesClient, listener: Sender<&'static str>) -> Result<&'static str, Failure> {
    let request = ReservationCreateRequest::builder()
        .subject(Subject::default()) // the configuration's tenant
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(500))
        .build();
    let guard = client.reserve(request).await?;
    let mut cost = 0;
    for word in WORDS {
        Timer::after(Duration::from_millis(30)).await;
        cost += TOKENS;
        guard.spent(&Amount::tokens(cost))?; // charged if the guard is dropped now
        listener.send(word).await?;
    }
    let commit = CommitRequest::builder().actual(Amount::tokens(cost)).build();
    guard.commit(commit).await?;
    Ok("everything was sent")
}

/// Receives at most `patience` words.
async fn listen(speaker: Receiver<&'static str>, patience: usize) -> Result<&'static str, Failure> {
    for _ in 0..patience {
        match speaker.recv().await {
            Ok(word) => print!("{word} "),
            Err(_) => return pending().await, // the speaker is done, and returns by itself
        }
    }
    Ok("the listener has heard enough")
}
