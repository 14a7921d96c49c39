//! Executors that end or stall. A client does not depend on them.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use async_executor::Executor;
use cycles_async_std::{Error, Receipt};
use cycles_conformance::commit;
use futures::future::join_all;

use crate::executor::{block_on, spawn};
use crate::scene::{PATIENCE, Scene};
use crate::watched::{assert_kept_for, reserved};

#[track_caller]
fn assert_committed(receipt: Result<Receipt, Error>) {
    assert!(matches!(receipt, Ok(Receipt::Committed(_))), "{receipt:?}");
}

#[test]
fn an_executor_that_ends_with_a_hundred_reservations_held_loses_none_of_them() {
    const HELD: usize = 100;
    let scene = Scene::new();
    let client = scene.client();
    // It is smol's, and has a thread of its own.
    let ending = Executor::new();
    let (held, holds) = mpsc::channel();
    let tasks: Vec<_> = (0..HELD)
        .map(|_| {
            let (client, held) = (client.clone(), held.clone());
            ending.spawn(async move {
                held.send(reserved(&client, 4_000).await).unwrap();
                // Its task is still there when the executor ends.
                std::future::pending::<()>().await;
            })
        })
        .collect();
    let (all_are_held, holding) = futures::channel::oneshot::channel::<()>();
    let guards: Vec<_> = thread::scope(|scope| {
        let running = scope.spawn(|| block_on(ending.run(holding)));
        let guards = (0..HELD).map(|_| holds.recv_timeout(PATIENCE).unwrap()).collect();
        all_are_held.send(()).unwrap();
        running.join().unwrap().unwrap();
        guards
    });
    drop(ending);
    drop(tasks);
    // Longer than a lease, and there is no executor at all.
    assert_kept_for(&scene, &guards, Duration::from_secs(6));
    let receipts = block_on(join_all(guards.into_iter().map(|guard| guard.commit(commit(1)))));
    receipts.into_iter().for_each(assert_committed);
    assert_eq!(scene.budget(), (100, 0));
}

#[test]
fn an_executor_whose_threads_are_all_blocked_for_three_lease_lengths_loses_no_lease() {
    const BLOCKED: Duration = Duration::from_secs(6);
    let scene = Scene::new();
    let client = scene.client();
    block_on(async {
        let guards = [reserved(&client, 2_000).await, reserved(&client, 2_000).await];
        let threads = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..2 * threads {
            spawn(async { thread::sleep(BLOCKED) });
        }
        // Nothing is polled here either.
        assert_kept_for(&scene, &guards, BLOCKED);
        for guard in guards {
            assert_committed(guard.commit(commit(21)).await);
        }
    });
    assert_eq!(scene.budget(), (42, 0));
}
