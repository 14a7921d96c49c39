//! The engine under shuttle, which chooses at every lock which thread goes on: inputs from many threads, calls that are
//! dropped in any state, a runtime that ends, panics, a slow disk, callers who block. Every caller comes to an end, at the time
//! at which it has to, and the ledger is exact.
//!
//! A run that fails prints its schedule. `CYCLES_SHUTTLE_SCHEDULE=…` with the name of the test repeats it, and
//! `CYCLES_SHUTTLE=…` says how many runs a test makes.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
mod wire;

mod background;
mod blocking;
mod dropped;
mod inputs;
mod journal;
mod withdrawn;
