mod secrets;

use bytes::Bytes;
use http::{Method, Response};

use super::*;
use crate::models::*;
use crate::outcome::FailureKind;

const KEY: &str = "cyc_live_0123456789";
const SEED: Seed = Seed([0xab; 16]);
const SEED_HEX: &str = "abababababababababababababababab";

fn config() -> Arc<CyclesConfig> {
    Arc::new(CyclesConfig::new(KEY, "http://localhost:7878/base/").unwrap())
}

fn decide() -> DecisionRequest {
    DecisionRequest::builder()
        .subject(Subject::tenant("acme"))
        .action(Action::new("llm.completion", "m"))
        .estimate(Amount::tokens(5))
        .build()
}

fn event() -> EventCreateRequest {
    EventCreateRequest::builder()
        .subject(Subject::tenant("acme"))
        .action(Action::new("api.call", "geocode"))
        .actual(Amount::tokens(5))
        .build()
}

fn commit() -> CommitRequest {
    CommitRequest::builder().actual(Amount::tokens(5)).build()
}

fn start() -> Operation<CommitResponse> {
    Operation::commit_reservation(&config(), &"r-1".into(), &commit(), SEED).unwrap()
}

fn response(status: u16, body: &str) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap()
}

fn again<T: Reply + core::fmt::Debug>(progress: Progress<T>) -> Operation<T> {
    match progress {
        Progress::Again(operation) => operation,
        Progress::Done(result) => panic!("done: {result:?}"),
    }
}

fn done<T: Reply + core::fmt::Debug>(progress: Progress<T>) -> Result<T, Error> {
    match progress {
        Progress::Done(result) => result,
        Progress::Again(operation) => panic!("again: {operation:?}"),
    }
}

fn refusal(code: &str) -> String {
    format!(r#"{{"error":"{code}","message":"m","request_id":"q"}}"#)
}

const SOON: Duration = Duration::from_millis(1);

#[test]
fn a_post_carries_its_key_in_body_and_header_and_says_how_long_it_is() {
    let call = Operation::decide(&config(), &decide(), SEED).unwrap().call();
    let (head, body) = call.request.clone().into_parts();
    assert_eq!(
        (head.method, head.uri.to_string()),
        (Method::POST, "http://localhost:7878/base/v1/decide".to_owned())
    );
    assert_eq!(
        body,
        format!(
            r#"{{"idempotency_key":"{SEED_HEX}-decide-0","subject":{{"tenant":"acme"}},"action":{{"kind":"llm.completion","name":"m"}},"estimate":{{"unit":"TOKENS","amount":5}}}}"#
        )
    );
    let header = |name: &str| head.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-length"), body.len().to_string());
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("accept"), "application/json");
    assert_eq!(header("x-cycles-api-key"), KEY);
    assert_eq!(header("x-idempotency-key"), format!("{SEED_HEX}-decide-0"));
    assert_eq!(header("x-cycles-trace-id"), SEED_HEX);
    assert_eq!(
        header("user-agent"),
        format!("cycles-rust/{} (proto)", env!("CARGO_PKG_VERSION"))
    );
    assert!(!head.headers.contains_key("accept-encoding"));
    assert_eq!(call.timeout, Duration::from_secs(7));
}

#[test]
fn a_given_key_is_used_in_every_post() {
    let config = config();
    let id = ReservationId::from("r-1");
    let key = |call: Call| {
        let body: serde_json::Value = serde_json::from_slice(call.request.body()).unwrap();
        assert_eq!(
            call.request.headers()["x-idempotency-key"],
            body["idempotency_key"].as_str().unwrap()
        );
        body["idempotency_key"].as_str().unwrap().to_owned()
    };
    let mut commit = commit();
    commit.idempotency_key = Some("mine".into());
    let call = Operation::commit_reservation(&config, &id, &commit, SEED)
        .unwrap()
        .call();
    assert_eq!(call.request.uri().path(), "/base/v1/reservations/r-1/commit");
    assert_eq!(key(call), "mine");
    let release = ReleaseRequest::builder().build();
    let call = Operation::release_reservation(&config, &id, &release, SEED)
        .unwrap()
        .call();
    assert_eq!(call.request.uri().path(), "/base/v1/reservations/r-1/release");
    assert_eq!(key(call), format!("{SEED_HEX}-release-0"));
    let extend = ReservationExtendRequest::new(5);
    let call = Operation::extend_reservation(&config, &id, &extend, SEED)
        .unwrap()
        .call();
    assert_eq!(call.request.uri().path(), "/base/v1/reservations/r-1/extend");
    assert_eq!(key(call), format!("{SEED_HEX}-extend-0"));
    let call = Operation::create_event(&config, &event(), SEED).unwrap().call();
    assert_eq!(call.request.uri().path(), "/base/v1/events");
    assert_eq!(key(call), format!("{SEED_HEX}-event-0"));
}

#[test]
fn a_get_has_no_body_and_public_reads_carry_no_key() {
    let config = config();
    let evidence = EvidenceId::from("0".repeat(64));
    let params = BalanceParams {
        tenant: Some("acme".into()),
        ..Default::default()
    };
    for (call, path, has_key) in [
        (
            Operation::get_balances(&config, &params, SEED).unwrap().call(),
            "/base/v1/balances",
            true,
        ),
        (
            Operation::get_reservation(&config, &"a/b".into(), SEED)
                .unwrap()
                .call(),
            "/base/v1/reservations/a%2Fb",
            true,
        ),
        (
            Operation::list_reservations(&config, &ListReservationsParams::default(), SEED)
                .unwrap()
                .call(),
            "/base/v1/reservations",
            true,
        ),
        (
            Operation::get_evidence(&config, &evidence, SEED).unwrap().call(),
            &format!("/base/v1/evidence/{evidence}"),
            false,
        ),
        (
            Operation::get_evidence_jwks(&config, SEED).unwrap().call(),
            "/base/v1/.well-known/cycles-jwks.json",
            false,
        ),
        (
            Operation::health(&config, SEED).unwrap().call(),
            "/base/actuator/health/readiness",
            false,
        ),
    ] {
        let headers = call.request.headers();
        assert_eq!(
            (call.request.method(), call.request.uri().path()),
            (&Method::GET, path)
        );
        assert!(
            call.request.body().is_empty() && !headers.contains_key("content-length"),
            "{path}"
        );
        assert_eq!(headers.contains_key("x-cycles-api-key"), has_key, "{path}");
    }
}

#[test]
fn the_callers_trace_replaces_ours() {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let config = Arc::new(config().with_trace_parent(parent.parse().unwrap()));
    let operation = Operation::decide(&config, &decide(), SEED).unwrap();
    let headers = operation.call().request.headers().clone();
    assert_eq!(headers["traceparent"], parent);
    assert!(!headers.contains_key("x-cycles-trace-id"));
    assert_eq!(
        operation.context().trace_id.as_deref(),
        Some("4bf92f3577b34da6a3ce929d0e0e4736")
    );
}

#[test]
fn what_breaks_a_limit_is_refused_before_anything_is_sent() {
    let config = config();
    let message = |error: Error| error.to_string();
    let mut request = decide();
    request.estimate.amount = -4;
    assert_eq!(
        message(Operation::decide(&config, &request, SEED).unwrap_err()),
        "decide: `estimate.amount` is -4: it must be from 0 to 9223372036854775807. Nothing was sent"
    );
    let error = Operation::commit_reservation(&config, &"..".into(), &commit(), SEED).unwrap_err();
    let Error::Validation(call) = error else {
        panic!("{error}")
    };
    assert_eq!(call.operation, OperationKind::CommitReservation);
    assert!(Operation::get_evidence(&config, &"../x".into(), SEED).is_err());
    assert!(Operation::get_balances(&config, &BalanceParams::default(), SEED).is_err());
    let params = ListReservationsParams {
        cursor: Some("x".repeat(70_000)),
        ..Default::default()
    };
    let error = Operation::list_reservations(&config, &params, SEED).unwrap_err();
    assert_eq!(
        message(error),
        "listReservations: `query` makes the URL too long. Nothing was sent"
    );
}

#[test]
fn an_open_outcome_is_asked_again_once_with_the_same_bytes() {
    let statuses = [201, 204, 302, 307, 408, 421, 425, 499, 500, 502, 503, 504];
    let answers = statuses.map(|status| Ok(response(status, "<html>")));
    for answer in answers.into_iter().chain([
        Ok(response(200, "garbage")),
        Ok(response(408, &refusal("BUDGET_EXCEEDED"))),
        Err(Failure::new(FailureKind::Lost)),
        Err(Failure::new(FailureKind::TooLarge)),
    ]) {
        let operation = start();
        let first = operation.call();
        let operation =
            again(operation.handle(Duration::from_secs(1), answer.as_ref().map_err(Clone::clone)));
        let second = operation.call();
        assert_eq!(first.request.body(), second.request.body());
        assert_eq!(first.request.headers(), second.request.headers());
        assert_ne!(first.ticket, second.ticket);
        assert_eq!(second.timeout, Duration::from_secs(6));
        let error = done(operation.handle(Duration::from_secs(2), answer.as_ref().map_err(Clone::clone)))
            .unwrap_err();
        assert!(error.outcome_is_unknown(), "{error}");
        assert_eq!(
            error.idempotency_key().unwrap().as_str(),
            format!("{SEED_HEX}-commit-0")
        );
    }
}

#[test]
fn the_repetition_may_succeed() {
    let operation = again(start().handle(SOON, Err(Failure::new(FailureKind::Lost))));
    let body = r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":5}}"#;
    let reply = response(200, body);
    assert_eq!(
        done(operation.handle(SOON, Ok(&reply))).unwrap().charged,
        Amount::tokens(5)
    );
}

#[test]
fn what_never_left_was_refused_or_took_its_time_is_not_asked_again() {
    for kind in [
        FailureKind::Dns,
        FailureKind::Connect,
        FailureKind::Tls,
        FailureKind::Proxy,
    ] {
        let error = done(start().handle(SOON, Err(Failure::new(kind)))).unwrap_err();
        assert!(!error.outcome_is_unknown(), "{error}");
    }
    for status in [400, 401, 404, 409, 410, 429] {
        assert_eq!(
            done(start().handle(SOON, Ok(&response(status, ""))))
                .unwrap_err()
                .status(),
            Some(status)
        );
    }
    let late = Duration::from_millis(3_501);
    for kind in [FailureKind::Lost, FailureKind::Timeout, FailureKind::TooLarge] {
        let error = done(start().handle(late, Err(Failure::new(kind)))).unwrap_err();
        assert!(error.is_retryable() && error.outcome_is_unknown(), "{error}");
    }
}

#[test]
fn a_proxy_that_wants_credentials_has_sent_nothing() {
    for body in [
        "<html>Squid</html>".to_owned(),
        refusal("NOT_FOUND"),
        String::new(),
    ] {
        let wants = response(407, &body);
        let error = done(start().handle(SOON, Ok(&wants))).unwrap_err();
        assert!(!error.outcome_is_unknown() && error.is_retryable(), "{error}");
        assert!(matches!(&error, Error::Transport(error) if error.kind() == FailureKind::Proxy));
        assert_eq!(
            error.to_string(),
            "commitReservation of r-1 (POST http://localhost:7878/base/v1/reservations/r-1/commit): the proxy did not \
             let the call through (407: it asks for a user name and a password; put them into its address: \
             http://USER:PASSWORD@HOST:PORT). Nothing was sent"
        );
        let open = again(start().handle(SOON, Err(Failure::new(FailureKind::Lost))));
        let error = done(open.handle(SOON, Ok(&wants))).unwrap_err();
        assert!(error.outcome_is_unknown(), "the first attempt is not: {error}");
    }
}

#[test]
fn a_redirect_is_not_followed_and_the_error_names_the_base_url_that_would_be_right() {
    for status in [301, 302, 303, 307, 308] {
        let moved = Response::builder().status(status).header(
            "location",
            "https://cycles.example/base/v1/reservations/r-1/commit",
        );
        let moved = moved.body(Bytes::from_static(b"<html>moved")).unwrap();
        let operation = again(start().handle(SOON, Ok(&moved)));
        assert_eq!(operation.call().request.uri().host(), Some("localhost"));
        let error = done(operation.handle(SOON, Ok(&moved))).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "commitReservation of r-1 (POST http://localhost:7878/base/v1/reservations/r-1/commit): {status}, a \
                 redirect to https://cycles.example/base/v1/reservations/r-1/commit, which is not followed: set the \
                 base URL to https://cycles.example/base. The server may have acted on it; repeat it \
                 under the key {SEED_HEX}-commit-0, and it counts only once."
            )
        );
    }
}

/// All the ways in which a repetition can end without saying anything about the first attempt.
#[test]
fn an_open_outcome_stays_open_until_the_ledger_closes_it() {
    let error = |code: &str| format!(r#"{{"error":"{code}","message":"m","request_id":"q"}}"#);
    let second: [(u16, String); 10] = [
        (401, error("UNAUTHORIZED")),
        (401, String::new()),
        (403, "<html>".to_owned()),
        (404, "<html>".to_owned()),
        (409, error("NEW_CODE")),
        (400, error("INTERNAL_ERROR")),
        (410, String::new()),
        (429, error("LIMIT_EXCEEDED")),
        (429, String::new()),
        (302, String::new()),
    ];
    for first in [Err(Failure::new(FailureKind::Lost)), Ok(response(503, ""))] {
        let open = || again(start().handle(SOON, first.as_ref().map_err(Clone::clone)));
        for (status, body) in &second {
            let error = done(open().handle(SOON, Ok(&response(*status, body)))).unwrap_err();
            assert!(error.outcome_is_unknown(), "{error}");
            assert!(error.to_string().contains("repeat it under the key "), "{error}");
        }
        for kind in [
            FailureKind::Connect,
            FailureKind::Dns,
            FailureKind::Tls,
            FailureKind::Proxy,
        ] {
            let error = done(open().handle(SOON, Err(Failure::new(kind)))).unwrap_err();
            assert!(error.outcome_is_unknown() && error.is_retryable(), "{error}");
            assert!(!error.to_string().contains("Nothing was sent"), "{error}");
            assert!(matches!(&error, Error::Transport(error) if error.may_have_been_sent()));
        }
    }
}

#[test]
fn what_the_ledger_says_after_looking_for_the_key_closes_an_open_outcome() {
    for (status, code) in [
        (409, "RESERVATION_FINALIZED"),
        (410, "RESERVATION_EXPIRED"),
        (409, "BUDGET_EXCEEDED"),
        (409, "OVERDRAFT_LIMIT_EXCEEDED"),
        (409, "IDEMPOTENCY_MISMATCH"),
        (400, "UNIT_MISMATCH"),
    ] {
        let open = again(start().handle(SOON, Err(Failure::new(FailureKind::Lost))));
        let body = format!(r#"{{"error":"{code}","message":"m","request_id":"q"}}"#);
        let error = done(open.handle(SOON, Ok(&response(status, &body)))).unwrap_err();
        assert!(!error.outcome_is_unknown(), "{error}");
    }
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it() {
    let busy = Response::builder()
        .status(503)
        .header("retry-after", "60")
        .body(Bytes::new())
        .unwrap();
    let error = done(start().handle(SOON, Ok(&busy))).unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert!(error.outcome_is_unknown() && error.is_retryable());
}

#[test]
fn a_time_out_says_how_long_it_waited() {
    let error =
        done(start().handle(Duration::from_secs(7), Err(Failure::new(FailureKind::Timeout)))).unwrap_err();
    assert!(
        error.to_string().contains(
            "no complete answer in time (gave up after 7s; connect_timeout and read_timeout set this limit)"
        ),
        "{error}"
    );
}

#[test]
fn nothing_is_repeated_when_retries_are_off() {
    let config = Arc::new(
        CyclesConfig::builder(KEY, "http://h")
            .retry_enabled(false)
            .build()
            .unwrap(),
    );
    let operation = Operation::decide(&config, &decide(), SEED).unwrap();
    assert!(done(operation.handle(SOON, Ok(&response(503, "")))).is_err());
}

#[test]
fn a_missing_budget_says_which_unit_was_asked_for() {
    let body = r#"{"error":"NOT_FOUND","message":"Budget not found for provided scope: tenant:acme","request_id":"q"}"#;
    let reply = response(404, body);
    let operation = Operation::create_event(&config(), &event(), SEED).unwrap();
    let error = done(operation.handle(SOON, Ok(&reply))).unwrap_err();
    assert!(
        matches!(&error, Error::BudgetNotFound { unit, .. } if unit.as_str() == "TOKENS"),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "createEvent (POST http://localhost:7878/base/v1/events) for 5 TOKENS, api.call geocode, tenant:acme: 404 NOT_FOUND: Budget not found for provided scope: tenant:acme. The ledger is unchanged. \
         Request q. The amount was in TOKENS; does the scope have its budget in another unit?"
    );
    let of_a_reservation = done(start().handle(SOON, Ok(&reply))).unwrap_err();
    assert!(matches!(
        of_a_reservation,
        Error::Api {
            status: 404,
            code: Some(ErrorCode::NotFound),
            ..
        }
    ));
}
