//! Which threads there are, and when they are gone. Threads belong to the whole process, so each test is alone in one. The
//! tests of each async adapter have it as a module; `executor` runs what it waits for.
#![cfg(target_os = "linux")]
#![allow(unreachable_pub)]

use std::thread;
use std::time::{Duration, Instant};

use crate::alone::ran_elsewhere;
use crate::executor::{BACKGROUND, block_on};
use crate::scene::{PATIENCE, Scene};
use cycles_conformance::{commit, request};

/// Those of ours, by the names that the system shows. The server in this process has others.
fn ours() -> Vec<String> {
    let mut names = all();
    names.retain(|name| name.starts_with("cycles-") && name != "cycles-sandbox");
    names
}

/// All that there are.
pub fn all() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    // A thread may be gone by now.
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

#[track_caller]
pub fn wait_for(expected: &[&str]) {
    let since = Instant::now();
    while ours() != expected {
        assert!(
            since.elapsed() < PATIENCE,
            "{expected:?}, and there are {:?}",
            ours()
        );
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_process_has_one_thread_for_all_its_idle_clients_and_none_without_a_client() {
    if ran_elsewhere("threads::a_process_has_one_thread_for_all_its_idle_clients_and_none_without_a_client") {
        return;
    }
    let scene = Scene::new();
    assert!(ours().is_empty(), "{:?}", ours());
    for _ in 0..3 {
        let clients = [scene.client(), scene.client(), scene.client()];
        assert!(ours().is_empty(), "none that was never used: {:?}", ours());
        for client in &clients {
            block_on(async {
                let guard = client.reserve(request(100)).await.unwrap();
                assert!(guard.commit(commit(42)).await.unwrap().is_settled());
            });
        }
        let guard = block_on(clients[0].reserve(request(100))).unwrap();
        // Threads that write records wait a moment for the next.
        wait_for(&[BACKGROUND]);
        drop(clients);
        assert_eq!(ours(), [BACKGROUND], "a lease is kept alive");
        drop(guard);
        wait_for(&[]);
    }
    assert_eq!(scene.budget(), (42 * 9, 0));
}
