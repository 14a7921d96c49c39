//! The sandbox's HTTP, as a client on a socket sees it.

use std::net::TcpStream;
use std::time::Duration;

use cycles_sandbox::{
    ApiKey, Budget, DEFAULT_AGENT_SCOPE, DEFAULT_TENANT_SCOPE, Ledger, Sandbox, Tenant, Unit,
};

use crate::common::wire::Line;

fn reserve_body(key: usize, amount: i64) -> String {
    format!(
        r#"{{"idempotency_key":"k{key}","subject":{{"tenant":"acme-corp","agent":"support-bot"}},
        "action":{{"kind":"llm.completion","name":"m"}},"estimate":{{"unit":"TOKENS","amount":{amount}}}}}"#
    )
}

#[test]
fn a_default_sandbox_serves_its_documented_tenant_over_one_connection() {
    let sandbox = Sandbox::start().unwrap();
    assert_eq!(sandbox.base_url(), format!("http://{}", sandbox.addr()));
    assert_eq!(sandbox.tenant(), "acme-corp");
    let mut line = Line::open(&sandbox);
    let (status, health) = line.request(&sandbox, "GET", "/actuator/health", "");
    assert_eq!((status, health.as_str()), (200, r#"{"status":"UP"}"#));
    for key in 0..20 {
        let (status, body) = line.request(&sandbox, "POST", "/v1/reservations", &reserve_body(key, 10));
        assert_eq!(status, 200, "{body}");
    }
    for (scope, remaining) in [(DEFAULT_TENANT_SCOPE, 999_800), (DEFAULT_AGENT_SCOPE, 99_800)] {
        assert_eq!(
            sandbox
                .with_ledger(|ledger| ledger.budget(scope, Unit::Tokens))
                .unwrap()
                .remaining,
            remaining
        );
    }
    let dollars = sandbox.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::UsdMicrocents));
    assert_eq!(dollars.unwrap().allocated, 10_000_000_000);
}

#[test]
fn two_sandboxes_run_side_by_side_with_ids_of_their_own() {
    let (first, second) = (Sandbox::start().unwrap(), Sandbox::start().unwrap());
    assert_ne!(first.addr(), second.addr());
    let answers = [&first, &second]
        .map(|sandbox| Line::open(sandbox).request(sandbox, "POST", "/v1/reservations", &reserve_body(0, 1)));
    assert_ne!(answers[0].1, answers[1].1);
}

#[test]
fn a_sandbox_can_be_set_up_and_serve_a_ledger_of_its_own() {
    let sandbox = Sandbox::builder()
        .budget(Budget::new(DEFAULT_AGENT_SCOPE, Unit::Tokens, 5))
        .tenant(Tenant::new("other"))
        .api_key(ApiKey::new("cyc_live_other_1", "other"))
        .admin_key("admin")
        .start()
        .unwrap();
    let (status, _) = Line::open(&sandbox).request(&sandbox, "POST", "/v1/reservations", &reserve_body(0, 6));
    assert_eq!(status, 409);

    let mut ledger = Ledger::new(1);
    ledger.add_api_key(ApiKey::new("mine", "me"));
    let sandbox = Sandbox::builder().ledger(ledger, "mine", "me").start().unwrap();
    let (status, _) = Line::open(&sandbox).request(&sandbox, "GET", "/v1/balances?tenant=me", "");
    assert_eq!((status, sandbox.tenant()), (200, "me"));
}

#[test]
fn advancing_the_clock_expires_reservations_without_waiting() {
    let sandbox = Sandbox::start().unwrap();
    let mut line = Line::open(&sandbox);
    line.request(&sandbox, "POST", "/v1/reservations", &reserve_body(0, 10));
    let reserved = || {
        sandbox
            .with_ledger(|ledger| ledger.budget(DEFAULT_AGENT_SCOPE, Unit::Tokens))
            .unwrap()
            .reserved
    };
    assert_eq!(reserved(), 10);
    sandbox.advance(Duration::from_secs(60 + 5 + 5 + 1));
    assert_eq!(reserved(), 0);
}

#[test]
fn dropping_a_sandbox_closes_its_port_and_its_connections() {
    let sandbox = Sandbox::start().unwrap();
    let addr = sandbox.addr();
    let mut line = Line::open(&sandbox);
    line.request(&sandbox, "GET", "/actuator/health", "");
    drop(sandbox);
    assert!(TcpStream::connect(addr).is_err());
    assert!(line.has_ended());
}

#[test]
fn a_taken_address_is_an_error_of_start() {
    let sandbox = Sandbox::start().unwrap();
    assert!(Sandbox::builder().addr(sandbox.addr()).start().is_err());
}

#[test]
fn a_body_beyond_the_limit_is_413_and_ends_the_connection() {
    let sandbox = Sandbox::start().unwrap();
    let mut line = Line::open(&sandbox);
    line.send("POST /v1/decide HTTP/1.1\r\nhost: x\r\ncontent-length: 10485761\r\n\r\n");
    // The refusal may arrive before the whole body is written.
    line.send_as_far_as_it_goes(&vec![b' '; 10_485_761]);
    assert_eq!(line.response().0, 413);
    assert!(line.has_ended());
}

#[test]
fn a_client_that_speaks_no_http_hurts_nobody_else() {
    let sandbox = Sandbox::start().unwrap();
    Line::open(&sandbox).send("\u{16}\u{3}\u{1} hello\r\n\r\n");
    Line::open(&sandbox).send("POST /v1/decide HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{");
    assert_eq!(
        Line::open(&sandbox)
            .request(&sandbox, "GET", "/actuator/health", "")
            .0,
        200
    );
}

#[test]
fn a_panic_while_the_ledger_is_held_does_not_stop_the_server() {
    let sandbox = Sandbox::start().unwrap();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sandbox.with_ledger(|_| panic!("a test of its own went wrong"));
    }));
    assert!(caught.is_err());
    assert_eq!(
        Line::open(&sandbox)
            .request(&sandbox, "GET", "/v1/balances?tenant=acme-corp", "")
            .0,
        200
    );
}

#[test]
fn a_connection_ends_after_the_statuses_after_which_the_reference_ends_it() {
    let sandbox = Sandbox::start().unwrap();
    let mut line = Line::open(&sandbox);
    assert_eq!(
        line.request(&sandbox, "GET", "/v1/reservations/unknown", "").0,
        404
    );
    assert_eq!(
        line.request(&sandbox, "GET", "/v1/balances?tenant=other", "").0,
        403
    );
    assert_eq!(line.request(&sandbox, "POST", "/v1/decide", "{").0, 400);
    assert!(line.has_ended());
    let mut line = Line::open(&sandbox);
    assert_eq!(line.request(&sandbox, "GET", "/v1/nope", "").0, 500);
    assert!(line.has_ended());
}
