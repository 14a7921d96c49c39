//! Flushes: waiting until everything that can be settled is settled.

use std::time::Duration;

use cycles_proto::session::Scanned;

use super::desk::{Desk, Fate, is_of};

#[test]
fn a_flush_ends_when_everything_is_settled() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.calls = |call| match is_of(call, "/commit") {
        true => Fate::Held,
        false => Fate::Done,
    };
    desk.commit(key, 5);
    let flush = desk.flush(Duration::from_secs(10));
    desk.settle();
    assert!(desk.session.flushed(flush).is_none());
    let call = desk.open.remove(0);
    desk.answer(call);
    desk.settle();
    assert!(desk.session.flushed(flush).unwrap().is_complete());
}

#[test]
fn a_flush_ends_in_time_and_says_what_is_left() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.calls = |_| Fate::Held;
    desk.commit(key, 5);
    let flush = desk.flush(Duration::from_secs(3));
    desk.pass_ms(2_999);
    assert!(desk.session.flushed(flush).is_none());
    desk.pass_ms(1);
    let left = desk.session.flushed(flush).unwrap();
    assert_eq!((left.ending, left.is_complete()), (1, false));
    desk.session.forget_flush(flush);
    assert!(desk.session.flushed(flush).is_none());
}

#[test]
fn a_flush_of_a_journal_that_cannot_be_read_is_not_certain() {
    let mut desk = Desk::new();
    desk.scans = Fate::Fails;
    let flush = desk.flush(Duration::from_secs(3));
    desk.pass_ms(10_000);
    let left = desk.session.flushed(flush).unwrap();
    assert!(!left.is_certain && !left.is_complete());
}

#[test]
fn a_journal_that_is_never_read_ends_a_flush_a_second_after_its_time() {
    let mut desk = Desk::new();
    desk.scans = Fate::Held;
    let flush = desk.flush(Duration::from_secs(3));
    desk.pass_ms(3_999);
    assert!(desk.session.flushed(flush).is_none());
    desk.pass_ms(1);
    assert!(!desk.session.flushed(flush).unwrap().is_certain);
}

#[test]
fn a_journal_that_is_claimed_elsewhere_is_looked_at_once_more_before_a_flush_ends() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.calls = |_| Fate::Fails;
    desk.commit(key, 5);
    desk.pass_ms(100);
    let mut next = Desk::new();
    next.scans = Fate::Held;
    let flush = next.flush(Duration::from_secs(2));
    next.settle();
    let records: Vec<_> = desk.journal.values().cloned().collect();
    let (ticket, _) = next.open_scans.remove(0);
    assert!(
        !next
            .session
            .handle_scanned(next.now(), ticket, Some(Scanned::new(records, false)))
    );
    next.pass_ms(2_000);
    assert!(next.session.flushed(flush).is_none());
    // The other process has settled it meanwhile.
    next.scans = Fate::Done;
    let (ticket, principal) = next.open_scans.pop().unwrap();
    next.scan(ticket, principal);
    next.settle();
    assert!(next.session.flushed(flush).unwrap().is_complete());
}

#[test]
fn a_journal_that_could_not_be_read_is_read_once_more_before_a_flush_ends() {
    let mut desk = Desk::new();
    desk.scans = Fate::Held;
    let flush = desk.flush(Duration::from_secs(3));
    desk.settle();
    let (ticket, _) = desk.open_scans.remove(0);
    desk.session.handle_scanned(desk.now(), ticket, None);
    desk.settle();
    assert!(desk.session.flushed(flush).is_none());
    let (ticket, principal) = desk.open_scans.remove(0);
    desk.scan(ticket, principal);
    desk.settle();
    assert!(desk.session.flushed(flush).unwrap().is_complete());
}
