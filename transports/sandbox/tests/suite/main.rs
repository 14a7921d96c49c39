//! How the server behaves, as one suite for the ledger of this process and for any server elsewhere:
//!
//! ```text
//! CYCLES_BASE_URL=… CYCLES_API_KEY=… CYCLES_TENANT=… CYCLES_SEED=… cargo test -p cycles-sandbox
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod check_order;
#[path = "../common/mod.rs"]
mod common;
mod evidence;
mod expiry;
mod headers;
mod idempotency;
mod overage;
mod reads;
mod scopes;
mod strictness;

/// By its name it is the last to start.
#[test]
fn zz_a_live_run_is_summed_up() {
    if let Some(url) = common::live::base_url() {
        common::tally::sum_up(&url);
    }
}
