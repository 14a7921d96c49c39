//! The end of a client: what is refused, what is waited for, and what is left. The tests of each adapter have it as a module;
//! `runcycles` is their crate.

use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use cycles_sandbox::DEFAULT_TENANT;
use runcycles::models::{Amount, BalanceParams};
use runcycles::{Close, CyclesClient, Error, Event, Flushed};

use crate::world::{World, builder, cost, request};

const MINUTE: Duration = Duration::from_secs(60);

/// Closes the client on another thread, and returns once it refuses.
fn begin<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    client: &'scope CyclesClient,
    how: Close,
    time: Duration,
) -> ScopedJoinHandle<'scope, Flushed> {
    let closing = scope.spawn(move || wait!(client.close(how, time)).unwrap());
    while !matches!(wait!(client.reserve(request())), Err(Error::Closed)) {
        thread::yield_now();
    }
    closing
}

#[test]
fn a_client_that_closes_refuses_what_is_new_and_waits_for_what_runs() {
    let world = World::new();
    let (client, _) = world.client();
    let clone = client.with_observer(|_: &Event| {});
    let guard = wait!(client.reserve(request())).unwrap();
    let left = thread::scope(|scope| {
        let closing = begin(scope, &client, Close::WhenDone, 10 * MINUTE);
        assert!(matches!(wait!(clone.reserve(request())), Err(Error::Closed)));
        let question = BalanceParams {
            tenant: Some(DEFAULT_TENANT.into()),
            ..Default::default()
        };
        assert!(matches!(
            wait!(client.get_balances(&question)),
            Err(Error::Closed)
        ));
        // Two leases long.
        world.pass(2 * MINUTE);
        assert!(!guard.lease().is_lost() && !guard.lease().is_stopping());
        assert!(!closing.is_finished());
        assert!(wait!(guard.commit(cost())).unwrap().is_settled());
        closing.join().unwrap()
    });
    assert!(left.is_complete(), "{left:?}");
    assert_eq!(world.budget(), (7, 0));
    assert_eq!(
        wait!(clone.close(Close::WhenDone, MINUTE)).unwrap(),
        left,
        "closed is closed"
    );
}

#[test]
fn actions_that_are_asked_to_stop_see_it_and_are_charged_what_they_spent() {
    let world = World::new();
    let (client, _) = world.client();
    let spends = wait!(client.reserve(request())).unwrap();
    let gives_back = wait!(client.reserve(request())).unwrap();
    let left = thread::scope(|scope| {
        let closing = begin(scope, &client, Close::Leaving, MINUTE);
        let lease = spends.lease();
        assert!(lease.is_stopping() && !lease.is_lost());
        spends.spent(&Amount::tokens(5)).unwrap();
        drop(spends);
        drop(gives_back);
        closing.join().unwrap()
    });
    assert!(left.is_complete(), "{left:?}");
    assert_eq!(world.budget(), (5, 0));
}

#[test]
fn when_the_time_is_up_what_was_spent_is_charged_and_a_cost_that_comes_later_is_not_lost() {
    let world = World::new();
    let (client, _) = world.client();
    let spends = wait!(client.reserve(request())).unwrap();
    let comes_later = wait!(client.reserve(request())).unwrap();
    spends.spent(&Amount::tokens(5)).unwrap();
    let left = thread::scope(|scope| {
        let closing = begin(scope, &client, Close::WhenDone, MINUTE);
        world.pass(MINUTE);
        closing.join().unwrap()
    });
    assert_eq!((left.running, left.is_complete()), (2, false), "{left:?}");
    assert_eq!(world.budget(), (5, 10));
    world.pass(2 * MINUTE);
    assert!(!comes_later.lease().is_lost());
    assert!(wait!(comes_later.commit(cost())).unwrap().is_settled());
    drop(spends);
    assert_eq!(world.budget(), (12, 0));
}

#[test]
fn a_lease_ends_at_its_age_and_the_action_is_told() {
    let world = World::new();
    let (client, told) = world.client_of(builder().max_lease_age(3 * MINUTE));
    let hangs = wait!(client.reserve(request())).unwrap();
    let may_take_longer = wait!(client.reserve(request())).unwrap();
    may_take_longer.set_max_lease_age(30 * MINUTE);
    world.pass(3 * MINUTE + Duration::from_secs(1));
    assert!(!hangs.lease().is_lost(), "it still runs out");
    world.pass(MINUTE);
    assert!(hangs.lease().is_lost());
    told.wait_for(1, |event| matches!(event, Event::HeartbeatStopped { .. }));
    assert!(!may_take_longer.lease().is_lost());
    assert!(wait!(may_take_longer.commit(cost())).unwrap().is_settled());
    assert!(wait!(hangs.commit(cost())).unwrap().is_settled(), "as an event");
    assert_eq!(world.budget(), (14, 0));
}
