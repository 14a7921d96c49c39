//! Counts tokens while a stream runs: consumed tokens are charged even if the reader goes away.
//!
//! `cargo run --bin streaming` needs no setup: it starts its own server. Set `CYCLES_BASE_URL`, `CYCLES_API_KEY` and
//! `CYCLES_TENANT` to use your own.
#![allow(clippy::print_stdout)]

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use cycles_examples::{Failure, Scene, end, spent_tokens};
use cycles_tokio::models::*;
use cycles_tokio::{CyclesClient, Metered, Reading};
use futures::stream::{self, Stream, StreamExt as _};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> ExitCode {
    end("streaming", run().await)
}

async fn run() -> Result<(), Failure> {
    // Kept until the end: dropping it stops the server.
    let scene = Scene::new("streaming")?;
    let client = CyclesClient::new(scene.config.clone());
    let before = spent_tokens(&client).await?;

    println!("1. A reader who stays to the end:");
    let mut answer = ask(&client).await?;
    let settling = answer.settling();
    while let Some(word) = answer.next().await {
        show(&word);
    }
    let read = answer.consumed().amount;
    let is_settled = settling.await?.is_some_and(|receipt| receipt.is_settled());
    println!("\n   {read} tokens, in the ledger: {is_settled}");

    println!("2. A reader who loses patience:");
    let mut answer = ask(&client).await?;
    let reader = async {
        while let Some(word) = answer.next().await {
            show(&word);
        }
    };
    let patience = Duration::from_millis(250);
    if tokio::time::timeout(patience, reader).await.is_err() {
        println!(" …\n   gone after {}", answer.consumed());
    }
    let read = read + answer.consumed().amount;
    drop(answer); // the drop alone charges the cost so far

    // Costs are settled in the background: wait until they are before the program ends.
    let timeout = client.config().retry_flush_timeout;
    let left = client.flush(timeout).await?;
    if !left.is_complete() {
        println!("Some costs are left for the next run: {left:?}");
    }
    let charged = spent_tokens(&client).await? - before;
    println!("Consumed by both: {read} tokens; charged by the ledger: {charged}");
    Ok(())
}

/// A model's answer, word by word. The reservation is for the longest possible answer, and each word is charged before
/// the reader sees it. The lease is kept alive while the stream runs.
async fn ask(
    client: &CyclesClient,
) -> Result<Metered<impl Stream<Item = String>, impl FnMut(&String) -> Option<Reading>>, Failure> {
    let request = ReservationCreateRequest::builder()
        .subject(Subject::default()) // the configuration's
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(500))
        .ttl_ms(30_000)
        .build();
    let guard = client.reserve(request).await?;
    let most = guard.caps().map_or(500, |caps| caps.clamp_max_tokens(500));
    let cost = |word: &String| i64::try_from(word.len()).map(Amount::tokens).ok();
    Ok(guard.meter(model(), cost).stop_at_tokens(most))
}

/// Stands in for a model that streams its answer. It stops when the reader is gone.
fn model() -> impl Stream<Item = String> {
    let (words, mut stream) = mpsc::channel(1);
    tokio::spawn(async move {
        for word in "Reserve before you act, say what you spend, commit what you spent.".split_inclusive(' ')
        {
            tokio::time::sleep(Duration::from_millis(40)).await;
            if words.send(word.to_owned()).await.is_err() {
                return;
            }
        }
    });
    stream::poll_fn(move |cx| stream.poll_recv(cx))
}

fn show(word: &str) {
    print!("{}{word}", if word.starts_with("Reserve") { "   " } else { "" });
    let _ = std::io::stdout().flush();
}
