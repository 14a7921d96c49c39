//! A forked child: every call of the parent's client returns an error at once, and reservations stay the parent's.

use std::time::Duration;

use crate::support::Virtual;
use cycles_client::models::{Amount, BalanceParams};
use cycles_client::{
    Client, ConfigError, Error, InvalidCommit, ReservationGuard, WithCyclesConfig, with_cycles,
};
use cycles_conformance::{commit, request};
use cycles_host::Process;
use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Unit};
use futures::{FutureExt as _, StreamExt as _, stream};

fn reserved(world: &Virtual, client: &Client) -> ReservationGuard {
    world.block_on(client.reserve(request(10))).unwrap()
}

fn spent_and_held(world: &Virtual) -> (i64, i64) {
    let budget = world.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap());
    (budget.spent, budget.reserved)
}

/// The result of a call that is ready at once.
fn at_once<T>(call: impl Future<Output = Result<T, Error>>) -> Error {
    let answer = Box::pin(call).now_or_never().expect("it is known at once");
    answer.err().expect("nothing can be done")
}

#[test]
fn every_call_of_a_client_says_so_at_once_and_nothing_is_sent() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    let requests = world.sent();
    Process::as_if_forked(|| {
        let config = WithCyclesConfig::new(Amount::tokens(1));
        let errors = [
            at_once(client.reserve(request(10))),
            at_once(client.create_reservation(&request(10))),
            at_once(client.get_balances(&BalanceParams::default())),
            at_once(client.health()),
            at_once(client.flush(Duration::from_secs(1))),
            at_once(client.flush_stale(Duration::from_secs(1))),
            at_once(client.clone().reserve(request(10))),
            at_once(with_cycles(&client, config, |_| async {
                Ok(((), Amount::tokens(1)))
            })),
        ];
        for error in errors {
            assert!(matches!(error, Error::Config(ConfigError::Forked)), "{error:?}");
            assert!(error.to_string().contains("after the fork"), "{error}");
        }
    });
    assert_eq!(world.sent(), requests);
    // A client that the child makes is its own.
    let client = Process::as_if_forked(|| {
        let client = world.client(|config| config);
        drop(reserved(&world, &client));
        client
    });
    let back = world.block_on(client.health());
    assert!(back.is_err(), "and the parent's it is not");
}

#[test]
fn a_guard_does_nothing_in_the_child_and_goes_on_in_the_parent() {
    type InChild = (&'static str, fn(&Virtual, ReservationGuard));
    let in_child: [InChild; 6] = [
        ("dropped", |_, guard| drop(guard)),
        ("committed", |_, guard| {
            let error = at_once(guard.commit(commit(7)));
            assert!(
                matches!(error, Error::InvalidCommit(InvalidCommit::Forked)),
                "{error:?}"
            );
        }),
        ("committed, and not awaited", |_, guard| {
            drop(guard.commit(commit(7)))
        }),
        ("released", |_, guard| {
            at_once(guard.release("no"));
        }),
        ("spent", |_, guard| {
            assert_eq!(guard.spent(&Amount::tokens(3)), Err(InvalidCommit::Forked));
            at_once(guard.extend(1_000));
            assert!(guard.lease().is_lost());
            guard.lease().lost().now_or_never().unwrap();
        }),
        ("metered", |_, guard| {
            let mut items = guard.meter(stream::iter([1, 2]), |_: &i32| Amount::tokens(1));
            assert_eq!(items.next().now_or_never(), Some(Some(1)));
            let settling = items.settling();
            drop(items);
            at_once(settling);
        }),
    ];
    for (what, act) in in_child {
        let world = Virtual::default();
        let client = world.client(|config| config);
        let guard = reserved(&world, &client);
        let requests = world.sent();
        Process::as_if_forked(|| act(&world, guard));
        // The parent still holds its copy of the guard: the budget is still held, and the lease kept alive.
        world.block_on(world.sleep(Duration::from_secs(300)));
        assert_eq!(spent_and_held(&world), (0, 10), "{what}");
        assert!(world.sent() > requests, "{what}: it is kept alive");
    }
}

#[test]
fn what_ends_with_the_child_ends_nothing_of_the_parent() {
    let world = Virtual::default();
    let client = world.client(|config| config);
    let committing = reserved(&world, &client).commit(commit(7));
    Process::as_if_forked(|| {
        at_once(committing);
        drop(client);
    });
    world.block_on(world.sleep(Duration::from_secs(1)));
    assert_eq!(
        spent_and_held(&world),
        (7, 0),
        "it was handed over before the fork"
    );
}
