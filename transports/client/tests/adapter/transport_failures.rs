//! What can go wrong on the wire: each failure is told apart, in time, and says whether the request may
//! have reached the server.
//!
//! The tests of each adapter have it as a module; `runcycles` is their crate.

use std::time::{Duration, Instant};

use crate::support::{self, COMMITTED, Scripted, client, commit, decide, hasty, http};
use runcycles::models::{Action, Amount, DecisionRequest, JsonObject, Subject};
use runcycles::{CyclesClient, Error, FailureKind, HttpOptions, TransportError};

/// The failure of a commit that has time to fail.
fn failed(url: &str) -> TransportError {
    failure_of(client(url))
}

/// The failure of a commit that waits for a time-out of 1.2 s at most, and not for one of anybody else's.
pub(crate) fn timed_out(url: &str) -> TransportError {
    let began = Instant::now();
    let error = failure_of(hasty(url, HttpOptions::new().no_proxy()));
    assert!(began.elapsed() < Duration::from_secs(10), "{error}");
    error
}

fn failure_of(client: CyclesClient) -> TransportError {
    let error = call!(client.commit_reservation(&"r-1".into(), &commit())).unwrap_err();
    let Error::Transport(error) = error else {
        panic!("{error:?}")
    };
    *error
}

#[test]
fn a_refused_connection_was_never_sent() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = failed(&format!("http://127.0.0.1:{port}"));
    assert_eq!(
        (error.kind(), error.may_have_been_sent()),
        (FailureKind::Connect, false)
    );
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("commitReservation of r-1 (POST http://127.0.0.1:{port}/v1/reservations/r-1/commit): no connection to the server (")),
        "{text}"
    );
    assert!(
        text.contains("refused") && text.ends_with("Nothing was sent"),
        "{text}"
    );
}

#[test]
fn a_name_without_an_address_was_never_sent() {
    let error = timed_out("http://no-such-host.invalid:7878");
    // A resolver that itself is out of reach may take longer than there is time.
    assert!(
        matches!(error.kind(), FailureKind::Dns | FailureKind::ConnectTimeout),
        "{error}"
    );
    assert!(!error.may_have_been_sent());
}

#[test]
fn a_connection_that_does_not_come_about_was_never_sent() {
    // A listener with a full backlog answers no one.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    let address = listener.local_addr().unwrap();
    for _ in 0..8 {
        std::thread::spawn(move || std::net::TcpStream::connect(address).map(std::mem::forget));
    }
    std::thread::sleep(Duration::from_millis(50));
    let error = timed_out(&format!("http://{address}"));
    assert_eq!(
        (error.kind(), error.may_have_been_sent()),
        (FailureKind::ConnectTimeout, false)
    );
}

#[test]
fn a_silent_server_times_out_and_may_have_acted() {
    let server = Scripted::start(|connection| {
        connection.read_request();
        connection.hang();
    });
    let error = timed_out(&server.url);
    assert_eq!(
        (error.kind(), error.may_have_been_sent()),
        (FailureKind::Timeout, true)
    );
    assert!(error.to_string().contains("repeat it under the key "), "{error}");
    assert_eq!(
        server.requests().len(),
        1,
        "the time was used up: no second attempt"
    );
}

#[test]
fn an_answer_that_drips_times_out_as_a_whole() {
    let server = Scripted::start(|connection| {
        connection.read_request();
        for byte in http(200, "", COMMITTED).bytes() {
            connection.write([byte]);
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let error = timed_out(&server.url);
    assert_eq!(
        (error.kind(), error.may_have_been_sent()),
        (FailureKind::Timeout, true)
    );
}

#[test]
fn a_connection_cut_in_mid_body_is_lost_after_one_repetition() {
    let server = Scripted::start(|connection| {
        connection.read_request();
        connection.write(&http(200, "", COMMITTED)[..60]);
    });
    let error = failed(&server.url);
    assert_eq!(
        (error.kind(), error.may_have_been_sent()),
        (FailureKind::Lost, true)
    );
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0], requests[1], "the same bytes, key included");
}

#[test]
fn a_connection_closed_without_an_answer_is_lost_and_the_repetition_may_succeed() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let server = Scripted::start(move |connection| {
        connection.read_request();
        if !first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            connection.write(http(200, "", COMMITTED));
        }
    });
    let reply = call!(client(&server.url).commit_reservation(&"r-1".into(), &commit())).unwrap();
    assert_eq!(reply.charged.amount, 5);
    assert_eq!(server.requests()[0], server.requests()[1]);
}

#[test]
fn what_is_no_http_is_a_lost_connection() {
    let server = Scripted::start(|connection| {
        connection.read_request();
        connection.write("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    });
    let error = failed(&server.url);
    assert_eq!(
        (error.kind(), error.may_have_been_sent()),
        (FailureKind::Lost, true)
    );
}

#[test]
fn a_body_over_the_cap_is_not_read() {
    for head in ["content-length: 10485760\r\n", "transfer-encoding: chunked\r\n"] {
        let server = Scripted::start(move |connection| {
            connection.read_request();
            connection.write(format!("HTTP/1.1 200 OK\r\n{head}\r\n"));
            for _ in 0..160 {
                if head.starts_with("transfer") {
                    connection.write("10000\r\n");
                }
                connection.write(vec![b' '; 1 << 16]);
                if head.starts_with("transfer") {
                    connection.write("\r\n");
                }
            }
        });
        let error = failed(&server.url);
        assert_eq!(
            (error.kind(), error.may_have_been_sent()),
            (FailureKind::TooLarge, true),
            "{head}"
        );
    }
}

#[test]
fn a_head_that_is_too_large_is_told_so() {
    let large: [String; 2] = [
        (0..150).map(|number| format!("x-{number}: 1\r\n")).collect(),
        // More than any of the adapters takes.
        format!("x-large: {}\r\n", "x".repeat(1 << 20)),
    ];
    for head in large {
        let answer = http(200, &head, COMMITTED);
        let server = Scripted::start(move |connection| {
            connection.read_request();
            connection.write(&answer);
            connection.hang();
        });
        let error = failed(&server.url);
        assert_eq!(
            (error.kind(), error.may_have_been_sent()),
            (FailureKind::TooLarge, true),
            "{error}"
        );
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Scripted::answering(http(200, "", COMMITTED));
    let location = format!("location: {}/v1/decide\r\n", elsewhere.url);
    let server = Scripted::answering(http(307, &location, ""));
    let error = call!(client(&server.url).decide(&decide())).unwrap_err();
    assert_eq!(error.status(), Some(307));
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_request_and_an_answer_larger_than_any_buffer_arrive_whole() {
    let note = "n".repeat(100_000);
    let answer = format!(r#"{{"decision":"ALLOW","reason":"{note}"}}"#);
    let server = Scripted::answering(http(200, "", &answer));
    let client = client(&server.url);
    let request = DecisionRequest::builder()
        .subject(Subject::tenant("acme-corp"))
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(5))
        .metadata(JsonObject::new().with("note", note.as_str()))
        .build();
    for _ in 0..2 {
        call!(client.decide(&request)).unwrap();
    }
    assert!(server.requests().iter().all(|request| request.contains(&note)));
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[test]
fn connections_are_kept_and_used_again() {
    let server = Scripted::answering(http(200, "", r#"{"decision":"ALLOW"}"#));
    let client = client(&server.url);
    for _ in 0..10 {
        call!(client.decide(&decide())).unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (10, 1));
}

#[test]
fn a_connection_that_was_closed_while_idle_costs_no_call() {
    let server = Scripted::start(|connection| {
        connection.read_request();
        connection.write(http(200, "", r#"{"decision":"ALLOW"}"#));
    });
    let client = client(&server.url);
    for _ in 0..20 {
        call!(client.decide(&decide())).unwrap();
    }
    assert_eq!(server.connections(), 20);
}

#[test]
fn headers_carry_key_agent_and_trace() {
    let server = Scripted::answering(http(200, "", r#"{"decision":"ALLOW"}"#));
    let traced = client(&server.url).with_trace_parent(
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            .parse()
            .unwrap(),
    );
    call!(traced.decide(&decide())).unwrap();
    let request = &server.requests()[0];
    assert!(request.starts_with("POST /v1/decide HTTP/1.1\r\n"), "{request}");
    for line in [
        "x-cycles-api-key: cyc_live_0123456789\r\n",
        &format!(
            "user-agent: cycles-rust/{} ({})\r\n",
            env!("CARGO_PKG_VERSION"),
            crate::executor::NAME
        ),
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
        "content-type: application/json\r\n",
    ] {
        assert!(request.contains(line), "{line} in {request}");
    }
    assert_eq!(request.matches("content-length").count(), 1);
    assert!(!request.contains("accept-encoding"));
}

#[test]
fn a_time_limit_as_long_as_can_be_is_no_trouble() {
    let server = Scripted::answering(http(200, "", r#"{"decision":"ALLOW"}"#));
    let endless = |url: &str| {
        CyclesClient::builder(support::KEY, url)
            .connect_timeout(Duration::MAX)
            .read_timeout(Duration::MAX)
            .http(HttpOptions::new().no_proxy())
            .try_build()
            .unwrap()
    };
    for url in [server.url.clone(), server.url.replace("127.0.0.1", "localhost")] {
        let client = endless(&url);
        for _ in 0..2 {
            assert!(call!(client.decide(&decide())).unwrap().decision.is_allowed());
        }
        assert!(call!(client.flush(Duration::MAX)).unwrap().is_complete());
    }
    for url in ["http://127.0.0.1:9", "https://127.0.0.1:9"] {
        call!(endless(url).decide(&decide())).unwrap_err();
    }
}

#[test]
fn a_client_with_a_bad_configuration_answers_every_call_with_it() {
    let swapped = || CyclesClient::builder("http://localhost:7878", support::KEY);
    let expected = "the Cycles client cannot be used: the API key and the base URL are swapped: the key comes \
                    first, then the URL. Nothing was sent";
    assert_eq!(swapped().try_build().unwrap_err().to_string(), expected);
    let client = swapped().build();
    assert_eq!(call!(client.decide(&decide())).unwrap_err().to_string(), expected);
    assert_eq!(call!(client.health()).unwrap_err().to_string(), expected);
    assert_eq!(client.check().unwrap_err().to_string(), expected);
}

#[test]
fn a_server_that_speaks_the_other_scheme_is_named_so() {
    let tls = Scripted::start(|connection| {
        connection.read_request();
        connection.write([0x15, 3, 1, 0, 2, 2, 70]);
    });
    let text = failed(&tls.url).to_string();
    assert!(text.contains("does the server speak https there?"), "{text}");
    let plain = Scripted::start(|connection| {
        connection.write("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        connection.hang();
    });
    let text = failed(&plain.url.replace("http:", "https:")).to_string();
    assert!(text.contains("does the server speak plain http there?"), "{text}");
}

/// A server whose first connections, as many as `dead`, each answer one request when all of them have one, and no other.
pub(crate) fn dying(dead: usize) -> Scripted {
    let (made, all) = (
        std::sync::atomic::AtomicUsize::new(0),
        std::sync::Barrier::new(dead),
    );
    Scripted::start(move |connection| {
        let allowed = http(200, "", r#"{"decision":"ALLOW"}"#);
        let is_dead = made.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < dead;
        while connection.read_request().is_some() {
            if is_dead {
                all.wait();
            }
            connection.write(&allowed);
            if is_dead {
                connection.hang();
            }
        }
    })
}
