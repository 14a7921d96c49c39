//! The API key is in no log line, error or debug output of a run, whatever the server does.
//!
//! The tests of each adapter have it as a module; `runcycles` is their crate.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::alone::ran_elsewhere;
use crate::support::{KEY, Scripted, client, client_with, commit, decide, hasty, http};
use cycles_conformance::{TempDir, records, request};
use runcycles::models::BalanceParams;
use runcycles::{CyclesClient, CyclesConfig, Event, HttpOptions};

/// What may not be seen: the key's tail, so that a shortened key is caught too.
const TAIL: &str = "0123456789";

/// The key of another tenant, of another length and with the same tail.
const OTHER_KEY: &str = "cyc_live_globex_0123456789";

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
        match call!(client.decide(&decide())) {
            Ok(response) => seen.push(format!("{response:?}")),
            Err(error) => seen.push(format!("{error} {error:?} {error:#?}")),
        }
        let params = BalanceParams {
            tenant: Some("acme-corp".into()),
            ..Default::default()
        };
        let error = call!(client.get_balances(&params)).unwrap_err();
        seen.push(format!("{error} {error:?}"));
    }
    // Another tenant's key on the same connections.
    let echoed = quoted.replace(KEY, OTHER_KEY);
    let server = Scripted::answering(http(401, &format!("x-request-id: {OTHER_KEY}\r\n"), &echoed));
    let other = client(&server.url).with_credentials(OTHER_KEY, "globex").unwrap();
    let error = call!(other.decide(&decide())).unwrap_err();
    seen.push(format!("{other:?} {error} {error:?}"));
    assert!(server.requests().concat().contains(OTHER_KEY));
    for url in [
        "http://127.0.0.1:9",
        "https://127.0.0.1:9",
        "http://no-such-host.invalid",
    ] {
        let client = hasty(url, HttpOptions::new().no_proxy());
        let error = call!(client.commit_reservation(&"r".into(), &commit())).unwrap_err();
        seen.push(format!("{error} {error:?}"));
    }
    for url in ["http://cycles.example", "https://cycles.example"] {
        let proxy = Scripted::answering(http(403, "", ""));
        let address = proxy.url.replace("http://", "http://user:secret@");
        let client = client_with(url, HttpOptions::new().proxy(address, ""));
        let error = call!(client.decide(&decide())).unwrap_err();
        seen.push(format!("{client:?} {error} {error:?}"));
        let request = proxy.requests().concat();
        assert!(
            request.contains(&format!("Basic {PROXY_CREDENTIALS}\r\n")),
            "{request}"
        );
    }
    seen.extend(guarded(&quoted));
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
        log.contains("answered") && log.contains("no answer") && log.contains("a cost could not be settled"),
        "the log was on: {log}"
    );
    for text in seen.iter().chain([&log]) {
        for secret in [TAIL, PROXY_PASSWORD, PROXY_CREDENTIALS] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

/// All output of a reservation granted by a server that refuses everything else in these words.
fn guarded(refusal: &str) -> Vec<String> {
    let refusal = refusal.to_owned();
    let server = Scripted::start(move |connection| {
        while let Some(request) = connection.read_request() {
            let is_create = request.starts_with("POST /v1/reservations ");
            connection.write(match is_create {
                true => http(200, "", &GRANT.replace("KEY", KEY)),
                false => http(500, &format!("x-request-id: {KEY}\r\n"), &refusal),
            });
        }
    });
    let (dir, events) = (TempDir::new(), Arc::new(Mutex::new(Vec::new())));
    let told = Arc::clone(&events);
    let client = CyclesClient::builder(KEY, &server.url)
        .http(HttpOptions::new().no_proxy())
        .journal_dir(dir.path())
        .observer(move |event: &Event| told.lock().unwrap().push(format!("{event:?}")))
        .build();
    let guard = call!(client.reserve(request(5))).unwrap();
    let mut seen = vec![format!("{guard:?} {:?} {:?}", guard.response(), guard.lease())];
    seen.push(format!("{:?}", call!(guard.extend(1_000))));
    let committing = guard.commit(commit());
    seen.push(format!("{committing:?}"));
    seen.push(format!("{:?}", call!(committing)));
    seen.push(format!("{:?}", call!(client.flush(Duration::from_millis(100)))));
    let records = records(dir.path(), "json");
    assert_eq!(records.len(), 1);
    seen.extend(
        records
            .iter()
            .map(|record| format!("{record:?} {}", record.to_json())),
    );
    seen.append(&mut events.lock().unwrap());
    seen
}

/// With a lease that is extended at once.
const GRANT: &str = r#"{"decision":"ALLOW","reservation_id":"r-1","affected_scopes":["tenant:acme"],"scope_path":"KEY",
    "reserved":{"unit":"TOKENS","amount":5},"expires_at_ms":1795000003000,"remaining_ttl_ms":3000}"#;
