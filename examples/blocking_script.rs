//! A batch job without an async runtime: one guarded call per document, a progress bar, and a flush at the end that
//! leaves nothing unsettled.
//!
//! `cargo run --bin blocking_script` needs no setup: it starts its own server, with a budget that is too small for all
//! documents. Set `CYCLES_BASE_URL`, `CYCLES_API_KEY` and `CYCLES_TENANT` to use your own.
#![allow(clippy::print_stdout)]

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use cycles_examples::{Failure, Scene, end};
use cycles_sandbox::{Budget, DEFAULT_TENANT_SCOPE, Sandbox, Unit};
use cycles_ureq::models::{Amount, CyclesMetrics};
use cycles_ureq::{CyclesClient, Error, WithCyclesConfig, with_cycles};

const DOCUMENTS: usize = 24;

fn main() -> ExitCode {
    end("blocking_script", run())
}

fn run() -> Result<(), Failure> {
    // Kept until the end: dropping it stops the server.
    let budget = Budget::new(DEFAULT_TENANT_SCOPE, Unit::Tokens, 9_000);
    let scene = Scene::with("blocking_script", Sandbox::builder().budget(budget))?;
    let flush_timeout = scene.config.retry().flush_timeout;
    let client = CyclesClient::new(scene.config.clone());

    let (mut done, mut tokens) = (0, 0);
    let stopped = loop {
        bar(done, tokens);
        if done == DOCUMENTS {
            break None;
        }
        match summarize(&client, done) {
            Ok(spent) => tokens += spent,
            Err(Error::BudgetExceeded { message, .. }) => break Some(message),
            Err(error) => return Err(error.into()),
        }
        done += 1;
    };
    println!();
    if let Some(message) = stopped {
        println!("Stopped before document {}: {message}", done + 1);
    }

    // Settles the remaining costs; any that cannot be settled are left for the next run.
    let left = client.flush(flush_timeout)?;
    println!(
        "{done} of {DOCUMENTS} documents, {tokens} tokens, {} costs left for the next run",
        left.ending + left.recorded + left.unrecorded
    );
    Ok(())
}

/// Returns the cost of one document. The closure runs on this thread, so it can borrow anything.
fn summarize(client: &CyclesClient, document: usize) -> Result<i64, Error> {
    let action = WithCyclesConfig::new(Amount::tokens(600))
        .action("llm.completion", "gpt-4o")
        .ttl_ms(30_000);
    with_cycles(client, action, |ctx| {
        let spent = call_model(document);
        ctx.set_metrics(CyclesMetrics {
            tokens_output: Some(spent),
            ..Default::default()
        });
        ctx.insert_metadata("document", document);
        Ok((spent, Amount::tokens(spent)))
    })
}

/// Stands in for a model: takes a moment and some tokens.
fn call_model(document: usize) -> i64 {
    std::thread::sleep(Duration::from_millis(40));
    350 + i64::try_from(document * 37 % 200).unwrap_or(0)
}

fn bar(done: usize, tokens: i64) {
    let filled = "#".repeat(done);
    let mut out = std::io::stdout();
    // On a terminal the bar grows in place; otherwise one line is printed at the end.
    if out.is_terminal() {
        let _ = write!(
            out,
            "\r[{filled:<DOCUMENTS$}] {done:>2}/{DOCUMENTS} {tokens:>6} tokens"
        );
        let _ = out.flush();
    } else if done == DOCUMENTS {
        let _ = write!(out, "[{filled}] {tokens} tokens");
    }
}
