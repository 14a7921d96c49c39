//! Many reservations over a long time, and which calls must not wait for which, to the millisecond.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::support::{Virtual, Watched};
use cycles_client::models::{Action, Amount, BalanceParams, Decision, Subject};
use cycles_client::proto::Call;
use cycles_client::{Client, Done, Event, Receipt, ReservationGuard, RetryPolicy, Transport};
use cycles_conformance::{commit, request, request_for};
use cycles_sandbox::{DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Operation, ReservationStatus, Unit};
use futures::future::join_all;

async fn reserve(client: &Client, ttl_ms: u64) -> ReservationGuard {
    client.reserve(request_for(10, ttl_ms)).await.unwrap()
}

#[test]
fn a_guard_says_what_it_holds_for_whom_and_until_when() {
    let world = Virtual::default();
    let client = world.client(|config| config.app("chat"));
    world.block_on(async {
        let guard = reserve(&client, 60_000).await;
        let whose = Subject {
            app: Some("chat".into()),
            ..Subject::tenant(DEFAULT_TENANT)
        };
        assert_eq!(guard.subject(), &whose, "with what the configuration adds");
        assert_eq!(guard.action(), &Action::new("llm.completion", "gpt-4o"));
        assert_eq!(guard.decision(), Decision::Allow);
        assert_eq!(guard.affected_scopes()[0], DEFAULT_TENANT_SCOPE);
        assert_eq!(guard.expires_at_ms(), guard.response().expires_at_ms);
        assert!(guard.expires_at_ms().is_some());
        let receipt = guard.commit(commit(7)).await.unwrap();
        assert_eq!(receipt.charged(), Some(&Amount::tokens(7)));
        assert!(!receipt.is_recovered_via_event());
    });
}

#[test]
fn a_future_that_is_dropped_takes_its_waker_along() {
    struct Counted;
    impl Wake for Counted {
        fn wake(self: Arc<Self>) {}
    }
    let world = Virtual::default();
    let client = world.client(|config| config);
    let guard = world.block_on(reserve(&client, 60_000));
    let counted = Arc::new(Counted);
    let waker = Waker::from(Arc::clone(&counted));
    for _ in 0..100 {
        let lease = guard.lease();
        let mut lost = pin!(lease.lost());
        for _ in 0..3 {
            assert!(lost.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(
            Arc::strong_count(&counted),
            3,
            "ours, and that of the one who waits"
        );
    }
    assert_eq!(Arc::strong_count(&counted), 2);
}

#[test]
fn ten_thousand_guards_are_kept_alive_at_once() {
    const GUARDS: usize = 10_000;
    let world = Virtual::default();
    let watched = Watched::new(&world.client(|config| config));
    let client = watched.client.clone();
    world.block_on(async {
        let guards = join_all((0..GUARDS).map(|_| reserve(&client, 60_000))).await;
        // Six leases long.
        world.sleep(Duration::from_secs(360)).await;
        world.with_ledger(|ledger| {
            for guard in &guards {
                let state = ledger.reservation(guard.reservation_id().as_str()).unwrap();
                assert_eq!(state.status, ReservationStatus::Active);
                assert!(state.extensions >= 5, "{state:?}");
            }
        });
        let began = world.passed();
        let receipts = join_all(guards.into_iter().map(|guard| guard.commit(commit(7)))).await;
        assert!(
            receipts
                .iter()
                .all(|receipt| matches!(receipt, Ok(Receipt::Committed(_))))
        );
        // Three quarters of 64 at a time, 10 ms each: a quarter is reserved for leases.
        let expected = Duration::from_millis(10) * u32::try_from(GUARDS.div_ceil(48)).unwrap();
        let took = world.passed() - began;
        assert!(
            took <= expected + Duration::from_millis(100),
            "{took:?} and not {expected:?}"
        );
    });
    watched.assert_nothing_lost(&world, "of all of them");
    let budget = world.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap());
    assert_eq!((budget.spent, budget.reserved), (70_000, 0));
}

/// Holds a lease for one and a half times its length, or a minute, and settles it.
async fn live_long(world: &Virtual, client: &Client, ttl_ms: u64) {
    let guard = reserve(client, ttl_ms).await;
    world.sleep(Duration::from_millis(ttl_ms + ttl_ms / 2)).await;
    assert!(!guard.lease().is_lost());
    let receipt = guard.commit(commit(7)).await.unwrap();
    assert!(matches!(receipt, Receipt::Committed(_)), "{receipt:?}");
}

#[test]
fn an_action_that_is_cancelled_or_dropped_takes_no_heartbeat_from_later_ones() {
    // How long the previous client exists and how long there is none then, in seconds: around the pieces of a timer.
    for (ttl, lives, idle) in [
        (30, 2, 22),
        (30, 0, 14),
        (30, 14, 16),
        (60, 1, 55),
        (60, 29, 31),
        (3600, 1, 600),
        (20, 9, 1),
        (30, 13, 0),
    ] {
        for is_committed in [false, true] {
            let world = Virtual::default();
            let watched = Watched::new(&world.client(|config| config));
            let client = watched.client.clone();
            world.block_on(async {
                let guard = reserve(&client, ttl * 1_000).await;
                world.sleep(Duration::from_secs(lives)).await;
                if is_committed {
                    assert!(guard.commit(commit(7)).await.unwrap().is_settled());
                } else {
                    drop(guard);
                }
                world.sleep(Duration::from_secs(idle)).await;
                for _ in 0..2 {
                    live_long(&world, &client, ttl * 1_000).await;
                }
            });
            watched.assert_nothing_lost(&world, &format!("{ttl} {lives} {idle}"));
        }
    }
}

#[test]
fn a_lead_so_short_that_the_first_beat_is_due_with_the_grant_is_kept_alive() {
    for ttl_ms in (2_000..=5_000).step_by(100) {
        let world = Virtual::default();
        let watched = Watched::new(&world.client(|config| config));
        let client = watched.client.clone();
        world.block_on(live_long(&world, &client, ttl_ms));
        watched.assert_nothing_lost(&world, &format!("{ttl_ms}"));
    }
}

#[test]
fn a_reservation_that_is_asked_for_again_with_little_time_left_is_kept_alive() {
    for left_ms in [1_000_u64, 1_500, 2_000, 2_500, 2_800, 5_000] {
        let world = Virtual::default();
        let watched = Watched::new(&world.client(|config| config));
        let client = watched.client.clone();
        world.block_on(async {
            let mut asked = request(10);
            asked.idempotency_key = Some("job-1".into());
            client.create_reservation(&asked).await.unwrap();
            world.sleep(Duration::from_millis(60_000 - left_ms)).await;
            let guard = client.reserve(asked).await.unwrap();
            world.sleep(Duration::from_secs(9)).await;
            assert!(!guard.lease().is_lost(), "{left_ms}");
            assert!(guard.commit(commit(7)).await.unwrap().is_settled());
        });
        watched.assert_nothing_lost(&world, &format!("{left_ms}"));
    }
}

#[test]
fn an_extension_that_hangs_does_not_delay_the_commit_by_a_millisecond() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let guard = reserve(&client, 3_000).await;
        world.lose(Operation::ExtendReservation);
        // The first beat is due after the grant and is on its way by now.
        world.sleep(Duration::from_millis(1)).await;
        let began = world.passed();
        assert!(guard.commit(commit(7)).await.unwrap().is_settled());
        assert_eq!(world.passed() - began, Duration::from_millis(10));
    });
}

#[test]
fn a_full_house_lets_settlements_in_first_and_gives_up_in_time() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        let guard = reserve(&client, 60_000).await;
        // Every place is taken by a reservation without a response, and as many wait for a place.
        world.lose(Operation::CreateReservation);
        let began = world.passed();
        let asking = join_all((0..128).map(|_| async {
            let error = client.reserve(request(10)).await.unwrap_err();
            (error.to_string(), world.passed() - began)
        }));
        let committing = async {
            world.sleep(Duration::from_secs(1)).await;
            assert!(guard.commit(commit(7)).await.unwrap().is_settled());
            world.passed() - began
        };
        let (answers, committed) = futures::future::join(asking, committing).await;
        // An attempt times out after 7 s; the commit is next.
        assert_eq!(committed, Duration::from_millis(7_010));
        assert!(
            answers.iter().all(|(_, took)| *took <= Duration::from_secs(21)),
            "{answers:?}"
        );
        assert!(
            answers
                .iter()
                .any(|(text, _)| text.contains("limit of concurrent calls")),
            "{answers:?}"
        );
    });
}

#[test]
fn questions_take_no_place_from_reservations() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        world.lose(Operation::GetBalances);
        let began = world.passed();
        let question = BalanceParams {
            tenant: Some(DEFAULT_TENANT.into()),
            ..Default::default()
        };
        let asking = join_all((0..128).map(|_| async {
            let error = client.get_balances(&question).await.unwrap_err();
            (error.to_string(), world.passed() - began)
        }));
        let living = async {
            let guard = reserve(&client, 60_000).await;
            assert!(guard.commit(commit(7)).await.unwrap().is_settled());
            world.passed() - began
        };
        let (answers, lived) = futures::future::join(asking, living).await;
        assert_eq!(lived, Duration::from_millis(20));
        assert!(
            answers.iter().all(|(_, took)| *took <= Duration::from_secs(14)),
            "{answers:?}"
        );
        assert!(
            answers
                .iter()
                .any(|(text, _)| text.contains("limit of concurrent calls")),
            "{answers:?}"
        );
    });
}

#[test]
fn a_flush_returns_in_time_and_says_what_is_left() {
    let world = Virtual::default();
    let client = world.client(|config| config.retry(RetryPolicy::default()));
    world.block_on(async {
        let guards = [reserve(&client, 60_000).await, reserve(&client, 60_000).await];
        world.lose(Operation::CommitReservation);
        for guard in guards {
            drop(guard.commit(commit(7)));
        }
        let began = world.passed();
        let flushed = client.flush(Duration::from_secs(3)).await.unwrap();
        assert_eq!(world.passed() - began, Duration::from_secs(3));
        assert_eq!((flushed.ending, flushed.recorded), (2, 0));
        assert!(!flushed.is_complete());
        // Without a journal the client can do no more; it stops in the end, and reports the failure.
        let flushed = client.flush(Duration::from_secs(600)).await.unwrap();
        assert_eq!((flushed.ending, flushed.recorded, flushed.unrecorded), (0, 0, 2));
        assert!(!flushed.is_complete());
        assert!(world.passed() - began < Duration::from_secs(80));
    });
}

#[test]
fn a_cost_that_could_not_be_taken_is_told_and_counted_at_once_however_old_the_lease_is() {
    for lived in [0, 100] {
        let world = Virtual::default();
        let watched = Watched::new(&world.client(|config| config));
        let client = &watched.client;
        world.block_on(async {
            let guard = reserve(client, 60_000).await;
            world.sleep(Duration::from_secs(lived)).await;
            let began = world.passed();
            guard.commit(commit(-5)).await.unwrap_err();
            let flushed = client.flush(Duration::from_secs(60)).await.unwrap();
            assert_eq!((flushed.ending, flushed.unrecorded), (0, 1));
            assert!(!flushed.is_complete());
            assert_eq!(world.passed(), began, "nobody has to wait for the next beat");
        });
        let told = world.block_on(watched.so_far());
        let not_taken = told
            .iter()
            .filter(|event| matches!(event, Event::CostNotTaken { .. }));
        assert_eq!(not_taken.count(), 1);
    }
}

#[test]
fn a_caller_who_left_while_the_answer_is_on_its_way_leaves_nothing_held() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    world.block_on(async {
        for ms in 0..12 {
            {
                let reserving = client.reserve(request(10));
                let waiting = world.sleep(Duration::from_millis(ms));
                futures::future::select(Box::pin(reserving), Box::pin(waiting)).await;
            }
            assert!(client.flush(Duration::from_secs(60)).await.unwrap().is_complete());
            let budget =
                world.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap());
            assert_eq!((budget.spent, budget.reserved), (0, 0), "dropped after {ms} ms");
        }
    });
}

/// The process was stopped, and the caller looks before the ticker runs.
#[test]
fn a_lease_that_ended_while_the_process_was_stopped_is_told_as_lost_however_the_action_ends() {
    for end in ["commit", "release", "drop", "extend", "nothing"] {
        let world = Virtual::default();
        let watched = Watched::new(&world.client(|config| config));
        let client = watched.client.clone();
        world.block_on(async {
            let guard = reserve(&client, 30_000).await;
            world.sleep(Duration::from_secs(1)).await;
            world.stop_for(Duration::from_secs(120));
            assert!(guard.lease().is_lost(), "{end}");
            match end {
                "commit" => drop(guard.commit(commit(7)).await),
                "release" => drop(guard.release("too late").await),
                "drop" => drop(guard),
                "extend" => drop(guard.extend(30_000).await),
                _ => guard.lease().lost().await,
            }
            world.sleep(Duration::from_secs(1)).await;
        });
        let told = world.block_on(watched.losses());
        let losses = told
            .iter()
            .filter(|event| matches!(event, Event::LeaseLost { .. }));
        assert_eq!(losses.count(), 1, "{end}: {told:?}");
    }
}

#[test]
fn thousands_of_commits_that_take_a_second_cost_no_lease() {
    let world = Virtual::default();
    let watched = Watched::new(&world.client(|config| config));
    let client = watched.client.clone();
    world.block_on(async {
        let leases = join_all((0..50).map(|_| reserve(&client, 30_000))).await;
        let others = join_all((0..6_000).map(|_| reserve(&client, 3_600_000))).await;
        world.slow(Operation::CommitReservation, Duration::from_secs(1));
        let receipts = join_all(others.into_iter().map(|guard| guard.commit(commit(1)))).await;
        assert_eq!(receipts.len(), 6_000);
        assert!(watched.losses().await.is_empty());
        assert!(leases.iter().all(|guard| !guard.lease().is_lost()));
    });
}

#[test]
fn ten_thousand_leases_that_were_made_at_once_are_kept_with_64_places() {
    for (leases, answer_takes) in [(10_000, 100), (3_400, 300)] {
        let world = Virtual::default();
        let client = world.client(|config| config);
        world.slow(
            Operation::ExtendReservation,
            Duration::from_millis(answer_takes - 5),
        );
        world.block_on(async {
            let guards = join_all((0..leases).map(|_| reserve(&client, 60_000))).await;
            world.sleep(Duration::from_secs(180)).await;
            let lost = guards.iter().filter(|guard| guard.lease().is_lost()).count();
            assert_eq!(lost, 0, "of {leases}, where an answer takes {answer_takes} ms");
        });
    }
}

/// A transport whose first calls never end, even if they are withdrawn.
struct Hanging {
    world: Virtual,
    left: Mutex<usize>,
    kept: Mutex<Vec<Done>>,
}

impl Transport for Hanging {
    fn start(&self, call: Call, mut done: Done) {
        let mut left = self.left.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            drop(left);
            assert!(done.begin());
            self.kept.lock().unwrap().push(done);
        } else {
            drop(left);
            self.world.start(call, done);
        }
    }
}

#[test]
fn sockets_that_hang_for_ever_in_all_places_stop_no_client_and_cost_no_lease() {
    let world = Virtual::default();
    let hanging = Arc::new(Hanging {
        world: world.clone(),
        left: Mutex::new(0),
        kept: Mutex::default(),
    });
    let client = world.client_on(Arc::clone(&hanging) as Arc<dyn Transport>, |config| config);
    world.block_on(async {
        let lease = reserve(&client, 60_000).await;
        *hanging.left.lock().unwrap() = 64;
        let asked = join_all((0..100).map(|_| client.reserve(request(10)))).await;
        assert!(asked.iter().any(Result::is_err) && asked.len() == 100);
        while *hanging.left.lock().unwrap() > 0 {
            let _ = client.reserve(request(10)).await;
        }
        assert_eq!(hanging.kept.lock().unwrap().len(), 64);
        let after = reserve(&client, 60_000).await;
        assert!(after.commit(commit(1)).await.unwrap().is_settled());
        world.sleep(Duration::from_secs(120)).await;
        assert!(!lease.lease().is_lost());
    });
}
