//! Reservations with a journal, without one, with a failing one, and resumed from one.

use super::super::*;
use super::desk::*;
use crate::journal::record::JournalRecord;

#[test]
fn nothing_is_sent_before_the_store_was_answered_and_the_lease_is_kept_meanwhile() {
    let mut desk = Desk::held();
    desk.journal = Journal::Silent;
    desk.commit(5).unwrap();
    desk.pass_s(48);
    assert_eq!(desk.log(), ["put commit"]);
    desk.run([extended(60_000)]);
    assert_eq!(desk.log(), ["POST r-1/extend", "extended"]);
    let (ticket, _) = desk.stores.remove(0);
    desk.reservation.handle_stored(desk.now(), ticket, Ok(()));
    desk.journal = Journal::Works;
    desk.run([ok(COMMITTED)]);
    assert_eq!(desk.log(), ["POST r-1/commit", "remove"]);
}

#[test]
fn a_journal_that_fails_is_told_and_the_cost_is_committed_all_the_same() {
    let mut desk = Desk::held();
    desk.journal = Journal::Fails;
    desk.commit(5).unwrap();
    desk.run([answer(503, "")]);
    assert!(desk.reservation.receipt().is_none(), "the cost is nowhere else");
    desk.run([ok(COMMITTED)]);
    assert_eq!(
        desk.log(),
        [
            "put commit",
            "journal failed",
            "POST r-1/commit",
            "commit failed",
            "put commit",
            "journal failed",
            "POST r-1/commit",
            "remove",
            "settled late"
        ]
    );
    assert!(desk.receipt().is_settled());
}

#[test]
fn without_a_journal_nothing_is_stored_and_the_caller_waits_for_the_outcome() {
    let mut desk = Desk::held_with(without_journal(), 60_000);
    desk.commit(5).unwrap();
    for _ in 0..5 {
        desk.run([answer(503, "")]);
        assert!(desk.reservation.receipt().is_none());
    }
    desk.run([answer(503, "")]);
    assert!(matches!(
        desk.receipt(),
        Receipt::Pending {
            is_recorded: false,
            ..
        }
    ));
    assert!(desk.records.is_empty());
}

#[test]
fn without_a_journal_an_expired_reservation_is_settled_too() {
    let mut desk = Desk::held_with(without_journal(), 60_000);
    desk.commit(5).unwrap();
    desk.run([refusal(410, "RESERVATION_EXPIRED"), answer(201, APPLIED)]);
    assert_eq!(
        desk.log(),
        ["POST r-1/commit", "by event", "POST events", "settled late"]
    );
}

#[test]
fn a_record_is_settled_by_another_process_with_the_same_bytes() {
    let mut first = Desk::held();
    first.commit(5).unwrap();
    first.settle();
    let file = first.records[0].to_json();

    let record = JournalRecord::parse(file.as_bytes()).unwrap();
    let other_seed = Seed([9; 16]);
    let mut second = Desk::of(Reservation::resume(
        Arc::new(config()),
        record,
        other_seed,
        first.now(),
    ));
    assert!(second.reservation.grant().is_none());
    assert_eq!(second.commit(6), Err(InvalidCommit::AlreadyCommitted));
    assert!(second.reservation.extend(Duration::from_secs(1)).is_none());
    second.reservation.abandon(second.now());
    second.run([answer(503, ""), ok(COMMITTED)]);
    assert_eq!(
        second.log(),
        [
            "POST r-1/commit",
            "commit failed",
            "POST r-1/commit",
            "remove",
            "settled late"
        ]
    );
    assert!(
        second
            .bodies("/commit")
            .iter()
            .all(|body| *body == first.bodies("/commit")[0])
    );
    assert!(second.is_done() && second.receipt().is_settled());
}

#[test]
fn a_record_that_an_earlier_process_may_have_sent_is_pending_at_once_and_beats_never() {
    let mut first = Desk::held();
    first.commit(5).unwrap();
    first.settle();
    let mut second = Desk::of(Reservation::resume(
        Arc::new(config()),
        first.records.remove(0),
        SEED,
        first.now(),
    ));
    second.pass_s(600);
    assert!(second.bodies("/extend").is_empty());
    assert!(matches!(
        second.receipt(),
        Receipt::Pending {
            is_recorded: true,
            ..
        }
    ));
}

#[test]
fn a_record_that_is_too_old_is_set_aside_unless_it_is_forced() {
    let mut first = Desk::held();
    first.commit(5).unwrap();
    first.run([refusal(410, "RESERVATION_EXPIRED")]);
    let record = first.records.pop().unwrap();
    let week_later = Now {
        mono: Duration::ZERO,
        wall: crate::time::UnixMillis(WALL + 7 * 86_400_000),
    };
    let config = Arc::new(config());
    let mut kept = Desk::of(Reservation::resume(
        Arc::clone(&config),
        record.clone(),
        SEED,
        week_later,
    ));
    assert_eq!(kept.log(), ["set aside stale", "told aside"]);
    assert!(matches!(kept.receipt(), Receipt::Stale));
    let mut forced = Desk::of(Reservation::resume_forced(config, record, SEED, week_later));
    forced.run([answer(201, APPLIED)]);
    assert!(matches!(forced.receipt(), Receipt::RecoveredViaEvent(_)));
}

fn without_journal() -> CyclesConfig {
    let config = CyclesConfig::builder(KEY, "http://h").journal_enabled(false);
    config.build().unwrap()
}
