//! What a flush leaves, and when that is settled.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::executor::multi_thread;
use crate::scene::{PATIENCE, Scene};
use crate::wait::wait_until;
use cycles_conformance::{commit, request};
use cycles_tokio::Event;

#[test]
fn a_flush_settles_what_was_under_way_where_a_runtime_ended() {
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
        // The next attempt would be in half a minute; a call that succeeds triggers it earlier.
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
