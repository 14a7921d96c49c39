//! Intermediaries that answer in place of the server: balancers, gateways, proxies.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use cycles_proto::models::{Amount, BalanceParams};
use cycles_proto::{CyclesConfig, Error, FailureKind, RawRequest};
use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT};

use super::files::TempDir;
use super::scripted::{Scripted, http};
use super::test_setup::{TestSetup, commit, request};
use super::{Adapter, Client as _, Guard as _};

pub fn what_a_balancer_or_a_redirect_answers_is_asked_once_more_and_counts_once<A: Adapter>() {
    let params = balances();
    for status in [302, 307, 408, 421, 425, 444, 499, 502] {
        let setup = TestSetup::<A>::new();
        for operation in ["balances", "reserve", "commit"] {
            setup.inject(&format!("{operation}:page={status}@1"));
        }
        let balances = setup.client.raw(RawRequest::from(&params)).unwrap();
        assert!(balances.is_success(), "{status}: {balances:?}");
        let guard = setup.client.reserve(request(100)).unwrap();
        assert_eq!(setup.reservations(), [guard.reservation_id()], "{status}");
        assert!(
            !guard.commit(commit(7)).unwrap().is_settled(),
            "it is not known yet"
        );
        setup.flush_everything();
        setup.assert_spent(7);
    }
}

pub fn a_redirect_is_not_followed_and_its_error_says_what_to_change<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("reserve:page=308");
    let error = setup.client.reserve(request(100)).unwrap_err();
    assert_eq!(
        (error.status(), error.outcome_is_unknown()),
        (Some(308), true),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("308, a redirect to https://elsewhere.example/v1/reservations, which is not followed")
            && text.contains("set the base URL to https://elsewhere.example."),
        "{text}"
    );
    assert_eq!(setup.seen().len(), 2);
}

pub fn a_proxy_that_wants_credentials_has_sent_nothing<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("reserve:page=407");
    let error = setup.client.reserve(request(100)).unwrap_err();
    assert!(
        matches!(&error, Error::Transport(error) if error.kind() == FailureKind::Proxy),
        "{error:?}"
    );
    assert!(!error.outcome_is_unknown(), "{error}");
    assert!(error.to_string().ends_with("Nothing was sent"), "{error}");
    assert_eq!(setup.seen().len(), 1, "the next attempt would fare no better");
}

pub fn what_a_gateway_has_written_anew_is_read_all_the_same<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    setup.inject("*:rewritten");
    let guard = setup.client.reserve(request(100)).unwrap();
    guard.extend(10_000).unwrap();
    assert!(guard.commit(commit(42)).unwrap().is_settled());
    let guard = setup.client.reserve(request(100)).unwrap();
    assert!(guard.release("not needed").unwrap());
    setup.flush_everything();
    setup.assert_spent(42);
}

pub fn a_server_that_takes_all_its_connections_along_costs_no_call<A: Adapter>() {
    for pooled in [1, 2, 4, 8] {
        let has_gone = Arc::new(AtomicBool::new(false));
        let server = server(pooled, Arc::clone(&has_gone));
        let dir = TempDir::new();
        let config = CyclesConfig::builder(DEFAULT_API_KEY, &server.url)
            .tenant(DEFAULT_TENANT)
            .journal_dir(dir.path());
        let client = A::client(config.build().unwrap(), |_| {});
        let params = balances();
        let ask = || client.raw(RawRequest::from(&params)).unwrap().is_success();
        thread::scope(|scope| {
            for _ in 0..pooled {
                scope.spawn(|| assert!(ask()));
            }
        });
        has_gone.store(true, Ordering::SeqCst);
        let spent = client.with_cycles(Amount::tokens(10), |_| Ok(((), Amount::tokens(1))));
        let (_, receipt) = spent.unwrap();
        assert!(receipt.as_ref().unwrap().is_settled(), "{pooled}: {receipt:?}");
        assert!(ask(), "{pooled}");
    }
}

/// A server that answers its first `pooled` requests together, so that the client pools that many connections. Once
/// `has_gone` is set, it closes each of these connections instead of answering.
fn server(pooled: usize, has_gone: Arc<AtomicBool>) -> Scripted {
    let (together, connections) = (Barrier::new(pooled), AtomicUsize::new(0));
    Scripted::start(move |connection| {
        let is_old = connections.fetch_add(1, Ordering::SeqCst) < pooled;
        while let Some(request) = connection.read_request() {
            if is_old && has_gone.load(Ordering::SeqCst) {
                return;
            }
            let path = request.split(' ').nth(1).unwrap();
            let body = match path.rsplit('/').next().unwrap() {
                "reservations" => {
                    r#"{"decision":"ALLOW","reservation_id":"r-1","affected_scopes":[],"expires_at_ms":1,"remaining_ttl_ms":60000}"#
                }
                "commit" => r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":1}}"#,
                _ => r#"{"balances":[]}"#,
            };
            if is_old {
                together.wait();
            }
            connection.write(http(200, "", body));
        }
    })
}

fn balances() -> BalanceParams {
    BalanceParams {
        tenant: Some(DEFAULT_TENANT.into()),
        ..Default::default()
    }
}
