//! Tests of users whose tokio clock is paused. Such a clock jumps to its next timer while an answer is on its way over a
//! socket, unless somebody holds it.

use std::future::Future;
use std::time::{Duration, Instant};

use cycles_conformance::{TempDir, commit, request};
use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Sandbox, Unit};
use cycles_tokio::models::Amount;
use cycles_tokio::{CyclesClient, HeartbeatPolicy, RetryPolicy, TestClock, WithCyclesConfig, with_cycles};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

const HALF_A_MINUTE: Duration = Duration::from_secs(30);

fn paused<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build();
    runtime.unwrap().block_on(test)
}

fn client(sandbox: &Sandbox) -> CyclesClient {
    CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        .journal_enabled(false)
        .build()
}

fn config() -> WithCyclesConfig {
    WithCyclesConfig::new(Amount::tokens(100)).action("llm.completion", "gpt-4o")
}

#[test]
fn a_timeout_around_a_guarded_action_does_not_pass_before_the_answers_are_there() {
    let (sandbox, dir) = (Sandbox::start().unwrap(), TempDir::new());
    let journaling = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        .journal_dir(dir.path())
        .build();
    for client in [client(&sandbox), journaling] {
        for _ in 0..200 {
            let run = with_cycles(&client, config(), async |_| Ok(((), Amount::tokens(1))));
            let done = paused(async { timeout(HALF_A_MINUTE, run).await });
            done.expect("in time").unwrap();
        }
    }
    sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 400);
    sandbox.assert_nothing_reserved();
}

#[test]
fn no_call_is_overtaken_by_a_timer() {
    let sandbox = Sandbox::start().unwrap();
    let client = client(&sandbox);
    for _ in 0..50 {
        paused(async {
            let health = timeout(HALF_A_MINUTE, client.health()).await;
            health.expect("in time").unwrap();
            let guard = timeout(HALF_A_MINUTE, client.reserve(request(100))).await;
            let guard = guard.expect("in time").unwrap();
            let extended = timeout(HALF_A_MINUTE, guard.extend(60_000)).await;
            extended.expect("in time").unwrap();
            let released = timeout(HALF_A_MINUTE, guard.release("not needed")).await;
            assert!(released.expect("in time").unwrap());
            let flushed = timeout(HALF_A_MINUTE, client.flush(HALF_A_MINUTE)).await;
            assert!(flushed.expect("in time").unwrap().is_complete());
        });
    }
}

#[test]
fn a_wait_for_retries_is_not_overtaken_either() {
    let sandbox = Sandbox::start().unwrap();
    let mut retry = RetryPolicy::default();
    retry.initial_delay = Duration::from_millis(20);
    retry.max_delay = Duration::from_millis(20);
    let client = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        .journal_enabled(false)
        .retry(retry)
        .build();
    paused(async {
        let guard = client.reserve(request(100)).await.unwrap();
        sandbox.inject("commit:503@first=2".parse().unwrap());
        let receipt = timeout(HALF_A_MINUTE, guard.commit(commit(42))).await;
        assert!(receipt.expect("in time").unwrap().is_settled());
    });
    sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
}

#[test]
fn the_actions_own_timers_still_jump() {
    let sandbox = Sandbox::start().unwrap();
    let client = client(&sandbox);
    let began = Instant::now();
    for policy in [HeartbeatPolicy::Warn, HeartbeatPolicy::Cancel] {
        let config = config().heartbeat(policy);
        let run = with_cycles(&client, config, async |_| {
            sleep(Duration::from_secs(24 * 3600)).await;
            Ok(((), Amount::tokens(1)))
        });
        paused(run).unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(3600));
    sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 2);
}

#[test]
fn a_clock_that_was_resumed_is_not_held() {
    let sandbox = Sandbox::start().unwrap();
    let client = client(&sandbox);
    paused(async {
        tokio::time::advance(HALF_A_MINUTE).await;
        tokio::time::resume();
        timeout(HALF_A_MINUTE, client.health()).await.unwrap().unwrap();
    });
}

#[test]
fn a_test_clock_and_a_paused_clock_go_together() {
    let time = TestClock::new();
    let sandbox = Sandbox::builder().clock(time.wall()).start().unwrap();
    let client = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        .journal_enabled(false)
        .clock(time.clone())
        .build();
    paused(async {
        let guard = client.reserve(request(100)).await.unwrap();
        let moved = timeout(HALF_A_MINUTE, time.advance(Duration::from_secs(300))).await;
        moved.expect("it takes none of tokio's time");
        assert!(!guard.lease().is_lost());
        assert!(guard.commit(commit(42)).await.unwrap().is_settled());
    });
    sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
}
