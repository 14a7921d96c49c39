//! Runtimes that end, stand still or are not there.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::executor::{current_thread, multi_thread};
use crate::scene::{PATIENCE, Scene};
use crate::wait::wait_until;
use cycles_conformance::{commit, request, request_for};
use cycles_sandbox::ReservationStatus;
use cycles_tokio::models::Amount;
use cycles_tokio::{Error, Event, Receipt};
use tokio::runtime::Builder;

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
fn a_lease_that_ends_while_nothing_can_run_is_known_to_be_lost() {
    let scene = Scene::new();
    let client = scene.client();
    let runtime = current_thread();
    let guard = runtime.block_on(async {
        let guard = client.reserve(request_for(100, 1_000)).await.unwrap();
        assert!(!guard.lease().is_lost());
        thread::sleep(Duration::from_millis(1_100));
        assert!(guard.lease().is_lost(), "the only thread was busy");
        client.reserve(request_for(100, 1_000)).await.unwrap()
    });
    drop(runtime);
    assert!(!guard.lease().is_lost());
    thread::sleep(Duration::from_millis(1_100));
    assert!(guard.lease().is_lost(), "its runtime has ended");
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
fn a_cost_is_on_its_way_to_the_disk_before_the_only_thread_does_anything_else() {
    let scene = Scene::new();
    let client = scene.client();
    current_thread().block_on(async {
        let guard = client.reserve(request(100)).await.unwrap();
        let committing = guard.commit(commit(42));
        // Nothing is polled, and no task runs, while this blocks.
        wait_until("the record is there", || scene.records().len() == 1);
        assert_eq!(scene.budget(), (0, 100));
        assert!(committing.await.unwrap().is_settled());
    });
    assert_eq!(scene.budget(), (42, 0));
}
