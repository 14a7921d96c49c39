//! The API key is in no log line, error or debug output of a run, whatever the server does.

use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::alone::ran_elsewhere;
use crate::support::{KEY, Scripted, client, client_with, commit, decide, hasty, http};
use cycles_ureq::models::BalanceParams;
use cycles_ureq::{CyclesClient, CyclesConfig, HttpOptions};

/// What may not be seen: the key's tail, so that a shortened key is caught too.
const TAIL: &str = "0123456789";

/// A proxy's password, and the header that is made of it.
const PROXY_PASSWORD: &str = "secret";
const PROXY_CREDENTIALS: &str = "dXNlcjpzZWNyZXQ=";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// In a process of its own, which has one log.
#[test]
fn a_run_at_trace_level_never_shows_the_key() {
    if ran_elsewhere("secrets::a_run_at_trace_level_never_shows_the_key") {
        return;
    }
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .init();

    let echo = format!("<html>you sent x-cycles-api-key: {KEY}</html>");
    let echoing_headers = format!("x-request-id: {KEY}\r\nx-cycles-tenant: {KEY}\r\n");
    let quoted = format!(r#"{{"error":"UNAUTHORIZED","message":"no such key: {KEY}","request_id":"{KEY}"}}"#);
    let mut seen = Vec::new();
    for answer in [
        http(200, "", r#"{"decision":"ALLOW"}"#),
        http(401, "", &quoted),
        http(404, &echoing_headers, &echo),
        http(500, &echoing_headers, &quoted),
        http(200, "", &echo),
        "garbage\r\n\r\n".to_owned(),
    ] {
        let server = Scripted::answering(answer);
        let client = client(&server.url);
        seen.push(format!("{client:?} {client:#?}"));
        match client.decide(&decide()) {
            Ok(response) => seen.push(format!("{response:?}")),
            Err(error) => seen.push(format!("{error} {error:?} {error:#?}")),
        }
        let params = BalanceParams {
            tenant: Some("acme-corp".into()),
            ..Default::default()
        };
        let error = client.get_balances(&params).unwrap_err();
        seen.push(format!("{error} {error:?}"));
    }
    for url in [
        "http://127.0.0.1:9",
        "https://127.0.0.1:9",
        "http://no-such-host.invalid",
    ] {
        let client = hasty(url, HttpOptions::new().no_proxy());
        let error = client.commit_reservation(&"r".into(), &commit()).unwrap_err();
        seen.push(format!("{error} {error:?}"));
    }
    for url in ["http://cycles.example", "https://cycles.example"] {
        let proxy = Scripted::answering(http(403, "", ""));
        let address = proxy.url.replace("http://", "http://user:secret@");
        let client = client_with(url, HttpOptions::new().proxy(address, ""));
        let error = client.decide(&decide()).unwrap_err();
        seen.push(format!("{client:?} {error} {error:?}"));
        let request = proxy.requests().concat();
        assert!(
            request.contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="),
            "{request}"
        );
    }
    let config = CyclesConfig::new(KEY, "http://localhost").unwrap();
    seen.push(format!(
        "{config:?} {:?}",
        CyclesClient::builder(KEY, "http://localhost")
    ));
    seen.push(format!(
        "{:?}",
        CyclesClient::builder("http://localhost", KEY)
            .try_build()
            .unwrap_err()
    ));

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("answered") && log.contains("no answer"),
        "the log was on: {log}"
    );
    for text in seen.iter().chain([&log]) {
        for secret in [TAIL, PROXY_PASSWORD, PROXY_CREDENTIALS] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
