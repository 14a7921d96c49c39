//! A test clock that is awaited, in the test's own task. The tests of each async adapter have it as a module;
//! `runcycles` is their crate.

use std::time::Duration;

use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Sandbox, Unit};
use futures::future::join;
use runcycles::models::Amount;
use runcycles::{CyclesClient, RetryPolicy, TestClock, WithCyclesConfig, try_with_cycles, with_cycles};

use crate::executor;

fn start() -> (TestClock, Sandbox, CyclesClient) {
    let time = TestClock::new();
    let sandbox = Sandbox::builder().clock(time.wall()).start().unwrap();
    let client = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        .journal_enabled(false)
        .clock(time.clone())
        .build();
    (time, sandbox, client)
}

fn config() -> WithCyclesConfig {
    WithCyclesConfig::new(Amount::tokens(100)).action("llm.completion", "gpt-4o")
}

on_executor! {
    async fn an_action_that_takes_five_minutes_takes_milliseconds() {
        let (time, sandbox, client) = start();
        let done = try_with_cycles(&client, config(), async |context| {
            time.advance(Duration::from_secs(300)).await;
            assert!(!context.lease().is_lost());
            sandbox.assert_something_reserved();
            Ok::<_, std::io::Error>(((), Amount::tokens(42)))
        });
        assert!(done.await.unwrap().receipt.unwrap().is_settled());
        sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
    }
}

on_executor! {
    async fn a_caller_who_waits_for_the_retries_is_done_when_the_clock_was_moved_past_them() {
        let (time, sandbox, client) = start();
        let guard = client.reserve(cycles_conformance::request(100)).await.unwrap();
        sandbox.inject("commit:503@first=3".parse().unwrap());
        let committing = guard.commit(cycles_conformance::commit(42));
        let (receipt, ()) = join(committing, time.advance(Duration::from_secs(60))).await;
        assert!(receipt.unwrap().is_settled());
        assert_eq!(time.passed(), Duration::from_secs(60));
        sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
    }
}

on_executor! {
    async fn a_task_that_reacts_to_an_answer_does_so_before_the_clock_goes_on() {
        let (time, sandbox, client) = start();
        // Ten reservations one after another, each of which is kept alive for a minute and a half.
        let agent = async {
            for _ in 0..10 {
                let guard = client.reserve(cycles_conformance::request(100)).await.unwrap();
                let began = time.passed();
                while time.passed() < began + Duration::from_secs(90) {
                    executor::yield_now().await;
                }
                assert!(!guard.lease().is_lost());
                assert!(guard.commit(cycles_conformance::commit(1)).await.unwrap().is_settled());
            }
        };
        let clock = async {
            for _ in 0..30 {
                time.advance(Duration::from_secs(45)).await;
            }
        };
        join(agent, clock).await;
        sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 10);
        sandbox.assert_nothing_reserved();
    }
}

on_executor! {
    async fn on_denial_nothing_runs() {
        let (_, sandbox, client) = start();
        sandbox.deny_everything();
        let denied = with_cycles(&client, config(), async |_| -> Result<((), Amount), _> {
            panic!("the action ran");
        });
        assert!(denied.await.unwrap_err().is_budget_exceeded());
        sandbox.assert_nothing_ran();
    }
}

on_executor! {
    async fn a_retry_of_an_hour_takes_no_time() {
        let (time, sandbox, client) = start();
        let mut retry = RetryPolicy::default();
        retry.initial_delay = Duration::from_secs(3_600);
        retry.max_delay = Duration::from_secs(3_600);
        let patient = CyclesClient::builder(sandbox.api_key(), client.config().base_url.clone())
            .tenant(sandbox.tenant())
            .journal_enabled(false)
            .retry(retry)
            .clock(time.clone())
            .build();
        let mut request = cycles_conformance::request(100);
        request.ttl_ms = Some(3_600_000);
        let guard = patient.reserve(request).await.unwrap();
        sandbox.inject("commit:503@1".parse().unwrap());
        let committing = guard.commit(cycles_conformance::commit(42));
        let (receipt, ()) = join(committing, time.advance(Duration::from_secs(3_600))).await;
        assert!(receipt.unwrap().is_settled());
        sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
    }
}
