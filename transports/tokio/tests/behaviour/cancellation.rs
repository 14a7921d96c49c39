//! Futures that are dropped at every point of a lifecycle, and runtimes that end there: once the server granted there is
//! one commit, or one release.

use crate::{executor, scene};

use std::pin::pin;

use crate::wait::wait_until;
use executor::{current_thread, multi_thread};

include!("../../../client/tests/adapter/cancellation.rs");

/// Ends the runtime after the n-th poll of the lifecycle, for every n, and drops the lifecycle before or after
/// that. The client goes on: every known cost is in the ledger soon, and all else is given back.
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
            wait_until_safe(&scene, is_known, &what);
            let flushed = futures::executor::block_on(client.flush(PATIENCE)).unwrap();
            assert!(flushed.is_complete(), "{what}: {flushed:?}");
            assert!(scene.records().is_empty(), "{what}");
            assert_one_end(&scene, is_known, &what);
            // The end of the runtime loses one answer and the server the next: that nobody can know of, and it is free when
            // its lease ends.
            if fault != "reserve:lose-response@1" {
                assert_nothing_held(&scene, fault, &what);
            }
            if is_over {
                break;
            }
        }
    }
}

/// Waits until a cost that is known is in the ledger or on disk, and fails if one is that is not known.
#[track_caller]
fn wait_until_safe(scene: &Scene, is_known: bool, what: &str) {
    let is_safe = || {
        let recorded = scene.records().len();
        assert!(recorded <= 1, "{what}");
        let events = scene.sandbox.with_ledger(|ledger| ledger.events_applied());
        recorded == 1 || events == 1 || scene.budget().0 == COST
    };
    if is_known {
        wait_until(what, is_safe);
    } else {
        assert!(!is_safe(), "{what}: {:?}", scene.reservations());
    }
}

/// Makes the client settle what the server refused before, and checks that nothing else is left.
#[track_caller]
fn settle(scene: &Scene, client: &CyclesClient, what: &str) {
    scene.sandbox.clear_faults();
    let flushed = futures::executor::block_on(client.flush(PATIENCE)).unwrap();
    assert!(flushed.is_complete(), "{what}: {flushed:?}");
    assert!(scene.records().is_empty(), "{what}");
    assert_eq!(scene.budget(), (COST, 0), "{what}");
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
fn a_lifecycle_that_is_dropped_outside_of_any_runtime_is_charged_what_was_spent() {
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
        let what = format!("{ticks} ticks");
        wait_until_safe(&scene, true, &what);
        settle(&scene, &client, &what);
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
        let what = format!("round {round}");
        assert_eq!(scene.records().len(), 1, "{what}: it was waited for");
        settle(&scene, &client, &what);
    }
}
