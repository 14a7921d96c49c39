//! A program that returns from `main` right after it handed a cost over has it in the ledger or on the disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

extern crate cycles_async_std as runcycles;

#[path = "../../client/tests/adapter/last_line.rs"]
mod last_line;

use std::process::ExitCode;

use last_line::{act, test};

fn main() -> ExitCode {
    test(&[("the_executor", the_executor), ("a_task", a_task), ("another_executor", another_executor)])
}

#[cfg(feature = "async-std")]
fn the_executor() {
    async_std::task::block_on(act());
}

#[cfg(not(feature = "async-std"))]
fn the_executor() {
    smol::block_on(act());
}

#[cfg(feature = "async-std")]
fn a_task() {
    async_std::task::block_on(async_std::task::spawn(act()));
}

#[cfg(not(feature = "async-std"))]
fn a_task() {
    smol::block_on(smol::spawn(act()));
}

fn another_executor() {
    futures::executor::block_on(act());
}
