//! Careless drivers: what they may do or leave undone.

use super::super::*;
use super::desk::*;

#[test]
fn a_driver_that_never_answers_cannot_stall_it() {
    let mut desk = Desk::new();
    desk.run([]);
    let Step::Wait(Some(deadline)) = desk.settlement.poll(now(desk.mono)) else {
        panic!()
    };
    assert_eq!(deadline, desk.mono + Duration::from_secs(7));
    desk.mono = deadline;
    assert_eq!(
        desk.run([answer(200, COMMITTED)]).log()[2..],
        ["failed, again", "POST r/commit", "remove", "settled late"]
    );
}

#[test]
fn late_unknown_and_repeated_answers_change_nothing() {
    let mut desk = Desk::new();
    desk.run([Err(FailureKind::Lost)]);
    let before = format!("{:?}", desk.settlement);
    let reply = answer(200, COMMITTED).unwrap();
    for ticket in [Ticket(0), Ticket(2), Ticket(99)] {
        desk.settlement.handle_response(now(desk.mono), ticket, &reply);
        desk.settlement
            .handle_failure(now(desk.mono), ticket, Failure::new(FailureKind::Lost));
        desk.settlement.handle_stored(ticket, Ok(()));
    }
    assert_eq!(format!("{:?}", desk.settlement), before);
}

#[test]
fn a_spurious_poll_changes_nothing() {
    let mut desk = Desk::new();
    desk.run([]);
    let before = format!("{:?}", desk.settlement);
    for _ in 0..3 {
        assert!(matches!(
            desk.settlement.poll(now(desk.mono)),
            Step::Wait(Some(_))
        ));
    }
    assert_eq!(format!("{:?}", desk.settlement), before);
}

#[test]
fn a_record_of_another_sdk_is_replayed_to_the_byte() {
    let commit = include_str!("../../../tests/data/journal/python-commit.json");
    let record = JournalRecord::parse(commit.as_bytes()).unwrap();
    let body = record.body().to_owned();
    let mut desk = Desk::resumed(record, 5 * DAY_MS, false);
    desk.run([refusal(410, "RESERVATION_EXPIRED"), answer(201, APPLIED)]);
    assert_eq!(desk.bodies[0], body.as_bytes());
    assert!(
        commit
            .as_bytes()
            .windows(desk.bodies[1].len())
            .any(|part| part == desk.bodies[1])
    );
    assert_eq!(desk.keys, ["d229144e-59d0-49d7-bb02-54efcca37631"; 2]);
}

#[test]
fn a_caller_is_told_of_a_wait_when_there_is_one_and_not_when_an_answer_leads_straight_on() {
    for first in [
        refusal(410, "RESERVATION_EXPIRED"),
        refusal(409, "RESERVATION_FINALIZED"),
    ] {
        let mut desk = Desk::new();
        desk.run([first]);
        assert!(desk.settlement.receipt().is_none(), "{:?}", desk.log());
    }
    let mut desk = Desk::new();
    desk.run([refusal(410, "RESERVATION_EXPIRED"), answer(503, "")]);
    assert!(matches!(
        desk.settlement.receipt(),
        Some(Receipt::Pending {
            is_recorded: true,
            ..
        })
    ));
}
