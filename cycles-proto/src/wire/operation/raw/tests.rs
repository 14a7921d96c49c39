use core::time::Duration;

use http::Response;

use super::*;
use crate::models::{Action, Amount, ErrorCode, Subject};
use crate::outcome::{Failure, FailureKind};
use crate::wire::operation::Progress;

const KEY: &str = "cyc_live_0123456789";
const SEED: Seed = Seed([0xab; 16]);
const SOON: Duration = Duration::from_millis(1);
const COMMITTED: &str = r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":5}}"#;

fn config() -> Arc<CyclesConfig> {
    Arc::new(CyclesConfig::new(KEY, "http://localhost:7878").unwrap())
}

fn commit() -> Operation<RawResponse> {
    let request = CommitRequest::builder().actual(Amount::tokens(5)).build();
    let id = ReservationId::from("r-1");
    Operation::raw(&config(), RawRequest::CommitReservation(&id, &request), SEED).unwrap()
}

fn answer(status: u16, body: &str) -> Response<Bytes> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Response::builder().status(status).body(body).unwrap()
}

/// The result if every attempt gets the same answer.
fn answered(mut operation: Operation<RawResponse>, answer: &Response<Bytes>) -> RawResponse {
    loop {
        match operation.handle(SOON, Ok(answer)) {
            Progress::Again(same) => operation = same,
            Progress::Done(result) => return result.unwrap(),
        }
    }
}

#[test]
fn a_success_is_its_body() {
    let response = answered(commit(), &answer(200, COMMITTED));
    assert!(response.is_success() && response.error().is_none() && response.error_message().is_none());
    assert_eq!((response.status(), response.text().as_ref()), (200, COMMITTED));
    assert_eq!(
        response.body_attribute::<String>("status").as_deref(),
        Some("COMMITTED")
    );
    assert_eq!(
        response.body_attribute::<Amount>("charged"),
        Some(Amount::tokens(5))
    );
    assert_eq!(response.body_attribute::<i64>("charged"), None, "of another type");
    assert_eq!(response.body_attribute::<i64>("no_such"), None);
}

#[test]
fn no_status_is_an_error_and_every_one_keeps_its_body() {
    // Miri needs a third of a second for each.
    let each = if cfg!(miri) { 25 } else { 1 };
    for status in (201..600).step_by(each) {
        for body in [
            COMMITTED,
            "",
            "<html>",
            "[]",
            r#"{"error":"FORBIDDEN","message":"no","request_id":"q"}"#,
        ] {
            let response = answered(commit(), &answer(status, body));
            assert!(!response.is_success(), "{status}");
            assert_eq!((response.status(), response.text().as_ref()), (status, body));
            assert!(response.error_message().is_some(), "{response:?}");
        }
    }
    for body in ["", "{}", "[]", r#"{"status":"ACTIVE"}"#, "\u{0}"] {
        let response = answered(commit(), &answer(200, body));
        assert!(!response.is_success(), "200 {body:?}");
        assert!(response.error().unwrap().outcome_is_unknown());
    }
}

#[test]
fn a_refusal_has_the_words_of_the_server_and_the_error_of_the_operation() {
    let body = r#"{"error":"RESERVATION_FINALIZED","message":"it is over","request_id":"q-1"}"#;
    let response = answered(commit(), &answer(409, body));
    assert_eq!(response.error_message(), Some("it is over"));
    let error = response.error().unwrap();
    assert_eq!(error.code(), Some(&ErrorCode::ReservationFinalized));
    assert_eq!(error.request_id(), Some("q-1"));
    assert!(!error.outcome_is_unknown());
    assert_eq!(
        response.body_attribute::<ErrorCode>("error"),
        Some(ErrorCode::ReservationFinalized)
    );
}

#[test]
fn the_retry_rule_is_that_of_the_operation() {
    for (status, body, is_repeated) in [
        (200, COMMITTED, false),
        (200, "{}", true),
        (503, "", true),
        (409, "", false),
    ] {
        let progress = commit().handle(SOON, Ok(&answer(status, body)));
        assert_eq!(
            matches!(progress, Progress::Again(_)),
            is_repeated,
            "{status} {body}"
        );
    }
    let Progress::Again(again) = commit().handle(SOON, Err(Failure::new(FailureKind::Lost))) else {
        panic!("a lost connection leaves the outcome open");
    };
    assert_eq!(again.call().request.body(), commit().call().request.body());
    // The outcome stays open if something on the way refuses the repetition.
    let response = answered(again, &answer(401, r#"{"error":"UNAUTHORIZED"}"#));
    assert!(response.error().unwrap().outcome_is_unknown());
}

#[test]
fn only_a_call_without_an_answer_is_an_error() {
    let Progress::Done(result) = commit().handle(SOON, Err(Failure::new(FailureKind::Connect))) else {
        panic!("nothing was sent");
    };
    assert!(matches!(result, Err(Error::Transport(_))), "{result:?}");
    let too_long = ReservationId::from("");
    let invalid = Operation::raw(&config(), RawRequest::from(&too_long), SEED);
    assert!(matches!(invalid, Err(Error::Validation(_))));
}

#[test]
fn the_key_is_in_no_raw_response_and_debug_has_no_more_of_the_body_than_an_error_says() {
    let long = "x".repeat(100);
    let body = format!(r#"{{"echo":"{KEY}","first":"{long}","secret":"of the tenant"}}"#);
    for status in [200, 400, 500] {
        let response = answered(commit(), &answer(status, &body));
        let shown = format!("{response:?} {response:#?}");
        assert!(!shown.contains(KEY) && !response.text().contains(KEY), "{shown}");
        assert!(response.text().contains("of the tenant"));
        if status == 200 {
            assert!(!shown.contains("of the tenant"), "{shown}");
        }
    }
}

#[test]
fn a_key_that_is_a_part_of_a_body_is_left_out_of_its_text_and_not_of_what_is_read() {
    let body = r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":5}}"#;
    for key in ["C", "OMM", "5", "charged", "TOKENS"] {
        let config = Arc::new(CyclesConfig::new(key, "http://h").unwrap());
        let request = CommitRequest::builder().actual(Amount::tokens(5)).build();
        let operation = Operation::raw(
            &config,
            RawRequest::CommitReservation(&"r-1".into(), &request),
            SEED,
        );
        let response = answered(operation.unwrap(), &answer(200, body));
        assert!(response.is_success(), "{key}: {response:?}");
        assert_eq!(response.body(), body, "{key}");
        assert_eq!(
            response.body_attribute("charged"),
            Some(Amount::tokens(5)),
            "{key}"
        );
        assert!(
            !response.text().replace("[redacted]", "").contains(key),
            "{key}: {}",
            response.text()
        );
    }
}

#[test]
fn what_is_asked_with_one_value_needs_no_name() {
    let config = config();
    let kind = |request: RawRequest<'_>| {
        let operation = Operation::raw(&config, request, SEED).unwrap();
        operation.context().operation
    };
    let id = ReservationId::from("r-1");
    let evidence = EvidenceId::from("a".repeat(64));
    let balances = BalanceParams {
        tenant: Some("acme".into()),
        ..Default::default()
    };
    assert_eq!(kind((&id).into()), OperationKind::GetReservation);
    assert_eq!(kind((&balances).into()), OperationKind::GetBalances);
    assert_eq!(kind((&evidence).into()), OperationKind::GetEvidence);
    let list = ListReservationsParams::default();
    assert_eq!(kind((&list).into()), OperationKind::ListReservations);
    let release = ReleaseRequest::default();
    assert_eq!(
        kind(RawRequest::ReleaseReservation(&id, &release)),
        OperationKind::ReleaseReservation
    );
    let extend = ReservationExtendRequest::new(1);
    assert_eq!(
        kind(RawRequest::ExtendReservation(&id, &extend)),
        OperationKind::ExtendReservation
    );
    assert_eq!(kind(RawRequest::GetEvidenceJwks), OperationKind::GetEvidenceJwks);
    assert_eq!(kind(RawRequest::Health), OperationKind::Health);
}

#[test]
fn every_request_that_writes_can_be_sent_raw() {
    let amount = || Amount::tokens(5);
    let (subject, action) = (|| Subject::tenant("acme"), || Action::new("k", "n"));
    let id = ReservationId::from("r-1");
    let decide = DecisionRequest::builder()
        .subject(subject())
        .action(action())
        .estimate(amount())
        .build();
    let create = ReservationCreateRequest::builder()
        .subject(subject())
        .action(action())
        .estimate(amount())
        .build();
    let event = EventCreateRequest::builder()
        .subject(subject())
        .action(action())
        .actual(amount())
        .build();
    let commit = CommitRequest::builder().actual(amount()).build();
    let (release, extend) = (ReleaseRequest::default(), ReservationExtendRequest::new(1));
    for (request, path) in [
        (RawRequest::Decide(&decide), "/v1/decide"),
        (RawRequest::CreateReservation(&create), "/v1/reservations"),
        (RawRequest::CreateEvent(&event), "/v1/events"),
        (
            RawRequest::CommitReservation(&id, &commit),
            "/v1/reservations/r-1/commit",
        ),
        (
            RawRequest::ReleaseReservation(&id, &release),
            "/v1/reservations/r-1/release",
        ),
        (
            RawRequest::ExtendReservation(&id, &extend),
            "/v1/reservations/r-1/extend",
        ),
    ] {
        let operation = Operation::raw(&config(), request, SEED).unwrap();
        let sent = operation.call().request;
        assert_eq!((sent.method().as_str(), sent.uri().path()), ("POST", path));
        assert!(
            sent.body().windows(15).any(|text| text == b"idempotency_key"),
            "{path}"
        );
    }
}

#[test]
fn status_headers_and_bytes_are_there_as_they_came() {
    let response = Response::builder().status(201).header("x-request-id", "q-1");
    let response = answered(commit(), &response.body(Bytes::from_static(b"\xff{")).unwrap());
    assert_eq!(response.body().as_ref(), b"\xff{");
    assert_eq!(
        (response.info().status(), response.info().request_id()),
        (201, Some("q-1"))
    );
}

#[test]
fn a_refusal_is_shown_by_the_words_of_the_server_whatever_error_it_is() {
    let request = EventCreateRequest::builder()
        .subject(Subject::tenant("acme"))
        .action(Action::new("k", "n"))
        .actual(Amount::tokens(5))
        .build();
    let event = || Operation::raw(&config(), RawRequest::CreateEvent(&request), SEED).unwrap();
    for (status, code, kind) in [
        (409, "BUDGET_EXCEEDED", "BudgetExceeded"),
        (404, "NOT_FOUND", "BudgetNotFound"),
        (409, "UNIT_MISMATCH", "Api"),
    ] {
        let body = format!(r#"{{"error":"{code}","message":"no budget","request_id":"q"}}"#);
        let response = answered(event(), &answer(status, &body));
        assert_eq!(response.error_message(), Some("no budget"), "{code}");
        assert!(
            format!("{:?}", response.error().unwrap()).starts_with(kind),
            "{code}"
        );
    }
}
