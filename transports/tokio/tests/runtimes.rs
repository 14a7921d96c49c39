//! Runtimes that end, stand still or are not there, and observers that do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

extern crate cycles_tokio as runcycles;

#[path = "support/executor.rs"]
mod executor;
#[path = "../../client/tests/adapter/scene.rs"]
mod scene;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use cycles_sandbox::ReservationStatus;
use cycles_sandbox::suite::{commit, request, request_for};
use cycles_tokio::models::Amount;
use cycles_tokio::{Error, Event, Observer, Receipt};
use executor::{current_thread, multi_thread};
use scene::{PATIENCE, Scene};
use tokio::runtime::Builder;

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "waited until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_client_outlives_its_runtimes_and_works_in_each() {
    let scene = Scene::new();
    let client = scene.client();
    for (round, runtime) in [current_thread(), multi_thread(), current_thread(), multi_thread()]
        .iter()
        .enumerate()
    {
        let receipt = runtime.block_on(async {
            let guard = client.reserve(request(100)).await.unwrap();
            guard.commit(commit(1)).await.unwrap()
        });
        assert!(receipt.is_settled(), "round {round}: {receipt:?}");
    }
    for round in 0..6 {
        let runtime = if round % 2 == 0 {
            current_thread()
        } else {
            multi_thread()
        };
        let receipt = runtime.block_on(async {
            let guard = client.reserve(request(100)).await.unwrap();
            guard.commit(commit(1)).await.unwrap()
        });
        assert!(receipt.is_settled(), "round {round}: {receipt:?}");
    }
    assert_eq!(scene.budget(), (10, 0));
}

#[test]
fn a_guard_outlives_its_runtime_and_is_committed_in_the_next() {
    for journal in [true, false] {
        let scene = Scene::new();
        let client = scene.builder().journal_enabled(journal).build();
        let guard = current_thread().block_on(client.reserve(request(100))).unwrap();
        let receipt = current_thread().block_on(guard.commit(commit(42))).unwrap();
        assert!(receipt.is_settled() || journal, "{receipt:?}");
        let flushed = current_thread().block_on(client.flush(PATIENCE)).unwrap();
        assert!(flushed.is_complete(), "{flushed:?}");
        assert_eq!(scene.budget(), (42, 0));
    }
}

#[test]
#[expect(clippy::async_yields_async, reason = "it is awaited in another runtime")]
fn a_commit_that_went_on_in_the_next_runtime_is_waited_for_by_a_flush() {
    let scene = Scene::new();
    let client = scene.builder().journal_enabled(false).build();
    let committing = current_thread().block_on(async {
        let guard = client.reserve(request(100)).await.unwrap();
        guard.commit(commit(42))
    });
    scene.inject("commit:delay=200ms");
    let runtime = multi_thread();
    let waiting = runtime.spawn(async move { committing.await.unwrap() });
    wait_until("it goes on", || {
        let flushed = runtime.block_on(client.flush(Duration::ZERO)).unwrap();
        flushed.ending == 1 || waiting.is_finished()
    });
    assert!(runtime.block_on(client.flush(PATIENCE)).unwrap().is_complete());
    assert_eq!(scene.budget(), (42, 0));
    assert!(runtime.block_on(waiting).unwrap().is_settled());
}

#[test]
fn outside_of_any_runtime_calls_answer_with_an_error_and_nothing_panics() {
    let scene = Scene::new();
    let client = scene.client();
    let reserved = futures::executor::block_on(client.reserve(request(100)));
    assert!(matches!(reserved, Err(Error::Transport(_))), "{reserved:?}");
    let flushed = futures::executor::block_on(client.flush(PATIENCE));
    assert!(matches!(flushed, Err(Error::Config(_))), "{flushed:?}");
    assert!(matches!(
        futures::executor::block_on(client.health()),
        Err(Error::Transport(_))
    ));
    assert!(scene.reservations().is_empty());
}

#[test]
fn a_commit_that_is_awaited_outside_of_any_runtime_tells_whether_the_cost_is_safe() {
    for journal in [true, false] {
        let scene = Scene::new();
        let client = scene.builder().journal_enabled(journal).build();
        let guard = current_thread().block_on(client.reserve(request(100))).unwrap();
        let receipt = futures::executor::block_on(guard.commit(commit(42)));
        match receipt {
            Ok(Receipt::Pending {
                is_recorded: true, ..
            }) if journal => scene.settle(),
            Err(Error::Unrecorded(last)) if !journal => assert!(
                matches!(&*last, Error::Transport(error) if !error.may_have_been_sent()),
                "{last:?}"
            ),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_guard_that_is_dropped_outside_of_a_runtime_that_lives_is_released_by_it() {
    let scene = Scene::new();
    let client = scene.client();
    let runtime = multi_thread();
    let guard = runtime.block_on(client.reserve(request(100))).unwrap();
    drop(guard);
    wait_until("it is released", || {
        scene.reservations()[0].1.status == ReservationStatus::Released
    });
    let partial = runtime.block_on(client.reserve(request(100))).unwrap();
    partial.spent(&Amount::tokens(5)).unwrap();
    drop(partial);
    wait_until("it is charged", || scene.budget() == (5, 0));
}

#[test]
fn a_guard_that_is_dropped_when_its_runtime_is_gone_leaves_what_was_spent_on_disk() {
    let scene = Scene::new();
    let client = scene.client();
    let runtime = current_thread();
    let idle = runtime.block_on(client.reserve(request(100))).unwrap();
    let partial = runtime.block_on(client.reserve(request(100))).unwrap();
    let known = runtime.block_on(client.reserve(request(100))).unwrap();
    drop(runtime);
    drop(idle);
    partial.spent(&Amount::tokens(5)).unwrap();
    drop(partial);
    drop(known.commit(commit(6)));
    assert_eq!(scene.records().len(), 2);
    scene.settle();
    // What was not given back is free when its lease ends.
    assert_eq!(scene.budget(), (11, 100));
    scene.sandbox.advance(Duration::from_secs(120));
    assert_eq!(scene.budget(), (11, 0));
}

#[test]
fn a_release_without_a_runtime_and_without_waits_ends() {
    let scene = Scene::new();
    let mut retry = cycles_tokio::RetryPolicy::default();
    retry.initial_delay = Duration::ZERO;
    retry.max_delay = Duration::ZERO;
    let client = scene.builder().retry(retry).build();
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let guard = current_thread().block_on(client.reserve(request(100))).unwrap();
        drop(guard);
        done.send(()).unwrap();
    });
    is_done
        .recv_timeout(PATIENCE)
        .expect("it does not go round in circles");
}

#[test]
fn a_runtime_that_stands_still_for_longer_than_leases_last_corrupts_nothing() {
    let scene = Scene::new();
    let client = scene.client();
    current_thread().block_on(async {
        let guards = [
            client.reserve(request_for(100, 1_000)).await.unwrap(),
            client.reserve(request_for(100, 4_000)).await.unwrap(),
        ];
        let committing = guards.map(|guard| guard.commit(commit(21)));
        // Nobody is polled meanwhile; on the server even the grace is over.
        thread::sleep(Duration::from_millis(1_500));
        scene.sandbox.advance(Duration::from_secs(60));
        for committing in committing {
            let receipt = committing.await.unwrap();
            assert!(receipt.is_settled(), "{receipt:?}");
        }
    });
    scene.settle();
    assert_eq!(scene.budget(), (42, 0));
}

#[test]
fn the_replay_comes_alive_again_after_its_runtime_has_died() {
    let scene = Scene::new();
    let client = scene.client();
    scene.inject("commit:503");
    current_thread().block_on(async {
        let guard = client.reserve(request(100)).await.unwrap();
        assert!(!guard.commit(commit(42)).await.unwrap().is_settled());
    });
    assert_eq!(scene.records().len(), 1);
    scene.sandbox.clear_faults();
    // The next reservation is all that it takes.
    let runtime = multi_thread();
    let guard = runtime.block_on(client.reserve(request(100))).unwrap();
    wait_until("the record is settled", || scene.records().is_empty());
    assert_eq!(scene.budget(), (42, 100));
    drop(guard);
    wait_until("the other is released", || scene.budget() == (42, 0));
}

#[test]
fn with_the_last_clone_and_the_last_guard_everything_in_the_background_ends() {
    let scene = Scene::new();
    let runtime = multi_thread();
    let tasks = || runtime.metrics().num_alive_tasks();
    let client = scene.client();
    let clone = client.clone();
    let receipt = runtime.block_on(async {
        let guard = client.reserve(request(100)).await.unwrap();
        guard.commit(commit(42)).await.unwrap()
    });
    assert!(receipt.is_settled());
    let guard = runtime.block_on(clone.reserve(request(100))).unwrap();
    drop(client);
    drop(clone);
    assert!(tasks() > 0, "the guard's lease is kept alive");
    guard.spent(&Amount::tokens(5)).unwrap();
    drop(guard);
    // The connections' tasks too.
    wait_until("no task is left", || tasks() == 0);
    assert_eq!(scene.budget(), (47, 0), "what was spent is charged first");
}

#[test]
fn the_background_goes_on_for_whoever_is_left_of_the_clones() {
    let scene = Scene::new();
    let runtime = multi_thread();
    let first = scene.client();
    runtime.block_on(async { assert!(first.flush(PATIENCE).await.unwrap().is_complete()) });
    let second = first.clone().with_observer(|_: &Event| {});
    drop(first);
    scene.inject("commit:503");
    runtime.block_on(async {
        let guard = second.reserve(request(100)).await.unwrap();
        assert!(!guard.commit(commit(42)).await.unwrap().is_settled());
    });
    scene.sandbox.clear_faults();
    let flushed = runtime.block_on(second.flush(PATIENCE)).unwrap();
    assert!(flushed.is_complete(), "{flushed:?}");
    assert_eq!(scene.budget(), (42, 0));
}

#[test]
fn a_client_that_is_dropped_leaves_what_it_cannot_settle_to_the_next_one() {
    let scene = Scene::new();
    let runtime = multi_thread();
    let client = scene.client();
    scene.inject("commit:503");
    runtime.block_on(async {
        let guard = client.reserve(request(100)).await.unwrap();
        assert!(!guard.commit(commit(42)).await.unwrap().is_settled());
        drop(client);
    });
    wait_until("no task is left", || runtime.metrics().num_alive_tasks() == 0);
    assert_eq!(scene.records().len(), 1);
    let next = scene.client();
    scene.sandbox.clear_faults();
    // Its claim went with it, so that nobody waits for it.
    let flushed = runtime.block_on(next.flush(Duration::from_millis(900))).unwrap();
    assert!(flushed.is_complete(), "{flushed:?}");
    assert_eq!(scene.budget(), (42, 0));
}

#[test]
fn a_runtime_without_timers_or_without_io_is_an_error_and_nothing_is_sent_or_lost() {
    let scene = Scene::new();
    let client = scene.client();
    let without_io = || Builder::new_current_thread().enable_time().build().unwrap();
    let without_time = || Builder::new_current_thread().enable_io().build().unwrap();
    let with_neither = || Builder::new_multi_thread().worker_threads(1).build().unwrap();
    for (runtime, what) in [
        (without_io(), "I/O"),
        (without_time(), "timers"),
        (with_neither(), "timers"),
    ] {
        let reserved = runtime.block_on(client.reserve(request(100)));
        assert!(
            matches!(&reserved, Err(error @ Error::Transport(_)) if error.to_string().contains(what)),
            "{reserved:?}"
        );
        let flushed = runtime.block_on(client.flush(PATIENCE));
        assert!(matches!(flushed, Err(Error::Config(_))), "{flushed:?}");
        let asked = runtime.block_on(client.health()).unwrap_err();
        let text = std::error::Error::source(&asked).map_or(asked.to_string(), ToString::to_string);
        assert!(
            text.contains(what) && text.contains("enable_all"),
            "{asked}: {text}"
        );
        assert!(scene.reservations().is_empty());
    }
    for runtime in [without_io(), without_time(), with_neither()] {
        let before = scene.budget().0;
        let guard = current_thread().block_on(client.reserve(request(100))).unwrap();
        let receipt = runtime.block_on(guard.commit(commit(42))).unwrap();
        assert!(!receipt.is_settled(), "{receipt:?}");
        assert_eq!(scene.records().len(), 1);
        scene.settle();
        assert_eq!(scene.budget(), (before + 42, 0));
        let lives = current_thread();
        let guard = lives.block_on(client.reserve(request(100))).unwrap();
        runtime.block_on(async { drop(guard) });
        assert!(lives.block_on(client.flush(PATIENCE)).unwrap().is_complete());
        assert_eq!(scene.budget(), (before + 42, 0));
    }
}

#[test]
fn a_flush_goes_on_where_the_runtime_of_the_replay_ends_meanwhile() {
    let scene = Scene::new();
    let client = scene.client();
    scene.inject("commit:delay=150ms");
    let ending = multi_thread();
    ending.block_on(async {
        for _ in 0..8 {
            let guard = client.reserve(request(100)).await.unwrap();
            drop(guard.commit(commit(5)));
        }
    });
    ending.shutdown_timeout(Duration::from_millis(20));
    let flushed = multi_thread().block_on(client.flush(PATIENCE)).unwrap();
    assert!(flushed.is_complete(), "{flushed:?}");
    assert_eq!(scene.budget(), (40, 0));
    assert!(scene.records().is_empty());
}

#[test]
fn what_is_left_is_settled_as_soon_as_the_server_can_be_reached_again() {
    let scene = Scene::new();
    let client = scene.client();
    let runtime = multi_thread();
    runtime.block_on(async {
        let guard = client.reserve(request(100)).await.unwrap();
        scene.inject("*:503");
        assert!(!guard.commit(commit(42)).await.unwrap().is_settled());
        let left = client.flush(PATIENCE).await.unwrap();
        assert_eq!((left.ending, left.recorded, left.is_certain), (0, 1, true));
        scene.sandbox.clear_faults();
        // Half a minute would be the next try; a call that succeeds is a better sign.
        client
            .reserve(request(100))
            .await
            .unwrap()
            .release("not needed")
            .await
            .unwrap();
    });
    wait_until("the record is settled", || scene.records().is_empty());
    assert_eq!(scene.budget(), (42, 0));
}

#[test]
fn a_flush_returns_in_time_and_says_what_is_left() {
    let scene = Scene::new();
    scene.inject("commit:delay=30s");
    let client = scene.client();
    let runtime = multi_thread();
    runtime.block_on(async {
        for _ in 0..3 {
            drop(client.reserve(request(100)).await.unwrap().commit(commit(1)));
        }
        let began = Instant::now();
        let flushed = client.flush(Duration::from_millis(300)).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(20));
        assert_eq!(flushed.ending, 3, "{flushed:?}");
        assert!(!flushed.is_complete());
    });
    drop(runtime);
    assert_eq!(scene.records().len(), 3);
    scene.settle();
    assert_eq!(scene.budget(), (3, 0));
}

#[test]
fn a_journal_that_cannot_be_read_is_never_taken_for_an_empty_one() {
    let scene = Scene::new();
    let dir = scene.dir.path().join("file");
    std::fs::write(&dir, "in the way").unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let client = scene
        .builder()
        .journal_dir(dir)
        .observer(move |event: &Event| seen.lock().unwrap().push(format!("{event:?}")))
        .build();
    let flushed = multi_thread().block_on(client.flush(PATIENCE)).unwrap();
    assert!(!flushed.is_certain && !flushed.is_complete(), "{flushed:?}");
    wait_until("it is told", || {
        told.lock()
            .unwrap()
            .iter()
            .any(|event| event.contains("RecordUnreadable"))
    });
}

/// Blocks at its first event until it may go on.
struct Slow {
    may_go_on: Mutex<mpsc::Receiver<()>>,
    seen: Arc<AtomicUsize>,
    missed: Arc<AtomicU64>,
}

impl Observer for Slow {
    fn observe(&self, _: &Event) {
        if self.seen.fetch_add(1, Ordering::SeqCst) == 0 {
            let _ = self.may_go_on.lock().unwrap().recv();
        }
    }

    fn missed(&self, count: u64) {
        self.missed.fetch_add(count, Ordering::SeqCst);
    }
}

#[test]
fn a_slow_observer_delays_neither_a_beat_nor_a_commit_and_learns_what_it_missed() {
    let scene = Scene::new();
    let (go_on, may_go_on) = mpsc::channel();
    let (seen, missed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
    let slow = Slow {
        may_go_on: Mutex::new(may_go_on),
        seen: Arc::clone(&seen),
        missed: Arc::clone(&missed),
    };
    let client = scene.builder().observer(slow).build();
    let runtime = multi_thread();
    // The grant is an event, so the observer is held up from the start.
    let guard = runtime.block_on(client.reserve(request_for(100, 3_500))).unwrap();
    let id = guard.reservation_id().clone();
    let state = || {
        scene
            .sandbox
            .with_ledger(|ledger| ledger.reservation(id.as_str()).unwrap())
    };
    wait_until("the lease is prolonged", || state().extensions > 0);
    let receipt = runtime.block_on(guard.commit(commit(42))).unwrap();
    assert!(matches!(receipt, Receipt::Committed(_)), "{receipt:?}");
    wait_until("it is at its first event", || seen.load(Ordering::SeqCst) == 1);

    // More than its queue holds: one at the observer, and a little more than 1,024 that wait or are missed.
    runtime.block_on(async {
        for _ in 0..1_100 {
            let guard = client.reserve(request(1)).await.unwrap();
            drop(guard.release("not needed"));
        }
        assert!(client.flush(PATIENCE).await.unwrap().is_complete());
    });
    go_on.send(()).unwrap();
    wait_until("the rest is told", || seen.load(Ordering::SeqCst) >= 1_025);
    let (seen, missed) = (seen.load(Ordering::SeqCst) as u64, missed.load(Ordering::SeqCst));
    assert!(
        missed > 0 && seen + missed >= 1_101,
        "{seen} seen, {missed} missed"
    );
}

#[test]
fn an_observer_is_told_in_order_and_by_one_at_a_time_even_if_it_panics() {
    let scene = Scene::new();
    let (order, inside) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (told, within) = (Arc::clone(&order), Arc::clone(&inside));
    let client = scene
        .builder()
        .observer(move |event: &Event| {
            assert_eq!(within.fetch_add(1, Ordering::SeqCst), 0, "two at once");
            let name = format!("{event:?}");
            let id = event.reservation_id().unwrap().clone();
            told.lock()
                .unwrap()
                .push((id, name.split([' ', '{']).next().unwrap().to_owned()));
            within.fetch_sub(1, Ordering::SeqCst);
            std::panic::resume_unwind(Box::new("on purpose"));
        })
        .build();
    let runtime = multi_thread();
    scene.inject("extend:401");
    let ids: Vec<_> = runtime.block_on(async {
        let mut ids = Vec::new();
        for _ in 0..50 {
            let guard = client.reserve(request(1)).await.unwrap();
            assert!(guard.extend(1_000).await.is_err());
            ids.push(guard.reservation_id().clone());
            drop(guard.release("not needed"));
        }
        assert!(client.flush(PATIENCE).await.unwrap().is_complete());
        ids
    });
    wait_until("all is told", || order.lock().unwrap().len() == 100);
    let order = order.lock().unwrap();
    for id in ids {
        let of_one: Vec<_> = order
            .iter()
            .filter(|(of, _)| *of == id)
            .map(|(_, name)| name.as_str())
            .collect();
        assert_eq!(of_one, ["Granted", "ExtendFailed"]);
    }
}
