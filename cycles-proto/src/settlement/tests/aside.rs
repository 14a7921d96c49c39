//! A cost that is refused for good ends in a file for a person, or is reported as unrecorded.

use super::desk::*;
use super::*;

/// The answers that refuse a cost for good, and how the record is kept.
fn refusals() -> Vec<(Vec<Answered>, &'static str)> {
    vec![
        (vec![refusal(409, "BUDGET_EXCEEDED")], "rejected"),
        (vec![refusal(400, "UNIT_MISMATCH")], "rejected"),
        (
            vec![refusal(409, "RESERVATION_FINALIZED"), detail("RELEASED")],
            "rejected",
        ),
        (
            vec![
                refusal(410, "RESERVATION_EXPIRED"),
                refusal(409, "BUDGET_EXCEEDED"),
            ],
            "rejected",
        ),
        (vec![refusal(404, "NOT_FOUND")], "rejected"),
    ]
}

#[test]
fn a_cost_without_a_record_is_set_aside_from_memory() {
    for (answers, kept) in refusals() {
        let mut desk = Desk::new();
        desk.journal_works = false;
        // Until the first attempt is under way.
        desk.run([]);
        assert!(desk.settlement.receipt().is_none());
        desk.journal_works = true;
        let ticket = desk.ticket();
        let mut answers = answers.into_iter();
        let first = answers.next().unwrap().unwrap();
        desk.settlement.handle_response(desk.now(), ticket, &first);
        desk.run(answers);
        let log = desk.log();
        assert!(log.contains(&format!("set aside {kept}")), "{log:?}");
        assert_eq!(log.last().unwrap(), "told Rejected");
        let receipt = desk.outcome();
        assert!(receipt.is_set_aside() && !receipt.is_unrecorded(), "{receipt:?}");
    }
}

#[test]
fn a_cost_that_is_refused_and_cannot_be_written_is_told_as_being_nowhere() {
    for (answers, _) in refusals() {
        let mut desk = Desk::new();
        desk.journal_works = false;
        desk.run(answers);
        let log = desk.log();
        assert_eq!(log.last().unwrap(), "told unrecorded", "{log:?}");
        assert!(
            !log.contains(&"told Rejected".to_owned()),
            "no file is kept: {log:?}"
        );
        let receipt = desk.outcome();
        assert!(receipt.is_unrecorded() && !receipt.is_set_aside(), "{receipt:?}");
        assert!(receipt.error().is_some(), "{receipt:?}");
    }
}

#[test]
fn whether_a_refused_cost_is_in_a_file_belongs_to_the_word_that_its_caller_waits_for() {
    let mut desk = Desk::new();
    desk.journal_works = false;
    desk.run([]);
    let refused = refusal(409, "BUDGET_EXCEEDED").unwrap();
    desk.settlement
        .handle_response(desk.now(), desk.ticket(), &refused);
    assert!(desk.settlement.receipt().is_none());
    desk.run([]);
    assert!(desk.settlement.receipt().unwrap().is_unrecorded());
    // With a record, there is nothing to wait for.
    let mut desk = Desk::new();
    desk.run([]);
    desk.settlement
        .handle_response(desk.now(), desk.ticket(), &refused);
    assert!(desk.settlement.receipt().unwrap().is_set_aside());
}

#[test]
fn a_record_that_cannot_be_set_aside_is_not_said_to_be() {
    let mut desk = Desk::new();
    desk.run([]);
    desk.journal_works = false;
    let refused = refusal(409, "BUDGET_EXCEEDED").unwrap();
    desk.settlement
        .handle_response(desk.now(), desk.ticket(), &refused);
    desk.run([]);
    assert_eq!(desk.log().last().unwrap(), "journal failed: disk full");
    assert!(!desk.outcome().is_unrecorded(), "its record is where it was");
}

#[test]
fn a_cost_that_grows_old_without_a_record_is_nowhere() {
    let mut desk = Desk::new();
    desk.journal_works = false;
    desk.run([]);
    desk.wall_ahead_ms = 7 * DAY_MS;
    let over = refusal(410, "RESERVATION_EXPIRED").unwrap();
    desk.settlement.handle_response(desk.now(), desk.ticket(), &over);
    desk.run([]);
    let log = desk.log();
    assert_eq!(log.last().unwrap(), "told unrecorded", "{log:?}");
    assert!(matches!(
        desk.outcome(),
        Receipt::Pending {
            is_recorded: false,
            ..
        }
    ));
}

#[test]
fn without_a_journal_a_refused_cost_is_told_as_being_nowhere() {
    let config = CyclesConfig::builder("cyc_live_0123456789", "http://h")
        .journal_enabled(false)
        .build()
        .unwrap();
    let settlement = Settlement::new(Arc::new(config), record(), SEED, now(Duration::ZERO));
    let mut desk = Desk::of(settlement);
    desk.run([refusal(409, "BUDGET_EXCEEDED")]);
    assert_eq!(desk.log(), ["POST r/commit", "failed", "told unrecorded"]);
    assert!(desk.outcome().is_unrecorded());
}

/// A caller that is wrongly told that a cost is unrecorded charges it by hand, and it counts twice.
#[test]
fn a_record_that_is_written_and_may_not_outlive_the_machine_is_a_record() {
    let mut desk = Desk::new();
    desk.journal_is_durable = false;
    desk.run([refusal(503, "INTERNAL_ERROR")]);
    let receipt = desk.settlement.receipt().unwrap();
    assert!(
        matches!(
            receipt,
            Receipt::Pending {
                is_recorded: true,
                ..
            }
        ),
        "{receipt:?}"
    );
    desk.run(core::iter::repeat_with(|| refusal(503, "INTERNAL_ERROR")));
    let log = desk.log();
    assert!(log.contains(&"journal failed: no sync".to_owned()), "{log:?}");
    assert!(!desk.outcome().is_unrecorded(), "{:?}", desk.outcome());

    for (answers, _) in refusals() {
        let mut desk = Desk::new();
        desk.journal_is_durable = false;
        desk.run(answers);
        assert!(desk.outcome().is_set_aside(), "{:?}", desk.outcome());
        assert_eq!(desk.log().last().unwrap(), "told Rejected");
    }
}
