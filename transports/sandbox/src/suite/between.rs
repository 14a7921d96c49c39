//! What speaks between client and server in its own words: balancers, gateways, proxies.

use cycles_proto::models::BalanceParams;
use cycles_proto::{Error, FailureKind, RawRequest};

use super::stage::{Stage, commit, request};
use super::{Adapter, Client as _, Guard as _};
use crate::DEFAULT_TENANT;

pub fn what_a_balancer_or_a_redirect_answers_is_asked_once_more_and_counts_once<A: Adapter>() {
    let params = BalanceParams {
        tenant: Some(DEFAULT_TENANT.into()),
        ..Default::default()
    };
    for status in [302, 307, 408, 421, 425, 499, 502] {
        let stage = Stage::<A>::new();
        for operation in ["balances", "reserve", "commit"] {
            stage.inject(&format!("{operation}:page={status}@1"));
        }
        let balances = stage.client.raw(RawRequest::from(&params)).unwrap();
        assert!(balances.is_success(), "{status}: {balances:?}");
        let guard = stage.client.reserve(request(100)).unwrap();
        assert_eq!(stage.reservations(), [guard.reservation_id()], "{status}");
        assert!(
            !guard.commit(commit(7)).unwrap().is_settled(),
            "it is not known yet"
        );
        stage.flush_everything();
        stage.assert_spent(7);
    }
}

pub fn a_redirect_is_not_followed_and_its_error_says_what_to_change<A: Adapter>() {
    let stage = Stage::<A>::new();
    stage.inject("reserve:page=308");
    let error = stage.client.reserve(request(100)).unwrap_err();
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
    assert_eq!(stage.seen().len(), 2);
}

pub fn a_proxy_that_wants_credentials_has_sent_nothing<A: Adapter>() {
    let stage = Stage::<A>::new();
    stage.inject("reserve:page=407");
    let error = stage.client.reserve(request(100)).unwrap_err();
    assert!(
        matches!(&error, Error::Transport(error) if error.kind() == FailureKind::Proxy),
        "{error:?}"
    );
    assert!(!error.outcome_is_unknown(), "{error}");
    assert!(error.to_string().ends_with("Nothing was sent"), "{error}");
    assert_eq!(stage.seen().len(), 1, "the next attempt would fare no better");
}

pub fn what_a_gateway_has_written_anew_is_read_all_the_same<A: Adapter>() {
    let stage = Stage::<A>::new();
    stage.inject("*:rewritten");
    let guard = stage.client.reserve(request(100)).unwrap();
    guard.extend(10_000).unwrap();
    assert!(guard.commit(commit(42)).unwrap().is_settled());
    let guard = stage.client.reserve(request(100)).unwrap();
    assert!(guard.release("not needed").unwrap());
    stage.flush_everything();
    stage.assert_spent(42);
}
