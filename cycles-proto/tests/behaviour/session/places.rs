//! How many calls are under way at once, and what happens to those that nobody waits for.

use std::time::Duration;

use cycles_proto::Event;
use cycles_proto::FailureKind;
use cycles_proto::session::{Key, ObserverId, ReservationKey};

use super::desk::{Desk, Fate, is_of, is_transport};

#[test]
fn no_more_calls_are_out_than_there_are_places_and_who_waits_in_vain_is_told_so() {
    let mut desk = Desk::new();
    desk.session.set_places(4);
    desk.calls = |_| Fate::Held;
    let keys: Vec<_> = (0..10).map(|_| desk.reserve()).collect();
    desk.settle();
    // One place is reserved for leases.
    assert_eq!(desk.open.len(), 3);
    // The attempts under way take seven seconds, as long as the others can wait for them.
    desk.pass_ms(7_000);
    let queued = |desk: &mut Desk, key| {
        let refusal = desk.refusal(key);
        refusal.is_some_and(|error| is_transport(&error, FailureKind::Queued))
    };
    assert_eq!(keys.iter().filter(|key| queued(&mut desk, **key)).count(), 7);
}

#[test]
fn plain_calls_that_hang_leave_half_of_the_places_to_others() {
    let mut desk = Desk::new();
    desk.session.set_places(8);
    desk.calls = |_| Fate::Held;
    for _ in 0..10 {
        let _ = desk.health();
        desk.settle();
    }
    assert_eq!(desk.open.len(), 4);
    desk.reserve();
    desk.settle();
    assert_eq!(desk.open.len(), 5);
}

#[test]
fn a_call_that_waits_goes_out_when_another_has_its_answer_and_its_time_begins_then() {
    let mut desk = Desk::new();
    desk.session.set_places(1);
    desk.calls = |_| Fate::Held;
    let first = desk.reserve();
    let second = desk.reserve();
    desk.settle();
    desk.pass_ms(5_000);
    let call = desk.open.remove(0);
    desk.answer(call);
    desk.settle();
    assert!(desk.session.granted(first).unwrap().is_ok());
    // Twelve seconds after it was requested, and seven after it was sent.
    desk.pass_ms(6_999);
    assert!(desk.session.granted(second).is_none());
    let call = desk.open.remove(0);
    desk.answer(call);
    desk.settle();
    assert!(desk.session.granted(second).unwrap().is_ok());
}

#[test]
fn a_beat_has_a_place_while_settlements_hang_in_all_others() {
    let mut desk = Desk::new();
    desk.session.set_places(4);
    let held = desk.held();
    let others: Vec<_> = (0..8).map(|_| desk.held()).collect();
    desk.pass_ms(40_000);
    desk.calls = |call| match is_of(call, "/commit") {
        true => Fate::Held,
        false => Fate::Done,
    };
    for key in others {
        desk.commit(key, 5);
    }
    desk.settle();
    assert_eq!(desk.open.len(), 3);
    desk.pass_ms(20_000);
    assert!(desk.sent.iter().any(|sent| sent.ends_with("/extend")));
    assert!(!desk.session.lease_is_lost(desk.now(), held));
}

#[test]
fn leases_that_were_made_at_once_beat_up_to_an_eighth_of_the_wait_early_and_not_at_once() {
    let mut desk = Desk::new();
    for _ in 0..800 {
        desk.held();
    }
    // A lease of a minute, with a reserve of two attempts of five seconds and a margin of one.
    let (wait, early) = (49_000, 49_000 / 8);
    let beats = |desk: &mut Desk, ms: u64| {
        let before = desk.sent.len();
        desk.pass_ms(ms);
        desk.sent.len() - before
    };
    assert_eq!(beats(&mut desk, wait - early), 0);
    for _ in 0..4 {
        let in_a_quarter = beats(&mut desk, early.div_ceil(4));
        assert!((140..=260).contains(&in_a_quarter), "{in_a_quarter}");
    }
    assert_eq!(desk.sent.len(), 1_600);
    // The ledger adds a minute to each, so the next beats are due together again, at 109 s, and are spread again.
    let latest = Duration::from_secs(109);
    desk.pass(latest - Duration::from_secs(9) - desk.mono);
    assert_eq!(desk.sent.len(), 1_600);
    let most_in_250_ms = (0..36).map(|_| beats(&mut desk, 250)).max();
    assert!(most_in_250_ms < Some(60), "{most_in_250_ms:?}");
    assert_eq!(desk.sent.len(), 2_400);
}

#[test]
fn an_extension_waits_for_a_place_as_long_as_its_lease_lasts() {
    let mut desk = Desk::new();
    desk.session.set_places(1);
    let keys: Vec<_> = (0..20).map(|_| desk.held()).collect();
    desk.calls = |_| Fate::Held;
    // Twenty beats want a place within six seconds of the last seventeen, and keep it for 700 ms each.
    while desk.mono < Duration::from_secs(60) {
        desk.pass_ms(700);
        for call in std::mem::take(&mut desk.open) {
            desk.answer(call);
        }
    }
    let failed = |event: &_| matches!(event, Event::BeatFailed { .. });
    assert_eq!(desk.told(failed), 0);
    let lost = |desk: &Desk, key: &&ReservationKey| desk.session.lease_is_lost(desk.now(), **key);
    assert_eq!(keys.iter().filter(|key| lost(&desk, key)).count(), 0);
    // A lost answer ends its own attempt; the others keep waiting until their leases end.
    desk.pass(Duration::from_secs(60));
    assert!(desk.told(failed) > 0);
    assert_eq!(keys.iter().filter(|key| lost(&desk, key)).count(), 20);
}

#[test]
fn an_extension_that_hardly_waited_for_its_place_has_no_more_time_than_any_other() {
    let mut desk = Desk::new();
    desk.session.set_places(1);
    let keys = [desk.held(), desk.held()];
    desk.calls = |_| Fate::Held;
    for key in keys {
        desk.session
            .extend(desk.now(), key, Duration::from_secs(60))
            .unwrap();
    }
    desk.settle();
    let first = desk.open.remove(0);
    desk.answer(first);
    desk.settle();
    assert_eq!(desk.open.len(), 1);
    // Seven eighths of five seconds.
    desk.pass_ms(4_374);
    assert!(desk.withdrawn.is_empty());
    desk.pass_ms(1);
    assert_eq!(desk.withdrawn, [desk.open[0].ticket]);
}

#[test]
fn a_call_that_was_withdrawn_before_it_began_is_not_sent() {
    let mut desk = Desk::new();
    desk.calls = |_| Fate::Held;
    let call = desk.health();
    desk.settle();
    desk.session.forget_call(desk.now(), call.id());
    desk.settle();
    assert_eq!(desk.withdrawn, [desk.open[0].ticket]);
    assert!(!desk.session.begun(desk.now(), desk.open[0].ticket));
}

#[test]
fn a_call_that_waits_for_a_place_and_is_forgotten_never_goes_out() {
    let mut desk = Desk::new();
    desk.session.set_places(1);
    desk.calls = |_| Fate::Held;
    let first = desk.health();
    let second = desk.health();
    desk.settle();
    desk.session.forget_call(desk.now(), second.id());
    let call = desk.open.remove(0);
    desk.answer(call);
    desk.settle();
    assert!(desk.session.answer(first).unwrap().is_ok());
    assert!(desk.open.is_empty() && desk.withdrawn.is_empty());
}

#[test]
fn a_place_that_is_not_given_back_counts_as_free_a_second_later_and_that_is_told() {
    let mut desk = Desk::new();
    desk.session.set_places(1);
    desk.calls = |_| Fate::Held;
    let first = desk.health();
    desk.settle();
    desk.session.forget_call(desk.now(), first.id());
    let second = desk.health();
    desk.pass_ms(999);
    assert_eq!(desk.open.len(), 1);
    desk.pass_ms(1);
    assert_eq!(desk.open.len(), 2);
    assert_eq!(
        desk.told(|event| matches!(event, Event::PlaceWrittenOff { .. })),
        1
    );
    // The late result of the first call takes no place.
    let late = desk.open.remove(0);
    desk.fail(&late, FailureKind::Lost);
    let third = desk.health();
    desk.settle();
    assert_eq!(desk.open.len(), 1);
    let call = desk.open.remove(0);
    desk.answer(call);
    desk.settle();
    assert!(desk.session.answer(second).unwrap().is_ok());
    assert!(desk.session.answer(third).is_none());
}

#[test]
fn an_attempt_that_is_never_answered_ends_after_its_time_and_is_withdrawn() {
    let mut desk = Desk::new();
    desk.calls = |_| Fate::Held;
    let call = desk.health();
    desk.pass_ms(7_000);
    let error = desk.session.answer(call).unwrap().unwrap_err();
    assert!(is_transport(&error, FailureKind::Timeout), "{error}");
    assert_eq!(desk.withdrawn.len(), 1);
}

#[test]
fn whoever_blocks_makes_calls_without_a_place() {
    let mut desk = Desk::new();
    desk.session.set_places(1);
    desk.calls = |_| Fate::Held;
    desk.health();
    desk.settle();
    let blocking = desk.caller.clone().blocking();
    let key = desk.reserve_as(&blocking, super::desk::request());
    desk.settle();
    assert_eq!(desk.open.len(), 2);
    // No blocked caller helps it any more, so the next call waits.
    let call = desk.open.remove(1);
    desk.answer(call);
    desk.session.helps(key, false);
    desk.commit(key, 5);
    desk.settle();
    assert_eq!(desk.open.len(), 1);
}

#[test]
fn an_attempt_that_its_reservation_needs_no_more_is_withdrawn() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.calls = |call| match is_of(call, "/extend") {
        true => Fate::Held,
        false => Fate::Done,
    };
    desk.session
        .extend(desk.now(), key, Duration::from_secs(60))
        .unwrap();
    desk.settle();
    desk.commit(key, 5);
    desk.settle();
    assert_eq!(desk.withdrawn, [desk.open[0].ticket]);
    assert_eq!(desk.charged(), [Some(5)]);
}

#[test]
fn an_answer_to_a_call_that_was_not_handed_out_is_none() {
    let mut desk = Desk::new();
    desk.session.set_places(1);
    desk.calls = |_| Fate::Held;
    desk.reserve();
    let waiting = desk.reserve();
    desk.settle();
    // Sessions number their calls in the same way.
    let mut other = Desk::new();
    other.calls = |_| Fate::Held;
    other.reserve();
    other.reserve();
    other.settle();
    let call = other.open.remove(1);
    desk.answer_late(&call);
    desk.settle();
    assert!(desk.session.granted(waiting).is_none());
}

#[test]
fn of_two_places_or_three_one_is_for_leases() {
    for places in [2, 3] {
        let mut desk = Desk::new();
        desk.session.set_places(places);
        let held = desk.held();
        let others: Vec<_> = (0..10).map(|_| desk.held()).collect();
        desk.calls = |call| match is_of(call, "/commit") {
            true => Fate::Held,
            false => Fate::Done,
        };
        for key in others {
            desk.commit(key, 5);
        }
        desk.pass_ms(120_000);
        assert!(!desk.session.lease_is_lost(desk.now(), held), "{places} places");
    }
}

#[test]
fn a_reservation_that_is_forgotten_before_its_call_began_is_not_asked_for() {
    let mut desk = Desk::new();
    desk.session.set_places(2);
    desk.calls = |_| Fate::Held;
    let (handed_out, waiting) = (desk.reserve(), desk.reserve());
    desk.settle();
    for key in [handed_out, waiting] {
        desk.session.forget(desk.now(), key);
    }
    desk.settle();
    let call = desk.open.remove(0);
    assert_eq!(desk.withdrawn, [call.ticket]);
    assert!(!desk.session.begun(desk.now(), call.ticket));
    desk.fail(&call, FailureKind::Withdrawn);
    desk.settle();
    assert!(desk.open.is_empty() && desk.session.is_idle());
}

#[test]
fn a_call_that_is_forgotten_before_it_was_handed_out_never_is() {
    let mut desk = Desk::new();
    desk.calls = |_| Fate::Held;
    desk.session.set_places(4);
    let (call, other) = (desk.health(), desk.health());
    desk.session.forget_call(desk.now(), call.id());
    desk.settle();
    let out = |desk: &Desk| -> Vec<_> {
        let calls = desk.open.iter();
        calls.map(|call| desk.session.whose(call.ticket)).collect()
    };
    assert_eq!(out(&desk), [Some(Key::Call(other.id()))]);
    assert!(desk.withdrawn.is_empty());
    // Its place is free.
    let third = desk.health();
    desk.settle();
    assert_eq!(out(&desk)[1..], [Some(Key::Call(third.id()))]);
}

#[test]
fn a_settlement_has_the_next_place_before_a_lease_once_leases_have_their_share() {
    let mut desk = Desk::new();
    desk.session.set_places(2);
    let keys: Vec<_> = (0..4).map(|_| desk.held()).collect();
    desk.calls = |_| Fate::Held;
    let minute = Duration::from_secs(60);
    desk.session.extend(desk.now(), keys[0], minute).unwrap();
    desk.commit(keys[1], 5);
    desk.settle();
    desk.session.extend(desk.now(), keys[2], minute).unwrap();
    desk.commit(keys[3], 6);
    desk.settle();
    let paths = |desk: &Desk| -> Vec<bool> { desk.open.iter().map(|call| is_of(call, "/commit")).collect() };
    assert_eq!(paths(&desk), [false, true]);
    let call = desk.open.remove(1);
    desk.answer(call);
    desk.settle();
    assert_eq!(paths(&desk), [false, true]);
}

#[test]
fn whoever_asks_when_a_place_has_just_become_free_comes_after_those_who_wait() {
    type Ask = fn(&mut Desk, ReservationKey) -> Key;
    let asks: [Ask; 4] = [
        |desk, _| Key::Call(desk.health().id()),
        |desk, _| Key::Reservation(desk.reserve()),
        |desk, key| {
            desk.commit(key, 5);
            Key::Reservation(key)
        },
        |desk, key| {
            desk.session
                .extend(desk.now(), key, Duration::from_secs(60))
                .unwrap();
            Key::Reservation(key)
        },
    ];
    for (kind, ask) in asks.into_iter().enumerate() {
        let mut desk = Desk::new();
        let keys = [0; 3].map(|_| {
            desk.pass_ms(100);
            desk.held()
        });
        desk.session.set_places(1);
        desk.calls = |_| Fate::Held;
        ask(&mut desk, keys[0]);
        desk.settle();
        let waits = ask(&mut desk, keys[1]);
        desk.settle();
        let first = desk.open.remove(0);
        desk.answer(first);
        ask(&mut desk, keys[2]);
        desk.settle();
        let out: Vec<_> = desk
            .open
            .iter()
            .map(|call| desk.session.whose(call.ticket))
            .collect();
        assert_eq!(out, [Some(waits)], "kind {kind}");
    }
}

#[test]
fn whoever_asked_is_told_of_a_place_that_is_not_given_back_and_of_which_reservation() {
    let mut desk = Desk::new();
    desk.caller = desk.caller.clone().with_observer(ObserverId(7));
    let key = desk.held();
    desk.calls = |call| match is_of(call, "/commit") {
        true => Fate::Done,
        false => Fate::Held,
    };
    desk.session
        .extend(desk.now(), key, Duration::from_secs(60))
        .unwrap();
    desk.health();
    desk.pass_ms(8_000);
    let told = desk.events.iter().filter_map(|(observer, event)| match event {
        Event::PlaceWrittenOff { reservation_id, .. } => Some((*observer, reservation_id.clone())),
        _ => None,
    });
    let seven = ObserverId(7);
    assert_eq!(
        told.collect::<Vec<_>>(),
        [(seven, Some(desk.ids[0].clone())), (seven, None)]
    );
}

#[test]
fn however_few_places_there_are_a_cost_is_sent_before_questions_that_never_end() {
    for places in 1..5 {
        let mut desk = Desk::new();
        desk.session.set_places(places);
        let key = desk.held();
        desk.calls = |_| Fate::Held;
        for _ in 0..10 {
            let _ = desk.health();
        }
        desk.settle();
        desk.commit(key, 5);
        // Each answer makes room for one call, and there is always another query.
        for _ in 0..3 {
            let _ = desk.health();
            desk.settle();
            let call = desk.open.remove(0);
            desk.answer(call);
            desk.settle();
            if desk.open.iter().any(|call| is_of(call, "/commit")) {
                break;
            }
        }
        assert!(
            desk.open.iter().any(|call| is_of(call, "/commit")),
            "{places} places"
        );
    }
}
