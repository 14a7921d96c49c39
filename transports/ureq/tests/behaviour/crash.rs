//! Processes that are killed in the middle of lifecycles: every cost that was known is in the ledger exactly once
//! after a restart and a flush.

use cycles_conformance::{commit, request};
use cycles_ureq::Flushed;

include!("../../../client/tests/adapter/crash.rs");

fn flush(client: &CyclesClient, timeout: Duration) -> Flushed {
    client.flush(timeout).unwrap()
}

/// On four threads; each lifecycle has a cost of its own.
fn live_for_ever(client: &CyclesClient, first: i64) {
    thread::scope(|scope| {
        for thread in 1..=4 {
            scope.spawn(move || {
                let mut cost = first + thread;
                loop {
                    live(client, cost);
                    cost += 4;
                }
            });
        }
    });
}

fn live(client: &CyclesClient, cost: i64) {
    let guard = client.reserve(request(cost)).unwrap();
    let id = guard.reservation_id().clone();
    println!("\ncosts {id} {cost}");
    // Settled, or its record is durable: nobody may forget it any more.
    let receipt = guard.commit(commit(cost)).unwrap();
    assert!(
        receipt.is_settled() || format!("{receipt:?}").contains("is_recorded: true"),
        "{receipt:?}"
    );
    println!("\nknown {id}");
}
