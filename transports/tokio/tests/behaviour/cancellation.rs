//! Futures that are dropped at every point of a lifecycle: once the server granted there is one
//! commit, or one release, or one record on disk.

use crate::{executor, scene};

use std::pin::pin;

use executor::{current_thread, multi_thread};

include!("../../../client/tests/adapter/cancellation.rs");

/// Ends the runtime after the n-th poll of the lifecycle, for every n, and drops the lifecycle before or after
/// that. Every known cost is in the ledger or on disk then.
fn sweep_runtimes(
    life: impl AsyncFn(&CyclesClient, &AtomicBool) -> Result<(), Error>,
    is_dropped_first: bool,
) {
    for fault in FAULTS {
        for polls in 0.. {
            let scene = Scene::new();
            scene.inject(fault);
            let (client, is_known) = (scene.client(), AtomicBool::new(false));
            let what = format!("{fault}, runtime dropped after {polls} polls");
            let runtime = if polls % 2 == 0 {
                current_thread()
            } else {
                multi_thread()
            };
            let mut life = Some(Box::pin(life(&client, &is_known)));
            let polled = Polls {
                future: life.as_mut().unwrap().as_mut(),
                left: polls,
            };
            let is_over = runtime.block_on(polled).is_some();
            if is_dropped_first {
                drop(life.take());
            }
            drop(runtime);
            drop(life);
            let is_known = is_known.into_inner();
            assert_recorded(&scene, is_known, &what);
            scene.settle();
            assert_one_end(&scene, is_known, &what);
            if is_over {
                break;
            }
        }
    }
}

/// Fails unless a cost that is known is in the ledger or on disk.
#[track_caller]
fn assert_recorded(scene: &Scene, is_known: bool, what: &str) {
    let recorded = scene.records().len();
    assert!(recorded <= 1, "{what}");
    let is_safe = recorded == 1 || scene.budget().0 == COST;
    assert_eq!(is_safe, is_known, "{what}: {:?}", scene.reservations());
}

#[test]
fn a_runtime_that_ends_at_any_poll_leaves_every_known_cost() {
    sweep_runtimes(guarded, false);
    sweep_runtimes(wrapped, false);
}

#[test]
fn a_runtime_that_ends_after_the_lifecycle_was_dropped_leaves_every_known_cost() {
    sweep_runtimes(guarded, true);
    sweep_runtimes(spent, true);
}

#[test]
fn a_lifecycle_that_is_dropped_outside_of_any_runtime_leaves_what_was_spent() {
    sweep_runtimes(spent, false);
}

#[test]
fn a_runtime_that_ends_before_during_or_after_the_store_leaves_the_record() {
    for ticks in 0..100 {
        let scene = Scene::new();
        scene.inject("commit:503");
        let client = scene.client();
        let runtime = current_thread();
        runtime.block_on(async {
            let guard = client.reserve(request(100)).await.unwrap();
            drop(guard.commit(commit(COST)));
            let mut ticks = pin!(async {
                for _ in 0..ticks * ticks / 4 {
                    yield_now().await;
                }
            });
            ticks.as_mut().await;
        });
        drop(runtime);
        assert_recorded(&scene, true, &format!("{ticks} ticks"));
        scene.settle();
        assert_eq!(scene.budget(), (COST, 0), "{ticks} ticks");
    }
}

#[test]
fn a_cost_that_is_handed_over_while_the_runtime_ends_is_recorded() {
    for round in 0..60 {
        let scene = Scene::new();
        scene.inject("commit:503");
        let client = scene.client();
        let runtime = multi_thread();
        let guard = runtime.block_on(client.reserve(request(100))).unwrap();
        let start = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                drop(runtime);
            });
            start.wait();
            for _ in 0..round * 20 {
                std::hint::spin_loop();
            }
            drop(guard.commit(commit(COST)));
        });
        assert_recorded(&scene, true, &format!("round {round}"));
        scene.settle();
        assert_eq!(scene.budget(), (COST, 0), "round {round}");
    }
}
