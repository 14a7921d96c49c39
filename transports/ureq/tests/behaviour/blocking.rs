//! The particulars of a blocking client, beyond the suite: which thread runs what, panics, drops, other
//! runtimes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::operations;
use crate::support::world::{PATIENCE, World, commit, guarded, recorded, reserve};
use crate::support::{decide, hasty};
use crate::transport_failures::dying;
use cycles_conformance::TempDir;
use cycles_sandbox::{Fault, FaultRule, Operation, Sandbox, When};
use cycles_ureq::models::{Amount, CyclesMetrics};
use cycles_ureq::{
    Error, Event, FailureKind, GuardContext, HeartbeatPolicy, HttpOptions, InvalidCommit, NotCompleted,
    Receipt, RetryPolicy, try_with_cycles, with_cycles,
};

fn down(operation: Operation) -> FaultRule {
    FaultRule::new(Fault::LoseRequest).on(operation)
}

#[test]
fn an_action_that_is_neither_send_nor_static_is_charged_what_it_says() {
    let world = World::start();
    let shared = Rc::new(3);
    let mut calls = 0;
    let value = with_cycles(&world.client, guarded(1_000), |ctx| {
        calls += 1;
        ctx.set_metrics(CyclesMetrics {
            tokens_input: Some(40),
            ..Default::default()
        });
        ctx.insert_metadata("run", "r-1");
        Ok((Rc::clone(&shared), Amount::tokens(42)))
    });
    assert_eq!((*value.unwrap(), calls, world.spent_and_held()), (3, 1, (42, 0)));
    let kept = &world
        .client
        .list_reservations(&Default::default())
        .unwrap()
        .reservations[0];
    let detail = world.client.get_reservation(&kept.reservation_id).unwrap();
    let metadata = detail.committed_metadata.as_ref().unwrap();
    assert_eq!(metadata.get::<String>("run").as_deref(), Some("r-1"));
}

/// Reports when it is converted.
struct Noting<'a>(&'a GuardContext);

impl From<Noting<'_>> for serde_json::Value {
    fn from(Noting(ctx): Noting<'_>) -> Self {
        ctx.insert_metadata("first", 1);
        2.into()
    }
}

#[test]
fn a_note_may_leave_another_while_it_is_made() {
    let world = World::start();
    let ended = with_cycles(&world.client, guarded(1_000), |ctx| {
        ctx.insert_metadata("second", Noting(&ctx));
        Ok((ctx.reservation_id.clone(), Amount::tokens(1)))
    });
    let detail = world.client.get_reservation(&ended.unwrap()).unwrap();
    let metadata = detail.committed_metadata.as_ref().unwrap();
    let note = |name| metadata.get::<i64>(name);
    assert_eq!((note("first"), note("second")), (Some(1), Some(2)));
}

#[test]
fn an_action_that_fails_gives_everything_back_and_keeps_its_own_error() {
    let world = World::start();
    let ended = try_with_cycles(&world.client, guarded(1_000), |_| {
        Err::<((), Amount), _>("no such model")
    });
    assert!(
        matches!(ended, Err(NotCompleted::Action("no such model"))),
        "{ended:?}"
    );
    assert_eq!(world.spent_and_held(), (0, 0));
    let ended = with_cycles::<(), _>(&world.client, guarded(1_000), |_| Err("no such model".into()));
    assert!(
        matches!(&ended, Err(Error::Action(error)) if error.to_string() == "no such model"),
        "{ended:?}"
    );
}

#[test]
fn an_action_that_panics_gives_everything_back_before_the_panic_goes_on() {
    let world = World::start();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        with_cycles::<(), _>(&world.client, guarded(1_000), |_| panic!("out of cheese"))
    }));
    assert_eq!(*ended.unwrap_err().downcast::<&str>().unwrap(), "out of cheese");
    assert_eq!(world.spent_and_held(), (0, 0), "without any flush");
}

#[test]
fn what_an_action_had_spent_when_it_panicked_is_charged() {
    let world = World::start();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        with_cycles::<(), _>(&world.client, guarded(1_000), |ctx| {
            ctx.spent(&Amount::tokens(7)).unwrap();
            panic!("out of cheese")
        })
    }));
    assert!(ended.is_err());
    assert_eq!(world.spent_and_held(), (7, 0));
}

#[test]
fn what_ends_within_an_action_is_settled_while_that_goes_on() {
    let world = World::start();
    let ended = with_cycles(&world.client, guarded(1_000), |_| {
        let within = world.client.reserve(reserve(100, 60_000))?;
        within.spent(&Amount::tokens(7))?;
        drop(within);
        // No thread here makes calls meanwhile.
        let began = std::time::Instant::now();
        while world.spent_and_held() != (7, 1_000) {
            assert!(began.elapsed() < PATIENCE, "{:?}", world.spent_and_held());
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(((), Amount::tokens(1)))
    });
    ended.unwrap();
    assert_eq!(world.spent_and_held(), (8, 0));
}

#[test]
fn an_observer_may_hold_the_last_handle_of_a_client() {
    let world = World::start();
    let World { sandbox, client, .. } = world;
    let held = client.clone();
    let watched = client.with_observer(move |_: &Event| {
        let _ = held.config();
    });
    drop(client);
    assert!(
        watched
            .reserve(reserve(10, 60_000))
            .unwrap()
            .release("no")
            .unwrap()
    );
    drop(watched);
    let next = TempDir::new();
    let next = crate::support::world::builder(&sandbox.base_url(), sandbox.api_key(), next.path()).build();
    assert!(next.flush(PATIENCE).unwrap().is_complete());
}

#[test]
fn a_guard_in_a_thread_that_panics_is_released_at_once() {
    let world = World::start();
    let guard = world.client.reserve(reserve(1_000, 60_000)).unwrap();
    let thread = std::thread::spawn(move || {
        let _guard = guard;
        panic!("out of cheese")
    });
    assert!(thread.join().is_err());
    assert_eq!(world.spent_and_held(), (0, 0));
}

#[test]
fn a_denied_action_does_not_run_and_neither_does_a_dry_one() {
    let world = World::start();
    let ran = |_| -> Result<((), Amount), cycles_ureq::BoxError> { panic!("it ran") };
    let denied = with_cycles(&world.client, guarded(999_999_999), ran);
    assert!(matches!(denied, Err(Error::BudgetExceeded { .. })), "{denied:?}");
    let dry = with_cycles(&world.client, guarded(5).dry_run(true), ran);
    assert!(
        matches!(&dry, Err(Error::DryRun(result)) if result.decision.is_allowed()),
        "{dry:?}"
    );
    assert_eq!(world.spent_and_held(), (0, 0));
}

#[test]
fn with_the_server_down_a_cost_is_pending_and_a_flush_settles_it() {
    let world = World::start();
    world.sandbox.inject(down(Operation::CommitReservation));
    let ended = try_with_cycles(&world.client, guarded(1_000), |_| {
        Ok::<_, Error>(("value", Amount::tokens(300)))
    });
    let ended = ended.unwrap();
    assert_eq!(ended.value, "value");
    assert!(
        matches!(
            ended.receipt,
            Ok(Receipt::Pending {
                is_recorded: true,
                ..
            })
        ),
        "{ended:?}"
    );
    assert_eq!(recorded(&world.journal), 1);
    world.sandbox.clear_faults();
    world.flush();
    assert_eq!((world.spent_and_held(), recorded(&world.journal)), ((300, 0), 0));
}

#[test]
fn who_saw_that_a_cost_is_pending_may_wait_for_its_end() {
    let is_pending = |receipt: &Result<Receipt, _>| matches!(receipt, Ok(Receipt::Pending { .. }));
    let action = |_| Ok::<_, Error>(("value", Amount::tokens(300)));
    let lost = || down(Operation::CommitReservation).when(When::First(2));

    let world = World::start();
    world.sandbox.inject(lost());
    let late = try_with_cycles(&world.client, guarded(1_000), action).unwrap();
    assert!(is_pending(&late.receipt), "{late:?}");
    for _ in 0..2 {
        let receipt = late.wait_settled(PATIENCE);
        assert!(
            matches!(&receipt, Ok(Receipt::Committed(done)) if done.response.is_some()),
            "{receipt:?}"
        );
    }
    let told = world.wait_for(|event| {
        let Event::SettledLate { receipt, .. } = event else {
            return None;
        };
        Some(receipt)
    });
    assert!(
        matches!(&*told, Receipt::Committed(done) if done.response.is_some()),
        "{told:?}"
    );

    let mut retries = RetryPolicy::default();
    retries.initial_delay = Duration::from_secs(3_600);
    retries.max_delay = Duration::from_secs(3_600);
    let world = World::with(Sandbox::builder(), |builder| builder.retry(retries));
    world.sandbox.inject(lost());
    let stuck = try_with_cycles(&world.client, guarded(1_000), action).unwrap();
    assert!(
        is_pending(&stuck.wait_settled(Duration::from_millis(50))),
        "an hour is too long"
    );
}

#[test]
fn a_cost_that_cannot_be_charged_has_no_end_to_wait_for() {
    let world = World::start();
    let ended = try_with_cycles(&world.client, guarded(1_000), |_| {
        Ok::<_, Error>(("value", Amount::usd_microcents(3)))
    });
    let ended = ended.unwrap();
    let waited = ended.wait_settled(PATIENCE);
    assert!(
        matches!(waited, Err(InvalidCommit::WrongUnit { .. })),
        "{waited:?}"
    );
    assert_eq!(waited.unwrap_err(), ended.receipt.unwrap_err());
}

#[test]
#[cfg(unix)]
fn while_another_process_settles_the_journal_a_flush_returns_in_time_and_says_what_is_left() {
    let world = World::start();
    world.sandbox.inject(down(Operation::CommitReservation));
    let guard = world.client.reserve(reserve(1_000, 60_000)).unwrap();
    assert!(!guard.commit(commit(300)).unwrap().is_settled());
    while world.client.flush(PATIENCE).unwrap().ending > 0 {}
    world.sandbox.clear_faults();
    let journal = cycles_host::Journal::open(&world.client.config().clone().check().unwrap());
    let claim = journal
        .claim()
        .expect("a client that is done keeps nobody from it");
    let left = world.client.flush(Duration::from_millis(200)).unwrap();
    assert_eq!((left.ending, left.recorded, left.is_certain), (0, 1, true));
    assert_eq!(recorded(&world.journal), 1);
    drop(claim);
    world.flush();
    assert_eq!((world.spent_and_held(), recorded(&world.journal)), ((300, 0), 0));
}

#[test]
fn without_a_journal_a_commit_waits_for_all_its_attempts() {
    let world = World::with(Sandbox::builder(), |builder| builder.journal_enabled(false));
    let lost = down(Operation::CommitReservation).when(When::First(3));
    world.sandbox.inject(lost);
    let guard = world.client.reserve(reserve(1_000, 60_000)).unwrap();
    let receipt = guard.commit(commit(300)).unwrap();
    assert!(
        matches!(&receipt, Receipt::Committed(done) if done.response.is_some()),
        "{receipt:?}"
    );
    world.sandbox.inject(down(Operation::CommitReservation));
    let guard = world.client.reserve(reserve(1_000, 60_000)).unwrap();
    let error = guard.commit(commit(300)).unwrap_err();
    assert!(error.outcome_is_unknown(), "{error:?}");
}

#[test]
fn a_dropped_guards_cost_is_on_disk_before_the_drop_returns() {
    let world = World::start();
    world.sandbox.inject(down(Operation::CommitReservation));
    let guard = world.client.reserve(reserve(1_000, 60_000)).unwrap();
    guard.spent(&Amount::tokens(8)).unwrap();
    drop(guard);
    assert_eq!(recorded(&world.journal), 1);
}

#[test]
fn a_guard_moves_to_another_thread_and_is_extended_from_several() {
    let world = World::start();
    let guard = world.client.reserve(reserve(1_000, 60_000)).unwrap();
    let ends = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| guard.extend(10_000).unwrap()))
            .collect();
        let mut ends: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        ends.sort();
        ends
    });
    for pair in ends.windows(2) {
        assert_eq!(pair[1], pair[0].saturating_add(Duration::from_secs(10)));
    }
    let receipt = std::thread::spawn(move || guard.commit(commit(5)))
        .join()
        .unwrap();
    assert!(receipt.unwrap().is_settled());
}

#[test]
fn a_lost_lease_is_told_inside_and_in_the_receipt_and_the_value_is_kept() {
    let world = World::start();
    let finalized = Fault::Status {
        status: 410,
        retry_after_s: None,
    };
    world
        .sandbox
        .inject(FaultRule::new(finalized).on(Operation::ExtendReservation));
    let config = guarded(1_000)
        .ttl_ms(1_000)
        .heartbeat(HeartbeatPolicy::FailOnFinalize);
    let ended = try_with_cycles(&world.client, config, |ctx| {
        assert!(ctx.lease().wait_lost(PATIENCE) && ctx.lease().is_lost());
        Ok::<_, Error>(("value", Amount::tokens(5)))
    });
    let ended = ended.unwrap();
    assert!(ended.lease_was_lost && ended.value == "value");
    assert!(
        matches!(&ended.receipt, Ok(Receipt::LeaseLost(inner)) if inner.is_settled()),
        "{ended:?}"
    );
    assert_eq!(world.spent_and_held().0, 5);
}

#[test]
fn observers_are_told_in_order_and_may_take_their_time() {
    let world = World::start();
    world
        .sandbox
        .inject(down(Operation::CommitReservation).when(When::First(1)));
    let guard = world.client.reserve(reserve(1_000, 60_000)).unwrap();
    let id = guard.reservation_id().clone();
    guard.extend(1_000).unwrap();
    let _pending = guard.commit(commit(5)).unwrap();
    world.flush();
    let name = |event: Event| {
        assert_eq!(event.reservation_id(), Some(&id));
        let text = format!("{event:?}");
        text.split(' ').next().unwrap().to_owned()
    };
    let mut names = Vec::new();
    for _ in 0..3 {
        names.push(world.wait_for(|event| Some(name(event))));
    }
    assert_eq!(names, ["Granted", "LeaseExtended", "SettlementFailed"]);
}

#[tokio::test]
async fn inside_a_tokio_program_it_blocks_and_nothing_else() {
    let world = World::start();
    let guard = world.client.reserve(reserve(1_000, 60_000)).unwrap();
    guard.extend(1_000).unwrap();
    assert!(guard.commit(commit(5)).unwrap().is_settled());
    let value = with_cycles(&world.client, guarded(10), |_| Ok((1, Amount::tokens(5))));
    assert_eq!(value.unwrap(), 1);
    drop(world.client.reserve(reserve(1_000, 60_000)).unwrap());
    world.flush();
    drop(world);
}

#[test]
fn a_hundred_calls_at_once_end_with_an_exact_ledger() {
    let (sandbox, client) = operations::start();
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let made = client
                    .create_reservation(&operations::reserve(10).build())
                    .unwrap();
                let id = made.reservation_id.unwrap();
                client.commit_reservation(&id, &operations::commit(7)).unwrap();
            });
        }
    });
    assert_eq!(operations::remaining(&sandbox), 300);
}

#[test]
fn connections_that_died_without_a_word_cost_one_call_and_not_one_each() {
    const DEAD: usize = 3;
    let server = dying(DEAD);
    let client = hasty(&server.url, HttpOptions::new().no_proxy());
    std::thread::scope(|scope| {
        for _ in 0..DEAD {
            scope.spawn(|| client.decide(&decide()).unwrap());
        }
    });
    let Err(Error::Transport(error)) = client.decide(&decide()) else {
        panic!("the connection is dead")
    };
    assert_eq!(error.kind(), FailureKind::Timeout);
    for _ in 0..DEAD {
        client.decide(&decide()).unwrap();
    }
    assert_eq!(server.connections(), DEAD + 1);
}
