// A transport and a clock that are given in place of the adapter's own.
//
// The tests of each async adapter include it: `runcycles` is their crate, `executor` and `world` are beside it.

use std::time::Duration;

use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT};
use runcycles::{CyclesClient, CyclesClientBuilder, Error};
use world::{World, cost, request};

fn builder() -> CyclesClientBuilder {
    let builder = CyclesClient::builder(DEFAULT_API_KEY, "http://ledger.example");
    builder.tenant(DEFAULT_TENANT).journal_enabled(false)
}

on_executor! {
    async fn an_agent_runs_for_five_minutes_of_its_tests_own_time() {
        let world = World::new();
        let client = builder().transport(world.clone()).clock(world.clone()).build();
        let guard = client.reserve(request()).await.unwrap();
        world.pass(Duration::from_secs(300));
        assert!(!guard.lease().is_lost());
        assert_eq!(world.budget(), (0, 10));
        assert!(guard.commit(cost()).await.unwrap().is_settled());
        assert_eq!(world.budget(), (7, 0));
    }
}

on_executor! {
    async fn a_transport_alone_has_the_adapters_time() {
        let world = World::new();
        let client = builder().transport(world.clone()).build();
        let guard = client.reserve(request()).await.unwrap();
        assert!(guard.commit(cost()).await.unwrap().is_settled());
        assert_eq!(world.budget(), (7, 0));
    }
}

#[test]
fn a_clock_alone_is_refused_with_what_is_missing() {
    let Err(Error::Config(error)) = builder().clock(World::new()).try_build() else {
        panic!("the adapter's own transport has its own time");
    };
    assert!(error.to_string().contains("`transport`"), "{error}");
}
