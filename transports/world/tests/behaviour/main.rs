//! What the simulation finds, and what it would find: the proofs of the core in virtual time, one module a file.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout
)]

/// What these share with the tests of the ledger.
#[allow(dead_code, clippy::wildcard_enum_match_arm)]
#[path = "../../../sandbox/tests/behaviour/common"]
mod common {
    pub(crate) mod contract;
}
#[allow(dead_code, reason = "the dice have more sides than are needed here")]
#[path = "../../../sandbox/tests/behaviour/dice.rs"]
mod dice;
mod story;

mod contract;
mod leases;
mod lives;
mod recovery;
mod sabotage;
