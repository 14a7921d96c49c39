//! Assertions about the books, and what they say when they fail.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT_SCOPE, Ledger, Sandbox, Unit};
use http::Request;

const NOW: UnixMillis = UnixMillis(1_795_000_000_000);
const SUBJECT: &str = r#""subject":{"tenant":"acme-corp"},"action":{"kind":"llm","name":"m"}"#;

/// Sends a request at this time. Returns the reply as text.
fn post(ledger: &mut Ledger, now: UnixMillis, path: &str, body: String) -> String {
    let request = Request::post(path)
        .header("x-cycles-api-key", DEFAULT_API_KEY)
        .header("content-type", "application/json");
    let response = ledger.handle(now, &request.body(Bytes::from(body)).unwrap());
    String::from_utf8(response.into_body().to_vec()).unwrap()
}

/// Reserves 100 tokens. Returns the id of the reservation.
fn reserve(ledger: &mut Ledger, key: &str) -> String {
    let body =
        format!(r#"{{"idempotency_key":"{key}",{SUBJECT},"estimate":{{"unit":"TOKENS","amount":100}}}}"#);
    let reply = post(ledger, NOW, "/v1/reservations", body);
    let id = reply.split(r#""reservation_id":""#).nth(1);
    id.and_then(|id| id.split('"').next())
        .unwrap_or_else(|| panic!("{reply}"))
        .to_owned()
}

fn commit(ledger: &mut Ledger, id: &str) {
    let body = r#"{"idempotency_key":"c","actual":{"unit":"TOKENS","amount":42}}"#.to_owned();
    let reply = post(ledger, NOW, &format!("/v1/reservations/{id}/commit"), body);
    assert!(reply.contains("COMMITTED"), "{reply}");
}

/// Charges 42 tokens by an event in place of the commit of `id`.
fn recover(ledger: &mut Ledger, id: &str) {
    let metadata = format!(r#"{{"recovered_reservation_id":"{id}"}}"#);
    let body = format!(
        r#"{{"idempotency_key":"e",{SUBJECT},"actual":{{"unit":"TOKENS","amount":42}},"metadata":{metadata}}}"#
    );
    let reply = post(ledger, NOW, "/v1/events", body);
    assert!(reply.contains("APPLIED"), "{reply}");
}

/// Runs the assertion, which has to fail. Returns what it says.
fn failure(sandbox: &Sandbox, assertion: impl FnOnce(&Sandbox)) -> String {
    let failed = catch_unwind(AssertUnwindSafe(|| assertion(sandbox))).unwrap_err();
    *failed.downcast::<String>().unwrap()
}

#[test]
fn an_assertion_that_fails_shows_what_the_ledger_has() {
    let sandbox = Sandbox::start().unwrap();
    let (open, done) = sandbox.with_ledger(|ledger| {
        let (open, done) = (reserve(ledger, "a"), reserve(ledger, "b"));
        commit(ledger, &done);
        (open, done)
    });
    sandbox.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 42);
    sandbox.assert_spent("Tenant:Acme-Corp", Unit::Tokens, 42);
    sandbox.assert_reserved(DEFAULT_TENANT_SCOPE, Unit::Tokens, 100);
    sandbox.assert_something_reserved();
    sandbox.assert_charged_once(&done);

    let says = failure(&sandbox, |it| {
        it.assert_spent(DEFAULT_TENANT_SCOPE, Unit::Tokens, 43)
    });
    for part in [
        "tenant:acme-corp has spent 42 and not 43 TOKENS",
        "tenant:acme-corp TOKENS: spent 42, reserved 100, remaining 999858",
        &format!("reservation {open} ACTIVE: estimate 100 TOKENS"),
        &format!("reservation {done} COMMITTED: estimate 100, charged 42 TOKENS"),
    ] {
        assert!(says.contains(part), "{part} is not in {says}");
    }
    for (says, part) in [
        (
            failure(&sandbox, Sandbox::assert_nothing_reserved),
            "something is still reserved",
        ),
        (
            failure(&sandbox, Sandbox::assert_nothing_spent),
            "something was spent",
        ),
        (failure(&sandbox, Sandbox::assert_nothing_ran), "something ran"),
        (
            failure(&sandbox, |it| it.assert_charged_once(&open)),
            "charged 0 times and not once",
        ),
        (
            failure(&sandbox, |it| {
                it.assert_reserved(DEFAULT_TENANT_SCOPE, Unit::Tokens, 0)
            }),
            "100 and not 0 TOKENS of tenant:acme-corp are reserved",
        ),
        (
            failure(&sandbox, |it| it.assert_spent("tenant:nobody", Unit::Tokens, 0)),
            "tenant:nobody has no budget of TOKENS",
        ),
    ] {
        assert!(says.contains(part) && says.contains(&open), "{says}");
    }
}

#[test]
fn a_cost_counts_once_whether_a_commit_or_an_event_charged_it() {
    let sandbox = Sandbox::start().unwrap();
    let id = sandbox.with_ledger(|ledger| {
        let id = reserve(ledger, "a");
        recover(ledger, &id);
        id
    });
    sandbox.assert_charged_once(&id);
    sandbox.with_ledger(|ledger| commit(ledger, &id));
    let says = failure(&sandbox, |it| it.assert_charged_once(&id));
    assert!(says.contains("charged 2 times and not once"), "{says}");
    assert!(
        says.contains(&format!("event: 42 TOKENS for reservation {id}")),
        "{says}"
    );
}

#[test]
fn everything_is_denied_until_there_is_budget_again_and_what_is_held_can_still_be_settled() {
    let sandbox = Sandbox::start().unwrap();
    sandbox.assert_nothing_ran();
    sandbox.assert_nothing_spent();
    sandbox.assert_nothing_reserved();
    let held = sandbox.with_ledger(|ledger| reserve(ledger, "a"));
    sandbox.deny_everything();
    sandbox.assert_nothing_ran();
    sandbox.with_ledger(|ledger| {
        let estimate = r#""estimate":{"unit":"TOKENS","amount":1}"#;
        let body = format!(r#"{{"idempotency_key":"b",{SUBJECT},{estimate}}}"#);
        let reply = post(ledger, NOW, "/v1/reservations", body);
        assert!(reply.contains("BUDGET_EXCEEDED"), "{reply}");
        commit(ledger, &held);
    });
    sandbox.assert_nothing_ran();
    sandbox.assert_charged_once(&held);
    sandbox.with_ledger(|ledger| {
        let funded = cycles_sandbox::Funding::Credit(1_000);
        ledger.fund(DEFAULT_TENANT_SCOPE, Unit::Tokens, funded).unwrap();
        reserve(ledger, "c");
    });
    assert!(failure(&sandbox, Sandbox::assert_nothing_ran).contains("something ran"));
}

#[test]
fn the_ledger_of_a_given_clock_is_up_to_date_without_a_request() {
    let now = Arc::new(AtomicU64::new(NOW.0));
    let clock = Arc::clone(&now);
    let sandbox = Sandbox::builder()
        .clock(move || UnixMillis(clock.load(Ordering::SeqCst)))
        .start()
        .unwrap();
    sandbox.with_ledger(|ledger| reserve(ledger, "a"));
    sandbox.assert_something_reserved();
    // The lease lasts a minute, and the grace period five seconds; the sweep runs every five.
    now.fetch_add(75_000, Ordering::SeqCst);
    sandbox.assert_nothing_reserved();
    sandbox.advance(std::time::Duration::from_secs(5));
    assert_eq!(sandbox.now(), UnixMillis(NOW.0 + 80_000));
}
