//! The headers of requests.

use std::collections::BTreeSet;

use cycles_proto::models::Amount;
use cycles_sandbox::{DEFAULT_API_KEY, Operation};
use http::Request;
use serde_json::Value;

use super::test_setup::{TestSetup, commit, request};
use super::{ActionFailed, Adapter, Client as _, Guard as _};

pub fn requests_have_the_headers_of_the_protocol_and_no_others<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let guard = setup.client.reserve(request(100)).unwrap();
    guard.extend(10_000).unwrap();
    assert!(guard.commit(commit(42)).unwrap().is_settled());
    let failed = setup
        .client
        .with_cycles(Amount::tokens(1), |_| -> Result<((), Amount), _> {
            Err(ActionFailed)
        });
    assert!(failed.is_err());
    let guard = setup.client.reserve(request(100)).unwrap();
    setup.inject("commit:410");
    assert!(guard.commit(commit(7)).unwrap().is_settled());
    setup.flush_everything();

    let seen = setup.seen();
    for request in &seen {
        assert_is_as_expected(request);
    }
    let operations: BTreeSet<_> = seen.iter().map(operation).collect();
    use Operation::{
        CommitReservation, CreateEvent, CreateReservation, ExtendReservation, ReleaseReservation,
    };
    for operation in [
        CreateReservation,
        ExtendReservation,
        CommitReservation,
        ReleaseReservation,
        CreateEvent,
    ] {
        assert!(operations.contains(&operation), "{operations:?}");
    }
}

#[track_caller]
fn assert_is_as_expected<B: AsRef<[u8]>>(request: &Request<B>) {
    let names: BTreeSet<&str> = request.headers().keys().map(|name| name.as_str()).collect();
    let expected = [
        "accept",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-cycles-api-key",
        "x-cycles-trace-id",
        "x-idempotency-key",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    assert_eq!(names.len(), request.headers().len(), "each of them once");
    let header = |name: &str| request.headers()[name].to_str().unwrap();
    let body: Value = serde_json::from_slice(request.body().as_ref()).unwrap();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("accept"), "application/json");
    assert_eq!(
        header("content-length"),
        request.body().as_ref().len().to_string()
    );
    assert_eq!(header("x-cycles-api-key"), DEFAULT_API_KEY);
    assert_eq!(header("x-idempotency-key"), body["idempotency_key"]);
    assert!(
        header("user-agent").starts_with("cycles-rust/"),
        "{}",
        header("user-agent")
    );
    let trace = header("x-cycles-trace-id");
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    assert!(trace.len() == 32 && trace.bytes().all(is_hex), "{trace}");
}

fn operation<B>(request: &Request<B>) -> Operation {
    Operation::of(request.method(), request.uri().path())
}
