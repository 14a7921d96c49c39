// What the processes of `crash.rs` do, four lifecycles at a time. The tests of each async adapter include it: `executor`
// is beside it.

use cycles_conformance::{commit, request};
use runcycles::Flushed;

fn flush(client: &CyclesClient, timeout: Duration) -> Flushed {
    executor::block_on(client.flush(timeout)).unwrap()
}

/// The lifecycles cost one more each.
fn live_for_ever(client: &CyclesClient, mut cost: i64) {
    executor::block_on(async {
        loop {
            let lives = (1..=4).map(|next| live(client, cost + next));
            futures::future::join_all(lives).await;
            cost += 4;
        }
    });
}

async fn live(client: &CyclesClient, cost: i64) {
    let guard = client.reserve(request(cost)).await.unwrap();
    let id = guard.reservation_id().clone();
    println!("\ncosts {id} {cost}");
    // Settled, or its record is durable: from now on the cost must not be lost.
    let receipt = guard.commit(commit(cost)).await.unwrap();
    assert!(
        receipt.is_settled() || format!("{receipt:?}").contains("is_recorded: true"),
        "{receipt:?}"
    );
    println!("\nknown {id}");
}
