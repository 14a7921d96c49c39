//! Extensions that are asked for by hand.

use super::super::*;
use super::desk::*;
use crate::outcome::Event;
use http::Response;

#[test]
fn an_extension_by_hand_is_answered_under_its_ticket_and_plans_the_next_beat_anew() {
    let mut desk = Desk::held();
    let beat = desk.settle().unwrap();
    let ticket = desk.reservation.extend(Duration::from_millis(90_001)).unwrap();
    desk.run([extended(150_000)]);
    assert_eq!(desk.log(), ["POST r-1/extend", "extended"]);
    assert_eq!(desk.body("/extend")["extend_by_ms"], 90_001);
    assert!(matches!(&desk.events[0], Event::LeaseExtended { ticket: told, .. } if *told == Some(ticket)));
    assert!(desk.settle().unwrap() > beat);
}

#[test]
fn extensions_by_hand_wait_for_the_beat_in_flight_and_for_each_other() {
    let mut desk = Desk::held();
    desk.pass_s(49);
    desk.reservation.extend(Duration::from_secs(1)).unwrap();
    desk.reservation.extend(Duration::from_secs(2)).unwrap();
    desk.settle();
    assert_eq!(desk.open.len(), 1, "one at a time");
    desk.run([extended(60_000), extended(61_000), extended(63_000)]);
    assert_eq!(desk.log(), ["POST r-1/extend", "extended"].repeat(3));
    let mut keys = desk.keys("/extend");
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3);
    assert_eq!(desk.body("/extend")["extend_by_ms"], 2_000, "in turn");
}

#[test]
fn an_extension_by_hand_starts_a_heartbeat_again_that_had_stopped() {
    let mut desk = Desk::held();
    desk.run([refusal(429, "LIMIT_EXCEEDED")]);
    assert_eq!(desk.log(), ["POST r-1/extend", "heartbeat stopped"]);
    desk.reservation.extend(Duration::from_secs(60)).unwrap();
    desk.run([extended(60_000), extended(60_000)]);
    assert_eq!(desk.log(), ["POST r-1/extend", "extended"].repeat(2));
    let tickets: Vec<_> = desk.events[1..]
        .iter()
        .map(|event| matches!(event, Event::LeaseExtended { ticket: None, .. }))
        .collect();
    assert_eq!(tickets, [false, true], "the second is a beat");
}

#[test]
fn an_extension_after_the_lease_was_lost_is_told_and_another_loss_too() {
    let mut desk = Desk::held();
    desk.run([refusal(409, "MAX_EXTENSIONS_EXCEEDED")]).pass_s(12);
    assert_eq!(desk.log(), ["POST r-1/extend", "heartbeat stopped", "lease lost"]);
    desk.reservation.extend(Duration::from_secs(1)).unwrap();
    desk.run([extended(1_000)]);
    // A second is too short for beats that can recover.
    desk.run([refusal(409, "MAX_EXTENSIONS_EXCEEDED")]).pass_s(2);
    assert_eq!(
        desk.log(),
        [
            "POST r-1/extend",
            "extended",
            "POST r-1/extend",
            "heartbeat stopped",
            "lease lost"
        ]
    );
}

#[test]
fn an_extension_by_hand_without_an_answer_is_repeated_once_under_its_key() {
    let mut desk = Desk::held();
    let ticket = desk.reservation.extend(Duration::from_secs(9)).unwrap();
    desk.run([Err(FailureKind::Lost), answer(500, "")]);
    assert_eq!(
        desk.log(),
        ["POST r-1/extend", "POST r-1/extend", "extend failed"]
    );
    let bodies = desk.bodies("/extend");
    assert_eq!(bodies[0], bodies[1]);
    let Event::ExtendFailed {
        ticket: told,
        error: Some(error),
        ..
    } = &desk.events[0]
    else {
        panic!()
    };
    assert_eq!(*told, ticket);
    assert!(error.outcome_is_unknown());
    desk.run([extended(60_000)]);
    assert_eq!(
        desk.log(),
        ["POST r-1/extend", "extended"],
        "the heartbeat continues"
    );
}

#[test]
fn an_extension_by_hand_is_not_repeated_before_the_pause_that_the_server_asks_for() {
    let busy = Response::builder().status(503).header("retry-after", "5");
    let mut desk = Desk::held();
    desk.reservation.extend(Duration::from_secs(9)).unwrap();
    desk.run([Ok(busy.body(Bytes::new()).unwrap())]);
    assert_eq!(desk.log(), ["POST r-1/extend", "extend failed"]);
}

#[test]
fn an_extension_beyond_the_limits_fails_and_nothing_is_sent() {
    for by in [Duration::ZERO, Duration::from_secs(86_401), Duration::MAX] {
        let mut desk = Desk::held();
        let ticket = desk.reservation.extend(by).unwrap();
        assert_eq!(desk.log(), ["extend failed"]);
        assert!(matches!(
            &desk.events[0],
            Event::ExtendFailed { ticket: told, error: Some(error), .. }
                if *told == ticket && matches!(**error, crate::outcome::Error::Validation(_))
        ));
    }
}

#[test]
fn what_is_not_answered_when_the_life_ends_is_told_without_an_error() {
    let end: [fn(&mut Desk); 2] = [
        |desk| desk.release(),
        |desk| {
            desk.commit(5).unwrap();
            desk.settle();
            let (call, sent) = desk.open.pop_back().unwrap();
            desk.hand_in(call.ticket, sent, ok(COMMITTED));
        },
    ];
    for end in end {
        let mut desk = Desk::held();
        let first = desk.reservation.extend(Duration::from_secs(1)).unwrap();
        let second = desk.reservation.extend(Duration::from_secs(1)).unwrap();
        desk.settle();
        end(&mut desk);
        desk.settle();
        let told = desk.events.iter().filter_map(|event| {
            let Event::ExtendFailed { ticket, error, .. } = event else {
                return None;
            };
            Some((*ticket, error.is_none()))
        });
        assert_eq!(told.collect::<Vec<_>>(), [(first, true), (second, true)]);
    }
}

#[test]
fn where_nothing_is_held_there_is_nothing_to_extend() {
    let mut desk = Desk::new();
    assert!(desk.reservation.extend(Duration::from_secs(1)).is_none());
    desk.run([refusal(409, "BUDGET_EXCEEDED")]);
    assert!(desk.reservation.extend(Duration::from_secs(1)).is_none());
}
