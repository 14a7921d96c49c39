//! One test for each row of the verdict table.
#![allow(clippy::wildcard_enum_match_arm)]

mod rewritten;

use http::Response;

use super::*;

const LIVE: OperationKind = OperationKind::CreateReservation { dry_run: false };
const DRY: OperationKind = OperationKind::CreateReservation { dry_run: true };
const COMMITTED: &str = r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":40}}"#;

fn response(status: u16, body: &str) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap()
}

fn error(code: &str) -> String {
    format!(r#"{{"error":"{code}","message":"words","request_id":"r-1"}}"#)
}

/// The verdict's name, so that a row fits on one line.
fn name<T>(verdict: &Verdict<T>) -> &'static str {
    match verdict {
        Verdict::Success(_) => "success",
        Verdict::Rejected(_) => "rejected",
        Verdict::Unauthorized(_) => "unauthorized",
        Verdict::Expired { confirmed: true, .. } => "expired",
        Verdict::Expired { confirmed: false, .. } => "perhaps expired",
        Verdict::Throttled(_) => "throttled",
        Verdict::NotSent(_) => "not sent",
        Verdict::Ambiguous(_) => "ambiguous",
    }
}

fn commit(status: u16, body: &str) -> &'static str {
    name(&verdict::<CommitResponse>(
        OperationKind::CommitReservation,
        &response(status, body),
    ))
}

#[test]
fn the_operations_own_status_with_every_required_member_is_a_success() {
    fn of<T: Reply>(kind: OperationKind, status: u16, body: &str) -> &'static str {
        name(&verdict::<T>(kind, &response(status, body)))
    }
    let amount = r#"{"unit":"TOKENS","amount":1}"#;
    assert_eq!(
        of::<DecisionResponse>(OperationKind::Decide, 200, r#"{"decision":"DENY"}"#),
        "success"
    );
    let allow = r#"{"decision":"ALLOW","affected_scopes":[],"reservation_id":"r"}"#;
    assert_eq!(of::<ReservationCreateResponse>(LIVE, 200, allow), "success");
    assert_eq!(commit(200, COMMITTED), "success");
    let released = format!(r#"{{"status":"RELEASED","released":{amount}}}"#);
    assert_eq!(
        of::<ReleaseResponse>(OperationKind::ReleaseReservation, 200, &released),
        "success"
    );
    let extended = r#"{"status":"ACTIVE","expires_at_ms":1}"#;
    assert_eq!(
        of::<ReservationExtendResponse>(OperationKind::ExtendReservation, 200, extended),
        "success"
    );
    let applied = r#"{"status":"APPLIED","event_id":"e"}"#;
    assert_eq!(
        of::<EventCreateResponse>(OperationKind::CreateEvent, 201, applied),
        "success"
    );
    let row = format!(
        r#"{{"reservation_id":"r","status":"ACTIVE","subject":{{}},"action":{{"kind":"k","name":"n"}},
        "reserved":{amount},"created_at_ms":1,"expires_at_ms":2,"scope_path":"s","affected_scopes":[]}}"#
    );
    assert_eq!(
        of::<ReservationDetail>(OperationKind::GetReservation, 200, &row),
        "success"
    );
    let list = format!(r#"{{"reservations":[{row}]}}"#);
    assert_eq!(
        of::<ReservationListResponse>(OperationKind::ListReservations, 200, &list),
        "success"
    );
    assert_eq!(
        of::<BalanceResponse>(OperationKind::GetBalances, 200, r#"{"balances":[]}"#),
        "success"
    );
    assert_eq!(
        of::<CyclesEvidenceJwks>(OperationKind::GetEvidenceJwks, 200, r#"{"keys":[]}"#),
        "success"
    );
    assert_eq!(
        of::<HealthResponse>(OperationKind::Health, 200, r#"{"status":"UP"}"#),
        "success"
    );
    assert_eq!(
        of::<HealthResponse>(OperationKind::Health, 503, r#"{"status":"DOWN"}"#),
        "success"
    );
}

#[test]
fn unknown_members_nulls_and_unknown_values_never_spoil_a_success() {
    let body = r#"{"status":"COMMITTED","charged":{"unit":"FUTURE_UNIT","amount":1,"new":{}},"released":null,
        "balances":[{"scope":"s","scope_path":"s","remaining":{"unit":"TOKENS","amount":-5},"debt":null,"new":1}],
        "cycles_evidence":null,"new":[1,{"deep":null}]}"#;
    let Verdict::Success(reply) =
        verdict::<CommitResponse>(OperationKind::CommitReservation, &response(200, body))
    else {
        panic!("no success")
    };
    assert_eq!(reply.charged.unit.as_str(), "FUTURE_UNIT");
    assert_eq!(reply.balances.unwrap()[0].remaining.amount, -5);

    let body = r#"{"decision":"PERHAPS","affected_scopes":[],"reason_code":"NEW","reservation_id":"r","expires_at_ms":null}"#;
    let Verdict::Success(reply) = verdict::<ReservationCreateResponse>(LIVE, &response(200, body)) else {
        panic!("no success")
    };
    assert!(!reply.decision.is_allowed());
    assert_eq!(reply.reservation_id.unwrap().as_str(), "r");

    let body = r#"{"reservations":[],"has_more":false,"next_cursor":null}"#;
    let reply = verdict::<ReservationListResponse>(OperationKind::ListReservations, &response(200, body));
    assert_eq!(name(&reply), "success");
}

#[test]
fn a_success_that_cannot_be_read_is_ambiguous() {
    for body in [
        "",
        "null",
        "[]",
        r#"["COMMITTED",{"unit":"TOKENS","amount":1},null,null,null]"#,
        r#"{"status":"COMMITTED","charged":["TOKENS",1]}"#,
        "<html>",
        "{",
        r#"{"status":"COMMITTED"}"#,
        r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":-1}}"#,
        r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":1.5}}"#,
        r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":9223372036854775808}}"#,
        r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":1},"balances":"none"}"#,
        r#"{"status":"COMMITTED","status":"COMMITTED","charged":{"unit":"TOKENS","amount":1}}"#,
        r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":1}} trailing"#,
        r#"{"status":"committed","charged":{"unit":"TOKENS","amount":1}}"#,
        r#"{"status":"ACTIVE","charged":{"unit":"TOKENS","amount":1}}"#,
        r#"{"status":null,"charged":{"unit":"TOKENS","amount":1}}"#,
    ] {
        assert_eq!(commit(200, body), "ambiguous", "{body}");
    }
    let not_utf8 = Response::new(Bytes::from_static(b"{\"status\":\"\xff\"}"));
    assert_eq!(
        name(&verdict::<CommitResponse>(
            OperationKind::CommitReservation,
            &not_utf8
        )),
        "ambiguous"
    );
}

#[test]
fn the_verdict_of_a_reply_is_exact() {
    fn of<T: Reply>(kind: OperationKind, status: u16, body: &str) -> &'static str {
        name(&verdict::<T>(kind, &response(status, body)))
    }
    let amount = r#"{"unit":"TOKENS","amount":1}"#;
    let wrong = format!(r#"{{"status":"COMMITTED","released":{amount}}}"#);
    assert_eq!(
        of::<ReleaseResponse>(OperationKind::ReleaseReservation, 200, &wrong),
        "ambiguous"
    );
    let wrong = r#"{"status":"EXPIRED","expires_at_ms":1}"#;
    assert_eq!(
        of::<ReservationExtendResponse>(OperationKind::ExtendReservation, 200, wrong),
        "ambiguous"
    );
    for wrong in [
        r#"{"status":"PENDING","event_id":"e"}"#,
        r#"{"status":"APPLIED","event_id":""}"#,
    ] {
        assert_eq!(
            of::<EventCreateResponse>(OperationKind::CreateEvent, 201, wrong),
            "ambiguous"
        );
    }
}

#[test]
fn a_live_allow_without_a_reservation_is_ambiguous_and_a_dry_one_is_not() {
    for body in [
        r#"{"decision":"ALLOW","affected_scopes":[]}"#,
        r#"{"decision":"ALLOW_WITH_CAPS","affected_scopes":[],"reservation_id":""}"#,
    ] {
        let reply = response(200, body);
        assert_eq!(
            name(&verdict::<ReservationCreateResponse>(LIVE, &reply)),
            "ambiguous"
        );
        assert_eq!(
            name(&verdict::<ReservationCreateResponse>(DRY, &reply)),
            "success"
        );
    }
    let deny = response(200, r#"{"decision":"DENY","affected_scopes":[]}"#);
    assert_eq!(
        name(&verdict::<ReservationCreateResponse>(LIVE, &deny)),
        "success"
    );
}

#[test]
fn another_2xx_than_the_operations_own_is_ambiguous() {
    for status in [201, 202, 204, 206, 299] {
        assert_eq!(commit(status, COMMITTED), "ambiguous", "{status}");
    }
    let applied = response(200, r#"{"status":"APPLIED","event_id":"e"}"#);
    assert_eq!(
        name(&verdict::<EventCreateResponse>(
            OperationKind::CreateEvent,
            &applied
        )),
        "ambiguous"
    );
    let limited = error("LIMIT_EXCEEDED");
    assert_eq!(commit(202, &limited), "ambiguous");
}

#[test]
fn a_server_that_failed_is_ambiguous() {
    for status in [500, 502, 503, 504, 599] {
        assert_eq!(commit(status, &error("INTERNAL_ERROR")), "ambiguous", "{status}");
        assert_eq!(commit(status, "<html>"), "ambiguous", "{status}");
        assert_eq!(
            commit(status, &error("RESERVATION_EXPIRED")),
            "ambiguous",
            "{status}"
        );
    }
}

#[test]
fn too_many_requests_are_throttled_by_status_or_by_code() {
    for (status, body) in [
        (429, String::new()),
        (429, error("BUDGET_EXCEEDED")),
        (400, error("LIMIT_EXCEEDED")),
        (503, error("LIMIT_EXCEEDED")),
    ] {
        assert_eq!(commit(status, &body), "throttled", "{status} {body}");
    }
}

#[test]
fn a_refused_key_is_unauthorized_whatever_the_body() {
    for status in [401, 403] {
        for body in [
            String::new(),
            error("UNAUTHORIZED"),
            error("INSUFFICIENT_PERMISSIONS"),
            error("RESERVATION_EXPIRED"),
        ] {
            assert_eq!(commit(status, &body), "unauthorized", "{status} {body}");
        }
    }
}

#[test]
fn only_the_ledgers_own_code_confirms_an_expiry() {
    assert_eq!(commit(410, &error("RESERVATION_EXPIRED")), "expired");
    assert_eq!(commit(409, &error("RESERVATION_EXPIRED")), "expired");
    for body in [
        "",
        "<html>Gone</html>",
        r#"{"error":"RESERVATION_EXPIRED"}"#,
        &error("NOT_FOUND"),
    ] {
        assert_eq!(commit(410, body), "perhaps expired", "{body}");
    }
    let event = response(410, &error("RESERVATION_EXPIRED"));
    assert_eq!(
        name(&verdict::<EventCreateResponse>(
            OperationKind::CreateEvent,
            &event
        )),
        "rejected"
    );
}

#[test]
fn any_other_4xx_is_rejected_and_understood_only_with_a_known_code() {
    let understood = |status, body: &str| match verdict::<CommitResponse>(
        OperationKind::CommitReservation,
        &response(status, body),
    ) {
        Verdict::Rejected(reply) => reply.is_understood(),
        other => panic!("{other:?}"),
    };
    for code in [
        "UNIT_MISMATCH",
        "IDEMPOTENCY_MISMATCH",
        "RESERVATION_FINALIZED",
        "NOT_FOUND",
        "TENANT_CLOSED",
    ] {
        assert!(understood(409, &error(code)), "{code}");
    }
    for (status, body) in [
        (404, String::new()),
        (404, "<html>".to_owned()),
        (404, r#"{"error":"not_found"}"#.to_owned()),
        (
            404,
            r#"{"error":5,"message":"NOT_FOUND","request_id":"r"}"#.to_owned(),
        ),
        (400, error("INTERNAL_ERROR")),
        (409, error("ACTION_QUOTA_EXCEEDED")),
        (418, "{}".to_owned()),
    ] {
        assert!(!understood(status, &body), "{status} {body}");
    }
}

#[test]
fn only_an_answer_that_the_ledger_gives_after_looking_for_the_key_closes_an_open_outcome() {
    let closes = |status, body: &str| {
        let verdict = verdict::<CommitResponse>(OperationKind::CommitReservation, &response(status, body));
        let (Verdict::Rejected(reply)
        | Verdict::Unauthorized(reply)
        | Verdict::Expired { reply, .. }
        | Verdict::Throttled(reply)
        | Verdict::Ambiguous(reply)) = verdict
        else {
            panic!("a success")
        };
        [false, true].map(|may_be_done| reply.closes_the_outcome(may_be_done))
    };
    // For a first attempt, and for one after an attempt that may have been acted on.
    for (status, code, expected) in [
        (409, "RESERVATION_FINALIZED", [true, true]),
        (410, "RESERVATION_EXPIRED", [true, true]),
        (400, "INVALID_REQUEST", [true, true]),
        (401, "UNAUTHORIZED", [true, false]),
        (403, "FORBIDDEN", [true, false]),
        (429, "LIMIT_EXCEEDED", [true, false]),
        (429, "BUDGET_EXCEEDED", [true, false]),
        (400, "LIMIT_EXCEEDED", [true, false]),
        (503, "LIMIT_EXCEEDED", [true, false]),
        (500, "NOT_FOUND", [false, false]),
        (500, "INTERNAL_ERROR", [false, false]),
        (302, "NOT_FOUND", [false, false]),
        (408, "NOT_FOUND", [false, false]),
        (421, "BUDGET_EXCEEDED", [false, false]),
        (425, "RESERVATION_FINALIZED", [false, false]),
        (499, "UNAUTHORIZED", [false, false]),
        (409, "SOMETHING_NEW", [false, false]),
    ] {
        assert_eq!(closes(status, &error(code)), expected, "{status} {code}");
    }
    assert_eq!(closes(410, r#"{"error":"RESERVATION_EXPIRED"}"#), [false, false]);
    for code in ["NOT_FOUND", "RESERVATION_FINALIZED"] {
        let nameless = format!(r#"{{"error":"{code}"}}"#);
        assert_eq!(
            closes(409, &nameless),
            [true, false],
            "{code} without a request_id"
        );
    }
    assert_eq!(closes(404, "<html>"), [false, false]);
}

#[test]
fn what_a_balancer_or_a_redirect_says_leaves_the_outcome_open() {
    for status in [
        100, 103, 300, 301, 302, 303, 304, 307, 308, 408, 421, 425, 444, 460, 494, 499,
    ] {
        for body in [
            COMMITTED,
            "<html>",
            "",
            &error("RESERVATION_EXPIRED"),
            &error("NOT_FOUND"),
        ] {
            assert_eq!(commit(status, body), "ambiguous", "{status} {body}");
        }
    }
}

#[test]
fn a_proxy_that_wants_credentials_has_sent_nothing_on() {
    for body in [COMMITTED, "<html>", &error("UNAUTHORIZED")] {
        assert_eq!(commit(407, body), "not sent", "{body}");
    }
}
