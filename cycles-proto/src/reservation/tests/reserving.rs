//! Asking for a reservation.

use super::super::*;
use super::desk::{Answered, *};
use crate::models::{Decision, DecisionReasonCode};
use crate::outcome::Error;
use http::Response;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_the_ledger_grants_is_held() {
    let mut desk = Desk::new();
    assert!(desk.reservation.grant().is_none() && desk.reservation.outcome().is_none());
    desk.run([granted(60_000)]);
    assert_eq!(desk.log(), ["POST reservations", "granted"]);
    let grant = desk.reservation.grant().unwrap();
    assert_eq!(
        (grant.reservation_id.as_str(), &grant.decision),
        ("r-1", &Decision::Allow)
    );
    assert!(desk.reservation.outcome().is_none() && desk.reservation.receipt().is_none());
}

#[test]
fn an_open_outcome_is_asked_about_once_more_at_once_with_the_same_bytes() {
    for open in [
        answer(503, ""),
        answer(200, "garbage"),
        answer(
            201,
            r#"{"decision":"ALLOW","reservation_id":"r-1","affected_scopes":[]}"#,
        ),
        ok(r#"{"decision":"ALLOW","affected_scopes":[]}"#),
        answer(307, ""),
        answer(408, "<html>"),
        answer(421, "<html>"),
        answer(425, ""),
        answer(499, ""),
        Err(FailureKind::Lost),
        Err(FailureKind::Timeout),
        Err(FailureKind::TooLarge),
    ] {
        let mut desk = Desk::new();
        desk.run([open, granted(60_000)]);
        assert_eq!(
            desk.log(),
            [
                "POST reservations",
                "reserving again",
                "POST reservations",
                "granted"
            ]
        );
        assert_eq!(desk.mono, Duration::from_millis(10), "at once");
        let bodies = desk.bodies("reservations");
        assert_eq!(bodies[0], bodies[1]);
        assert_eq!(desk.calls[0].request.headers(), desk.calls[1].request.headers());
    }
}

#[test]
fn after_a_second_open_outcome_the_error_carries_the_key() {
    let mut request = reserve();
    request.idempotency_key = Some("mine".into());
    let mut desk = Desk::with(config(), request);
    desk.run([Err(FailureKind::Lost), answer(502, "<html>")]);
    assert!(desk.is_done());
    assert_eq!(desk.error().idempotency_key().unwrap().as_str(), "mine");
    assert!(desk.error().outcome_is_unknown());
    assert_eq!(desk.keys("reservations"), ["mine", "mine"]);
}

#[test]
fn a_refused_second_attempt_says_nothing_about_an_open_first() {
    for second in [
        Err(FailureKind::Connect),
        answer(404, "<html>"),
        refusal(401, "UNAUTHORIZED"),
    ] {
        let mut desk = Desk::new();
        desk.run([Err(FailureKind::Lost), second]);
        assert!(desk.error().outcome_is_unknown(), "{}", desk.error());
    }
}

#[test]
fn what_never_left_what_was_refused_and_what_is_busy_is_not_repeated() {
    let busy = Response::builder().status(503).header("retry-after", "5");
    for (first, is_unknown) in [
        (Err(FailureKind::Connect), false),
        (refusal(409, "BUDGET_EXCEEDED"), false),
        (refusal(401, "UNAUTHORIZED"), false),
        (refusal(429, "LIMIT_EXCEEDED"), false),
        (answer(407, "<html>"), false),
        (Ok(busy.body(Bytes::new()).unwrap()), true),
    ] {
        let mut desk = Desk::new();
        desk.run([first]);
        assert_eq!(desk.log(), ["POST reservations"]);
        assert!(desk.is_done());
        assert_eq!(desk.error().outcome_is_unknown(), is_unknown, "{}", desk.error());
    }
}

/// The configuration with a limit for the whole of a reservation, in seconds.
fn limited(seconds: u64) -> CyclesConfig {
    let limit = Duration::from_secs(seconds);
    let config = CyclesConfig::builder(KEY, "http://h").reserve_timeout(limit);
    config.build().unwrap()
}

#[test]
fn a_server_that_hangs_costs_no_more_than_the_limit_and_the_sentence_names_it() {
    // Two attempts of seven seconds, one and a part of another, or a part of one.
    for (config, attempts, seconds) in [(config(), 2, 14), (limited(10), 2, 10), (limited(3), 1, 3)] {
        let mut desk = Desk::with(config, reserve());
        desk.pass(Duration::from_secs(seconds) - Duration::from_millis(1));
        assert!(!desk.is_done());
        desk.pass(Duration::from_millis(1));
        assert!(desk.is_done());
        assert_eq!(desk.calls.len(), attempts);
        let told = desk.error().to_string();
        let expected = format!("(gave up after {seconds}s; reserve_timeout sets this limit)");
        assert!(told.contains(&expected), "{told}");
        assert!(desk.error().outcome_is_unknown());
    }
}

#[test]
fn an_attempt_that_timed_out_names_its_own_limit() {
    let config = CyclesConfig::builder(KEY, "http://h").retry_enabled(false);
    let mut desk = Desk::with(config.build().unwrap(), reserve());
    desk.pass_s(7);
    let told = desk.error().to_string();
    assert!(
        told.contains("(gave up after 7s; connect_timeout and read_timeout set this limit)"),
        "{told}"
    );
    let mut desk = Desk::new();
    desk.run([Err(FailureKind::ConnectTimeout)]);
    let told = desk.error().to_string();
    assert!(
        told.contains("(gave up after 2s; connect_timeout sets this limit)"),
        "{told}"
    );
}

#[test]
fn a_grant_that_comes_after_the_limit_is_given_back() {
    let mut desk = Desk::with(limited(3), reserve());
    desk.pass_s(3);
    assert!(desk.is_done());
    desk.reply(granted(60_000));
    desk.settle();
    assert_eq!(desk.log().last().unwrap(), "POST r-1/release");
    assert!(desk.error().outcome_is_unknown(), "what was told stays");
}

#[test]
fn the_limit_covers_the_check_of_a_replayed_grant() {
    let mut desk = Desk::with(limited(10), reserve());
    desk.run([granted(0)]);
    desk.pass(Duration::from_millis(9_990));
    assert!(!desk.is_done());
    desk.pass(Duration::from_millis(5));
    assert_eq!(
        desk.log(),
        ["POST reservations", "POST r-1/extend", "POST r-1/extend"]
    );
    let told = desk.error().to_string();
    assert!(told.contains("gave up after 10s; reserve_timeout"), "{told}");
    assert!(desk.error().idempotency_key().is_some());
}

#[test]
fn a_refused_extension_of_a_replayed_grant_is_not_looked_into_after_the_limit() {
    let mut desk = Desk::with(limited(1), reserve());
    desk.run([granted(0)]);
    desk.mono += SECOND;
    desk.reply(refusal(409, "MAX_EXTENSIONS_EXCEEDED"));
    desk.settle();
    assert!(
        matches!(desk.error(), Error::StaleReplay { status: None, .. }),
        "{}",
        desk.error()
    );
}

#[test]
fn nothing_is_repeated_when_retries_are_off() {
    let config = CyclesConfig::builder(KEY, "http://h")
        .retry_enabled(false)
        .build()
        .unwrap();
    let mut desk = Desk::with(config, reserve());
    desk.run([Err(FailureKind::Lost)]);
    assert_eq!(desk.log(), ["POST reservations"]);
    assert!(desk.error().outcome_is_unknown());
}

#[test]
fn a_request_that_breaks_a_limit_is_refused_before_anything_is_sent() {
    let mut request = reserve();
    request.ttl_ms = Some(999);
    let reservation = Reservation::new(Arc::new(config()), request, SEED);
    assert!(matches!(reservation.unwrap_err(), Error::Validation(_)));
}

#[test]
fn what_the_subject_leaves_out_comes_from_the_configuration() {
    let config = CyclesConfig::builder(KEY, "http://h")
        .tenant("theirs")
        .agent("bot");
    let mut desk = Desk::with(config.build().unwrap(), reserve());
    desk.run([]);
    let body = desk.body("reservations");
    assert_eq!(
        body["subject"],
        serde_json::json!({"tenant": "acme", "agent": "bot"})
    );
}

/// The error of a reservation that gets this answer.
fn denied_by(answer: Answered) -> Error {
    let mut desk = Desk::new();
    desk.run([answer]);
    assert_eq!(desk.log(), ["POST reservations"]);
    assert!(desk.is_done() && desk.reservation.grant().is_none());
    desk.error().clone()
}

#[test]
fn a_denial_is_the_same_error_as_a_decision_and_as_a_refusal() {
    for (reason, is_about_the_budget) in [
        ("BUDGET_EXCEEDED", true),
        ("BUDGET_FROZEN", true),
        ("BUDGET_CLOSED", true),
        ("OVERDRAFT_LIMIT_EXCEEDED", true),
        ("DEBT_OUTSTANDING", true),
        ("TENANT_CLOSED", false),
        ("ACTION_QUOTA_EXCEEDED", false),
        ("ACTION_KIND_DENIED", false),
        ("ACTION_KIND_NOT_ALLOWED", false),
    ] {
        let decision = denied_by(ok(&format!(
            r#"{{"decision":"DENY","reason_code":"{reason}","affected_scopes":["tenant:acme"]}}"#
        )));
        for error in [
            decision,
            denied_by(refusal(409, reason)),
            denied_by(refusal(422, reason)),
        ] {
            assert_eq!(
                error.reason().map(|reason| reason.as_str()),
                Some(reason),
                "{error}"
            );
            assert!(error.is_denied() && !error.is_retryable());
            assert_eq!(error.is_budget_exceeded(), is_about_the_budget, "{error}");
            assert_eq!(
                matches!(error, Error::Denied { .. }),
                !is_about_the_budget,
                "{error}"
            );
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
    for answer in [
        ok(r#"{"decision":"DENY","reason_code":"BUDGET_NOT_FOUND","affected_scopes":["tenant:acme"]}"#),
        refusal(404, "NOT_FOUND"),
    ] {
        let error = denied_by(answer);
        assert!(
            matches!(error, Error::BudgetNotFound { .. }) && error.is_denied(),
            "{error}"
        );
        assert_eq!(error.reason(), Some(&DecisionReasonCode::BudgetNotFound));
    }
}

#[test]
fn a_decision_that_denies_is_told_in_its_own_words() {
    let body = r#"{"decision":"DENY","reason_code":"ACTION_KIND_DENIED","scope_path":"tenant:acme/agent:a",
        "affected_scopes":["tenant:acme","tenant:acme/agent:a"],"retry_after_ms":5000,
        "cycles_evidence":{"evidence_id":"e","cycles_evidence_url":"u"}}"#;
    let error = denied_by(ok(body));
    assert_eq!(
        error.to_string(),
        "createReservation (POST http://h/v1/reservations) for 9 TOKENS, llm.completion m, tenant:acme: denied: ACTION_KIND_DENIED for tenant:acme/agent:a (the server asks you to wait 5 s). The ledger is \
         unchanged."
    );
    let Error::Denied {
        affected_scopes,
        reply,
        ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(affected_scopes.len(), 2);
    assert_eq!(
        (error.status(), error.code(), error.retry_after()),
        (Some(200), None, Some(Duration::from_secs(5)))
    );
    assert!(reply.error().is_none(), "nobody sent an error");
    assert_eq!(error.evidence().unwrap().cycles_evidence_url, "u");
    assert_eq!(error.info().unwrap().body(), body.as_bytes());
    for (body, says) in [
        (
            r#"{"decision":"DENY","affected_scopes":[]}"#,
            "the decision is DENY",
        ),
        (
            r#"{"decision":"MAYBE","affected_scopes":[]}"#,
            "the decision is MAYBE",
        ),
        (
            r#"{"decision":"DENY","reason_code":"MOON_PHASE","affected_scopes":[]}"#,
            "MOON_PHASE",
        ),
    ] {
        let error = denied_by(ok(body));
        assert!(
            matches!(&error, Error::Denied { message, .. } if message == says),
            "{error}"
        );
    }
}

#[test]
fn a_decision_that_is_not_known_is_told_as_a_denial_and_what_it_holds_is_given_back() {
    for decision in ["MAYBE", "DENY"] {
        let mut desk = Desk::new();
        desk.run([decided(decision, "r-1", 60_000)]);
        assert!(desk.error().is_denied(), "told before the release is confirmed");
        desk.run([ok(RELEASED)]);
        assert_eq!(desk.log(), ["POST reservations", "POST r-1/release"]);
        assert_eq!(desk.body("/release")["reason"], "unknown_decision");
        assert!(desk.is_done() && desk.error().is_denied());
    }
}

#[test]
fn a_dry_run_holds_nothing_whatever_it_says() {
    for decision in ["ALLOW", "DENY", "MAYBE"] {
        let mut request = reserve();
        request.dry_run = true;
        let mut desk = Desk::with(config(), request);
        desk.run([
            answer(500, ""),
            ok(&format!(r#"{{"decision":"{decision}","affected_scopes":[]}}"#)),
        ]);
        assert_eq!(
            desk.log(),
            ["POST reservations", "reserving again", "POST reservations"]
        );
        assert!(desk.is_done());
        assert!(matches!(desk.outcome(), Outcome::Evaluated(reply) if reply.decision.as_str() == decision));
        assert_eq!(desk.commit(1), Err(InvalidCommit::NotHeld));
    }
}

#[test]
fn an_adapter_that_never_answers_ends_in_an_error() {
    let mut desk = Desk::new();
    desk.pass_s(13);
    assert_eq!(
        desk.log(),
        ["POST reservations", "reserving again", "POST reservations"]
    );
    assert!(desk.reservation.outcome().is_none());
    desk.pass_s(1);
    assert!(desk.is_done() && desk.error().outcome_is_unknown());
}

#[test]
fn a_caller_that_leaves_before_anything_was_sent_holds_nothing() {
    let mut desk = Desk::new();
    desk.reservation.abandon(desk.now());
    assert!(desk.is_done());
    assert!(matches!(desk.outcome(), Outcome::Released(Released::NothingHeld)));
}

#[test]
fn a_caller_that_leaves_during_the_first_attempt_gives_its_grant_back() {
    let mut desk = Desk::new();
    desk.settle();
    desk.reservation.abandon(desk.now());
    desk.run([granted(60_000), ok(RELEASED)]);
    assert_eq!(desk.log(), ["POST reservations", "POST r-1/release"]);
    assert_eq!(desk.body("/release")["reason"], "abandoned");
    assert!(matches!(
        desk.outcome(),
        Outcome::Released(Released::Confirmed(_))
    ));
}

#[test]
fn the_retry_for_a_caller_that_left_learns_what_to_give_back() {
    for leaves_during_the_retry in [false, true] {
        let mut desk = Desk::new();
        desk.settle();
        if leaves_during_the_retry {
            desk.run([Err(FailureKind::Lost)]);
        }
        desk.reservation.abandon(desk.now());
        if !leaves_during_the_retry {
            desk.run([Err(FailureKind::Lost)]);
        }
        desk.run([granted(60_000), ok(RELEASED)]);
        assert_eq!(
            desk.log(),
            [
                "POST reservations",
                "reserving again",
                "POST reservations",
                "POST r-1/release"
            ]
        );
        assert!(desk.is_done());
        assert!(desk.reservation.grant().is_none());
    }
}

#[test]
fn a_grant_that_comes_after_the_error_was_told_is_given_back_and_the_error_stands() {
    for late in [0, 1] {
        let mut desk = Desk::new();
        desk.pass_s(14);
        assert!(desk.is_done());
        desk.log();
        let (call, sent) = desk.open[late].clone();
        desk.hand_in(call.ticket, sent, granted(60_000));
        desk.settle();
        assert!(desk.error().outcome_is_unknown(), "it stands all the time");
        assert!(desk.reservation.grant().is_none());
        let (call, sent) = desk.open.pop_back().unwrap();
        desk.hand_in(call.ticket, sent, ok(RELEASED));
        assert_eq!(desk.log(), ["POST r-1/release"]);
        assert_eq!(desk.body("/release")["reason"], "late_grant");
        assert!(desk.is_done() && desk.error().outcome_is_unknown());
    }
}

#[test]
fn the_grant_of_the_first_attempt_counts_while_the_second_is_in_flight() {
    let mut desk = Desk::new();
    desk.pass_s(10);
    desk.reply(granted(60_000));
    desk.reply(granted(50_000));
    assert_eq!(
        desk.log(),
        [
            "POST reservations",
            "reserving again",
            "POST reservations",
            "granted"
        ]
    );
    desk.commit(5).unwrap();
    desk.run([ok(COMMITTED)]);
    assert_eq!(desk.log(), ["put commit", "POST r-1/commit", "remove"]);
}

#[test]
fn a_grant_later_than_its_attempts_time_does_not_swell_the_reserve() {
    let mut desk = Desk::new();
    desk.pass_s(13);
    desk.reply(granted(60_000));
    // 60 s less the 13 s of the stall, less two attempts of 5 s and a margin of 1 s.
    assert_eq!(desk.settle(), Some(desk.mono + 36 * SECOND));
}

#[test]
fn a_refusal_of_the_first_attempt_says_nothing_while_the_second_is_in_flight() {
    let mut desk = Desk::new();
    desk.pass_s(10);
    desk.reply(refusal(409, "BUDGET_EXCEEDED"));
    assert!(desk.reservation.outcome().is_none());
    desk.reply(granted(60_000));
    assert!(desk.reservation.grant().is_some());
}

#[test]
fn a_late_answer_that_allows_nothing_is_no_permission() {
    for decision in ["DENY", "MAYBE"] {
        let mut desk = Desk::new();
        desk.pass_s(10);
        desk.reply(decided(decision, "r-1", 60_000));
        assert!(desk.reservation.grant().is_none());
        assert!(desk.error().is_denied());
        desk.settle();
        desk.reply(granted(60_000));
        desk.reply(ok(RELEASED));
        assert!(desk.is_done() && desk.error().is_denied());
        assert_eq!(desk.log()[3..], ["POST r-1/release"]);
    }
}
