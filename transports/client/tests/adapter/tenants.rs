//! Several tenants and subjects on one client. The tests of each adapter have it as a module; `runcycles` is their crate.

use std::time::Duration;

use cycles_conformance::{TempDir, commit, records, request_for};
use cycles_sandbox::{ApiKey, Budget, Operation, Sandbox, Tenant, Unit};
use runcycles::models::{Amount, BalanceParams, Decision, ReservationCreateRequest, Subject};
use runcycles::{ConfigError, CyclesClient, Error};

use crate::support::{Scripted, client, decide, http};
use crate::world::{World, builder};

const TENANTS: [(&str, &str); 3] = [
    ("acme", "cyc_live_acme_0123456789"),
    ("globex", "cyc_live_glob_0123456789"),
    ("initech", "cyc_live_init_0123456789"),
];

/// A request that leaves the subject to the client, for an hour.
fn request(tokens: i64) -> ReservationCreateRequest {
    let mut request = request_for(tokens, 3_600_000);
    request.subject = Subject::default();
    request
}

fn scope(tenant: &str) -> String {
    format!("tenant:{tenant}")
}

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::builder();
    for (tenant, key) in TENANTS {
        sandbox = sandbox
            .tenant(Tenant::new(tenant))
            .api_key(ApiKey::new(key, tenant))
            .budget(Budget::new(scope(tenant), Unit::Tokens, 1_000));
    }
    sandbox.start().unwrap()
}

/// A client of the first tenant, and one for each tenant on it.
fn clients(sandbox: &Sandbox, journal: &TempDir) -> (CyclesClient, Vec<CyclesClient>) {
    let client = CyclesClient::builder(TENANTS[0].1, sandbox.base_url())
        .tenant(TENANTS[0].0)
        .app("chat")
        .journal_dir(journal.path())
        .build();
    let each = TENANTS.map(|(tenant, key)| client.with_credentials(key, tenant).unwrap());
    (client, each.into())
}

/// What each tenant has spent, and what is held of it.
fn budgets(sandbox: &Sandbox) -> Vec<(i64, i64)> {
    let of = |(tenant, _)| sandbox.with_ledger(|ledger| ledger.budget(&scope(tenant), Unit::Tokens).unwrap());
    let budgets = TENANTS.map(of).map(|budget| (budget.spent, budget.reserved));
    budgets.into()
}

#[test]
fn each_tenant_of_a_client_is_charged_in_its_own_budget() {
    let (sandbox, journal) = (sandbox(), TempDir::new());
    let (_, each) = clients(&sandbox, &journal);
    for (client, (tenant, key)) in each.iter().zip(TENANTS) {
        assert_eq!(client.config().tenant.as_deref(), Some(tenant));
        assert_eq!(client.config().api_key, key);
    }
    for (client, cost) in each.iter().zip([5, 6, 7]) {
        let guard = call!(client.reserve(request(100))).unwrap();
        assert_eq!(
            guard.subject().app.as_deref(),
            Some("chat"),
            "the other defaults stay"
        );
        assert!(call!(guard.commit(commit(cost))).unwrap().is_settled());
    }
    assert_eq!(budgets(&sandbox), [(5, 0), (6, 0), (7, 0)]);
}

#[test]
fn a_denial_of_one_tenant_is_none_of_another() {
    let (sandbox, journal) = (sandbox(), TempDir::new());
    let (_, each) = clients(&sandbox, &journal);
    let holds_all = call!(each[1].reserve(request(1_000))).unwrap();
    assert!(
        call!(each[1].reserve(request(1)))
            .unwrap_err()
            .is_budget_exceeded()
    );
    for client in [&each[0], &each[2]] {
        let guard = call!(client.reserve(request(1_000))).unwrap();
        assert!(call!(guard.commit(commit(5))).unwrap().is_settled());
    }
    assert_eq!(budgets(&sandbox), [(5, 0), (0, 1_000), (5, 0)]);
    assert!(call!(holds_all.release("not needed")).unwrap());
}

#[test]
fn the_tenants_of_a_client_share_a_connection_and_send_each_its_own_key() {
    let server = Scripted::answering(http(200, "", r#"{"decision":"ALLOW"}"#));
    let client = client(&server.url);
    for (tenant, key) in TENANTS {
        let client = client.with_credentials(key, tenant).unwrap();
        assert_eq!(call!(client.decide(&decide())).unwrap().decision, Decision::Allow);
    }
    assert_eq!(server.connections(), 1);
    let requests = server.requests();
    assert_eq!(requests.len(), TENANTS.len());
    for (request, (_, key)) in requests.iter().zip(TENANTS) {
        assert!(request.contains(key), "{request}");
    }
}

#[test]
fn each_tenant_has_a_journal_of_its_own_and_a_flush_covers_that() {
    let (sandbox, journal) = (sandbox(), TempDir::new());
    let (_, each) = clients(&sandbox, &journal);
    sandbox.inject("commit:503".parse().unwrap());
    for client in &each[..2] {
        let guard = call!(client.reserve(request(100))).unwrap();
        assert!(!call!(guard.commit(commit(5))).unwrap().is_settled());
    }
    assert_eq!(records(journal.path(), "json").len(), 2);
    sandbox.clear_faults();
    let wait = Duration::from_secs(30);
    assert!(
        call!(each[2].flush(wait)).unwrap().is_complete(),
        "it has no costs"
    );
    for client in &each[..2] {
        assert!(call!(client.flush(wait)).unwrap().is_complete());
    }
    assert_eq!(budgets(&sandbox), [(5, 0), (5, 0), (0, 0)]);
    assert!(records(journal.path(), "json").is_empty());
}

#[test]
fn another_tenant_under_the_same_key_is_refused_with_what_to_do() {
    let (sandbox, journal) = (sandbox(), TempDir::new());
    let (client, _) = clients(&sandbox, &journal);
    let client = client.with_subject(Subject::tenant("globex"));
    let error = call!(client.reserve(request(100))).unwrap_err();
    assert_eq!(error.status(), Some(403));
    let says = error.to_string();
    assert!(says.contains("one API key belongs to one tenant"), "{says}");
    assert!(says.contains("`with_credentials`"), "{says}");
}

#[test]
fn levels_that_a_subject_gives_replace_the_defaults_and_the_others_stay() {
    let (sandbox, journal) = (sandbox(), TempDir::new());
    let (client, _) = clients(&sandbox, &journal);
    let agent = client.with_subject(Subject {
        agent: Some("bot".into()),
        ..Subject::default()
    });
    let expected = Subject {
        app: Some("chat".into()),
        agent: Some("bot".into()),
        ..Subject::tenant("acme")
    };
    assert_eq!(agent.config().subject(), expected);
    assert_eq!(client.config().agent, None, "the client itself stays as it is");
    let guard = call!(agent.reserve(request(100))).unwrap();
    assert_eq!(guard.subject(), &expected);
    assert!(call!(guard.commit(commit(5))).unwrap().is_settled());
    assert_eq!(budgets(&sandbox)[0], (5, 0));
}

#[test]
fn credentials_and_subjects_that_cannot_be_used_say_so_without_showing_the_key() {
    let client = builder().build();
    for (key, tenant) in [
        ("hush hush", "globex"),
        ("", "globex"),
        ("cyc_live_hush_0123456789", ""),
        ("cyc_live_hush_0123456789", "a/b"),
    ] {
        let error = client.with_credentials(key, tenant).unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{key} {tenant}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
    }
    let agent = client.with_subject(Subject {
        agent: Some("a/b".into()),
        ..Subject::default()
    });
    assert!(matches!(
        agent.check(),
        Err(Error::Config(ConfigError::Subject(_)))
    ));
    assert!(matches!(call!(agent.reserve(request(1))), Err(Error::Config(_))));
    let unusable = CyclesClient::builder("", "http://ledger.example").build();
    let same = unusable.check().unwrap_err().to_string();
    let with_subject = unusable.with_subject(Subject::default());
    assert_eq!(with_subject.check().unwrap_err().to_string(), same);
    let (tenant, key) = TENANTS[0];
    let error = unusable.with_credentials(key, tenant).unwrap_err();
    assert_eq!(error.to_string(), same);
}

#[test]
fn a_tenant_with_a_thousand_waiting_calls_holds_up_another_by_one_attempt() {
    let world = World::new();
    let (tenant, key) = TENANTS[1];
    world.with_ledger(|ledger| {
        ledger.add_api_key(ApiKey::new(key, tenant));
        ledger.add_budget(Budget::new(scope(tenant), Unit::Tokens, 1_000));
    });
    let (flooding, _) = world.client();
    let other = flooding.with_credentials(key, tenant).unwrap();
    let guards: Vec<_> = (0..1_000)
        .map(|_| wait!(flooding.reserve(request(10))).unwrap())
        .collect();
    let guard = wait!(other.reserve(request(10))).unwrap();
    let held = || {
        let of = |ledger: &mut cycles_sandbox::Ledger| ledger.budget(&scope(tenant), Unit::Tokens);
        (world.budget().1, world.with_ledger(of).unwrap().reserved)
    };
    assert_eq!(held(), (10_000, 10));
    world.slow(Operation::ReleaseReservation, Duration::from_secs(1));
    drop(guards);
    drop(guard);
    // 48 at a time: the first of the flood, and then the other tenant's beside 47 more.
    world.pass(Duration::from_secs(2));
    assert_eq!(held(), (10 * (1_000 - 48 - 47), 0));
}

#[test]
fn amounts_of_one_tenant_are_not_in_the_balances_of_another() {
    let (sandbox, journal) = (sandbox(), TempDir::new());
    let (_, each) = clients(&sandbox, &journal);
    let guard = call!(each[0].reserve(request(100))).unwrap();
    assert!(call!(guard.commit(commit(5))).unwrap().is_settled());
    for (client, ((tenant, _), spent)) in each.iter().zip(TENANTS.into_iter().zip([5, 0, 0])) {
        let params = BalanceParams {
            tenant: Some(tenant.into()),
            ..Default::default()
        };
        let balances = call!(client.get_balances(&params)).unwrap().balances;
        assert_eq!(balances[0].spent, Some(Amount::tokens(spent)), "{tenant}");
    }
}
