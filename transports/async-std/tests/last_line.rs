//! A program that returns from `main` right after it handed a cost over has it in the ledger or on the disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

extern crate cycles_async_std as runcycles;

#[path = "../../client/tests/adapter/last_line.rs"]
mod last_line;

use std::process::ExitCode;
use std::time::Duration;

use cycles_conformance::{commit, request};
use last_line::{COST, its_client, test};
use runcycles::{CyclesClient, Flushed};

fn main() -> ExitCode {
    // Not a task on one of the executor's threads: neither async-std nor smol waits for these when a program ends, so such
    // a program has to flush.
    test(&[
        ("the_executor", the_executor),
        ("another_executor", another_executor),
    ])
}

#[cfg(feature = "async-std")]
fn the_executor() {
    async_std::task::block_on(act());
}

#[cfg(not(feature = "async-std"))]
fn the_executor() {
    smol::block_on(act());
}

fn another_executor() {
    futures::executor::block_on(act());
}

/// What the programs do.
async fn act() {
    let guard = its_client().reserve(request(100)).await.unwrap();
    drop(guard.commit(commit(COST)));
}

fn flush(client: &CyclesClient, patience: Duration) -> Flushed {
    futures::executor::block_on(client.flush(patience)).unwrap()
}
