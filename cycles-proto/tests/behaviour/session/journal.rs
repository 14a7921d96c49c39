//! Costs, their records, and a disk that hangs.

use std::time::Duration;

use cycles_proto::journal::JournalWrite;
use cycles_proto::session::Close;
use cycles_proto::{CyclesConfig, Event, Receipt};

use super::desk::{Desk, Fate, KEY};

fn sends_of(desk: &Desk, ending: &str) -> usize {
    desk.sent.iter().filter(|sent| sent.ends_with(ending)).count()
}

#[test]
fn a_cost_is_sent_when_its_record_is_durable_and_not_before() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.stores = Fate::Held;
    desk.commit(key, 5);
    desk.pass_ms(4_999);
    assert_eq!(sends_of(&desk, "/commit"), 0);
    desk.store_next();
    desk.settle();
    assert_eq!(desk.charged(), [Some(5)]);
}

#[test]
fn a_disk_that_hangs_costs_five_seconds_once() {
    let mut desk = Desk::new();
    let (first, second, third) = (desk.held(), desk.held(), desk.held());
    desk.stores = Fate::Held;
    desk.commit(first, 5);
    desk.pass_ms(4_999);
    assert_eq!(sends_of(&desk, "/commit"), 0);
    desk.pass_ms(1);
    assert_eq!(desk.charged(), [Some(5), None, None]);
    assert!(desk.receipt(first).unwrap().is_settled());
    assert!(desk.told(|event| matches!(event, Event::JournalFailed { .. })) > 0);
    // The next cost does not wait for the disk.
    desk.commit(second, 6);
    desk.settle();
    assert_eq!(desk.charged(), [Some(5), Some(6), None]);
    // The disk answers again: from now on, the session waits for records.
    desk.store_next();
    desk.commit(third, 7);
    desk.settle();
    assert_eq!(desk.charged(), [Some(5), Some(6), None]);
    desk.pass_ms(5_000);
    assert_eq!(desk.charged(), [Some(5), Some(6), Some(7)]);
}

#[test]
fn a_record_that_is_made_too_late_is_cleared_away() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.stores = Fate::Held;
    desk.commit(key, 5);
    desk.pass_ms(5_000);
    assert_eq!(desk.charged(), [Some(5)]);
    let writes: Vec<_> = desk.open_stores.drain(..).collect();
    assert!(
        matches!(
            &writes[..],
            [(.., JournalWrite::Put(_)), (.., JournalWrite::Remove(_))]
        ),
        "{writes:?}"
    );
    for (ticket, principal, write) in writes {
        desk.store(ticket, principal, write);
    }
    desk.settle();
    assert!(desk.journal.is_empty());
}

#[test]
fn a_cost_that_cannot_be_sent_is_safe_once_its_late_record_is_there() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.stores = Fate::Held;
    desk.calls = |_| Fate::Fails;
    desk.commit(key, 5);
    desk.pass_ms(5_100);
    assert!(desk.receipt(key).is_none());
    desk.store_next();
    desk.settle();
    assert!(matches!(
        desk.receipt(key),
        Some(Receipt::Pending {
            is_recorded: true,
            ..
        })
    ));
}

#[test]
fn an_event_that_takes_the_place_of_a_recorded_commit_waits_for_its_own_record_as_long_as_any_cost_does() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.calls = |call| match super::desk::is_of(call, "/extend") {
        true => Fate::Held,
        false => Fate::Done,
    };
    // The lease and its grace period are over.
    desk.pass_ms(300_000);
    desk.commit(key, 5);
    desk.stores = Fate::Done;
    loop {
        match desk.session.poll(desk.now()) {
            cycles_proto::session::Step::Send(call) => desk.answer(call),
            cycles_proto::session::Step::Store(ticket, principal, write) => match &write {
                JournalWrite::Put(record) if desk.sent.last().unwrap().ends_with("/commit") => {
                    assert_eq!(record.mode(), cycles_proto::record::Mode::Event);
                    desk.open_stores.push((ticket, principal, write));
                }
                _ => desk.store(ticket, principal, write),
            },
            cycles_proto::session::Step::Wait(_) => break,
            _ => {}
        }
    }
    assert_eq!(desk.open_stores.len(), 1);
    desk.pass_ms(4_999);
    assert_eq!(sends_of(&desk, "/v1/events"), 0);
    desk.pass_ms(1);
    assert_eq!(sends_of(&desk, "/v1/events"), 1);
    assert!(matches!(desk.receipt(key), Some(Receipt::RecoveredViaEvent(_))));
}

#[test]
fn an_event_that_waits_for_a_place_while_the_machine_sleeps_for_a_week_is_set_aside_and_not_sent() {
    for (days, is_sent) in [(5, true), (7, false)] {
        let mut next = Desk::after_one_that_left_a_cost();
        let record = next.journal.pop_first().unwrap().1.into_event().unwrap();
        let id = record.id().clone();
        let principal = next.caller.principal();
        next.journal.insert((principal, id), record);
        next.session.set_places(1);
        next.reserve();
        next.settle();
        assert_eq!((next.open.len(), next.journal.len()), (1, 1));
        next.flush(Duration::from_secs(60));
        next.settle();
        next.asleep = Duration::from_secs(days * 86_400);
        next.calls = |_| Fate::Done;
        let call = next.open.remove(0);
        next.answer(call);
        next.settle();
        assert_eq!(sends_of(&next, "/v1/events") > 0, is_sent, "after {days} days");
        let stale = next.told(|event| matches!(event, Event::SetAside { .. }));
        assert_eq!(stale > 0, !is_sent, "after {days} days: {:?}", next.events);
        assert!(next.journal.is_empty());
    }
}

#[test]
fn what_an_earlier_run_left_is_settled_under_a_claim_that_is_given_back() {
    let mut next = Desk::after_one_that_left_a_cost();
    next.reserve();
    next.settle();
    assert_eq!(next.claims.len(), 1);
    next.calls = |_| Fate::Done;
    for call in core::mem::take(&mut next.open) {
        next.answer(call);
    }
    next.settle();
    assert_eq!(next.charged()[0], Some(5));
    assert!(next.journal.is_empty() && next.claims.is_empty());
    assert_eq!(next.told(|event| matches!(event, Event::SettledLate { .. })), 1);
}

#[test]
fn a_journal_that_is_not_read_within_a_minute_could_not_be_and_is_read_again_later() {
    let mut desk = Desk::new();
    desk.scans = Fate::Held;
    desk.reserve();
    desk.pass_ms(59_999);
    assert_eq!(desk.open_scans.len(), 1);
    desk.pass_ms(120_000);
    assert_eq!(desk.open_scans.len(), 2);
    // The first scan is not needed any more, so its claim is not kept.
    let (ticket, _) = desk.open_scans.remove(0);
    let scanned = cycles_proto::session::Scanned::new(Vec::new(), true);
    assert!(!desk.session.handle_scanned(desk.now(), ticket, Some(scanned)));
}

#[test]
fn a_cost_is_not_safe_if_its_record_could_not_be_made_too_late_either() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.stores = Fate::Held;
    desk.calls = |_| Fate::Fails;
    desk.commit(key, 5);
    desk.pass_ms(5_100);
    let (ticket, ..) = desk.open_stores.remove(0);
    desk.store_fails(ticket);
    desk.settle();
    assert!(desk.receipt(key).is_none());
}

#[test]
fn what_is_left_is_settled_as_soon_as_the_server_can_be_reached_again() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.calls = |_| Fate::Fails;
    desk.commit(key, 5);
    while !desk.session.is_over(key) {
        desk.pass_ms(100);
    }
    assert_eq!(desk.charged(), [None]);
    desk.calls = |_| Fate::Done;
    desk.settle();
    assert_eq!(desk.charged(), [None]);
    // Another call shows that the server can be reached.
    desk.health();
    desk.settle();
    assert_eq!(desk.charged(), [Some(5)]);
    assert!(desk.journal.is_empty());
}

#[test]
fn a_journal_is_read_once_for_all_who_use_it_while_nothing_is_left_in_it() {
    let mut desk = Desk::new();
    desk.scans = Fate::Held;
    for _ in 0..3 {
        desk.reserve();
    }
    desk.settle();
    assert_eq!(desk.open_scans.len(), 1);
    let (ticket, principal) = desk.open_scans.remove(0);
    desk.scan(ticket, principal);
    desk.reserve();
    desk.pass_ms(3_600_000);
    assert!(desk.open_scans.is_empty());
}

#[test]
fn without_a_journal_nothing_is_read_or_written_and_a_flush_is_certain() {
    let mut desk = Desk::new();
    let config = CyclesConfig::builder(KEY, "http://localhost:7878")
        .tenant("acme-corp")
        .journal_enabled(false)
        .build();
    desk.caller = desk.session.caller(config.unwrap().into()).unwrap();
    (desk.scans, desk.stores) = (Fate::Held, Fate::Held);
    let key = desk.held();
    desk.commit(key, 5);
    let flush = desk.flush(Duration::from_secs(10));
    desk.settle();
    assert!(desk.session.flushed(flush).unwrap().is_complete());
    assert_eq!(desk.charged(), [Some(5)]);
    assert!(desk.open_scans.is_empty() && desk.open_stores.is_empty());
}

#[test]
fn a_cost_that_was_given_up_and_is_recorded_after_all_is_missing_no_more() {
    for is_closed in [true, false] {
        let mut desk = Desk::new();
        let key = desk.held();
        let caller = desk.caller.clone();
        desk.stores = Fate::Held;
        desk.calls = |_| Fate::Fails;
        desk.commit(key, 5);
        while !desk.session.is_over(key) {
            desk.pass_ms(1_000);
        }
        assert!(desk.receipt(key).unwrap().is_unrecorded());
        let left = desk.session.left(desk.now(), &caller);
        assert_eq!((left.unrecorded, left.recorded), (1, 0));
        if is_closed {
            desk.session.close(desk.now(), Close::WhenDone);
        }
        // The disk comes back.
        let open: Vec<_> = desk.open_stores.drain(..).collect();
        for (ticket, principal, write) in open {
            desk.store(ticket, principal, write);
        }
        let left = desk.session.left(desk.now(), &caller);
        assert_eq!((left.unrecorded, left.recorded), (0, 1), "closed: {is_closed}");
        desk.stores = Fate::Done;
        desk.calls = |_| Fate::Done;
        desk.pass_ms(600_000);
        let left = desk.session.left(desk.now(), &caller);
        match is_closed {
            true => {
                assert_eq!((left.unrecorded, left.recorded), (0, 1));
                assert_eq!(desk.journal.len(), 1, "a later run settles it");
            }
            false => {
                assert_eq!((left.unrecorded, left.recorded), (0, 0));
                assert!(desk.journal.is_empty());
            }
        }
    }
}
