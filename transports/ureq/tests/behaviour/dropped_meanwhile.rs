//! A guard is dropped while another thread acts for its reservation. The log is the process's, so nothing else runs in it.

use std::sync::mpsc;
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use crate::alone::ran_elsewhere;
use crate::support::world::{PATIENCE, World, recorded, reserve};
use cycles_ureq::models::Amount;

/// A log that holds up the thread of a beat until the guard is about to be dropped, and a little longer.
struct Slow;

static BEATS: OnceLock<(mpsc::SyncSender<()>, Mutex<mpsc::Receiver<()>>)> = OnceLock::new();

impl tracing::Subscriber for Slow {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("cycles")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        if thread::current().name() == Some("cycles-call") {
            let (beating, dropped) = BEATS.get().unwrap();
            if beating.try_send(()).is_ok() {
                dropped.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                thread::sleep(Duration::from_millis(200));
            }
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_guard_that_is_dropped_while_its_beat_is_told_waits_until_its_cost_is_on_disk() {
    if ran_elsewhere(
        "dropped_meanwhile::a_guard_that_is_dropped_while_its_beat_is_told_waits_until_its_cost_is_on_disk",
    ) {
        return;
    }
    let (beating, beats) = mpsc::sync_channel(1);
    let (dropping, dropped) = mpsc::channel();
    BEATS.set((beating, Mutex::new(dropped))).unwrap();
    tracing::subscriber::set_global_default(Slow).unwrap();
    let world = World::start();
    world.sandbox.inject("commit:503".parse().unwrap());
    let guard = world.client.reserve(reserve(1_000, 3_000)).unwrap();
    guard.spent(&Amount::tokens(777)).unwrap();
    beats.recv_timeout(PATIENCE).unwrap();
    dropping.send(()).unwrap();
    drop(guard);
    assert_eq!(recorded(&world.journal), 1);
}
