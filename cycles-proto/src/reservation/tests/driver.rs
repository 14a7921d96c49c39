//! Drivers that misbehave.

use super::super::*;
use super::desk::*;

/// The name of a state, and a function that creates a reservation in it.
type Arrange = (&'static str, fn() -> Desk);

/// All states in which a reservation waits for something.
fn waiting() -> [Arrange; 9] {
    [
        ("reserving", || quiet(Desk::new())),
        ("reserving again", || {
            let mut desk = Desk::new();
            desk.run([Err(FailureKind::Lost)]);
            quiet(desk)
        }),
        ("verifying", || {
            let mut desk = Desk::new();
            desk.run([granted(0)]);
            quiet(desk)
        }),
        ("running", || quiet(Desk::held())),
        ("beating", || {
            let mut desk = Desk::held();
            desk.pass_s(49);
            quiet(desk)
        }),
        ("storing", || {
            let mut desk = Desk::held();
            desk.journal = Journal::Silent;
            desk.commit(5).unwrap();
            quiet(desk)
        }),
        ("committing", || {
            let mut desk = Desk::held();
            desk.commit(5).unwrap();
            quiet(desk)
        }),
        ("releasing", || {
            let mut desk = Desk::held();
            desk.release();
            quiet(desk)
        }),
        ("ended", || {
            let mut desk = Desk::held();
            desk.commit(5).unwrap();
            desk.run([ok(COMMITTED)]);
            quiet(desk)
        }),
    ]
}

fn quiet(mut desk: Desk) -> Desk {
    desk.settle();
    desk
}

#[test]
fn a_spurious_poll_changes_nothing() {
    for (name, arrange) in waiting() {
        let mut desk = arrange();
        let before = format!("{:?}", desk.reservation);
        for _ in 0..3 {
            let step = desk.reservation.poll(desk.now());
            assert!(matches!(step, Step::Wait(_) | Step::Done), "{name}: {step:?}");
        }
        assert_eq!(format!("{:?}", desk.reservation), before, "{name}");
    }
}

#[test]
fn a_ticket_that_nobody_waits_for_changes_nothing() {
    for (name, arrange) in waiting() {
        let mut desk = arrange();
        let before = format!("{:?}", desk.reservation);
        let expected: Vec<Ticket> = desk.open.iter().map(|(call, _)| call.ticket).collect();
        let of_calls = desk.calls.iter().map(|call| call.ticket);
        let settlement = Ticket((1 << 63) | 77);
        let tickets = of_calls.chain([Ticket(0), Ticket(77), Ticket(u64::MAX), settlement]);
        for ticket in tickets
            .filter(|ticket| !expected.contains(ticket))
            .collect::<Vec<_>>()
        {
            for reply in [
                ok(COMMITTED),
                ok(RELEASED),
                extended(60_000),
                refusal(410, "RESERVATION_EXPIRED"),
                Err(FailureKind::Lost),
            ] {
                desk.hand_in(ticket, desk.mono, reply);
            }
            desk.reservation.handle_stored(desk.now(), ticket, Ok(()));
        }
        assert_eq!(format!("{:?}", desk.reservation), before, "{name}");
    }
}

#[test]
fn an_answer_that_is_handed_in_twice_counts_once() {
    let mut desk = Desk::held();
    desk.pass_s(49);
    let (call, sent) = desk.open.pop_front().unwrap();
    desk.hand_in(call.ticket, sent, extended(60_000));
    desk.hand_in(call.ticket, sent, extended(1));
    desk.hand_in(call.ticket, sent, Err(FailureKind::Lost));
    assert_eq!(desk.log(), ["POST r-1/extend", "extended"]);
    desk.commit(5).unwrap();
    desk.settle();
    let (call, sent) = desk.open.pop_front().unwrap();
    desk.hand_in(call.ticket, sent, answer(503, ""));
    desk.hand_in(call.ticket, sent, ok(COMMITTED));
    assert_eq!(desk.log(), ["put commit", "POST r-1/commit", "commit failed"]);
}

#[test]
fn the_callers_acts_are_legal_in_every_state() {
    for (name, arrange) in waiting() {
        for first in 0..5 {
            let mut desk = arrange();
            for act in (first..first + 5).map(|act| act % 5) {
                let now = desk.now();
                match act {
                    0 => drop(desk.reservation.commit(now, cost(1))),
                    1 => drop(desk.reservation.spent(&Amount::tokens(1))),
                    2 => desk.reservation.release(now, ReleaseReason::ACTION_FAILED),
                    3 => desk.reservation.abandon(now),
                    _ => drop(desk.reservation.extend(Duration::from_secs(1))),
                }
                desk.settle();
            }
            let settles = desk.bodies("/commit").len();
            let releases = desk.bodies("/release").len();
            assert!(settles == 0 || releases == 0, "{name}, {first}: {:?}", desk.log);
        }
    }
}

#[test]
fn time_that_goes_backwards_stands_still() {
    let mut desk = Desk::held();
    let beat = desk.settle().unwrap();
    desk.pass_s(30);
    let early = Now {
        mono: Duration::from_secs(1),
        wall: crate::time::UnixMillis(1),
    };
    let Step::Wait(Some(at)) = desk.reservation.poll(early) else {
        panic!()
    };
    assert_eq!(at, beat, "the plan stands");
    desk.reservation.commit(early, cost(5)).unwrap();
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(desk.reservation.poll(early));
        if let Some(Step::Store(ticket, _)) = steps.last() {
            desk.reservation.handle_stored(early, *ticket, Ok(()));
        }
    }
    assert!(matches!(steps[1], Step::Send(_)), "{steps:?}");
    let Step::Wait(Some(at)) = steps[3] else {
        panic!("{steps:?}")
    };
    assert_eq!(at, desk.mono + Duration::from_secs(7), "from the latest time");
}

#[test]
fn a_wait_is_always_for_later_and_a_poll_at_its_time_does_something() {
    for (name, arrange) in waiting() {
        let mut desk = arrange();
        desk.stores.clear();
        for _ in 0..200 {
            let before = desk.log.len();
            let Some(at) = desk.settle() else { break };
            desk.mono = at;
            desk.settle();
            assert!(
                desk.log.len() > before || desk.is_done(),
                "{name}: {:?}",
                desk.reservation
            );
        }
    }
}
