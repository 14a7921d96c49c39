//! Which calls share a connection, on which executor.

use std::time::Duration;

use crate::executor;
use crate::support::{Scripted, client, commit, decide, http};

#[test]
fn a_connection_is_used_again_on_whatever_thread_and_by_whatever_executor() {
    let server = Scripted::answering(http(200, "", r#"{"decision":"ALLOW"}"#));
    let client = client(&server.url);
    for turn in 0..4 {
        let client = client.clone();
        let call = move || match turn % 2 {
            0 => executor::block_on(client.decide(&decide())).unwrap(),
            _ => futures::executor::block_on(client.decide(&decide())).unwrap(),
        };
        std::thread::spawn(call).join().unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (4, 1));
}

#[test]
fn a_call_that_is_dropped_closes_its_connection_and_disturbs_no_other() {
    use std::future::Future as _;
    let (closed, is_closed) = std::sync::mpsc::channel();
    let server = Scripted::start(move |connection| {
        let request = connection.read_request().unwrap();
        if request.starts_with("POST /v1/decide ") {
            connection.write(http(200, "", r#"{"decision":"ALLOW"}"#));
            while connection.read_request().is_some() {}
        } else {
            connection.hang();
            closed.send(()).unwrap();
        }
    });
    let client = client(&server.url);
    let (id, cost) = ("r-1".into(), commit());
    let mut call = Box::pin(client.commit_reservation(&id, &cost));
    let waker = std::task::Waker::noop();
    while server.requests().is_empty() {
        assert!(
            call.as_mut()
                .poll(&mut std::task::Context::from_waker(waker))
                .is_pending()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(call);
    is_closed.recv_timeout(Duration::from_secs(10)).unwrap();
    executor::block_on(client.decide(&decide())).unwrap();
    assert_eq!(server.connections(), 2);
}
