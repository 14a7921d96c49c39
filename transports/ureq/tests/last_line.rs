//! A program that returns from `main` right after it handed a cost over has it in the ledger or on the disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

extern crate cycles_ureq as runcycles;

#[path = "../../client/tests/adapter/last_line.rs"]
mod last_line;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use cycles_conformance::{commit, request};
use cycles_ureq::models::Amount;
use cycles_ureq::{CyclesClient, Flushed, ReservationGuard, WithCyclesConfig, with_cycles};
use last_line::{COST, its_client, test};

fn main() -> ExitCode {
    test(&[
        ("a_commit", a_commit),
        ("a_guard_that_is_dropped", a_guard_that_is_dropped),
        ("an_action", an_action),
        ("a_thread", a_thread),
        ("a_panic", a_panic),
    ])
}

fn reserved() -> ReservationGuard {
    its_client().reserve(request(100)).unwrap()
}

fn a_commit() {
    drop(reserved().commit(commit(COST)));
}

fn a_guard_that_is_dropped() {
    let guard = reserved();
    guard.spent(&Amount::tokens(COST)).unwrap();
    drop(guard);
}

fn an_action() {
    let config = WithCyclesConfig::new(Amount::tokens(100)).action("llm.completion", "gpt-4o");
    with_cycles(&its_client(), config, |_| Ok(((), Amount::tokens(COST)))).unwrap();
}

fn a_thread() {
    thread::spawn(a_guard_that_is_dropped).join().unwrap();
}

/// It ends its thread; the program goes on to its end.
fn a_panic() {
    let panicking = thread::spawn(|| {
        let guard = reserved();
        guard.spent(&Amount::tokens(COST)).unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    panicking.join().unwrap_err();
}

fn flush(client: &CyclesClient, patience: Duration) -> Flushed {
    client.flush(patience).unwrap()
}
