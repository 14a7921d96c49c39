//! How to test an agent: copy this file, and put your own agent in the place of this one.
//!
//! Each test has a server of its own, in this process, and a clock that the test moves. So a lease of minutes, an outage
//! and an expiry take milliseconds.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::time::Duration;

use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Sandbox, Unit};
use cycles_tokio::models::Amount;
use cycles_tokio::{CyclesClient, Error, TestClock, WithCyclesConfig, with_cycles};

/// The agent: asks a provider, on reserved budget. A test passes a fake in place of the provider.
async fn ask(
    client: &CyclesClient,
    provider: impl AsyncFnOnce(&str) -> Result<(String, i64), std::io::Error>,
    question: &str,
) -> Result<String, Error> {
    let config = WithCyclesConfig::new(Amount::tokens(1_000)).action("llm.completion", "gpt-4o");
    with_cycles(client, config, async |_| {
        let (answer, tokens) = provider(question).await?;
        Ok((answer, Amount::tokens(tokens)))
    })
    .await
}

/// A server, a client of it, and the clock of both.
fn start() -> (Sandbox, CyclesClient, TestClock) {
    let time = TestClock::new();
    let sandbox = Sandbox::builder().clock(time.wall()).start().unwrap();
    let client = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        // A journal would be in the home directory of whoever runs the test.
        .journal_enabled(false)
        .clock(time.clone())
        .build();
    (sandbox, client, time)
}

#[tokio::test]
async fn an_answer_costs_what_the_provider_says() {
    let (sandbox, client, _) = start();
    let provider = async |_: &str| {
        sandbox.assert_something_reserved();
        Ok(("4".to_owned(), 42))
    };
    assert_eq!(ask(&client, provider, "2 + 2?").await.unwrap(), "4");
    sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
    sandbox.assert_nothing_reserved();
}

#[tokio::test]
async fn on_denial_nothing_ran() {
    let (sandbox, client, _) = start();
    let was_asked = Cell::new(false);
    let provider = async |_: &str| {
        was_asked.set(true);
        Ok((String::new(), 0))
    };
    sandbox.deny_everything();
    let error = ask(&client, provider, "2 + 2?").await.unwrap_err();
    assert!(error.is_budget_exceeded());
    sandbox.assert_nothing_ran();
    assert!(!was_asked.get());
}

#[tokio::test]
async fn a_failure_of_the_provider_gives_the_budget_back() {
    let (sandbox, client, _) = start();
    let provider = async |_: &str| Err(std::io::Error::other("overloaded"));
    assert!(ask(&client, provider, "2 + 2?").await.is_err());
    sandbox.assert_nothing_spent();
    sandbox.assert_nothing_reserved();
}

#[tokio::test]
async fn an_answer_that_takes_five_minutes_keeps_its_budget() {
    let (sandbox, client, time) = start();
    let provider = async |_: &str| {
        time.advance(Duration::from_secs(300)).await;
        sandbox.assert_something_reserved();
        Ok(("4".to_owned(), 42))
    };
    ask(&client, provider, "2 + 2?").await.unwrap();
    sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
}

#[tokio::test]
async fn a_cost_counts_once_though_the_lease_ended_meanwhile() {
    let (sandbox, client, time) = start();
    sandbox.inject("extend:503".parse().unwrap());
    let provider = async |_: &str| {
        time.advance(Duration::from_secs(300)).await;
        sandbox.assert_nothing_reserved();
        Ok(("4".to_owned(), 42))
    };
    ask(&client, provider, "2 + 2?").await.unwrap();
    let id = sandbox.with_ledger(|ledger| ledger.reservation_ids().next().map(str::to_owned));
    sandbox.assert_charged_once(&id.unwrap());
}

#[tokio::test]
async fn a_cost_counts_once_though_the_server_was_down() {
    let (sandbox, client, time) = start();
    sandbox.inject("commit:lose-response@first=3".parse().unwrap());
    let provider = async |_: &str| Ok(("4".to_owned(), 42));
    // The agent waits for its retries while the clock is moved.
    let asked = ask(&client, provider, "2 + 2?");
    let (answer, ()) = tokio::join!(asked, time.advance(Duration::from_secs(60)));
    assert_eq!(answer.unwrap(), "4");
    sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
}
