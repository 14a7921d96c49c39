//! Runtimes that end, stall, lack I/O or timers, or do not exist. A client does not depend on them.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::executor::{current_thread, multi_thread};
use crate::operations;
use crate::scene::{PATIENCE, Scene};
use crate::wait::wait_until;
use crate::watched::{assert_kept_for, reserved};
use cycles_conformance::{commit, request};
use cycles_host::Journal;
use cycles_host::journal::Hanging;
use cycles_tokio::models::Amount;
use cycles_tokio::{CyclesClient, Error, Event, Receipt};
use futures::future::join_all;
use tokio::runtime::{Builder, Runtime};

#[test]
fn a_client_outlives_its_runtimes_and_works_in_each() {
    let scene = Scene::new();
    let client = scene.client();
    for (round, runtime) in [current_thread(), multi_thread(), current_thread(), multi_thread()]
        .iter()
        .enumerate()
    {
        let receipt = runtime.block_on(live(&client));
        assert!(receipt.is_settled(), "round {round}: {receipt:?}");
    }
    for round in 0..6 {
        let runtime = if round % 2 == 0 {
            current_thread()
        } else {
            multi_thread()
        };
        let receipt = runtime.block_on(live(&client));
        assert!(receipt.is_settled(), "round {round}: {receipt:?}");
    }
    assert_eq!(scene.budget(), (420, 0));
}

/// Reserves and commits.
async fn live(client: &CyclesClient) -> Receipt {
    let guard = client.reserve(request(100)).await.unwrap();
    guard.commit(commit(42)).await.unwrap()
}

#[test]
fn a_guard_outlives_its_runtime_and_is_committed_in_the_next() {
    for journal in [true, false] {
        let scene = Scene::new();
        let client = scene.builder().journal_enabled(journal).build();
        let guard = current_thread().block_on(client.reserve(request(100))).unwrap();
        let receipt = current_thread().block_on(guard.commit(commit(42))).unwrap();
        assert!(receipt.is_settled(), "{receipt:?}");
        let flushed = current_thread().block_on(client.flush(PATIENCE)).unwrap();
        assert!(flushed.is_complete(), "{flushed:?}");
        assert_eq!(scene.budget(), (42, 0));
    }
}

#[test]
fn a_runtime_that_ends_with_a_hundred_reservations_held_loses_none_of_them() {
    const HELD: usize = 100;
    let scene = Scene::new();
    let client = scene.client();
    let ending = multi_thread();
    let guards = ending.block_on(join_all((0..HELD).map(|_| reserved(&client, 4_000))));
    drop(ending);
    // Two lease lengths in which there is no runtime at all.
    assert_kept_for(&scene, &guards, Duration::from_secs(8));
    let receipts =
        current_thread().block_on(join_all(guards.into_iter().map(|guard| guard.commit(commit(1)))));
    receipts.into_iter().for_each(assert_committed);
    assert_eq!(scene.budget(), (100, 0));
}

#[test]
fn a_runtime_that_is_blocked_for_three_lease_lengths_loses_no_lease() {
    const BLOCKED: Duration = Duration::from_secs(9);
    // Both at once, as they only wait.
    let (scene, other) = (Scene::new(), Scene::new());
    thread::scope(|scope| {
        let of_many_threads = scope.spawn(|| blocked_on_all_its_threads(&other, BLOCKED));
        let client = scene.client();
        current_thread().block_on(async {
            let guards = [reserved(&client, 2_000).await, reserved(&client, 3_000).await];
            // Nothing is polled meanwhile: the only thread is busy.
            assert_kept_for(&scene, &guards, BLOCKED);
            for guard in guards {
                assert_committed(guard.commit(commit(21)).await);
            }
        });
        of_many_threads.join().unwrap();
    });
    assert_eq!((scene.budget(), other.budget()), ((42, 0), (42, 0)));
}

fn blocked_on_all_its_threads(scene: &Scene, time: Duration) {
    let (client, runtime) = (scene.client(), multi_thread());
    let guards = runtime.block_on(async { [reserved(&client, 2_000).await, reserved(&client, 3_000).await] });
    let (blocked, all_blocked) = mpsc::channel();
    for _ in 0..2 {
        let blocked = blocked.clone();
        runtime.spawn(async move {
            blocked.send(()).unwrap();
            thread::sleep(time);
        });
    }
    runtime.block_on(async {
        for _ in 0..2 {
            all_blocked.recv_timeout(PATIENCE).expect("each has its thread");
        }
        assert_kept_for(scene, &guards, time);
        for guard in guards {
            assert_committed(guard.commit(commit(21)).await);
        }
    });
}

#[track_caller]
fn assert_committed(receipt: Result<Receipt, Error>) {
    assert!(matches!(receipt, Ok(Receipt::Committed(_))), "{receipt:?}");
}

#[test]
fn a_call_that_a_runtime_began_before_it_was_blocked_is_made_all_the_same() {
    for yields in 0..4 {
        let scene = Scene::new();
        let client = scene.client();
        current_thread().block_on(async {
            // So that the runtime is known, and has one connection, which the first of two takes.
            assert!(live(&client).await.is_settled());
            let mut reserving = Box::pin(join_all((0..2).map(|_| client.reserve(request(100)))));
            assert!(futures::poll!(&mut reserving).is_pending());
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            // Longer than connecting may take.
            thread::sleep(Duration::from_millis(2_500));
            for guard in reserving.await {
                drop(guard.unwrap_or_else(|error| panic!("after {yields} yields: {error}")));
            }
        });
    }
}

#[test]
fn a_lease_that_the_server_does_not_prolong_is_known_to_be_lost_though_nothing_runs() {
    let scene = Scene::new();
    let client = scene.client();
    scene.inject("extend:503");
    let runtime = current_thread();
    let guard = runtime.block_on(async {
        let guard = reserved(&client, 1_000).await;
        assert!(!guard.lease().is_lost());
        thread::sleep(Duration::from_millis(1_100));
        assert!(guard.lease().is_lost(), "the only thread was busy");
        reserved(&client, 1_000).await
    });
    drop(runtime);
    assert!(!guard.lease().is_lost());
    thread::sleep(Duration::from_millis(1_100));
    assert!(guard.lease().is_lost(), "its runtime has ended");
}

#[test]
fn a_cost_is_recorded_and_settled_while_the_only_thread_does_something_else() {
    let scene = Scene::new();
    let client = scene.client();
    current_thread().block_on(async {
        let guard = client.reserve(request(100)).await.unwrap();
        scene.inject("commit:503");
        let committing = guard.commit(commit(42));
        // Nothing is polled, and no task runs, while this blocks.
        wait_until("the record is there", || scene.records().len() == 1);
        assert_eq!(scene.budget(), (0, 100));
        scene.sandbox.clear_faults();
        let other = client.reserve(request(100)).await.unwrap().commit(commit(1));
        wait_until("both are settled", || scene.budget() == (43, 0));
        assert!(other.await.unwrap().is_settled());
        assert!(committing.until_settled().await.unwrap().is_settled());
    });
    wait_until("the records are gone", || scene.records().is_empty());
}

#[test]
#[expect(clippy::async_yields_async, reason = "it is awaited in another runtime")]
fn a_commit_whose_runtime_has_ended_is_waited_for_by_a_flush_in_the_next() {
    let scene = Scene::new();
    let client = scene.builder().journal_enabled(false).build();
    scene.inject("commit:delay=1s");
    let committing = current_thread().block_on(async {
        let guard = client.reserve(request(100)).await.unwrap();
        guard.commit(commit(42))
    });
    let runtime = multi_thread();
    let flushed = runtime.block_on(client.flush(Duration::ZERO)).unwrap();
    assert_eq!(flushed.ending, 1, "{flushed:?}");
    assert!(runtime.block_on(client.flush(PATIENCE)).unwrap().is_complete());
    assert_eq!(scene.budget(), (42, 0));
    assert!(runtime.block_on(committing).unwrap().is_settled());
}

#[test]
fn outside_of_any_runtime_everything_can_be_awaited() {
    for journal in [true, false] {
        let scene = Scene::new();
        let client = scene.builder().journal_enabled(journal).build();
        futures::executor::block_on(async {
            assert!(live(&client).await.is_settled());
            client.health().await.unwrap();
            assert!(client.flush(PATIENCE).await.unwrap().is_complete());
        });
        // Reserved in one that is gone.
        let guard = current_thread().block_on(client.reserve(request(100))).unwrap();
        let receipt = futures::executor::block_on(guard.commit(commit(8))).unwrap();
        assert!(receipt.is_settled(), "{receipt:?}");
        assert_eq!(scene.budget(), (50, 0));
    }
}

#[test]
fn a_guard_that_is_dropped_outside_of_any_runtime_is_released_or_charged_what_was_spent() {
    let scene = Scene::new();
    let client = scene.client();
    for is_gone in [false, true] {
        let before = scene.budget().0;
        let runtime = multi_thread();
        let idle = runtime.block_on(client.reserve(request(100))).unwrap();
        let partial = runtime.block_on(client.reserve(request(100))).unwrap();
        let known = runtime.block_on(client.reserve(request(100))).unwrap();
        let runtime = (!is_gone).then_some(runtime);
        drop(idle);
        partial.spent(&Amount::tokens(5)).unwrap();
        drop(partial);
        drop(known.commit(commit(6)));
        wait_until("each has its end", || scene.budget() == (before + 11, 0));
        drop(runtime);
    }
    wait_until("the records are gone", || scene.records().is_empty());
}

#[test]
fn what_a_thread_without_a_runtime_hands_over_is_on_the_disk_when_the_call_returns() {
    let scene = Scene::new();
    let client = scene.client();
    scene.inject("commit:503");
    let guards = current_thread().block_on(join_all((0..3).map(|_| client.reserve(request(100)))));
    for (before, guard) in guards.into_iter().enumerate() {
        assert_eq!(scene.records().len(), before);
        drop(guard.unwrap().commit(commit(1)));
        assert_eq!(scene.records().len(), before + 1);
    }
    scene.sandbox.clear_faults();
    assert!(
        futures::executor::block_on(client.flush(PATIENCE))
            .unwrap()
            .is_complete()
    );
    assert_eq!(scene.budget(), (3, 0));
}

#[test]
fn a_release_without_a_runtime_and_without_waits_ends() {
    let scene = Scene::new();
    let mut retry = cycles_tokio::RetryPolicy::default();
    retry.initial_delay = Duration::ZERO;
    retry.max_delay = Duration::ZERO;
    let client = scene.builder().retry(retry).build();
    let guard = current_thread().block_on(client.reserve(request(100))).unwrap();
    scene.inject("release:503@1");
    drop(guard);
    wait_until("it is released", || scene.budget() == (0, 0));
}

#[test]
fn what_a_server_refused_while_a_runtime_lived_is_settled_after_the_next_success() {
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
fn a_runtime_has_no_task_of_a_client_whose_leases_are_kept_alive() {
    let scene = Scene::new();
    let runtime = multi_thread();
    let tasks = || runtime.metrics().num_alive_tasks();
    let client = scene.client();
    let guards = runtime.block_on(async {
        let mut guards = Vec::new();
        for _ in 0..10 {
            guards.push(client.reserve(request(100)).await.unwrap());
        }
        guards
    });
    wait_until("no call is under way", || tasks() == 0);
    drop(guards);
    let flushed = futures::executor::block_on(client.flush(PATIENCE)).unwrap();
    assert!(flushed.is_complete(), "{flushed:?}");
    drop(client);
    wait_until("no task is left", || tasks() == 0);
    assert_eq!(scene.budget(), (0, 0));
}

#[test]
fn with_the_last_clone_and_the_last_guard_what_was_spent_is_charged() {
    let scene = Scene::new();
    let client = scene.client();
    let clone = client.clone();
    let guard = current_thread().block_on(clone.reserve(request(100))).unwrap();
    drop(client);
    drop(clone);
    guard.spent(&Amount::tokens(5)).unwrap();
    drop(guard);
    wait_until("it is charged", || scene.budget() == (5, 0));
    wait_until("the record is gone", || scene.records().is_empty());
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
    let journal = Journal::open(&client.config().clone().check().unwrap());
    scene.inject("commit:503");
    runtime.block_on(async {
        let guard = client.reserve(request(100)).await.unwrap();
        assert!(!guard.commit(commit(42)).await.unwrap().is_settled());
        drop(client);
    });
    // Its claim ends with it, so that no client waits for it.
    wait_until("it has given up", || journal.claim().is_some());
    assert_eq!(scene.records().len(), 1);
    let next = scene.client();
    scene.sandbox.clear_faults();
    let flushed = runtime.block_on(next.flush(PATIENCE)).unwrap();
    assert!(flushed.is_complete(), "{flushed:?}");
    assert_eq!(scene.budget(), (42, 0));
}

#[test]
fn a_runtime_without_timers_or_without_io_is_as_good_as_any() {
    let lacking: [fn() -> Runtime; 3] = [
        || Builder::new_current_thread().enable_time().build().unwrap(),
        || Builder::new_current_thread().enable_io().build().unwrap(),
        || Builder::new_multi_thread().worker_threads(1).build().unwrap(),
    ];
    let scene = Scene::new();
    let client = scene.client();
    for make in lacking {
        let (runtime, before) = (make(), scene.budget().0);
        runtime.block_on(async {
            // The first call finds out what the runtime has.
            client.health().await.unwrap();
            assert!(live(&client).await.is_settled());
            drop(client.reserve(request(100)).await.unwrap());
            assert!(client.flush(PATIENCE).await.unwrap().is_complete());
        });
        // Reserved in a complete runtime, and ended in this one.
        let guard = current_thread().block_on(client.reserve(request(100))).unwrap();
        assert!(runtime.block_on(guard.commit(commit(8))).unwrap().is_settled());
        assert_eq!(scene.budget(), (before + 50, 0));
    }
}

/// Its threads wait for the disk as they end, so this takes five seconds, in which nothing runs.
#[test]
fn a_runtime_whose_costs_are_on_their_way_to_a_disk_that_hangs_ends_and_they_are_charged() {
    let scene = Scene::new();
    let client = scene.client();
    let runtime = multi_thread();
    let guards = runtime.block_on(join_all((0..4).map(|_| reserved(&client, 60_000))));
    let hanging = Hanging::new(scene.dir.path());
    for guard in guards {
        runtime.spawn(async move { drop(guard.commit(commit(10))) });
    }
    assert!(hanging.has_caught(4, PATIENCE));
    let (ended, ends) = mpsc::channel();
    thread::spawn(move || {
        drop(runtime);
        ended.send(()).unwrap();
    });
    ends.recv_timeout(PATIENCE).expect("it ends");
    wait_until("each is charged", || scene.budget() == (40, 0));
    // The disk never works again.
    core::mem::forget(hanging);
}

/// A test can pause a runtime's clock, but leases run on.
#[test]
fn a_runtime_whose_clock_is_paused_changes_no_time_limit() {
    let scene = Scene::new();
    let client = scene.client();
    let runtime = current_thread();
    runtime.block_on(async {
        tokio::time::pause();
        for _ in 0..20 {
            assert!(live(&client).await.is_settled());
        }
    });
    assert_eq!(scene.budget(), (840, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_calls_at_once_end_with_an_exact_ledger() {
    let (sandbox, client) = operations::start();
    let agents: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let made = client
                    .create_reservation(&operations::reserve(10).build())
                    .await
                    .unwrap();
                let id = made.reservation_id.unwrap();
                client
                    .commit_reservation(&id, &operations::commit(7))
                    .await
                    .unwrap();
            })
        })
        .collect();
    for agent in agents {
        agent.await.unwrap();
    }
    assert_eq!(operations::remaining(&sandbox), 300);
}
