//! What can go wrong on the wire: each failure is told apart, in time, and says whether the request may
//! have reached the server.

use crate::{executor, support};

include!("../../../client/tests/adapter/transport_failures.rs");

#[test]
fn a_client_outlives_a_runtime() {
    let server = Scripted::answering(http(200, "", r#"{"decision":"ALLOW"}"#));
    let client = client(&server.url);
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(client.decide(&decide())).unwrap();
    }
}

#[test]
fn a_connection_of_a_runtime_that_stands_still_is_not_used() {
    let server = Scripted::answering(http(200, "", r#"{"decision":"ALLOW"}"#));
    let client = client(&server.url);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (first, second) = (runtime(), runtime());
    for _ in 0..2 {
        first.block_on(client.decide(&decide())).unwrap();
        second.block_on(client.decide(&decide())).unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (4, 2));
}

#[test]
fn a_call_outside_any_runtime_is_an_error_and_no_panic() {
    use std::future::Future as _;
    let client = client("http://127.0.0.1:9");
    let request = decide();
    let mut call = std::pin::pin!(client.decide(&request));
    let waker = std::task::Waker::noop();
    let answer = call.as_mut().poll(&mut std::task::Context::from_waker(waker));
    let std::task::Poll::Ready(Err(error)) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(
        error.to_string(),
        "decide (POST http://127.0.0.1:9/v1/decide): no async runtime is running here. Nothing was sent"
    );
}
