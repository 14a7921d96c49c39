//! Late grants, and to which reservation they belong.

use cycles_proto::FailureKind;
use cycles_proto::models::{IdempotencyKey, ReservationCreateRequest};

use super::desk::{Desk, Fate, is_of, request};

#[test]
fn a_grant_that_comes_when_nobody_waits_for_it_any_more_is_given_back() {
    let mut desk = Desk::new();
    desk.calls = |call| match is_of(call, "/reservations") {
        true => Fate::Held,
        false => Fate::Done,
    };
    let key = desk.reserve();
    desk.settle();
    assert!(desk.session.begun(desk.now(), desk.open[0].ticket));
    repeat_in_vain(&mut desk);
    desk.settle();
    assert!(desk.refusal(key).is_some());
    desk.session.forget(desk.now(), key);
    // The first attempt did get through.
    let late = desk.open.remove(0);
    desk.answer_late(&late);
    desk.settle();
    assert!(desk.sent.last().unwrap().ends_with("/release"), "{:?}", desk.sent);
    assert!(desk.session.is_idle());
}

#[test]
fn a_late_grant_whose_place_was_written_off_is_given_back_too() {
    let mut desk = Desk::new();
    desk.calls = |_| Fate::Held;
    let key = desk.reserve();
    repeat_in_vain(&mut desk);
    desk.session.forget(desk.now(), key);
    desk.pass_ms(3_600_000);
    let mut late = desk.open.remove(0);
    late.timeout *= 2;
    desk.calls = |_| Fate::Done;
    desk.answer_late(&late);
    desk.settle();
    assert!(desk.sent.last().unwrap().ends_with("/release"), "{:?}", desk.sent);
}

#[test]
fn a_late_grant_is_not_given_back_if_another_reservation_holds_it_that_was_asked_for_under_the_same_key() {
    let mut desk = Desk::new();
    let caller = desk.caller.clone();
    desk.calls = |_| Fate::Held;
    let first = desk.reserve_as(&caller, under_a_key());
    repeat_in_vain(&mut desk);
    desk.settle();
    assert!(desk.refusal(first).is_some());
    let late = desk.open.remove(0);
    // As the error says: the same call again under the same key.
    desk.calls = |_| Fate::Done;
    let second = desk.reserve_as(&caller, under_a_key());
    desk.settle();
    let (id, _) = desk.session.granted(second).unwrap().unwrap();
    desk.ids.push(id);
    desk.answer_late(&late);
    desk.settle();
    assert!(
        !desk.sent.iter().any(|sent| sent.ends_with("/release")),
        "{:?}",
        desk.sent
    );
    desk.commit(second, 5);
    desk.settle();
    assert_eq!(desk.charged(), [Some(5)]);
}

#[test]
fn what_is_reported_twice_or_under_an_unknown_ticket_changes_nothing() {
    let mut desk = Desk::new();
    desk.calls = |_| Fate::Held;
    let key = desk.reserve();
    desk.settle();
    let call = desk.open.remove(0);
    let twice = call.clone();
    desk.answer(call);
    desk.calls = |_| Fate::Done;
    desk.settle();
    desk.fail(&twice, FailureKind::Lost);
    desk.answer_late(&twice);
    let before = format!("{:?}", desk.session);
    desk.settle();
    assert_eq!(before, format!("{:?}", desk.session));
    assert!(desk.session.granted(key).unwrap().is_ok());
}

#[test]
fn a_late_grant_under_a_key_of_the_callers_is_given_back_if_nobody_else_has_it() {
    let mut desk = Desk::new();
    let caller = desk.caller.clone();
    desk.calls = |_| Fate::Held;
    let key = desk.reserve_as(&caller, under_a_key());
    repeat_in_vain(&mut desk);
    desk.settle();
    assert!(desk.refusal(key).is_some());
    desk.calls = |_| Fate::Done;
    let other = desk.held();
    let late = desk.open.remove(0);
    desk.answer_late(&late);
    desk.settle();
    assert_eq!(
        desk.sent.iter().filter(|sent| sent.ends_with("/release")).count(),
        1
    );
    assert!(desk.session.grant(other).is_some());
}

#[test]
fn a_reservation_that_may_have_been_made_is_learnt_and_given_back_though_its_caller_has_left() {
    let mut desk = Desk::new();
    desk.calls = |_| Fate::Held;
    let key = desk.reserve();
    desk.settle();
    // It got through and its answer was lost, so the session asks once more.
    let first = desk.open.remove(0);
    assert!(desk.session.begun(desk.now(), first.ticket));
    desk.reach(&first);
    desk.fail(&first, FailureKind::Lost);
    desk.settle();
    desk.session.forget(desk.now(), key);
    desk.settle();
    let repeated = desk.open.remove(0);
    desk.calls = |_| Fate::Done;
    desk.answer(repeated);
    desk.settle();
    assert!(desk.sent.last().unwrap().ends_with("/release"), "{:?}", desk.sent);
    assert!(desk.session.is_idle());
}

#[test]
fn a_late_grant_is_not_given_back_while_another_is_asked_for_under_the_same_key() {
    let mut desk = Desk::new();
    let caller = desk.caller.clone();
    desk.calls = |_| Fate::Held;
    let first = desk.reserve_as(&caller, under_a_key());
    repeat_in_vain(&mut desk);
    desk.settle();
    assert!(desk.refusal(first).is_some());
    let second = desk.reserve_as(&caller, under_a_key());
    desk.settle();
    let (late, asked) = (desk.open.remove(0), desk.open.remove(0));
    desk.calls = |_| Fate::Done;
    desk.answer_late(&late);
    desk.settle();
    // It is the answer to both.
    desk.answer(asked);
    desk.settle();
    let (id, _) = desk.session.granted(second).unwrap().unwrap();
    desk.ids.push(id);
    desk.commit(second, 5);
    desk.settle();
    assert_eq!(desk.charged(), [Some(5)]);
    assert!(
        !desk.sent.iter().any(|sent| sent.ends_with("/release")),
        "{:?}",
        desk.sent
    );
}

#[test]
fn a_reservation_whose_first_call_is_on_its_way_when_its_caller_leaves_is_given_back_once_it_is_granted() {
    let mut desk = Desk::new();
    desk.calls = |_| Fate::Held;
    let key = desk.reserve();
    desk.settle();
    let call = desk.open.remove(0);
    assert!(desk.session.begun(desk.now(), call.ticket));
    desk.session.forget(desk.now(), key);
    desk.settle();
    assert!(desk.withdrawn.is_empty() && !desk.session.is_idle());
    desk.calls = |_| Fate::Done;
    desk.answer(call);
    desk.settle();
    assert!(desk.sent.last().unwrap().ends_with("/release"), "{:?}", desk.sent);
    assert!(desk.session.is_idle());
}

#[test]
fn of_the_calls_whose_places_were_written_off_the_last_thousand_and_some_may_still_bring_a_grant() {
    let late_grants_given_back = |reservations: usize| {
        let mut desk = Desk::new();
        desk.session.set_places(4_000);
        desk.calls = |_| Fate::Held;
        for _ in 0..reservations {
            desk.reserve();
        }
        // Each is requested twice, and no attempt gives its place back.
        desk.pass_ms(20_000);
        let first = desk.open.remove(0);
        desk.calls = |_| Fate::Done;
        desk.answer_late(&first);
        desk.settle();
        desk.sent.iter().filter(|sent| sent.ends_with("/release")).count()
    };
    assert_eq!([512, 513].map(late_grants_given_back), [1, 0]);
}

#[test]
fn a_late_grant_that_cannot_be_given_back_at_once_is_given_back_later_though_nobody_asks_for_it_any_more() {
    let mut desk = Desk::new();
    desk.calls = |_| Fate::Held;
    let key = desk.reserve();
    repeat_in_vain(&mut desk);
    desk.settle();
    desk.session.forget(desk.now(), key);
    let late = desk.open.remove(0);
    desk.calls = |_| Fate::Fails;
    desk.answer_late(&late);
    desk.settle();
    assert!(!desk.session.is_idle());
    desk.calls = |_| Fate::Done;
    desk.pass_ms(2_000);
    assert!(desk.sent.last().unwrap().ends_with("/release"), "{:?}", desk.sent);
    assert!(desk.session.is_idle());
}

/// The time of the first request to reserve is over, and its repetition reaches no server.
fn repeat_in_vain(desk: &mut Desk) {
    desk.pass_ms(7_000);
    let repeated = desk.open.remove(1);
    desk.fail(&repeated, FailureKind::Connect);
}

fn under_a_key() -> ReservationCreateRequest {
    let mut request = request();
    request.idempotency_key = Some(IdempotencyKey::from("job-17"));
    request
}
