//! Receipts and events of a cost that is not settled yet, and answers that are not about the cost.

use super::super::*;
use super::desk::*;

#[test]
fn a_record_that_could_not_be_changed_is_still_a_record() {
    let mut desk = throttled_once(true, false);
    assert!(desk.log().contains(&"journal failed: disk full".to_owned()));
    assert!(desk.is_left_recorded());
    desk = Desk::new();
    desk.run([]);
    desk.journal_works = false;
    desk.settlement
        .handle_response(desk.now(), desk.ticket(), &throttled().unwrap());
    desk.run([refusal(403, "FORBIDDEN")]);
    assert!(desk.is_left_recorded());
}

#[test]
fn a_record_that_is_stored_with_the_last_pause_counts_in_the_receipt() {
    assert!(matches!(
        throttled_once(false, true).outcome(),
        Receipt::Pending {
            is_recorded: true,
            ..
        }
    ));
    assert!(matches!(
        throttled_once(false, false).outcome(),
        Receipt::Pending {
            is_recorded: false,
            ..
        }
    ));
}

#[test]
fn a_refused_look_says_nothing_of_the_cost_unless_the_reservation_is_not_known() {
    let mut desk = Desk::new();
    desk.run([
        answer(410, "<html>"),
        refusal(400, "INVALID_REQUEST"),
        answer(200, COMMITTED),
    ]);
    assert!(
        matches!(desk.outcome(), Receipt::Committed(_)),
        "{:?}",
        desk.log()
    );
    let mut desk = Desk::new();
    desk.run([answer(410, "<html>"), refusal(404, "NOT_FOUND")]);
    assert!(matches!(desk.outcome(), Receipt::Rejected { .. }));
    assert_eq!(
        desk.log().last_chunk().unwrap(),
        &["set aside rejected", "told Rejected"]
    );
}

#[test]
fn an_outage_behind_a_401_is_tried_again() {
    let outage = answer(
        401,
        r#"{"error":"UNAUTHORIZED","message":"INTERNAL_ERROR","request_id":"q"}"#,
    );
    let mut desk = Desk::new();
    desk.run([outage, answer(200, COMMITTED)]);
    assert!(
        matches!(desk.outcome(), Receipt::Committed(_)),
        "{:?}",
        desk.log()
    );
}

#[test]
fn what_a_balancer_or_a_redirect_answers_is_tried_again_and_may_have_been_done() {
    for status in [302, 307, 408, 421, 425, 499] {
        for mode in [Mode::Commit, Mode::Event] {
            let done = match mode {
                Mode::Commit => answer(200, COMMITTED),
                Mode::Event => answer(201, APPLIED),
            };
            let start = || match mode {
                Mode::Commit => Desk::new(),
                Mode::Event => Desk::resumed(record().into_event().unwrap(), 0, false),
            };
            let mut desk = start();
            desk.run([answer(status, "<html>"), done]);
            assert!(desk.outcome().is_settled(), "{status}: {:?}", desk.log());
        }
        let mut desk = Desk::new();
        desk.run([answer(status, "<html>"), refusal(401, "UNAUTHORIZED")]);
        let error = desk.outcome();
        assert!(error.error().unwrap().outcome_is_unknown(), "{status}: {error:?}");
    }
}

#[test]
fn a_proxy_that_wants_credentials_is_asked_again_later_and_has_done_nothing() {
    let mut desk = Desk::new();
    desk.run([answer(407, "<html>"), answer(200, COMMITTED)]);
    assert!(desk.outcome().is_settled(), "{:?}", desk.log());
    let mut desk = Desk::new();
    desk.run([answer(407, "<html>"), refusal(401, "UNAUTHORIZED")]);
    let error = desk.outcome();
    assert!(!error.error().unwrap().outcome_is_unknown(), "{error:?}");
}

#[test]
fn an_event_has_all_its_attempts_whatever_the_commit_used_up() {
    let mut answers: Vec<_> = std::iter::repeat_n((), 5).map(|()| answer(503, "")).collect();
    answers.push(refusal(410, "RESERVATION_EXPIRED"));
    answers.extend(std::iter::repeat_n((), 5).map(|()| answer(503, "")));
    answers.push(answer(201, APPLIED));
    let mut desk = Desk::new();
    desk.run(answers);
    assert!(
        matches!(desk.outcome(), Receipt::RecoveredViaEvent(_)),
        "{:?}",
        desk.log()
    );
}

#[test]
fn what_was_open_about_the_commit_is_not_open_about_the_event() {
    let mut desk = Desk::new();
    desk.run([
        answer(503, ""),
        refusal(410, "RESERVATION_EXPIRED"),
        refusal(409, "BUDGET_EXCEEDED"),
    ]);
    let error = desk.outcome().error().unwrap();
    assert!(!error.outcome_is_unknown(), "{error}");
}

#[test]
fn a_bare_410_is_no_answer_to_an_event_and_the_record_stays() {
    let mut desk = Desk::new();
    desk.run([refusal(410, "RESERVATION_EXPIRED"), answer(410, "")]);
    assert!(desk.is_left_recorded());
    assert_eq!(desk.log().last().unwrap(), "failed");
}

/// A throttled settlement whose first record and whose pause are stored or not; then nothing more is tried.
fn throttled_once(first_is_stored: bool, pause_is_stored: bool) -> Desk {
    let config = CyclesConfig::builder("cyc_live_0123456789", "http://h").retry_enabled(false);
    let config = Arc::new(config.build().unwrap());
    let mut desk = Desk::of(Settlement::new(config, record(), SEED, now(Duration::ZERO)));
    desk.journal_works = first_is_stored;
    desk.run([]);
    desk.settlement
        .handle_response(desk.now(), desk.ticket(), &throttled().unwrap());
    desk.journal_works = pause_is_stored;
    desk.run([]);
    desk
}

pub(super) fn throttled() -> Answered {
    throttled_for(120)
}

#[test]
fn whether_a_resumed_cost_counted_stays_open_where_its_key_was_not_looked_for() {
    for (mut desk, is_resumed) in [(Desk::new(), false), (Desk::resumed(record(), 0, false), true)] {
        desk.run([refusal(401, "UNAUTHORIZED")]);
        let receipt = desk.outcome();
        let error = receipt.error().expect("what the server said");
        assert_eq!(
            error.outcome_is_unknown(),
            is_resumed,
            "an earlier run may have sent it"
        );
    }
}

/// An error with a code of the ledger that does not name the request, unlike the ledger's own errors.
fn nameless(status: u16, code: &str) -> Answered {
    answer(status, &format!(r#"{{"error":"{code}","message":"m"}}"#))
}

const NAMELESS: [(u16, &str); 4] = [
    (404, "NOT_FOUND"),
    (409, "RESERVATION_FINALIZED"),
    (409, "BUDGET_EXCEEDED"),
    (400, "UNIT_MISMATCH"),
];

#[test]
fn a_refusal_of_a_commit_that_names_no_request_is_looked_into_first() {
    for (status, code) in NAMELESS {
        for resumed in [false, true] {
            let new = || match resumed {
                true => Desk::resumed(record(), 0, false),
                false => Desk::new(),
            };
            let mut desk = new();
            desk.run([
                nameless(status, code),
                detail("COMMITTED"),
                answer(200, COMMITTED),
            ]);
            assert!(
                matches!(desk.outcome(), Receipt::Committed(done) if done.response.is_some()),
                "{code}: {:?}",
                desk.log()
            );
            let mut desk = new();
            desk.run([nameless(status, code), detail("ACTIVE"), answer(200, COMMITTED)]);
            assert!(
                matches!(desk.outcome(), Receipt::Committed(done) if done.response.is_some()),
                "{code}: {:?}",
                desk.log()
            );
        }
    }
}

#[test]
fn no_cost_is_given_up_on_words_that_may_be_somebody_elses() {
    for (status, code) in NAMELESS {
        let of_an_event = [refusal(410, "RESERVATION_EXPIRED"), nameless(status, code)];
        let of_a_look = [answer(410, "<html>"), nameless(404, "NOT_FOUND")];
        for answers in [
            of_an_event,
            of_a_look,
            [nameless(status, code), nameless(404, "NOT_FOUND")],
        ] {
            let mut desk = Desk::new();
            desk.run(answers);
            let is_kept = matches!(
                desk.outcome(),
                Receipt::Pending {
                    is_recorded: true,
                    ..
                }
            );
            assert!(is_kept, "{code}: {:?}", desk.log());
        }
    }
}
