//! What becomes of decisions that are missing when a session flushes or ends.

use std::time::Duration;

use cycles_proto::session::Close;
use cycles_proto::{Error, Event, Flushed, ShadowDecision};

use super::desk::{Desk, Fate, request};
use super::shadow::*;

#[test]
fn a_flush_waits_a_second_at_most_for_decisions_and_not_for_actions() {
    let mut desk = desk();
    desk.calls = |_| Fate::Held;
    let running = begin(&mut desk, 10);
    desk.settle();
    desk.open.clear();
    let is_over = |desk: &Desk, flush| desk.session.flushed(flush);
    let flush = desk.flush(Duration::from_secs(10));
    desk.settle();
    assert!(is_over(&desk, flush).is_some_and(|left: Flushed| left.is_complete()));
    desk.commit(running, 3);
    for until in [10_000, 300] {
        let flush = desk.flush(Duration::from_millis(until));
        desk.pass_ms(until.min(1_000) - 1);
        assert!(is_over(&desk, flush).is_none());
        desk.pass_ms(1);
        assert!(is_over(&desk, flush).is_some_and(|left: Flushed| left.is_complete()));
    }
    assert!(told(&desk).is_empty());
}

#[test]
fn a_decision_that_comes_during_a_flush_ends_it() {
    let mut desk = desk();
    desk.calls = |_| Fate::Held;
    let key = begin(&mut desk, 10);
    desk.settle();
    desk.commit(key, 3);
    let flush = desk.flush(Duration::from_secs(10));
    desk.settle();
    assert!(desk.session.flushed(flush).is_none());
    let call = desk.open.pop().unwrap();
    desk.answer(call);
    desk.settle();
    assert!(desk.session.flushed(flush).is_some());
    assert_eq!(told_once(&desk)["decision"], "ALLOW");
}

#[test]
fn a_close_reports_what_has_ended_as_unknown_unless_everything_is_to_be_finished() {
    for (how, at_once) in [(Close::WhenDone, 0), (Close::Leaving, 2), (Close::WritingOnly, 1)] {
        let mut desk = desk();
        desk.calls = |_| Fate::Held;
        let ended = begin(&mut desk, 10);
        let runs = begin(&mut desk, 20);
        desk.settle();
        desk.commit(ended, 3);
        desk.session.close(desk.now(), how);
        desk.settle();
        assert_eq!(told(&desk).len(), at_once, "{how:?}");
        if how != Close::Leaving {
            desk.commit(runs, 4);
        }
        // Answers to what was withdrawn change nothing.
        for call in std::mem::take(&mut desk.open) {
            desk.answer(call);
        }
        desk.settle();
        let decisions: Vec<_> = told(&desk).iter().map(|told| told["decision"].clone()).collect();
        let decision = if at_once == 0 { "ALLOW" } else { "UNKNOWN" };
        assert_eq!(decisions, [decision, decision], "{how:?}");
        assert!(desk.session.is_idle(), "{how:?}");
    }
}

#[test]
fn a_shut_down_takes_no_longer_than_its_flush_for_decisions() {
    let mut desk = desk();
    desk.calls = |_| Fate::Held;
    let key = begin(&mut desk, 10);
    desk.settle();
    desk.commit(key, 3);
    let until = desk.mono + Duration::from_secs(30);
    desk.session.shut_down(desk.now(), Close::WhenDone, until);
    desk.pass_ms(1_000);
    assert!(desk.session.left_at_end().is_some_and(|left| left.is_complete()));
    let Some((_, Event::Shadowed { decision, .. })) = desk.events.last() else {
        panic!("{:?}", desk.events)
    };
    assert!(matches!(decision, ShadowDecision::Unknown(error) if matches!(**error, Error::Closed)));
    assert!(matches!(
        desk.session
            .reserve(desk.now(), &desk.caller, request(), cycles_proto::Seed([9; 16])),
        Err(Error::Closed)
    ));
}
