//! A child of the process that made a client: every call says so at once, what was reserved stays the parent's, and a client
//! that the child makes is its own. The tests of each adapter have it as a module; `runcycles` is their crate.

use std::time::Duration;

use cycles_conformance::{TempDir, commit, records, request};
use cycles_host::Process;
use cycles_sandbox::{DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Sandbox, Unit};
use runcycles::models::{Amount, BalanceParams, DecisionRequest, ListReservationsParams, Subject};
use runcycles::{
    ConfigError, CyclesClient, CyclesClientBuilder, Error, HttpOptions, InvalidCommit, RawRequest,
    ReservationGuard,
};

const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    sandbox: Sandbox,
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self {
            sandbox: Sandbox::start().unwrap(),
            dir: TempDir::new(),
        }
    }

    fn builder(&self) -> CyclesClientBuilder {
        CyclesClient::builder(self.sandbox.api_key(), self.sandbox.base_url())
            .tenant(DEFAULT_TENANT)
            .journal_dir(self.dir.path())
            .http(HttpOptions::new().no_proxy())
    }

    fn spent_and_held(&self) -> (i64, i64) {
        let budget = self
            .sandbox
            .with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens));
        budget.map(|budget| (budget.spent, budget.reserved)).unwrap()
    }
}

fn reserve(client: &CyclesClient) -> ReservationGuard {
    wait!(client.reserve(request(10))).unwrap()
}

#[track_caller]
fn assert_forked<T>(call: &str, answer: Result<T, Error>) {
    let error = answer.err().expect("nothing can be done");
    assert!(
        matches!(error, Error::Config(ConfigError::Forked)),
        "{call}: {error:?}"
    );
    assert!(error.to_string().contains("after the fork"), "{error}");
}

#[test]
fn every_call_of_a_client_says_at_once_that_it_is_another_process_s() {
    let scene = Scene::new();
    let client = scene.builder().build();
    let id = reserve(&client).reservation_id().clone();
    // Whoever sends something waits.
    scene.sandbox.inject("*:delay=3600s".parse().unwrap());
    Process::as_if_forked(|| {
        let decision = DecisionRequest::builder()
            .subject(Subject::tenant(DEFAULT_TENANT))
            .action(request(1).action)
            .estimate(Amount::tokens(1))
            .build();
        assert_forked("reserve", wait!(client.reserve(request(10))));
        assert_forked("reserve of a clone", wait!(client.clone().reserve(request(10))));
        assert_forked("check", client.check());
        assert_forked("create", wait!(client.create_reservation(&request(10))));
        assert_forked("commit", wait!(client.commit_reservation(&id, &commit(1))));
        assert_forked("get", wait!(client.get_reservation(&id)));
        assert_forked("decide", wait!(client.decide(&decision)));
        assert_forked("balances", wait!(client.get_balances(&BalanceParams::default())));
        assert_forked(
            "list",
            wait!(client.list_reservations(&ListReservationsParams::default())),
        );
        assert_forked("raw", wait!(client.raw(RawRequest::GetReservation(&id))));
        assert_forked("health", wait!(client.health()));
        assert_forked("flush", wait!(client.flush(PATIENCE)));
        assert_forked("flush_stale", wait!(client.flush_stale(PATIENCE)));
        let observed = client.with_observer(|_: &runcycles::Event| {});
        assert_forked(
            "reserve of one with an observer",
            wait!(observed.reserve(request(10))),
        );
    });
}

#[test]
fn a_guard_does_nothing_in_the_child() {
    type InChild = (&'static str, fn(ReservationGuard));
    let in_child: [InChild; 6] = [
        ("dropped", |guard| drop(guard)),
        ("dropped after something was spent", |guard| {
            assert_eq!(guard.spent(&Amount::tokens(3)), Err(InvalidCommit::Forked));
            drop(guard);
        }),
        ("committed", |guard| {
            let error = wait!(guard.commit(commit(7))).unwrap_err();
            assert!(
                matches!(error, Error::InvalidCommit(InvalidCommit::Forked)),
                "{error:?}"
            );
        }),
        ("released", |guard| {
            wait!(guard.release("no")).unwrap_err();
        }),
        ("extended", |guard| {
            wait!(guard.extend(1_000)).unwrap_err();
        }),
        ("looked at", |guard| assert!(guard.lease().is_lost())),
    ];
    for (what, act) in in_child {
        let scene = Scene::new();
        let client = scene.builder().build();
        let guard = reserve(&client);
        Process::as_if_forked(|| act(guard));
        assert!(wait!(client.flush(PATIENCE)).unwrap().is_complete());
        assert_eq!(scene.spent_and_held(), (0, 10), "{what}");
        assert!(records(scene.dir.path(), "json").is_empty(), "{what}");
    }
}

#[test]
fn a_child_that_drops_its_copy_of_a_client_ends_nothing_of_the_parent() {
    let scene = Scene::new();
    let client = scene.builder().build();
    let guard = reserve(&client);
    Process::as_if_forked(|| drop(client));
    assert!(wait!(guard.commit(commit(7))).unwrap().is_settled());
    assert_eq!(scene.spent_and_held(), (7, 0));
}

#[test]
fn a_client_that_a_child_makes_works_there_beside_the_parent_s_own() {
    let scene = Scene::new();
    let client = scene.builder().build();
    let guard = reserve(&client);
    // Threads that write belong to the parent here, as this is no child in truth; so it has no journal.
    let childs = Process::as_if_forked(|| {
        let client = scene.builder().journal_enabled(false).build();
        let guard = reserve(&client);
        wait!(guard.extend(1_000)).unwrap();
        assert!(!guard.lease().is_lost());
        assert!(wait!(guard.commit(commit(5))).unwrap().is_settled());
        assert!(wait!(reserve(&client).release("not needed")).unwrap());
        client
    });
    assert_forked("the child's in the parent", wait!(childs.health()));
    assert!(wait!(guard.commit(commit(7))).unwrap().is_settled());
    assert_eq!(scene.spent_and_held(), (12, 0));
}
