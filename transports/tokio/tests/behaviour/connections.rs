//! Which calls share a connection, on which runtime.

use crate::executor;
use crate::support::{Scripted, client, decide, http};

#[test]
fn a_connection_of_a_runtime_that_stands_still_is_not_used() {
    let server = Scripted::answering(http(200, "", r#"{"decision":"ALLOW"}"#));
    let client = client(&server.url);
    let (first, second) = (executor::current_thread(), executor::current_thread());
    for _ in 0..2 {
        first.block_on(client.decide(&decide())).unwrap();
        second.block_on(client.decide(&decide())).unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (4, 2));
}

#[test]
fn outside_of_any_runtime_all_threads_share_a_connection() {
    let server = Scripted::answering(http(200, "", r#"{"decision":"ALLOW"}"#));
    let client = client(&server.url);
    for _ in 0..4 {
        let client = client.clone();
        let call = move || futures::executor::block_on(client.decide(&decide())).unwrap();
        std::thread::spawn(call).join().unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (4, 1));
}
