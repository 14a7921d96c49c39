//! A clock that a test moves, for the client and its server at once. The tests of each adapter have it as a module;
//! `runcycles` is their crate.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use cycles_conformance::{TempDir, commit, records, request};
use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Operation, Sandbox, Unit};
use runcycles::{
    CyclesClient, CyclesClientBuilder, Event, HttpOptions, Receipt, RetryPolicy, TestClock, UnixMillis,
};

const MINUTE: Duration = Duration::from_secs(60);

/// A client and its server, with one clock.
struct Scene {
    time: TestClock,
    sandbox: Sandbox,
    client: CyclesClient,
    dir: TempDir,
    sent: Arc<Mutex<Vec<(Duration, Operation)>>>,
}

impl Scene {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(change: impl FnOnce(CyclesClientBuilder) -> CyclesClientBuilder) -> Self {
        let (time, dir) = (TestClock::new(), TempDir::new());
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (seen, clock) = (Arc::clone(&sent), time.clone());
        let sandbox = Sandbox::builder()
            .clock(time.wall())
            .observe(move |exchange| seen.lock().unwrap().push((clock.passed(), exchange.operation)))
            .start()
            .unwrap();
        let builder = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
            .tenant(sandbox.tenant())
            .http(HttpOptions::new().no_proxy())
            .journal_dir(dir.path())
            .clock(time.clone());
        let client = change(builder).build();
        Self {
            time,
            sandbox,
            client,
            dir,
            sent,
        }
    }

    fn inject(&self, fault: &str) {
        self.sandbox.inject(fault.parse().unwrap());
    }

    /// When this was asked for, in seconds.
    fn seconds_of(&self, operation: Operation) -> Vec<u64> {
        let sent = self.sent.lock().unwrap();
        let sent = sent.iter().filter(|(_, sent)| *sent == operation);
        sent.map(|(at, _)| at.as_secs()).collect()
    }
}

#[test]
fn a_lease_is_kept_alive_for_as_long_as_the_clock_is_moved() {
    let scene = Scene::new();
    let guard = wait!(scene.client.reserve(request(100))).unwrap();
    scene.time.advance_blocking(5 * MINUTE);
    assert!(!guard.lease().is_lost());
    let beats = scene.seconds_of(Operation::ExtendReservation);
    // Each beat was answered before the clock went on: it makes the lease a minute longer.
    assert!((4..=6).contains(&beats.len()), "{beats:?}");
    assert!(
        beats.windows(2).all(|two| (45..=75).contains(&(two[1] - two[0]))),
        "{beats:?}"
    );
    assert!(wait!(guard.commit(commit(42))).unwrap().is_settled());
    scene.sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
    scene.sandbox.assert_nothing_reserved();
}

#[test]
fn the_cost_of_a_lease_that_ended_is_charged_once_by_an_event() {
    let scene = Scene::new();
    let guard = wait!(scene.client.reserve(request(100))).unwrap();
    let id = guard.reservation_id().clone();
    scene.inject("extend:503");
    scene.time.advance_blocking(2 * MINUTE);
    assert!(guard.lease().is_lost());
    scene.sandbox.assert_nothing_reserved();
    let receipt = wait!(guard.commit(commit(42))).unwrap();
    assert!(receipt.is_recovered_via_event(), "{receipt:?}");
    scene.sandbox.assert_charged_once(id.as_str());
    scene.sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
}

#[test]
fn a_cost_is_settled_after_an_outage_of_minutes_and_counts_once() {
    for fault in [
        "commit:503@first=4",
        "commit:lose-response@first=4",
        "commit:lose-request@first=4",
    ] {
        let scene = Scene::new();
        let guard = wait!(scene.client.reserve(request(100))).unwrap();
        let id = guard.reservation_id().clone();
        scene.inject(fault);
        let receipt = wait!(guard.commit(commit(42))).unwrap();
        assert!(matches!(receipt, Receipt::Pending { .. }), "{fault}: {receipt:?}");
        assert_eq!(records(scene.dir.path(), "json").len(), 1);
        scene.time.advance_blocking(5 * MINUTE);
        scene.sandbox.assert_charged_once(id.as_str());
        scene.sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
        assert!(records(scene.dir.path(), "json").is_empty(), "{fault}");
        assert_eq!(scene.seconds_of(Operation::CommitReservation).len(), 5, "{fault}");
    }
}

#[test]
fn retries_come_when_the_policy_says_and_not_before() {
    let scene = Scene::with(|builder| {
        let mut retry = RetryPolicy::default();
        retry.initial_delay = Duration::from_secs(10);
        retry.max_delay = Duration::from_secs(10);
        builder.retry(retry)
    });
    let guard = wait!(scene.client.reserve(request(100))).unwrap();
    scene.inject("commit:503@1");
    assert!(!wait!(guard.commit(commit(42))).unwrap().is_settled());
    for _ in 0..3 {
        // Nothing happens without the clock, however long it takes.
        scene.time.advance_blocking(Duration::ZERO);
        assert_eq!(scene.seconds_of(Operation::CommitReservation), [0]);
    }
    scene.time.advance_blocking(Duration::from_secs(10));
    assert_eq!(scene.seconds_of(Operation::CommitReservation).len(), 2);
    scene.sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
}

#[test]
fn what_another_process_left_is_settled_when_the_clock_is_moved() {
    let scene = Scene::new();
    let guard = wait!(scene.client.reserve(request(100))).unwrap();
    scene.inject("commit:503");
    assert!(!wait!(guard.commit(commit(42))).unwrap().is_settled());
    let Scene {
        time,
        sandbox,
        client,
        dir,
        ..
    } = scene;
    drop(client);
    time.advance_blocking(5 * MINUTE);
    sandbox.clear_faults();
    sandbox.assert_nothing_spent();
    let next = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        .journal_dir(dir.path())
        .clock(time.clone())
        .build();
    let guard = wait!(next.reserve(request(100))).unwrap();
    assert!(wait!(guard.release("not needed")).unwrap());
    time.advance_blocking(MINUTE);
    sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
    assert!(records(dir.path(), "json").is_empty());
}

#[test]
fn an_agent_on_another_thread_waits_for_its_retries_while_the_test_moves_the_clock() {
    let scene = Scene::with(|builder| builder.journal_enabled(false));
    scene.inject("commit:503@first=4");
    std::thread::scope(|scope| {
        let agent = scope.spawn(|| {
            let guard = wait!(scene.client.reserve(request(100))).unwrap();
            wait!(guard.commit(commit(42))).unwrap()
        });
        while !agent.is_finished() {
            scene.time.advance_blocking(Duration::from_secs(1));
        }
        assert!(agent.join().unwrap().is_settled());
    });
    scene.sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
}

#[test]
fn two_clients_of_one_clock_go_on_together() {
    let one = Scene::new();
    let other = CyclesClient::builder(one.sandbox.api_key(), one.sandbox.base_url())
        .tenant(one.sandbox.tenant())
        .journal_enabled(false)
        .clock(one.time.clone())
        .build();
    let guards = [&one.client, &other].map(|client| wait!(client.reserve(request(100))).unwrap());
    one.time.advance_blocking(5 * MINUTE);
    for guard in guards {
        assert!(!guard.lease().is_lost());
        assert!(wait!(guard.commit(commit(5))).unwrap().is_settled());
    }
    one.sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 10);
}

#[test]
fn the_clock_begins_now_and_stands_still() {
    let before = UnixMillis::from(SystemTime::now());
    let time = TestClock::new();
    let wall = time.wall();
    assert!(before <= wall() && wall() <= UnixMillis::from(SystemTime::now()));
    let began = wall();
    time.advance_blocking(MINUTE);
    assert_eq!(time.passed(), MINUTE);
    assert_eq!(wall(), began.saturating_add(MINUTE));
    let fixed = TestClock::starting_at(UnixMillis(1_795_000_000_000));
    fixed.advance_blocking(Duration::from_millis(5));
    assert_eq!(fixed.wall()(), UnixMillis(1_795_000_000_005));
}

#[test]
fn an_observer_is_told_when_the_lease_is_extended() {
    let told = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&told);
    let scene = Scene::with(|builder| {
        builder.observer(move |event: &Event| {
            *seen.lock().unwrap() += usize::from(matches!(event, Event::LeaseExtended { .. }));
        })
    });
    let guard = wait!(scene.client.reserve(request(100))).unwrap();
    scene.time.advance_blocking(5 * MINUTE);
    drop(guard);
    let beats = scene.seconds_of(Operation::ExtendReservation).len();
    // The observer's thread is in real time.
    while *told.lock().unwrap() < beats {
        std::thread::yield_now();
    }
}
