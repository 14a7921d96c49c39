//! A transport and a clock that are given in place of the adapter's own. The tests of each adapter have it as a module;
//! `runcycles` is their crate.

use std::time::Duration;

use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Sandbox, Unit};
use runcycles::{CyclesClient, TestClock};

use crate::world::{World, builder, cost, request};

#[test]
fn an_agent_runs_for_five_minutes_of_its_tests_own_time() {
    let world = World::new();
    let client = builder().transport(world.clone()).clock(world.clone()).build();
    let guard = wait!(client.reserve(request())).unwrap();
    world.pass(Duration::from_secs(300));
    assert!(!guard.lease().is_lost());
    assert_eq!(world.budget(), (0, 10));
    assert!(wait!(guard.commit(cost())).unwrap().is_settled());
    assert_eq!(world.budget(), (7, 0));
}

#[test]
fn a_transport_alone_has_the_adapters_time() {
    let world = World::new();
    let client = builder().transport(world.clone()).build();
    let guard = wait!(client.reserve(request())).unwrap();
    assert!(wait!(guard.commit(cost())).unwrap().is_settled());
    assert_eq!(world.budget(), (7, 0));
}

#[test]
fn a_clock_alone_has_the_adapters_transport() {
    let time = TestClock::new();
    let sandbox = Sandbox::builder().clock(time.wall()).start().unwrap();
    let client = CyclesClient::builder(sandbox.api_key(), sandbox.base_url())
        .tenant(sandbox.tenant())
        .journal_enabled(false)
        .clock(time)
        .build();
    let guard = wait!(client.reserve(request())).unwrap();
    assert!(wait!(guard.commit(cost())).unwrap().is_settled());
    sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 7);
}
