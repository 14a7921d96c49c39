//! When the session wants to be polled, and the cost of needless polls.

use std::time::Duration;

use cycles_proto::session::Key;
use cycles_proto::{Event, FailureKind};

use super::desk::{Desk, Fate, is_transport};

#[test]
fn while_a_lease_is_held_somebody_is_woken_for_its_beat() {
    let mut desk = Desk::new();
    let key = desk.held();
    // The server allows ten extensions.
    for minutes in 1..=10 {
        let next = desk.settle().expect("a lease is held");
        assert!(next - desk.mono < Duration::from_secs(60), "{next:?}");
        desk.pass_ms(60_000);
        assert!(
            !desk.session.lease_is_lost(desk.now(), key),
            "after {minutes} minutes"
        );
    }
}

#[test]
fn a_poll_that_nobody_needs_changes_nothing() {
    let mut desk = Desk::new();
    desk.calls = |_| Fate::Held;
    desk.reserve();
    desk.health();
    let next = desk.settle();
    let before = format!("{:?}", desk.session);
    desk.mono += Duration::from_millis(1);
    assert_eq!(desk.settle(), next);
    desk.mono -= Duration::from_millis(1);
    assert_eq!(desk.settle(), next);
    let after = format!("{:?}", desk.session);
    let without_the_time = |text: String| {
        let rest = text.split_once("latest: ").unwrap().1.split_once(',').unwrap().1;
        rest.to_owned()
    };
    assert_eq!(without_the_time(before), without_the_time(after));
}

#[test]
fn whoever_waits_is_named_when_there_is_news_for_it() {
    let mut desk = Desk::new();
    desk.calls = |_| Fate::Held;
    let (reservation, call) = (desk.reserve(), desk.health());
    desk.settle();
    while desk.session.pop_changed().is_some() {}
    let of_the_call = |call: &cycles_proto::Call| call.request.method() == http::Method::GET;
    let at = desk.open.iter().position(of_the_call).unwrap();
    let failed = desk.open.remove(at);
    desk.fail(&failed, FailureKind::Connect);
    desk.settle();
    assert_eq!(desk.session.pop_changed(), Some(Key::Call(call.id())));
    assert_eq!(desk.session.pop_changed(), None);
    let granted = desk.open.pop().unwrap();
    desk.answer(granted);
    desk.settle();
    assert_eq!(desk.session.pop_changed(), Some(Key::Reservation(reservation)));
    let error = desk.session.answer(call).unwrap().unwrap_err();
    assert!(is_transport(&error, FailureKind::Connect));
}

#[test]
fn an_idle_session_waits_for_nothing() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.commit(key, 5);
    desk.settle();
    desk.session.forget(desk.now(), key);
    assert_eq!(desk.settle(), None);
    assert!(desk.session.is_idle());
}

#[test]
fn a_lease_that_cannot_be_prolonged_is_lost_and_seen_so_whether_or_not_the_session_was_polled() {
    let mut desk = Desk::new();
    let key = desk.held();
    assert!(!desk.session.is_over(key));
    desk.calls = |_| Fate::Fails;
    desk.pass_ms(50_000);
    assert!(!desk.session.lease_is_lost(desk.now(), key));
    // Nobody polls any more.
    desk.mono += Duration::from_secs(20);
    assert!(desk.session.lease_is_lost(desk.now(), key));
    desk.settle();
    assert_eq!(desk.told(|event| matches!(event, Event::LeaseLost { .. })), 1);
    // Its cost is accepted all the same.
    desk.calls = |_| Fate::Done;
    desk.commit(key, 5);
    desk.settle();
    assert!(desk.session.is_over(key) && desk.receipt(key).unwrap().is_settled());
}

#[test]
fn a_call_has_a_key_of_its_own_that_can_be_compared_and_shown() {
    let mut desk = Desk::new();
    let (first, second) = (desk.health(), desk.health());
    let again = first;
    assert!(first == again && first != second);
    assert_eq!(format!("{first:?}"), format!("CallKey({:?})", first.id()));
}

#[test]
fn a_driver_that_never_asks_what_has_changed_holds_on_to_nothing_that_is_over() {
    let mut desk = Desk::new();
    let held = desk.held();
    for _ in 0..100 {
        let key = desk.held();
        desk.commit(key, 5);
        desk.settle();
        desk.session.forget(desk.now(), key);
        let call = desk.health();
        desk.settle();
        assert!(desk.session.answer(call).unwrap().is_ok());
        let flush = desk.flush(Duration::ZERO);
        desk.settle();
        desk.session.forget_flush(flush);
    }
    desk.pass_ms(300_000);
    assert_eq!(desk.session.pop_changed(), Some(Key::Reservation(held)));
    assert_eq!(desk.session.pop_changed(), None);
}

#[test]
fn the_driver_is_awaited_for_calls_writes_and_scans_and_for_nothing_that_only_time_decides() {
    let mut desk = Desk::new();
    assert!(!desk.session.awaits_driver());
    desk.scans = Fate::Held;
    let key = desk.held();
    assert!(desk.session.awaits_driver(), "the journal is being read");
    let (ticket, principal) = desk.open_scans.remove(0);
    desk.scan(ticket, principal);
    desk.settle();
    assert!(
        !desk.session.awaits_driver(),
        "a lease is held, and its beat is not due"
    );
    desk.stores = Fate::Held;
    desk.commit(key, 5);
    desk.settle();
    assert!(desk.session.awaits_driver(), "the record is being written");
    desk.calls = |_| Fate::Held;
    desk.store_next();
    desk.settle();
    assert!(desk.session.awaits_driver(), "the commit is under way");
    let call = desk.open.remove(0);
    desk.fail(&call, FailureKind::Lost);
    desk.stores = Fate::Done;
    desk.settle();
    assert!(!desk.session.awaits_driver(), "the retry is not due");
}
