//! A program that returns from `main` right after it handed a cost over has it in the ledger or on the disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

extern crate cycles_tokio as runcycles;

#[path = "../../client/tests/adapter/last_line.rs"]
mod last_line;

use std::process::ExitCode;
use std::time::Duration;

use cycles_conformance::{commit, request};
use last_line::{COST, its_client, test};
use runcycles::{CyclesClient, Flushed};

fn main() -> ExitCode {
    test(&[
        ("many_threads", many_threads),
        ("one_thread", one_thread),
        ("a_task", a_task),
        ("no_runtime", no_runtime),
        ("forgotten", forgotten),
        ("another_thread", another_thread),
    ])
}

#[tokio::main]
async fn many_threads() {
    act().await;
}

#[tokio::main(flavor = "current_thread")]
async fn one_thread() {
    act().await;
}

#[tokio::main]
async fn a_task() {
    tokio::spawn(act()).await.unwrap();
}

fn no_runtime() {
    futures::executor::block_on(act());
}

#[tokio::main]
async fn forgotten() {
    let guard = its_client().reserve(request(100)).await.unwrap();
    std::mem::forget(guard.commit(commit(COST)));
}

/// The cost is handed over here, and a thread that waits for it is not waited for.
fn another_thread() {
    let guard = futures::executor::block_on(its_client().reserve(request(100))).unwrap();
    let committing = guard.commit(commit(COST));
    std::thread::spawn(move || futures::executor::block_on(committing));
}

/// What the programs do.
async fn act() {
    let guard = its_client().reserve(request(100)).await.unwrap();
    drop(guard.commit(commit(COST)));
}

fn flush(client: &CyclesClient, patience: Duration) -> Flushed {
    futures::executor::block_on(client.flush(patience)).unwrap()
}
