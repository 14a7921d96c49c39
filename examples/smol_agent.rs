//! An agent on smol whose answer is streamed until somebody has read enough: what was said until then is paid for,
//! and the rest of the estimate is given back.
//!
//! `cargo run -p cycles-examples --features smol --bin smol_agent` needs nothing: it starts a server of its own.
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

/// What a word costs.
const TOKENS: i64 = 10;

fn main() -> Result<(), Failure> {
    let sandbox = Sandbox::start()?;
    let client = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        .journal_dir(journal("smol_agent"))
        .build();
    // One thread, and tasks that cannot leave it; the leases are kept alive elsewhere.
    let executor = Rc::new(LocalExecutor::new());
    let agent = executor.spawn(agent(client, Rc::clone(&executor)));
    smol::block_on(executor.run(agent))
}

async fn agent(client: CyclesClient, executor: Rc<LocalExecutor<'_>>) -> Result<(), Failure> {
    for patience in [WORDS.len() + 1, 4] {
        let (speaker, listener) = bounded(1);
        let speaking = executor.spawn(speak(client.clone(), speaker));
        // Whoever is first: the other is dropped, and the guard with the speaker.
        let end = speaking.or(listen(listener, patience)).await?;
        println!(" ({end})");
    }

    // The guard that was dropped is settled in the background: a program ends with this.
    let left = client.flush(Duration::from_secs(10)).await?;
    println!("Nothing left to settle: {}", left.is_complete());
    let params = BalanceParams {
        tenant: client.config()?.subject().tenant.clone(),
        ..Default::default()
    };
    for balance in client.get_balances(&params).await?.balances {
        if let Some(spent) = balance.spent.filter(|spent| spent.amount > 0) {
            println!("{}: {} {} spent", balance.scope, spent.amount, spent.unit);
        }
    }
    Ok(())
}

/// Says everything, and keeps the guard told what it has cost so far.
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
        guard.spent(&Amount::tokens(cost))?; // charged if nobody comes to say more
        listener.send(word).await?;
    }
    let commit = CommitRequest::builder().actual(Amount::tokens(cost)).build();
    guard.commit(commit).await?;
    Ok("all was said")
}

/// Hears so many words at most, and leaves then.
async fn listen(speaker: Receiver<&'static str>, patience: usize) -> Result<&'static str, Failure> {
    for _ in 0..patience {
        match speaker.recv().await {
            Ok(word) => print!("{word} "),
            Err(_) => return pending().await, // the speaker is done, and says so itself
        }
    }
    Ok("the listener has heard enough")
}
