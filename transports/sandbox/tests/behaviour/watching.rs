//! The admin listener and the observer, as seen from a socket.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Operation, Plane, Sandbox, Unit};

use crate::common::wire::{Ending, Line};

const LONG: Duration = Duration::from_secs(30);
/// The body of the first call in the documentation.
const NEW_KEY: &str = r#"{
"tenant_id": "acme-corp",
"name": "dev-key",
"permissions": ["reservations:create","reservations:commit","reservations:release","reservations:extend","reservations:list","balances:read"]
}"#;
const EVENT: &str = r#"{"idempotency_key":"e","subject":{"tenant":"acme-corp"},"action":{"kind":"k","name":"n"},"actual":{"unit":"TOKENS","amount":10}}"#;

fn with_admin() -> Sandbox {
    Sandbox::builder()
        .admin_addr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .admin_key("admin-bootstrap-key")
        .start()
        .unwrap()
}

/// The status and body of a request on its own connection.
fn ask(url: &str, key: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\n{key}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[test]
fn a_key_made_on_the_admin_port_works_on_the_other_one() {
    let sandbox = with_admin();
    let url = sandbox.admin_url().unwrap();
    assert_ne!(url, sandbox.base_url());
    let admin = "x-admin-api-key: admin-bootstrap-key";
    let secrets = [(); 2].map(|()| {
        let (status, body) = ask(&url, admin, "POST", "/v1/admin/api-keys", NEW_KEY);
        assert_eq!(status, 201, "{body}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        body["key_secret"].as_str().unwrap().to_owned()
    });
    assert_ne!(secrets[0], secrets[1]);
    let key = format!("x-cycles-api-key: {}", secrets[0]);
    let balances = ask(
        &sandbox.base_url(),
        &key,
        "GET",
        "/v1/balances?tenant=acme-corp",
        "",
    );
    assert_eq!(balances.0, 200);
}

#[test]
fn each_port_serves_its_own_plane() {
    let sandbox = with_admin();
    let url = sandbox.admin_url().unwrap();
    let key = format!("x-cycles-api-key: {}", sandbox.api_key());
    assert_eq!(ask(&url, &key, "POST", "/v1/events", EVENT).0, 500);
    assert_eq!(ask(&url, "x-none: 1", "GET", "/actuator/health", "").0, 200);
    let admin = "x-admin-api-key: admin-bootstrap-key";
    assert_eq!(
        ask(&sandbox.base_url(), admin, "POST", "/v1/admin/api-keys", NEW_KEY).0,
        401
    );
    assert_eq!(Sandbox::start().unwrap().admin_url(), None);
}

#[test]
fn faults_strike_clients_only() {
    let sandbox = with_admin();
    sandbox.inject("*:lose-request".parse().unwrap());
    let url = sandbox.admin_url().unwrap();
    let admin = "x-admin-api-key: admin-bootstrap-key";
    assert_eq!(ask(&url, admin, "POST", "/v1/admin/api-keys", NEW_KEY).0, 201);
}

#[test]
fn a_taken_admin_address_is_an_error_that_names_it() {
    let other = Sandbox::start().unwrap();
    let error = Sandbox::builder().admin_addr(other.addr()).start().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&other.addr().to_string()), "{error}");
}

#[test]
fn an_observer_sees_each_request_with_its_response_its_fault_and_the_books() {
    let (sender, seen) = mpsc::channel();
    let sandbox = Sandbox::builder()
        .observe(move |exchange| {
            let fault = exchange.fault.map(ToString::to_string);
            let status = exchange.response.map(|response| response.status().as_u16());
            let spent = exchange.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap().spent;
            assert_eq!(exchange.plane, Plane::Runtime);
            assert!(!format!("{exchange:?}").contains("cyc_live"));
            let length = exchange.request.body().len();
            sender
                .send((exchange.operation, length, status, fault, spent))
                .unwrap();
        })
        .start()
        .unwrap();
    let event = || Line::open(&sandbox).exchange(&sandbox, "POST", "/v1/events", EVENT);
    assert_eq!(event().status(), Some(201));
    let saw = |status, fault: Option<&str>| {
        let fault = fault.map(str::to_owned);
        (Operation::CreateEvent, EVENT.len(), status, fault, 10)
    };
    assert_eq!(seen.recv_timeout(LONG).unwrap(), saw(Some(201), None));
    for (fault, status) in [
        ("lose-response", None),
        ("reset-request", None),
        ("429=7", Some(429)),
        ("after=503", Some(503)),
        ("garbage", Some(201)),
        ("without=event_id", Some(201)),
        ("cut", Some(201)),
        ("drip=1ms", Some(201)),
        ("delay=1ms", Some(201)),
    ] {
        sandbox.clear_faults();
        sandbox.inject(format!("event:{fault}").parse().unwrap());
        let ending = event();
        assert_eq!(seen.recv_timeout(LONG).unwrap(), saw(status, Some(fault)));
        assert_eq!(
            status.is_none(),
            matches!(ending, Ending::Closed | Ending::Reset),
            "{fault}"
        );
    }
}
