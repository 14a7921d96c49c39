//! What `cycles-http` does and ureq does not, of proxies and connections. The tests of each async adapter have it as a
//! module; `runcycles` is their crate.

use crate::support::{self, Scripted, decide, hasty};
use crate::transport_failures::{dying, timed_out};
use runcycles::{CyclesClient, Error, FailureKind, HttpOptions};

#[test]
fn a_kind_of_proxy_that_cannot_be_used_is_refused_with_a_sentence() {
    for (address, kind) in [
        ("https://127.0.0.1:9", "https://"),
        ("socks5://127.0.0.1", "socks5://"),
    ] {
        let client = CyclesClient::builder(support::KEY, "http://cycles.example");
        let options = HttpOptions::new().proxy(address, "");
        let error = client.http(options).try_build().unwrap_err();
        let expected = format!(
            "the proxy's address names a proxy of type {kind}, but only these types are supported: http://"
        );
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn a_server_that_sends_hints_without_end_is_given_up_in_time() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n".repeat(10_000);
    let server = Scripted::start(move |connection| {
        connection.read_request();
        while std::io::Write::write_all(&mut connection.stream, hints.as_bytes()).is_ok() {}
    });
    let error = timed_out(&server.url);
    assert_eq!(
        (error.kind(), error.may_have_been_sent()),
        (FailureKind::Timeout, true)
    );
}

#[test]
fn connections_that_died_without_a_word_cost_one_call_and_not_one_each() {
    const DEAD: usize = 3;
    let server = dying(DEAD);
    let client = hasty(&server.url, HttpOptions::new().no_proxy());
    let request = decide();
    let ask = || client.decide(&request);
    let (first, second, third) = call!(async { futures::join!(ask(), ask(), ask()) });
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    let Err(Error::Transport(error)) = call!(ask()) else {
        panic!("the connection is dead")
    };
    assert_eq!(error.kind(), FailureKind::Timeout);
    for _ in 0..DEAD {
        call!(ask()).unwrap();
    }
    assert_eq!(server.connections(), DEAD + 1);
}
