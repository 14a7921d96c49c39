//! A child of the process that made a client: every call says so at once, and what was reserved stays the parent's.

use crate::support::world::{PATIENCE, World, commit, guarded, reserve};
use cycles_host::Process;
use cycles_ureq::models::{Amount, BalanceParams};
use cycles_ureq::{ConfigError, Error, InvalidCommit, ReservationGuard, with_cycles};

#[test]
fn every_call_of_a_client_says_so_at_once() {
    let world = World::start();
    let client = &world.client;
    // Whoever sends something waits.
    world.sandbox.inject("*:delay=3600s".parse().unwrap());
    Process::as_if_forked(|| {
        let errors = [
            client.reserve(reserve(10, 60_000)).err(),
            client.get_balances(&BalanceParams::default()).err(),
            client.health().err(),
            client.flush(PATIENCE).err(),
            client.flush_stale(PATIENCE).err(),
            client.clone().reserve(reserve(10, 60_000)).err(),
            with_cycles(client, guarded(10), |_| Ok(((), Amount::tokens(1)))).err(),
        ];
        for error in errors {
            let error = error.expect("nothing can be done");
            assert!(matches!(error, Error::Config(ConfigError::Forked)), "{error:?}");
            assert!(error.to_string().contains("after the fork"), "{error}");
        }
    });
}

#[test]
fn a_guard_does_nothing_in_the_child_and_goes_on_in_the_parent() {
    type InChild = (&'static str, fn(ReservationGuard));
    let in_child: [InChild; 5] = [
        ("dropped", |guard| drop(guard)),
        ("committed", |guard| {
            let error = guard.commit(commit(7)).unwrap_err();
            assert!(
                matches!(error, Error::InvalidCommit(InvalidCommit::Forked)),
                "{error:?}"
            );
        }),
        ("released", |guard| {
            guard.release("no").unwrap_err();
        }),
        ("spent", |guard| {
            assert_eq!(guard.spent(&Amount::tokens(3)), Err(InvalidCommit::Forked));
            guard.extend(1_000).unwrap_err();
            assert!(guard.lease().is_lost() && guard.lease().wait_lost(PATIENCE));
        }),
        ("metered", |guard| {
            let mut items = guard.meter([1, 2], |_: &i32| Amount::tokens(1));
            assert_eq!(items.next(), Some(1));
            let settling = items.settling();
            drop(items);
            settling.wait().unwrap_err();
        }),
    ];
    for (what, act) in in_child {
        let world = World::start();
        let guard = world.client.reserve(reserve(10, 60_000)).unwrap();
        Process::as_if_forked(|| act(guard));
        world.flush();
        assert_eq!(world.spent_and_held(), (0, 10), "{what}");
    }
}

#[test]
fn a_child_that_drops_the_client_leaves_the_parents_threads_alone() {
    let world = World::start();
    let parents = world.client.clone();
    let guard = parents.reserve(reserve(10, 60_000)).unwrap();
    Process::as_if_forked(|| drop(parents));
    assert!(guard.commit(commit(7)).unwrap().is_settled());
    assert_eq!(world.spent_and_held(), (7, 0));
}
