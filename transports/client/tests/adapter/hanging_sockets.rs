//! A server that takes connections and requests and says nothing, in all places that a client has. The tests of each adapter
//! have it as a module; `runcycles` is their crate, and `support` has the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cycles_conformance::request_for;
use runcycles::models::{Amount, CommitRequest};
use runcycles::{CyclesClient, Error, HttpOptions, Receipt};

use crate::support::{COMMITTED, KEY, Scripted, http};

const PLACES: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Script {
    hangs: AtomicBool,
    made: AtomicUsize,
    hung: AtomicUsize,
    closed: AtomicUsize,
}

fn start(script: &Arc<Script>) -> Scripted {
    let script = Arc::clone(script);
    Scripted::start(move |connection| {
        while let Some(request) = connection.read_request() {
            if script.hangs.load(Ordering::SeqCst) {
                script.hung.fetch_add(1, Ordering::SeqCst);
                connection.hang();
                script.closed.fetch_add(1, Ordering::SeqCst);
                return;
            }
            let body = if request.contains("/extend ") {
                r#"{"status":"ACTIVE","expires_at_ms":2,"remaining_ttl_ms":3600000}"#.to_owned()
            } else if request.contains("/commit ") {
                COMMITTED.to_owned()
            } else {
                let id = script.made.fetch_add(1, Ordering::SeqCst);
                format!(
                    r#"{{"decision":"ALLOW","reservation_id":"{id}","affected_scopes":[],"expires_at_ms":1,"remaining_ttl_ms":3600000}}"#
                )
            };
            connection.write(http(200, "", &body));
        }
    })
}

#[test]
fn sockets_that_hang_in_all_places_stop_no_client_and_are_closed() {
    let script = Arc::<Script>::default();
    let server = start(&script);
    let client = CyclesClient::builder(KEY, &server.url)
        .connect_timeout(Duration::from_millis(500))
        .read_timeout(Duration::from_millis(200))
        .http(HttpOptions::new().no_proxy())
        .journal_enabled(false)
        .build();
    let guards: Vec<_> = (0..PLACES)
        .map(|_| wait!(client.reserve(request_for(5, 3_600_000))).unwrap())
        .collect();
    script.hangs.store(true, Ordering::SeqCst);
    thread::scope(|scope| {
        for guard in &guards {
            scope.spawn(|| wait!(guard.extend(1_000)).unwrap_err());
        }
        for _ in 0..16 {
            scope.spawn(|| wait!(client.reserve(request_for(5, 3_600_000))).unwrap_err());
        }
    });
    let hung = script.hung.load(Ordering::SeqCst);
    assert!(hung >= PLACES, "{hung}");
    // Each was given up, also by the socket.
    let began = Instant::now();
    while script.closed.load(Ordering::SeqCst) < script.hung.load(Ordering::SeqCst) {
        assert!(began.elapsed() < PATIENCE, "they are still open");
        thread::sleep(Duration::from_millis(5));
    }
    script.hangs.store(false, Ordering::SeqCst);
    let guard = insist(|| wait!(client.reserve(request_for(5, 3_600_000))));
    insist(|| wait!(guard.extend(1_000)));
    let commit = CommitRequest::builder().actual(Amount::tokens(5)).build();
    let receipt = wait!(guard.commit(commit)).unwrap();
    assert!(matches!(receipt, Receipt::Committed(_)), "{receipt:?}");
    assert!(guards.iter().all(|guard| !guard.lease().is_lost()));
}

/// The time of an attempt is short, and the machine may be busy.
#[track_caller]
fn insist<T>(call: impl Fn() -> Result<T, Error>) -> T {
    let began = Instant::now();
    loop {
        match call() {
            Ok(answer) => return answer,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
    }
}
