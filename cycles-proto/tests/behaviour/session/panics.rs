//! What remains when a bug ends the work on one reservation.
#![cfg(feature = "parts")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use cycles_proto::session::{Key, ReservationKey};
use cycles_proto::{Error, Event};

use super::desk::{Desk, Fate};

fn panic_in(desk: &mut Desk, key: ReservationKey) {
    assert!(catch_unwind(AssertUnwindSafe(|| desk.session.panic_in(key))).is_err());
    desk.settle();
    assert_eq!(desk.told(|event| matches!(event, Event::Panicked { .. })), 1);
}

#[test]
fn a_panic_ends_one_reservation_and_no_other() {
    let mut desk = Desk::new();
    let (lost, other) = (desk.held(), desk.held());
    panic_in(&mut desk, lost);
    assert!(desk.session.is_over(lost));
    desk.pass_ms(120_000);
    assert!(!desk.session.lease_is_lost(desk.now(), other));
    desk.commit(other, 5);
    desk.settle();
    assert_eq!(desk.charged(), [None, Some(5)]);
}

#[test]
fn a_cost_whose_record_is_being_made_is_on_its_way_until_that_is_known() {
    let mut desk = Desk::new();
    let caller = desk.caller.clone();
    let (kept, lost) = (desk.held(), desk.held());
    desk.stores = Fate::Held;
    desk.commit(kept, 5);
    desk.commit(lost, 7);
    desk.settle();
    panic_in(&mut desk, kept);
    let panics = AssertUnwindSafe(|| desk.session.panic_in(lost));
    assert!(catch_unwind(panics).is_err());
    desk.settle();
    let now = desk.now();
    assert_eq!(desk.session.left(now, &caller).ending, 2);
    let flush = desk.flush(Duration::from_secs(1));
    desk.pass_ms(2_500);
    assert!(!desk.session.flushed(flush).unwrap().is_complete());
    // One record is written after all, and its cost is settled from it. The other is not, and its cost is lost.
    desk.stores = Fate::Done;
    let (first, second) = (desk.open_stores.remove(0), desk.open_stores.remove(0));
    desk.store(first.0, first.1, first.2);
    desk.store_fails(second.0);
    desk.pass_ms(60_000);
    assert_eq!(desk.charged(), [Some(5), None]);
    let left = desk.session.left(desk.now(), &caller);
    assert_eq!((left.ending, left.recorded, left.unrecorded), (0, 0, 1));
}

#[test]
fn a_panic_is_told_with_the_reservation_whose_cost_was_recorded_also_if_that_is_known_first() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.stores = Fate::Held;
    desk.commit(key, 5);
    desk.settle();
    let panics = AssertUnwindSafe(|| desk.session.panic_in(key));
    assert!(catch_unwind(panics).is_err());
    desk.store_next();
    desk.settle();
    let told: Vec<_> = desk
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Panicked { reservation_id, .. } => Some(reservation_id.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(told, [Some(desk.ids[0].clone())]);
}

#[test]
fn what_a_panic_took_along_leaves_nothing_once_it_is_forgotten() {
    let mut desk = Desk::new();
    let (lost, lost_with_a_cost) = (desk.held(), desk.held());
    desk.stores = Fate::Held;
    desk.commit(lost_with_a_cost, 5);
    desk.settle();
    for key in [lost, lost_with_a_cost] {
        assert!(catch_unwind(AssertUnwindSafe(|| desk.session.panic_in(key))).is_err());
        desk.settle();
        assert!(matches!(desk.session.settled(key), Some(Err(Error::Defect))));
        desk.session.forget(desk.now(), key);
    }
    assert!(desk.session.settled(lost).is_none());
    // It is not known whether its record is written.
    assert!(desk.session.settled(lost_with_a_cost).is_some());
    desk.store_next();
    desk.settle();
    assert!(desk.session.settled(lost_with_a_cost).is_none());
}

#[test]
fn a_record_whose_settlement_panicked_is_settled_after_the_next_look_at_the_journal() {
    let mut next = Desk::after_one_that_left_a_cost();
    let caller = next.caller.clone();
    next.flush(Duration::ZERO);
    next.settle();
    let call = next.open.remove(0);
    let Some(Key::Reservation(settling)) = next.session.whose(call.ticket) else {
        panic!("it settles what was left")
    };
    panic_in(&mut next, settling);
    // Its work is not waited for, and is left to the next reader of the journal.
    assert!(next.claims.is_empty());
    assert_eq!(next.session.left(next.now(), &caller).recorded, 1);
    next.calls = |_| Fate::Done;
    next.pass_ms(30_000);
    assert_eq!(next.charged(), [Some(5)]);
    assert!(next.session.left(next.now(), &caller).is_complete());
}
