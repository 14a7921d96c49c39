//! Observers that are slow, or panic.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::executor::multi_thread;
use crate::scene::{PATIENCE, Scene};
use crate::wait::wait_until;
use cycles_conformance::{commit, request, request_for};
use cycles_tokio::{Event, Observer, Receipt};

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
    wait_until("all is told", || order.lock().unwrap().len() == 150);
    let order = order.lock().unwrap();
    for id in ids {
        let of_one: Vec<_> = order
            .iter()
            .filter(|(of, _)| *of == id)
            .map(|(_, name)| name.as_str())
            .collect();
        assert_eq!(of_one, ["Granted", "ExtendFailed", "Released"]);
    }
}
