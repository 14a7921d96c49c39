//! People read errors, so the sentences are part of the interface.

use bytes::Bytes;

use super::*;
use crate::models::{CommitResponse, EventCreateResponse};
use crate::wire::reply::verdict;

fn call(operation: OperationKind) -> CallContext {
    CallContext {
        is_recorded: false,
        server: "http://ledger".into(),
        operation,
        reservation_id: Some("26c5a266".into()),
        idempotency_key: Some("k-1".into()),
        trace_id: Some("ours".into()),
        unit: Some(Unit::Tokens),
        info: None,
    }
}

fn of(response: http::response::Builder, body: &str) -> Error {
    let response = response.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let kind = OperationKind::CommitReservation;
    Error::of(call(kind), verdict::<CommitResponse>(kind, &response), false).unwrap_err()
}

fn status(status: u16) -> http::response::Builder {
    http::Response::builder().status(status)
}

fn body(code: &str, message: &str) -> String {
    format!(r#"{{"error":"{code}","message":"{message}","request_id":"q-7","details":{{"a":1}}}}"#)
}

#[test]
fn a_denied_budget_keeps_its_reason_and_everything_else() {
    for code in [
        "BUDGET_EXCEEDED",
        "BUDGET_FROZEN",
        "BUDGET_CLOSED",
        "OVERDRAFT_LIMIT_EXCEEDED",
        "DEBT_OUTSTANDING",
    ] {
        let error = of(
            status(409)
                .header("retry-after", "3")
                .header("x-cycles-trace-id", "t"),
            &body(code, "no money"),
        );
        let Error::BudgetExceeded {
            message,
            reason: kept,
            retry_after,
            ..
        } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!((message.as_str(), kept.as_str()), ("no money", code));
        assert_eq!(*retry_after, Some(Duration::from_secs(3)));
        assert_eq!(
            (error.status(), error.request_id(), error.trace_id()),
            (Some(409), Some("q-7"), Some("t"))
        );
        assert_eq!(error.details().unwrap().get::<i32>("a"), Some(1));
        assert!(error.is_budget_exceeded() && !error.is_retryable() && !error.outcome_is_unknown());
        assert_eq!(
            error.to_string(),
            format!(
                "commitReservation of 26c5a266 (POST http://ledger/v1/reservations/26c5a266/commit): 409 {code}: no money (the server asks you to wait 3 s). The ledger is unchanged. Request q-7."
            )
        );
    }
}

#[test]
fn what_a_main_that_returns_it_shows_is_its_sentence_and_all_of_it_on_demand() {
    let error = of(status(409), &body("BUDGET_EXCEEDED", "no budget left"));
    assert_eq!(format!("{error:?}"), format!("BudgetExceeded: {error}"));
    assert!(!format!("{error:?}").contains(['{', '\n']));
    let all = format!("{error:#?}");
    for part in ["no budget left", "idempotency_key", "status: 409"] {
        assert!(all.contains(part), "{part} is not in {all}");
    }
}

#[test]
fn another_refusal_is_an_api_error_with_its_code() {
    let error = of(status(409), &body("RESERVATION_FINALIZED", "done"));
    assert!(matches!(
        &error,
        Error::Api {
            status: 409,
            code: Some(ErrorCode::ReservationFinalized),
            ..
        }
    ));
    let error = of(status(409), &body("ACTION_QUOTA_EXCEEDED", "quota"));
    assert_eq!(error.code().unwrap().as_str(), "ACTION_QUOTA_EXCEEDED");
}

#[test]
fn only_a_known_code_is_the_ledgers_word() {
    let unknown = |builder, body: &str| of(builder, body).outcome_is_unknown();
    for code in ["BUDGET_EXCEEDED", "NOT_FOUND", "INVALID_REQUEST"] {
        assert!(!unknown(status(409), &body(code, "m")), "{code}");
        assert!(
            !unknown(status(409), &format!(r#"{{"error":"{code}","request_id":null}}"#)),
            "{code}"
        );
    }
    assert!(!unknown(status(401), &body("UNAUTHORIZED", "KEY_REVOKED")));
    assert!(!unknown(status(429), &body("LIMIT_EXCEEDED", "slow down")));
    assert!(unknown(status(409), &body("ACTION_QUOTA_EXCEEDED", "quota")));
    assert!(unknown(
        status(404),
        r#"{"error":"not_found","message":"m","request_id":"q"}"#
    ));
    assert!(unknown(status(400), &body("INTERNAL_ERROR", "m")));
    assert!(
        unknown(status(503), &body("NOT_FOUND", "m")),
        "a server that failed has no last word"
    );
    assert!(unknown(status(302), &body("NOT_FOUND", "m")));
    assert!(unknown(status(410), r#"{"error":"RESERVATION_EXPIRED"}"#));
    for foreign in [401, 403, 404, 408, 410, 413, 421, 425, 429, 444, 460, 494, 499] {
        assert!(unknown(status(foreign), "<html>"), "{foreign}");
    }
}

#[test]
fn what_may_succeed_later_is_retryable() {
    assert!(of(status(429), "").is_retryable());
    assert!(of(status(409), &body("LIMIT_EXCEEDED", "m")).is_retryable());
    assert!(of(status(410), "").is_retryable(), "an open outcome");
    assert!(!of(status(410), &body("RESERVATION_EXPIRED", "m")).is_retryable());
    // The client repeats these itself, for reads as well, whose outcome is never unknown.
    for open in [100, 302, 408, 421, 425, 444, 460, 494, 499, 500, 503] {
        for words in [
            "<html>",
            &body("BUDGET_EXCEEDED", "m"),
            &body("INVALID_REQUEST", "m"),
        ] {
            let response = status(open).body(words.to_owned().into()).unwrap();
            let kind = OperationKind::GetBalances;
            let answer = verdict::<crate::models::BalanceResponse>(kind, &response);
            let error = Error::of(call(kind), answer, false).unwrap_err();
            assert!(
                error.is_retryable() && !error.is_denied(),
                "{open} {words}: {error}"
            );
        }
    }
    let failed = |kind| {
        let call = call(OperationKind::GetReservation);
        Error::transport(call, Failure::new(kind), false).is_retryable()
    };
    assert!(failed(FailureKind::Connect) && !failed(FailureKind::Tls));
}

#[test]
fn the_servers_trace_is_in_its_header_or_in_its_body() {
    let text = r#"{"error":"NOT_FOUND","message":"m","request_id":"q","trace_id":"of the body"}"#;
    assert_eq!(of(status(404), text).trace_id(), Some("of the body"));
    let header = status(404).header("x-cycles-trace-id", "of the header");
    assert_eq!(of(header, text).trace_id(), Some("of the header"));
    assert_eq!(of(status(404), "").trace_id(), Some("ours"));
}

#[test]
fn a_server_that_failed_leaves_the_outcome_open_and_says_how_to_close_it() {
    let error = of(status(503), "");
    assert!(error.outcome_is_unknown() && error.is_retryable());
    assert_eq!(
        error.to_string(),
        "commitReservation of 26c5a266 (POST http://ledger/v1/reservations/26c5a266/commit): 503, not an answer from a Cycles server. The server may have acted on it; \
         repeat it under the key k-1, and it counts only once."
    );
}

#[test]
fn a_refusal_that_is_not_the_servers_does_not_say_that_the_server_acted() {
    for refused in [400, 403, 404, 405, 409, 410, 413, 417, 431, 451] {
        let text = of(status(refused), "<html>").to_string();
        assert!(
            text.ends_with(
                "not an answer from a Cycles server: <html>. Something between the client and the server answered, and it is \
                 not known whether the server saw the request; repeat it under the key k-1, and it counts only once."
            ),
            "{text}"
        );
    }
}

#[test]
fn a_foreign_page_is_shown_on_one_line_and_shortened() {
    let page = format!("<html>\n<p>\u{7}Forbidden{}</p>", "x".repeat(5_000));
    let error = of(status(404), &page);
    assert!(error.outcome_is_unknown());
    let text = error.to_string();
    assert!(
        text.contains("404, not an answer from a Cycles server: <html> <p> Forbidden"),
        "{text}"
    );
    assert!(text.len() < 600 && !text.contains(['\n', '\u{7}']), "{text}");
}

#[test]
fn a_server_without_its_store_does_not_blame_the_key() {
    let error = of(status(401), &body("UNAUTHORIZED", "INTERNAL_ERROR"));
    assert!(error.is_outage() && error.is_retryable() && !error.is_auth_error());
    assert!(
        error.to_string().contains("the API key is not at fault"),
        "{error}"
    );
    let error = of(status(401), &body("UNAUTHORIZED", "KEY_NOT_FOUND"));
    assert!(error.is_auth_error() && !error.is_retryable() && !error.is_outage());
    assert_eq!(
        error.to_string(),
        "commitReservation of 26c5a266 (POST http://ledger/v1/reservations/26c5a266/commit): 401 UNAUTHORIZED: KEY_NOT_FOUND (http://ledger does not accept the API key). The ledger is unchanged. Request q-7."
    );
}

#[test]
fn a_success_that_cannot_be_read_says_so() {
    let error = of(
        status(200).header("x-request-id", "q-8"),
        r#"{"status":"COMMITTED"}"#,
    );
    assert!(
        matches!(&error, Error::Deserialization(_))
            && error.status() == Some(200)
            && error.outcome_is_unknown()
    );
    assert_eq!(error.request_id(), Some("q-8"));
    assert_eq!(
        error.to_string(),
        "commitReservation of 26c5a266 (POST http://ledger/v1/reservations/26c5a266/commit): the answer (200) cannot be read: missing field `charged` at line 1 column 22. \
         The body starts with {\"status\":\"COMMITTED\"}. The server may have acted on it; repeat it under the key k-1, and it counts only once. Request q-8."
    );
}

#[test]
fn what_came_in_place_of_a_success_is_shown_with_its_type_and_encoding() {
    let shown = |kind: Option<&str>, encoding: Option<&str>, body: &[u8]| {
        let mut builder = status(200);
        for (name, value) in [("content-type", kind), ("content-encoding", encoding)] {
            if let Some(value) = value {
                builder = builder.header(name, value);
            }
        }
        let kind = OperationKind::CommitReservation;
        let response = builder.body(Bytes::copy_from_slice(body)).unwrap();
        let verdict = verdict::<CommitResponse>(kind, &response);
        let text = Error::of(call(kind), verdict, false).unwrap_err().to_string();
        assert!(
            !text.contains(|c: char| c.is_control()) && text.len() < 1_000,
            "{text}"
        );
        let from = text.find("cannot be read: ").unwrap() + 16;
        text[from..text.find(" The server may").unwrap()].to_owned()
    };
    for (kind, encoding, body, expected) in [
        (
            Some("text/html"),
            None,
            &b"<!DOCTYPE html>\n<title>Sign in</title>"[..],
            "it is not a JSON object. The body is text/html and starts with <!DOCTYPE html> <title>Sign in</title>.",
        ),
        (
            Some("application/json"),
            Some("gzip"),
            b"\x1f\x8b\x08\x00\xff",
            r"it is not UTF-8. The body is application/json and is encoded as gzip and starts with \x1f\x8b\x08\x00\xff.",
        ),
        (
            Some("application/json; charset=iso-8859-1"),
            None,
            b"{\"status\":\"caf\xe9\"}",
            r#"it is not UTF-8. The body is application/json; charset=iso-8859-1 and starts with {\"status\":\"caf\xe9\"}."#,
        ),
        (
            Some("application/json; charset=utf-16"),
            None,
            b"\xff\xfe{\x00}\x00",
            r"it is not UTF-8. The body is application/json; charset=utf-16 and starts with \xff\xfe{\x00}\x00.",
        ),
        (None, None, b"", "it is not a JSON object. The body is empty."),
    ] {
        assert_eq!(shown(kind, encoding, body), expected);
    }
    let long = shown(None, None, &[b'x'; 5_000]);
    assert!(long.contains('…') && long.len() < 200, "{long}");
}

#[test]
fn a_tls_port_that_was_asked_in_plain_http_is_named_so() {
    for page in [
        "Client sent an HTTP request to an HTTPS server.\n",
        "<html>The plain HTTP request was sent to HTTPS port</html>",
    ] {
        let text = of(status(400), page).to_string();
        assert!(
            text.contains("(the base URL must begin with https://). Something between the client"),
            "{text}"
        );
        assert!(!text.contains(".."), "{text}");
    }
    let text = of(status(400), "<html>Bad Request</html>").to_string();
    assert!(!text.contains("https://"), "{text}");
}

#[test]
fn a_transport_error_says_whether_anything_was_sent() {
    let text = |kind, operation| Error::transport(call(operation), Failure::new(kind), false).to_string();
    let commit = OperationKind::CommitReservation;
    assert_eq!(
        text(FailureKind::Dns, commit),
        "commitReservation of 26c5a266 (POST http://ledger/v1/reservations/26c5a266/commit): the server's name could not be resolved. Nothing was sent"
    );
    assert_eq!(
        text(FailureKind::Timeout, commit),
        "commitReservation of 26c5a266 (POST http://ledger/v1/reservations/26c5a266/commit): no complete answer in time. The server may have acted on it; repeat it under \
         the key k-1, and it counts only once"
    );
    assert_eq!(
        text(FailureKind::Lost, OperationKind::GetReservation),
        "getReservation of 26c5a266 (GET http://ledger/v1/reservations/26c5a266): the connection was lost. It may have reached the server, but it makes no changes there"
    );
    let error = Error::transport(call(commit), Failure::new(FailureKind::Lost), false);
    assert_eq!(
        (error.trace_id(), error.status(), error.code()),
        (Some("ours"), None, None)
    );
}

#[test]
fn an_answer_to_a_question_says_nothing_about_the_ledger() {
    let kind = OperationKind::GetReservation;
    let response = status(404).body(Bytes::from(body("NOT_FOUND", "gone"))).unwrap();
    let error = Error::of(
        call(kind),
        verdict::<crate::models::ReservationDetail>(kind, &response),
        false,
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "getReservation of 26c5a266 (GET http://ledger/v1/reservations/26c5a266): 404 NOT_FOUND: gone. Request q-7."
    );
}

#[test]
fn an_error_is_small_enough_to_return() {
    assert!(size_of::<Error>() <= 128, "{}", size_of::<Error>());
}

#[test]
fn every_error_names_its_kind_before_its_sentence() {
    let unrecorded = Error::Unrecorded(Box::new(of(status(503), "")));
    let kind = OperationKind::CreateEvent;
    let response = status(404).body(body("NOT_FOUND", "no budget").into()).unwrap();
    let mut of_event = call(kind);
    of_event.reservation_id = None;
    let no_budget = Error::of(of_event, verdict::<EventCreateResponse>(kind, &response), false).unwrap_err();
    for (error, kind) in [
        (Error::from(ConfigError::Swapped), "Config"),
        (Error::LeaseLost("r-1".into()), "LeaseLost"),
        (InvalidCommit::NotHeld.into(), "InvalidCommit"),
        (
            Error::Action(ActionError::from(crate::with_cycles_config::BoxError::from(
                "mine",
            ))),
            "Action",
        ),
        (unrecorded, "Unrecorded"),
        (no_budget, "BudgetNotFound"),
        (of(status(200), "{}"), "Deserialization"),
    ] {
        assert_eq!(format!("{error:?}"), format!("{kind}: {error}"));
        assert!(format!("{error:#?}").starts_with(kind), "{error:#?}");
    }
}

#[test]
fn a_cost_without_a_record_is_as_open_as_the_last_answer_left_it() {
    let unrecorded = |last: Error| Error::Unrecorded(Box::new(last));
    let open = unrecorded(of(status(503), ""));
    assert!(open.outcome_is_unknown() && open.is_retryable());
    let unsent = Error::transport(
        call(OperationKind::CommitReservation),
        Failure::new(FailureKind::Connect),
        false,
    );
    let unsent = unrecorded(unsent);
    assert!(!unsent.outcome_is_unknown() && unsent.is_retryable());
    assert!(unrecorded(of(status(200), "{}")).is_retryable());
    assert_eq!(open.idempotency_key().map(|key| key.as_str()), Some("k-1"));
}

#[test]
fn a_cost_without_a_record_names_the_call_to_make_and_its_key() {
    let sentence = |kind| {
        let last = Error::transport(call(kind), Failure::new(FailureKind::Timeout), false);
        Error::Unrecorded(Box::new(last)).to_string()
    };
    for kind in [OperationKind::CommitReservation, OperationKind::GetReservation] {
        assert!(
            sentence(kind).ends_with(
                "There is no record of the cost, and the client has stopped trying: commit it again under the key k-1. An \
                 event in its place counts a second time if a commit got through."
            ),
            "{}",
            sentence(kind)
        );
    }
    assert!(
        sentence(OperationKind::CreateEvent)
            .ends_with("send its event again under the key k-1. Under another key it may count twice."),
    );
}

#[test]
fn nobody_is_asked_to_repeat_what_is_repeated_from_its_record() {
    let lost = Error::transport(
        call(OperationKind::CommitReservation),
        Failure::new(FailureKind::Timeout),
        false,
    );
    let errors = [lost, of(status(503), ""), of(status(200), "{}")];
    for error in errors {
        let asks = "may have acted on it; repeat it under the key k-1, and it counts only once";
        assert!(error.to_string().contains(asks), "{error}");
        let error = error.recorded();
        let tells = "may have acted on it; the client repeats it from its record under the key k-1, and it counts only once";
        assert!(error.to_string().contains(tells), "{error}");
    }
}

#[test]
fn a_refusal_refers_to_the_evidence_that_was_recorded_for_it() {
    let text = r#"{"error":"BUDGET_EXCEEDED","message":"m","request_id":"q","cycles_evidence":{"evidence_id":"ab12","cycles_evidence_url":"http://ledger/v1/evidence/ab12"}}"#;
    let error = of(status(409), text);
    assert_eq!(error.evidence().unwrap().evidence_id.as_str(), "ab12");
    assert!(
        of(status(409), &body("BUDGET_EXCEEDED", "m"))
            .evidence()
            .is_none()
    );
}

/// `clippy::result_large_err` warns from 128 bytes on, in everybody's code, and `NotCompleted` has an error inside.
#[test]
fn an_error_is_small_enough_to_be_returned() {
    assert!(size_of::<Error>() <= 112, "{}", size_of::<Error>());
}
