//! The ways in which a session ends.

use std::time::Duration;

use cycles_proto::Error;
use cycles_proto::session::Close;

use super::desk::{Desk, Fate, is_of, request};

#[test]
fn a_closed_session_begins_nothing_and_ends_what_it_has() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.session.close(desk.now(), Close::WhenDone);
    let caller = desk.caller.clone();
    let seed = desk.seed();
    let refused = desk.session.reserve(desk.now(), &caller, request(), seed);
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    // Its lease is extended, and its cost is accepted.
    desk.pass_ms(120_000);
    assert!(!desk.session.lease_is_lost(desk.now(), key) && !desk.session.is_idle());
    desk.commit(key, 5);
    desk.settle();
    assert_eq!(desk.charged(), [Some(5)]);
    assert!(desk.session.is_idle());
}

#[test]
fn who_leaves_commits_what_was_spent_and_gives_the_rest_back() {
    let mut desk = Desk::new();
    let (spent, unspent) = (desk.held(), desk.held());
    desk.session
        .spent(spent, &cycles_proto::models::Amount::tokens(7))
        .unwrap();
    desk.session.close(desk.now(), Close::Leaving);
    desk.settle();
    assert_eq!(desk.charged(), [Some(7), None]);
    assert_eq!(
        desk.sent.iter().filter(|sent| sent.ends_with("/release")).count(),
        1
    );
    assert!(desk.session.is_idle() && desk.session.is_over(unspent));
}

#[test]
fn where_nothing_can_be_sent_any_more_what_is_handed_over_is_on_disk() {
    let mut desk = Desk::new();
    let (before, after, spent) = (desk.held(), desk.held(), desk.held());
    desk.calls = |call| match is_of(call, "/commit") {
        true => Fate::Held,
        false => Fate::Done,
    };
    desk.commit(before, 5);
    desk.settle();
    desk.session
        .spent(spent, &cycles_proto::models::Amount::tokens(7))
        .unwrap();
    let sent = desk.sent.len();
    desk.session.close(desk.now(), Close::WritingOnly);
    desk.settle();
    assert!(desk.session.is_written());
    // Calls under way are not waited for.
    assert_eq!(desk.withdrawn, [desk.open[0].ticket]);
    assert_eq!(desk.journal.len(), 1);
    // Its action was still running.
    desk.commit(after, 6);
    desk.session.abandon(desk.now(), spent);
    desk.pass_ms(60_000);
    assert_eq!((desk.journal.len(), desk.sent.len()), (3, sent));
}

#[test]
fn a_closed_session_gives_back_its_claim_though_it_settles_what_it_began() {
    let mut next = Desk::after_one_that_left_a_cost();
    next.flush(Duration::from_secs(60));
    next.settle();
    assert_eq!(next.claims.len(), 1);
    next.session.close(next.now(), Close::WhenDone);
    next.settle();
    assert!(next.claims.is_empty());
    next.calls = |_| Fate::Done;
    for call in core::mem::take(&mut next.open) {
        next.answer(call);
    }
    next.settle();
    assert_eq!(next.charged(), [Some(5)]);
}

#[test]
fn a_session_is_written_once_every_change_of_its_journal_was_reported() {
    let mut desk = Desk::new();
    let (key, other) = (desk.held(), desk.held());
    assert!(desk.session.is_written() && !desk.session.awaits_writes());
    desk.stores = Fate::Held;
    desk.commit(key, 5);
    desk.settle();
    assert!(desk.session.awaits_writes());
    assert!(desk.session.awaits_write_of(key) && !desk.session.awaits_write_of(other));
    desk.session.close(desk.now(), Close::WritingOnly);
    // The session does not wait any longer, but the write is still under way.
    desk.pass_ms(60_000);
    assert!(!desk.session.is_written() && !desk.session.awaits_writes());
    assert!(!desk.session.awaits_write_of(key));
    for (ticket, principal, write) in core::mem::take(&mut desk.open_stores) {
        desk.store(ticket, principal, write);
    }
    assert!(desk.session.is_written());
}

#[test]
fn a_closed_session_is_not_idle_while_a_call_is_out() {
    let mut desk = Desk::new();
    desk.calls = |_| Fate::Held;
    let key = desk.health();
    desk.settle();
    desk.session.close(desk.now(), Close::WhenDone);
    desk.settle();
    assert!(!desk.session.is_idle());
    let call = desk.open.remove(0);
    desk.answer(call);
    desk.settle();
    assert!(desk.session.is_idle() && desk.session.answer(key).unwrap().is_ok());
}

#[test]
fn a_flush_of_a_closed_session_ends_with_what_was_under_way_and_does_not_wait_for_its_time() {
    for how in [Close::WhenDone, Close::Leaving, Close::WritingOnly] {
        for is_closed_first in [true, false] {
            let mut desk = Desk::new();
            desk.scans = Fate::Held;
            if is_closed_first {
                desk.session.close(desk.now(), how);
            }
            let flush = desk.flush(Duration::from_secs(3_600));
            if !is_closed_first {
                desk.session.close(desk.now(), how);
            }
            desk.settle();
            let left = desk.session.flushed(flush).unwrap();
            assert!(!left.is_certain, "{how:?}: nobody has read the journal");
            assert!(desk.session.is_idle(), "{how:?}");
        }
    }
}

#[test]
fn a_flush_of_a_closed_session_waits_for_the_cost_of_an_earlier_run_that_is_under_way() {
    let mut next = Desk::after_one_that_left_a_cost();
    let flush = next.flush(Duration::from_secs(60));
    next.settle();
    next.session.close(next.now(), Close::WhenDone);
    next.settle();
    assert!(
        next.session.flushed(flush).is_none(),
        "its commit has no answer yet"
    );
    next.calls = |_| Fate::Done;
    for call in core::mem::take(&mut next.open) {
        next.answer(call);
    }
    next.settle();
    let left = next.session.flushed(flush).unwrap();
    assert_eq!((left.recorded, next.charged()[0]), (0, Some(5)));
}

#[test]
fn a_cost_is_at_risk_until_it_is_in_a_record_or_settled() {
    for stores in [Fate::Done, Fate::Fails] {
        let mut desk = Desk::new();
        let key = desk.held();
        desk.settle();
        assert!(!desk.session.has_costs_at_risk(), "nothing is spent");
        desk.calls = |_| Fate::Held;
        desk.stores = Fate::Held;
        desk.commit(key, 5);
        desk.settle();
        assert!(desk.session.has_costs_at_risk(), "it is on its way to the disk");
        let (ticket, principal, write) = desk.open_stores.remove(0);
        desk.stores = stores;
        match stores {
            Fate::Done => desk.store(ticket, principal, write),
            _ => desk.store_fails(ticket),
        }
        desk.settle();
        assert_eq!(desk.session.has_costs_at_risk(), stores == Fate::Fails);
        for call in core::mem::take(&mut desk.open) {
            desk.answer(call);
        }
        desk.settle();
        assert!(!desk.session.has_costs_at_risk(), "it is settled");
    }
}
