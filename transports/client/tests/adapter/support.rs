//! Clients for tests, and the servers that they meet. The tests of each adapter have it as a module; `runcycles`
//! is their crate.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used
)]

use std::time::Duration;

pub use cycles_conformance::scripted::{Connection, Scripted, http};
use runcycles::models::{Action, Amount, CommitRequest, DecisionRequest, Subject};
use runcycles::{CyclesClient, HttpOptions};

pub const KEY: &str = "cyc_live_0123456789";
pub const COMMITTED: &str = r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":5}}"#;

/// A client of `url` without a proxy, with long timeouts.
pub fn client(url: &str) -> CyclesClient {
    client_with(url, HttpOptions::new().no_proxy())
}

/// A client with timeouts longer than any test that expects a response takes.
pub fn client_with(url: &str, options: HttpOptions) -> CyclesClient {
    let patience = Duration::from_secs(10);
    build(url, options, patience, patience)
}

/// A client for tests that wait for a timeout, which is still long enough to connect on a busy machine.
pub fn hasty(url: &str, options: HttpOptions) -> CyclesClient {
    build(url, options, Duration::from_secs(1), Duration::from_millis(200))
}

fn build(url: &str, options: HttpOptions, connect: Duration, read: Duration) -> CyclesClient {
    CyclesClient::builder(KEY, url)
        .connect_timeout(connect)
        .read_timeout(read)
        .http(options)
        .try_build()
        .unwrap()
}

pub fn decide() -> DecisionRequest {
    DecisionRequest::builder()
        .subject(Subject::tenant("acme-corp"))
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(5))
        .build()
}

pub fn commit() -> CommitRequest {
    CommitRequest::builder().actual(Amount::tokens(5)).build()
}
