//! What can go wrong on the wire: each failure is told apart, in time, and says whether the request may
//! have reached the server.

use crate::{executor, support};

include!("../../../client/tests/adapter/transport_failures.rs");

#[test]
fn a_connection_is_used_again_in_whatever_runtime_or_outside_of_any() {
    let server = Scripted::answering(http(200, "", r#"{"decision":"ALLOW"}"#));
    let client = client(&server.url);
    let stands_still = executor::current_thread();
    stands_still.block_on(client.decide(&decide())).unwrap();
    for turn in 0..6 {
        let client = client.clone();
        let call = move || match turn % 3 {
            0 => executor::current_thread()
                .block_on(client.decide(&decide()))
                .unwrap(),
            1 => executor::multi_thread()
                .block_on(client.decide(&decide()))
                .unwrap(),
            _ => futures::executor::block_on(client.decide(&decide())).unwrap(),
        };
        std::thread::spawn(call).join().unwrap();
    }
    stands_still.block_on(client.decide(&decide())).unwrap();
    assert_eq!((server.requests().len(), server.connections()), (8, 1));
}
