//! Checks requests and answers against the protocol's own description (`CYCLES_OPENAPI`). Every request that the core
//! sends is valid, for models on and around every limit and for random scenarios. Every answer of the ledger to them is
//! valid as well, except for the deviations of the reference server that cycles-conformance lists.
//!
//! `CYCLES_CONTRACT_SEED` repeats a run, `CYCLES_CONTRACT_REQUESTS` makes a longer one.

mod desk;
mod models;
mod planted;
mod requests;
mod text;

use cycles_conformance::contract::spec_or_say as spec;

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).unwrap_or_default();
    match text.replace('_', "").parse() {
        Ok(number) => number,
        Err(_) if text.is_empty() => default,
        Err(error) => panic!("{name}: {error}"),
    }
}
