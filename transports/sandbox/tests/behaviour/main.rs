//! The behaviour of the ledger, its HTTP front and the program, one module per file. `suite` and `differential` also
//! run against another server.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout
)]

mod common;
mod dice;
mod operator;

mod admin_access;
mod admin_budgets;
mod admin_pages;
mod admin_reads;
mod admin_tenants_and_keys;
mod assertions;
mod binary;
mod budget_text;
mod contract;
mod control;
mod cors;
mod differential;
mod faults;
mod forgetting;
mod http_front;
mod invariants;
mod page;
mod recipes;
mod runner;
mod suite;
mod watching;

/// Its name makes it the last test to start.
#[test]
fn zz_a_live_run_is_summed_up() {
    if let Some(url) = common::live::base_url() {
        common::tally::sum_up(&url);
    }
}
