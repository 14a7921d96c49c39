//! When idle connections are closed: after an attempt without an answer, all of them may be dead.

use cycles_proto::FailureKind;

use super::desk::{Desk, Fate};

/// Makes a call, and returns whether it has to close idle connections. Its answer is held.
fn asks_for_a_fresh_one(desk: &mut Desk) -> bool {
    let _ = desk.health();
    desk.settle();
    desk.open.last().unwrap().fresh
}

fn desk() -> Desk {
    let mut desk = Desk::new();
    desk.calls = |_| Fate::Held;
    desk
}

#[test]
fn the_call_after_one_that_was_lost_makes_a_connection_and_the_next_uses_what_there_is() {
    for (kind, is_in_doubt) in [
        (FailureKind::Lost, true),
        (FailureKind::Timeout, true),
        (FailureKind::Connect, false),
        (FailureKind::TooLarge, false),
    ] {
        let mut desk = desk();
        assert!(!asks_for_a_fresh_one(&mut desk));
        let call = desk.open.remove(0);
        assert!(desk.session.begun(desk.now(), call.ticket));
        desk.fail(&call, kind);
        desk.settle();
        // If the call is worth repeating, its repetition comes first.
        let repeated: Vec<_> = desk.open.iter().map(|call| call.fresh).collect();
        let next = asks_for_a_fresh_one(&mut desk);
        let fresh = repeated.into_iter().chain([next]).collect::<Vec<_>>();
        assert_eq!(fresh[0], is_in_doubt, "{kind:?}");
        assert!(!fresh[1..].contains(&true), "{kind:?}");
        assert!(!asks_for_a_fresh_one(&mut desk), "{kind:?}");
    }
}

#[test]
fn many_that_were_lost_together_close_what_waits_once() {
    let mut desk = desk();
    for _ in 0..5 {
        assert!(!asks_for_a_fresh_one(&mut desk));
    }
    let lost: Vec<_> = desk.open.drain(..).collect();
    for call in lost {
        assert!(desk.session.begun(desk.now(), call.ticket));
        desk.fail(&call, FailureKind::Lost);
        desk.settle();
    }
    let fresh: Vec<_> = desk.open.iter().map(|call| call.fresh).collect();
    assert_eq!(fresh, [true, false, false, false, false]);
}

#[test]
fn a_call_whose_time_is_over_casts_doubt_and_one_that_nobody_waits_for_any_more_does_not() {
    let mut desk = desk();
    let left = desk.health();
    desk.settle();
    desk.pass_ms(6_999);
    desk.session.forget_call(desk.now(), left.id());
    desk.settle();
    let call = desk.open.remove(0);
    desk.fail(&call, FailureKind::Lost);
    assert!(!asks_for_a_fresh_one(&mut desk));
    desk.pass_ms(7_000);
    assert!(asks_for_a_fresh_one(&mut desk));
}

#[test]
fn the_time_of_a_reservation_counts_as_that_of_a_call() {
    let mut desk = desk();
    desk.reserve();
    desk.settle();
    desk.pass_ms(6_999);
    assert!(!asks_for_a_fresh_one(&mut desk));
    desk.pass_ms(1);
    assert!(desk.open.last().unwrap().fresh || asks_for_a_fresh_one(&mut desk));
}
