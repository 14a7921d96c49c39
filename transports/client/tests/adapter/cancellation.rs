// Futures that are dropped at every point of a lifecycle: once the server granted there is one
// commit, or one release, or one record on disk.
//
// The tests of each async adapter include it: `runcycles` is their crate, `executor` and `scene` are beside it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use runcycles::models::Amount;
use runcycles::{BoxError, CyclesClient, Error, WithCyclesConfig, with_cycles};
use cycles_sandbox::ReservationStatus;
use cycles_conformance::{commit, request};
use executor::{block_on, yield_now};
use scene::{PATIENCE, Scene};

const COST: i64 = 42;

/// What the server does meanwhile.
const FAULTS: [&str; 7] = [
    "health:500",
    "reserve:lose-response@1",
    "reserve:delay=20ms",
    "commit:lose-response@1",
    "commit:delay=20ms",
    "release:lose-response@1",
    "commit:410",
];

/// Polls a future this many times, and then no more.
struct Polls<F> {
    future: F,
    left: usize,
}

impl<F: Future> Future for Polls<Pin<&mut F>> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        if let Poll::Ready(output) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

/// Reserves, acts for a while and commits, and says when the cost is handed over.
async fn guarded(client: &CyclesClient, is_known: &AtomicBool) -> Result<(), Error> {
    let guard = client.reserve(request(100)).await?;
    for _ in 0..3 {
        yield_now().await;
    }
    let committing = guard.commit(commit(COST));
    is_known.store(true, Ordering::SeqCst);
    committing.await.map(|_| ())
}

/// The same by `with_cycles`.
async fn wrapped(client: &CyclesClient, is_known: &AtomicBool) -> Result<(), Error> {
    let config = WithCyclesConfig::new(Amount::tokens(100)).action("llm.completion", "gpt-4o");
    with_cycles(client, config, async |_context| {
        for _ in 0..3 {
            yield_now().await;
        }
        // In the same poll in which the action ends.
        is_known.store(true, Ordering::SeqCst);
        Ok::<_, BoxError>(((), Amount::tokens(COST)))
    })
    .await
}

/// Reserves, spends something, and gives it back, which charges what was spent.
async fn spent(client: &CyclesClient, is_known: &AtomicBool) -> Result<(), Error> {
    let guard = client.reserve(request(100)).await?;
    yield_now().await;
    guard.spent(&Amount::tokens(COST))?;
    is_known.store(true, Ordering::SeqCst);
    yield_now().await;
    guard.release("enough").await.map(|_| ())
}

/// Fails unless each reservation has exactly one end in the ledger: the cost if it was known, else nothing.
#[track_caller]
fn assert_one_end(scene: &Scene, is_known: bool, what: &str) {
    let reservations = scene.reservations();
    assert!(reservations.len() <= 1, "{what}: {reservations:?}");
    let (spent, _) = scene.budget();
    let events = scene.sandbox.with_ledger(|ledger| ledger.events_applied());
    if is_known {
        let (_, state) = &reservations[0];
        let committed = u64::from(state.charged == Some(COST));
        assert_eq!(committed + events, 1, "{what}: {state:?}, {events} events");
        assert_eq!(spent, COST, "{what}");
    } else {
        assert_eq!((spent, events), (0, 0), "{what}: {reservations:?}");
    }
}

/// Fails if budget is still held, unless the fault makes the client believe that it is not.
#[track_caller]
fn assert_nothing_held(scene: &Scene, fault: &str, what: &str) {
    let is_held = scene
        .reservations()
        .iter()
        .any(|(_, state)| state.status == ReservationStatus::Active);
    assert!(fault == "commit:410" || !is_held, "{what}");
}

/// Drops the lifecycle after its n-th poll, for every n.
fn sweep(life: impl AsyncFn(&CyclesClient, &AtomicBool) -> Result<(), Error>) {
    for fault in FAULTS {
        for polls in 0.. {
            let scene = Scene::new();
            scene.inject(fault);
            let (client, is_known) = (scene.client(), AtomicBool::new(false));
            let what = format!("{fault}, dropped after {polls} polls");
            let is_over = block_on(async {
                let mut life = Box::pin(life(&client, &is_known));
                let ended = Polls {
                    future: life.as_mut(),
                    left: polls,
                }
                .await;
                drop(life);
                let flushed = client.flush(PATIENCE).await.unwrap();
                assert!(flushed.is_complete(), "{what}: {flushed:?}");
                ended.is_some()
            });
            let is_known = is_known.into_inner();
            assert_one_end(&scene, is_known, &what);
            assert_nothing_held(&scene, fault, &what);
            assert!(scene.records().is_empty(), "{what}");
            if is_over {
                assert!(is_known && polls > 3, "{what}: the sweep covers something");
                break;
            }
        }
    }
}

#[test]
fn a_lifecycle_that_is_dropped_at_any_poll_ends_once() {
    sweep(guarded);
}

#[test]
fn a_guarded_action_that_is_dropped_at_any_poll_ends_once() {
    sweep(wrapped);
}

#[test]
fn what_was_spent_is_charged_at_whatever_poll_its_life_is_dropped() {
    sweep(spent);
}

#[test]
fn a_commit_that_is_never_polled_is_made() {
    let scene = Scene::new();
    let client = scene.client();
    block_on(async {
        let guard = client.reserve(request(100)).await.unwrap();
        drop(guard.commit(commit(COST)));
        assert!(client.flush(PATIENCE).await.unwrap().is_complete());
    });
    assert_eq!(scene.budget(), (COST, 0));
}

#[test]
fn an_action_that_is_cancelled_takes_no_heartbeat_from_later_ones() {
    crate::leases::later_ones_are_kept_alive("cancelled", |world, client, ttl_ms, lives| {
        let config = WithCyclesConfig::new(Amount::tokens(10)).action("llm.completion", "gpt-4o");
        let acting = with_cycles(client, config.ttl_ms(ttl_ms), |_| std::future::pending::<Result<((), _), BoxError>>());
        let mut acting = Box::pin(acting);
        block_on(async { assert!(futures::poll!(&mut acting).is_pending()) });
        assert_eq!(world.budget(), (0, 10), "it acts");
        world.pass_seconds(lives);
        drop(acting);
        assert_eq!(world.budget(), (0, 0));
    });
}
