//! Many guards alive at once, over real sockets: `cargo bench -p cycles-tokio --bench guards [-- GUARDS SECONDS]`.
//!
//! Each holds a lease of 20 s, so that all of them are extended several times; then each is committed. A guard
//! whose lease lapsed would have to be recovered by an event. It prints and asserts nothing.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cycles_sandbox::{Budget, Sandbox, Unit};
use cycles_tokio::models::{Action, Amount, CommitRequest, ReservationCreateRequest, Subject};
use cycles_tokio::{CyclesClient, Event, Receipt, ReservationGuard};
use futures::stream::{self, StreamExt as _};

/// How many guards are made at once, in addition to the client's own limits.
const AT_ONCE: usize = 256;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let (guards, seconds) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(60));
    let sandbox = Sandbox::builder()
        .budget(Budget::new(
            "tenant:acme-corp/app:bench",
            Unit::Tokens,
            1_000_000_000,
        ))
        .start()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(keep_alive(&sandbox, guards, seconds));
}

async fn keep_alive(sandbox: &Sandbox, guards: usize, seconds: usize) {
    let (beats, stops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (Arc::clone(&beats), Arc::clone(&stops));
    let client = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant("acme-corp")
        .app("bench")
        .journal_enabled(false)
        .observer(move |event: &Event| {
            let is_end = matches!(event, Event::HeartbeatStopped { .. } | Event::LeaseLost { .. });
            let is_beat = matches!(event, Event::LeaseExtended { .. });
            counted.0.fetch_add(usize::from(is_beat), Ordering::Relaxed);
            counted.1.fetch_add(usize::from(is_end), Ordering::Relaxed);
        })
        .build();
    let (before, began) = (resident_bytes(), Instant::now());
    let held: Vec<ReservationGuard> = stream::iter(0..guards)
        .map(|_| async { client.reserve(request()).await.unwrap() })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    println!("{guards} guards in {:.1?}", began.elapsed());
    println!(
        "{} bytes each, the server in the same process included",
        (resident_bytes() - before) / guards
    );
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    println!(
        "{} beats in {seconds} s, {} stops or losses",
        beats.load(Ordering::Relaxed),
        stops.load(Ordering::Relaxed)
    );
    let commit = || CommitRequest::builder().actual(Amount::tokens(1)).build();
    let receipts: Vec<_> = stream::iter(held)
        .map(|guard| guard.commit(commit()))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let committed = receipts
        .iter()
        .filter(|receipt| matches!(receipt, Ok(Receipt::Committed(_))));
    println!("{} of {guards} committed within their lease", committed.count());
}

fn request() -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::default())
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(10))
        .ttl_ms(20_000_u64)
        .build()
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
