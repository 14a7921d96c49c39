//! Tests of the simulation and, through it, of the core, in virtual time; one module per file.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout
)]

#[allow(dead_code, reason = "the dice have more sides than are needed here")]
#[path = "../../../sandbox/tests/behaviour/dice.rs"]
mod dice;
mod story;

mod contract;
mod leases;
mod marks;
mod provider;
mod recovery;
mod sabotage;
mod scenarios;
