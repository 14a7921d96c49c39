//! Which thread does what, how many there are, and when they are gone. The tests look at the threads of the whole
//! process, so only one at a time runs.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

extern crate cycles_ureq as runcycles;

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cycles_conformance::TempDir;
use cycles_sandbox::{Exchange, Fault, FaultRule, Operation, Sandbox, When};
use cycles_ureq::models::Amount;
use cycles_ureq::{CyclesClient, Error, Receipt, try_with_cycles};
use support::Scripted;
use support::world::{PATIENCE, World, builder, commit, guarded, recorded, reserve};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    until("the threads of the test before are gone", || threads().is_empty());
    alone
}

/// Our threads by the names that the system shows, which it cuts off after 15 characters.
fn threads() -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        // A thread may be gone by now.
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let name = name.trim();
        if name.starts_with("cycles-") && name != "cycles-sandbox" {
            *found.entry(name.to_owned()).or_default() += 1;
        }
    }
    found
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}: {:?}", threads());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs timers.
const TIMER: &str = "cycles-ureq";
/// Makes calls.
const CALL: &str = "cycles-call";

#[test]
fn calls_of_a_caller_go_out_on_his_own_thread_and_extensions_on_one_of_ours() {
    let _alone = alone();
    let seen: Arc<Mutex<Vec<(Operation, bool)>>> = Arc::default();
    let log = Arc::clone(&seen);
    let observe = move |exchange: &Exchange<'_>| {
        let row = (exchange.operation, threads().contains_key(CALL));
        log.lock().unwrap().push(row);
    };
    // With a journal there is a replay, which scans on a thread of ours.
    let world = World::with(Sandbox::builder().observe(observe), |builder| {
        builder.journal_enabled(false)
    });
    let ended = try_with_cycles(&world.client, guarded(10), |_| {
        Ok::<_, Error>(((), Amount::tokens(5)))
    });
    assert!(matches!(ended.unwrap().receipt, Ok(Receipt::Committed(_))));
    assert!(
        world
            .client
            .reserve(reserve(10, 60_000))
            .unwrap()
            .release("not needed")
            .unwrap()
    );
    let guard = world.client.reserve(reserve(10, 60_000)).unwrap();
    guard.extend(1_000).unwrap();
    drop(guard);
    world.flush();
    use Operation::*;
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (CreateReservation, false),
            (CommitReservation, false),
            (CreateReservation, false),
            (ReleaseReservation, false),
            (CreateReservation, false),
            (ExtendReservation, true),
            (ReleaseReservation, true),
        ]
    );
}

#[test]
fn a_commit_waits_for_no_extension_that_hangs() {
    let _alone = alone();
    let world = World::start();
    let hanging = FaultRule::new(Fault::Delay(Duration::from_secs(3_600)));
    world.sandbox.inject(hanging.on(Operation::ExtendReservation));
    // So short that it is extended at once.
    let guard = world.client.reserve(reserve(10, 1_000)).unwrap();
    until("an extension is on its way", || threads().contains_key(CALL));
    let receipt = guard.commit(commit(5)).unwrap();
    assert!(matches!(receipt, Receipt::Committed(_)), "{receipt:?}");
    assert!(threads().contains_key(CALL), "it still hangs");
}

/// Grants leases that are extended at once, again and again; one reservation's extensions are never answered.
struct Beating {
    server: Scripted,
    beats: Arc<Vec<AtomicUsize>>,
}

impl Beating {
    fn start(guards: usize, hanging: usize) -> Self {
        let beats: Arc<Vec<AtomicUsize>> = Arc::new((0..guards).map(|_| AtomicUsize::new(0)).collect());
        let (made, counted) = (AtomicUsize::new(0), Arc::clone(&beats));
        let server = Scripted::start(move |connection| {
            while let Some(request) = connection.read_request() {
                let path = request.split(' ').nth(1).unwrap();
                let body = if path == "/v1/reservations" {
                    let id = made.fetch_add(1, Ordering::SeqCst);
                    format!(
                        r#"{{"decision":"ALLOW","reservation_id":"{id}","affected_scopes":[],"expires_at_ms":1,"remaining_ttl_ms":4000}}"#
                    )
                } else if path.ends_with("/extend") {
                    let id: usize = path.split('/').nth(3).unwrap().parse().unwrap();
                    counted[id].fetch_add(1, Ordering::SeqCst);
                    if id < hanging {
                        connection.hang();
                    }
                    r#"{"status":"ACTIVE","expires_at_ms":2,"remaining_ttl_ms":4000}"#.to_owned()
                } else {
                    r#"{"status":"RELEASED","released":{"unit":"TOKENS","amount":1}}"#.to_owned()
                };
                connection.write(support::http(200, "", &body));
            }
        });
        Self { server, beats }
    }

    fn client(&self, journal: &TempDir) -> CyclesClient {
        builder(&self.server.url, support::KEY, journal.path()).build()
    }

    fn each_has_beaten(&self, times: usize) -> bool {
        self.beats
            .iter()
            .all(|beats| beats.load(Ordering::SeqCst) >= times)
    }
}

#[test]
fn extensions_that_hang_delay_no_other_reservations_beats() {
    let _alone = alone();
    let beating = Beating::start(40, 5);
    let journal = TempDir::new();
    let client = beating.client(&journal);
    let guards: Vec<_> = (0..40)
        .map(|_| client.reserve(reserve(1, 4_000)).unwrap())
        .collect();
    let others = &beating.beats[5..];
    until("two beats of each", || {
        others.iter().all(|beats| beats.load(Ordering::SeqCst) >= 2)
    });
    assert!(guards[5..].iter().all(|guard| !guard.lease().is_lost()));
}

#[test]
fn a_thousand_live_guards_are_kept_alive_by_about_as_many_threads_as_there_are_places() {
    let _alone = alone();
    let beating = Beating::start(1_000, 0);
    let journal = TempDir::new();
    let client = beating.client(&journal);
    let guards: Vec<_> = (0..1_000)
        .map(|_| client.reserve(reserve(1, 4_000)).unwrap())
        .collect();
    let mut most = 0;
    until("two beats of each", || beating.each_has_beaten(2));
    for _ in 0..100 {
        most = most.max(threads().values().sum());
        std::thread::sleep(Duration::from_millis(10));
    }
    // One runs timers, and one that reports a result is not free yet when its place is.
    assert!(
        (2..=1 + 64 + 32).contains(&most),
        "{most} threads: {:?}",
        threads()
    );
    assert!(guards.iter().all(|guard| !guard.lease().is_lost()));
    drop(guards);
    assert!(client.flush(PATIENCE).unwrap().is_complete());
}

#[test]
fn a_process_has_one_thread_for_all_its_idle_clients_and_none_that_was_never_used() {
    let _alone = alone();
    let world = World::start();
    let builder = || {
        builder(
            &world.sandbox.base_url(),
            world.sandbox.api_key(),
            world.journal.path(),
        )
    };
    let others = [builder().build(), builder().build()];
    assert!(threads().is_empty(), "none that was never used: {:?}", threads());
    for client in others.iter().chain([&world.client]) {
        let guard = client.reserve(reserve(10, 60_000)).unwrap();
        guard.extend(1_000).unwrap();
        assert!(guard.commit(commit(5)).unwrap().is_settled());
    }
    let guard = world.client.reserve(reserve(10, 60_000)).unwrap();
    let one = BTreeMap::from([(TIMER.to_owned(), 1)]);
    // Threads that make calls or write records wait a moment for the next job.
    until("one keeps the time of all", || threads() == one);
    drop(others);
    assert_eq!(threads(), one, "a lease is kept alive");
    drop(guard);
    drop(world.client);
    until("no thread is left", || threads().is_empty());
}

#[test]
fn threads_end_with_the_last_client_and_guard_and_a_dropped_guard_is_released_first() {
    let _alone = alone();
    let world = World::start();
    let World { sandbox, client, .. } = world;
    let guard = client.clone().reserve(reserve(10, 60_000)).unwrap();
    until("somebody keeps the time", || threads().contains_key(TIMER));
    drop(client);
    guard.extend(1_000).unwrap();
    drop(guard);
    until("no thread is left", || threads().is_empty());
    assert!(sandbox.with_ledger(|ledger| {
        let ids: Vec<_> = ledger.reservation_ids().map(str::to_owned).collect();
        ids.iter()
            .all(|id| ledger.reservation(id).unwrap().status == cycles_sandbox::ReservationStatus::Released)
    }));
}

#[test]
fn threads_end_though_a_cost_in_the_journal_is_not_settled() {
    let _alone = alone();
    let world = World::start();
    let lost = FaultRule::new(Fault::LoseRequest).on(Operation::CommitReservation);
    world.sandbox.inject(lost.when(When::Always));
    let guard = world.client.reserve(reserve(10, 60_000)).unwrap();
    assert!(matches!(
        guard.commit(commit(5)).unwrap(),
        Receipt::Pending { .. }
    ));
    let World { client, journal, .. } = world;
    drop(client);
    until("no thread is left", || threads().is_empty());
    assert_eq!(recorded(&journal), 1);
}
