//! Reservations that nobody polls: how they end, and what is held until then, to the millisecond.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::support::Virtual;
use cycles_client::{Client, Committing, ReservationGuard};
use cycles_conformance::request;
use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Operation, ReservationStatus, Unit};

/// The time of a request and its response.
const EXCHANGE: Duration = Duration::from_millis(10);

/// Long enough for the engine to take over from a caller, and shorter than any lease.
const SOON: Duration = Duration::from_millis(100);

async fn reserve(client: &Client) -> ReservationGuard {
    client.reserve(request(10)).await.unwrap()
}

fn commit(guard: ReservationGuard) -> Committing {
    guard.commit(cycles_conformance::commit(7))
}

/// The spent and the held amount.
fn budget(world: &Virtual) -> (i64, i64) {
    let budget = world.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens));
    budget.map(|budget| (budget.spent, budget.reserved)).unwrap()
}

/// Polls the future once.
async fn look_once<T>(mut future: Pin<&mut impl Future<Output = T>>) {
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

async fn look_at(committing: &mut Committing) {
    look_once(Pin::new(committing)).await;
}

#[test]
fn lives_that_are_over_before_their_first_beat_is_due_cost_their_calls_and_nothing_else() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        commit(reserve(&client).await).await.unwrap();
        let (tasks, calls) = (world.spawned(), world.sent());
        for _ in 0..100 {
            let guard = reserve(&client).await;
            world.sleep(Duration::from_secs(3)).await;
            assert!(commit(guard).await.unwrap().is_settled());
            assert!(reserve(&client).await.release("not needed").await.unwrap());
        }
        assert_eq!(world.sent() - calls, 400);
        assert_eq!(
            world.spawned() - tasks,
            400,
            "a task for each call, as this adapter makes them"
        );
    });
    assert_eq!(budget(&world), (707, 0));
}

#[test]
fn any_number_of_leases_is_kept_alive_without_a_task() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let mut guards = Vec::new();
        for _ in 0..100 {
            guards.push(reserve(&client).await);
        }
        let (tasks, calls) = (world.spawned(), world.sent());
        world.sleep(Duration::from_secs(300)).await;
        assert_eq!(world.spawned() - tasks, world.sent() - calls, "their beats alone");
        assert_eq!(world.tasks(), 1, "who keeps the time");
        for guard in guards {
            let id = guard.reservation_id().as_str().to_owned();
            let state = world.with_ledger(|ledger| ledger.reservation(&id).unwrap());
            assert_eq!(state.status, ReservationStatus::Active);
            assert!(commit(guard).await.unwrap().is_settled());
        }
    });
    assert_eq!(budget(&world), (700, 0));
}

#[test]
fn a_client_that_holds_nothing_looks_at_the_time_no_more_and_one_that_is_gone_is_forgotten() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        assert!(commit(reserve(&client).await).await.unwrap().is_settled());
        world.sleep(SOON).await;
        let ticks = world.ticks();
        world.sleep(Duration::from_secs(3_600)).await;
        assert!(world.ticks() - ticks <= 1, "{} in an hour", world.ticks() - ticks);
        let guard = reserve(&client).await;
        drop(client);
        drop(guard);
        world.sleep(SOON).await;
        assert_eq!(world.tasks(), 0);
    });
    assert_eq!(budget(&world), (7, 0));
}

#[test]
fn a_cost_is_settled_soon_though_nobody_ever_polls_for_it() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let committing = commit(reserve(&client).await);
        world.sleep(SOON).await;
        assert_eq!(budget(&world), (7, 0));
        let began = world.passed();
        assert!(committing.await.unwrap().is_settled());
        assert_eq!(world.passed(), began, "it was known already");
    });
}

#[test]
fn a_cost_that_was_looked_at_once_is_tried_again_though_nobody_looks_any_more() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        world.lose(Operation::CommitReservation);
        let mut committing = commit(reserve(&client).await);
        look_at(&mut committing).await;
        world.sleep(Duration::from_secs(1)).await;
        world.lose_nothing();
        world.sleep(Duration::from_secs(30)).await;
        assert_eq!(budget(&world), (7, 0));
        assert!(committing.await.unwrap().is_settled());
    });
}

#[test]
fn a_cost_is_settled_at_once_though_its_future_is_dropped() {
    for polls in [0, 1] {
        let world = Virtual::default();
        let client = world.client(|config| config);
        world.block_on(async {
            let mut committing = commit(reserve(&client).await);
            for _ in 0..polls {
                look_at(&mut committing).await;
            }
            drop(committing);
            world.sleep(EXCHANGE).await;
            assert_eq!(budget(&world), (7, 0), "after {polls} polls");
        });
    }
}

#[test]
fn a_caller_that_turns_back_to_a_cost_that_went_on_without_him_is_told() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        world.lose(Operation::CommitReservation);
        let mut committing = commit(reserve(&client).await);
        look_at(&mut committing).await;
        world.sleep(SOON).await;
        look_at(&mut committing).await;
        world.lose_nothing();
        assert!(committing.await.unwrap().is_settled());
    });
    assert_eq!(budget(&world), (7, 0));
}

#[test]
fn reservations_that_are_asked_for_and_left_alone_keep_nobody_waiting() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let mut left = Vec::new();
        for _ in 0..3 {
            let held = reserve(&client).await;
            // More than there are places for exchanges.
            for _ in 0..200 {
                let mut reserving = Box::pin(reserve(&client));
                look_once(reserving.as_mut()).await;
                left.push(reserving);
            }
            let began = world.passed();
            assert!(commit(held).await.unwrap().is_settled());
            assert!(world.passed() - began <= SOON, "{:?}", world.passed() - began);
            world.sleep(Duration::from_secs(1)).await;
        }
        // Far beyond the leases that were asked for.
        world.sleep(Duration::from_secs(300)).await;
        for reserving in left {
            let guard = reserving.await;
            assert!(!guard.lease().is_lost());
            assert!(commit(guard).await.unwrap().is_settled());
        }
    });
    assert_eq!(budget(&world), (603 * 7, 0));
}

#[test]
fn a_reservation_that_is_asked_for_and_dropped_is_given_back() {
    for wait in [Duration::ZERO, EXCHANGE, SOON, Duration::from_secs(100)] {
        let world = Virtual::default();
        let client = world.client(|config| config);
        world.block_on(async {
            let mut reserving = Box::pin(reserve(&client));
            look_once(reserving.as_mut()).await;
            world.sleep(wait).await;
            drop(reserving);
            world.sleep(SOON).await;
        });
        assert_eq!(budget(&world), (0, 0), "after {wait:?}");
    }
}

#[test]
fn what_is_asked_of_a_resting_life_is_done_at_once() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let guard = reserve(&client).await;
        let began = world.passed();
        guard.extend(60_000).await.unwrap();
        assert_eq!(world.passed() - began, EXCHANGE);
        drop(guard);
        world.sleep(EXCHANGE).await;
    });
    assert_eq!(budget(&world), (0, 0));
}
