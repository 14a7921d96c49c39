//! Results for callers that wait for a reservation.

use super::super::*;
use super::desk::*;
use crate::models::ReservationId;
use crate::outcome::{Aside, Event, StoreFailure};
use crate::time::UnixMillis;

/// The results from all events of the reservation so far.
fn results(desk: &Desk) -> Results {
    let mut results = Results::default();
    for event in &desk.events {
        results.note(event);
    }
    results
}

fn is_lost(desk: &Desk) -> bool {
    results(desk).lease_is_lost(&desk.reservation, desk.now())
}

#[test]
fn whoever_waits_for_a_grant_gets_it_once() {
    let mut desk = Desk::new();
    desk.settle();
    assert!(
        results(&desk).granted(&desk.reservation).is_none(),
        "it is still asked for"
    );
    desk.run([granted(60_000)]);
    let mut results = results(&desk);
    let (id, response) = results.granted(&desk.reservation).unwrap().unwrap();
    assert_eq!((id.as_str(), response.remaining_ttl_ms), ("r-1", Some(60_000)));
    assert!(results.granted(&desk.reservation).is_none());
}

#[test]
fn whoever_waits_for_a_grant_is_told_why_there_is_none() {
    let mut desk = Desk::new();
    desk.run([refusal(409, "BUDGET_EXCEEDED")]);
    let error = results(&desk).granted(&desk.reservation).unwrap().unwrap_err();
    assert!(error.is_budget_exceeded());

    let mut request = reserve();
    request.dry_run = true;
    let mut desk = Desk::with(config(), request);
    desk.run([ok(r#"{"decision":"DENY","affected_scopes":[]}"#)]);
    let error = results(&desk).granted(&desk.reservation).unwrap().unwrap_err();
    assert!(matches!(error, Error::DryRun(_)), "{error:?}");
    assert!(desk.reservation.outcome().unwrap().refusal().is_some());

    let mut desk = Desk::new();
    desk.reservation.abandon(desk.now());
    let error = results(&desk).granted(&desk.reservation).unwrap().unwrap_err();
    assert_eq!(error.to_string(), Error::from(InvalidCommit::NotHeld).to_string());
    assert!(desk.reservation.outcome().unwrap().refusal().is_none());
}

#[test]
fn an_extension_by_hand_is_told_once_under_its_ticket() {
    let mut desk = Desk::held();
    let by = Duration::from_secs(1);
    let [first, second, third] = [(); 3].map(|()| desk.reservation.extend(by).unwrap());
    desk.run([extended(60_000), refusal(409, "MAX_EXTENSIONS_EXCEEDED")]);
    desk.commit(5).unwrap();
    desk.settle();
    while !desk.open.is_empty() {
        let is_commit = desk.open[0].0.request.uri().path().ends_with("/commit");
        let answer = if is_commit {
            ok(COMMITTED)
        } else {
            Err(FailureKind::Lost)
        };
        desk.reply(answer);
    }
    desk.settle();
    let mut results = results(&desk);
    assert_eq!(
        results.extended(first).unwrap().unwrap(),
        UnixMillis(WALL + 7_000)
    );
    assert!(results.extended(first).is_none());
    let error = results.extended(second).unwrap().unwrap_err();
    assert_eq!(error.code().unwrap().as_str(), "MAX_EXTENSIONS_EXCEEDED");
    let error = results.extended(third).unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        Error::from(InvalidCommit::NotHeld).to_string(),
        "the reservation ended first"
    );
}

#[test]
fn a_lease_that_was_lost_is_so_until_it_is_prolonged_by_hand() {
    let mut desk = Desk::held();
    desk.run([throttled(3_600)]);
    assert!(!is_lost(&desk));
    desk.pass_s(60);
    assert!(is_lost(&desk));
    desk.reservation.extend(Duration::from_secs(60)).unwrap();
    desk.run([extended(60_000)]);
    assert!(!is_lost(&desk));
}

#[test]
fn a_lease_is_lost_by_the_clock_though_nobody_polled_until_then() {
    let mut desk = Desk::held();
    desk.mono += Duration::from_secs(59);
    assert!(!is_lost(&desk));
    desk.mono += Duration::from_secs(2);
    assert!(is_lost(&desk));
}

/// A process that was suspended for longer than its lease finds out by the clock, on whichever call comes first.
#[test]
fn a_lease_that_ended_while_nobody_polled_is_told_as_lost_whatever_comes_next() {
    type Act = (&'static str, fn(&mut Desk));
    let acts: [Act; 9] = [
        ("a poll", |_| {}),
        ("a cost", |desk| desk.commit(7).unwrap()),
        ("a cost that is not taken", |desk| {
            let request = CommitRequest::builder().actual(Amount::usd_microcents(1));
            desk.reservation.commit(desk.now(), request.build()).unwrap_err();
        }),
        ("a release", Desk::release),
        ("a caller who leaves", |desk| desk.reservation.abandon(desk.now())),
        ("a caller who leaves after a part", |desk| {
            desk.reservation.spent(&Amount::tokens(3)).unwrap();
            desk.reservation.abandon(desk.now());
        }),
        ("an extension by hand", |desk| {
            desk.reservation.extend(Duration::from_secs(60)).unwrap();
        }),
        ("the end of a stream", |desk| {
            let meter = desk.reservation.meter(desk.now());
            drop(desk.reservation.end_meter(desk.now(), meter, End::Dropped));
            desk.release();
        }),
        ("an answer that is waited for", |desk| {
            if !desk.open.is_empty() {
                desk.reply(extended(60_000));
            }
            desk.commit(7).unwrap();
        }),
    ];
    for before_s in [1, 49] {
        for (what, act) in &acts {
            let mut desk = Desk::held();
            // At 49 s a beat is under way.
            desk.pass_s(before_s);
            desk.log.clear();
            desk.mono += Duration::from_secs(90);
            assert!(is_lost(&desk));
            act(&mut desk);
            desk.settle();
            let lost = desk.log.iter().filter(|line| *line == "lease lost").count();
            assert_eq!(lost, 1, "{what} at {before_s} s: {:?}", desk.log);
        }
    }
}

#[test]
fn a_lease_that_ends_while_the_cost_is_settled_is_not_lost() {
    let mut desk = Desk::held();
    desk.commit(7).unwrap();
    desk.mono += Duration::from_secs(61);
    assert!(!is_lost(&desk));
}

#[test]
fn whoever_waits_for_a_release_is_told_after_the_first_attempt() {
    let mut desk = Desk::held();
    desk.release();
    desk.settle();
    assert!(results(&desk).released(&desk.reservation).is_none());
    desk.run([ok(RELEASED)]);
    assert!(results(&desk).released(&desk.reservation).unwrap().unwrap());

    let mut desk = Desk::held();
    desk.release();
    desk.run([Err(FailureKind::Lost)]);
    assert!(desk.reservation.outcome().is_none(), "it is tried again");
    assert!(!results(&desk).released(&desk.reservation).unwrap().unwrap());

    let mut desk = Desk::held();
    desk.release();
    desk.run([refusal(409, "RESERVATION_FINALIZED")]);
    assert!(desk.is_done());
    assert!(!results(&desk).released(&desk.reservation).unwrap().unwrap());
}

#[test]
fn what_was_spent_nevertheless_is_committed_and_counts_as_released() {
    let spent = || {
        let mut desk = Desk::held();
        desk.reservation.spent(&Amount::tokens(5)).unwrap();
        desk.release();
        desk
    };
    let released = |desk: &Desk| results(desk).released(&desk.reservation);
    let mut desk = spent();
    desk.settle();
    assert!(released(&desk).is_none());
    desk.reply(ok(COMMITTED));
    desk.settle();
    assert!(released(&desk).unwrap().unwrap());

    let mut desk = spent();
    desk.run([Err(FailureKind::Lost)]);
    assert!(released(&desk).unwrap().unwrap(), "it is safe in its record");

    let mut desk = spent();
    desk.run([refusal(409, "UNIT_MISMATCH")]);
    assert!(released(&desk).unwrap().is_err());
}

#[test]
fn a_release_of_what_was_not_reserved_is_told_as_the_refusal() {
    let mut desk = Desk::new();
    desk.run([refusal(409, "BUDGET_EXCEEDED")]);
    assert!(results(&desk).released(&desk.reservation).unwrap().is_err());
}

#[test]
fn every_event_names_the_reservation_that_it_is_about() {
    let reservation_id = || ReservationId::from("r-1");
    let error = || Box::new(Error::from(InvalidCommit::NotHeld));
    let ticket = Ticket(1);
    let about = [
        Event::LeaseExtended {
            info: None,
            reservation_id: reservation_id(),
            ticket: None,
            expires_at: UnixMillis(1),
        },
        Event::ExtendFailed {
            info: None,
            reservation_id: reservation_id(),
            ticket,
            error: None,
        },
        Event::BeatFailed {
            info: None,
            reservation_id: reservation_id(),
            error: error(),
            retry_in: Duration::ZERO,
        },
        Event::HeartbeatStopped {
            info: None,
            reservation_id: reservation_id(),
            reason: crate::outcome::Stop::Refused,
            error: None,
            lease_lasts: None,
        },
        Event::LeaseLost {
            info: None,
            reservation_id: reservation_id(),
        },
        Event::CostNotTaken {
            info: None,
            reservation_id: reservation_id(),
            why: Box::new(InvalidCommit::NotHeld),
            charged: None,
        },
        Event::JournalFailed {
            info: None,
            reservation_id: reservation_id(),
            failure: StoreFailure::new("full"),
        },
        Event::SettlementFailed {
            info: None,
            reservation_id: reservation_id(),
            error: error(),
            retry_in: None,
        },
        Event::SettlingByEvent {
            info: None,
            reservation_id: reservation_id(),
        },
        Event::SetAside {
            info: None,
            reservation_id: reservation_id(),
            reason: Aside::Stale,
            receipt: Box::new(Receipt::Stale),
        },
        Event::ChargedLess {
            info: None,
            reservation_id: reservation_id(),
            actual: Amount::tokens(9),
            charged: Amount::tokens(5),
        },
        Event::ReleaseFailed {
            info: None,
            reservation_id: reservation_id(),
            error: error(),
            retry_in: None,
        },
    ];
    for event in about {
        assert_eq!(event.reservation_id(), Some(&reservation_id()), "{event:?}");
    }
    let unreadable = Event::record_unreadable("v2-a.json", "cut off");
    for none in [
        Event::ReservingAgain {
            info: None,
            error: error(),
        },
        unreadable,
    ] {
        assert_eq!(none.reservation_id(), None, "{none:?}");
    }
    let mut desk = Desk::new();
    desk.run([granted(60_000)]);
    assert_eq!(desk.events[0].reservation_id(), Some(&reservation_id()));
}

#[test]
fn whoever_waits_for_what_became_of_a_cost_is_told_after_the_first_attempt() {
    let settled = |desk: &Desk| results(desk).settled(&desk.reservation);
    let mut desk = Desk::held();
    desk.commit(5).unwrap();
    desk.settle();
    assert!(settled(&desk).is_none());
    desk.run([ok(COMMITTED)]);
    let receipt = settled(&desk).unwrap().unwrap();
    assert!(
        matches!(&receipt, Some(Receipt::Committed(done)) if done.response.is_some()),
        "{receipt:?}"
    );

    let mut desk = Desk::held();
    desk.commit(5).unwrap();
    desk.run([Err(FailureKind::Lost)]);
    let receipt = settled(&desk).unwrap().unwrap();
    let is_pending = matches!(
        receipt,
        Some(Receipt::Pending {
            is_recorded: true,
            ..
        })
    );
    assert!(is_pending, "{receipt:?}");

    let mut desk = Desk::held();
    desk.commit(5).unwrap();
    desk.run([refusal(409, "UNIT_MISMATCH")]);
    assert_eq!(settled(&desk).unwrap().unwrap_err().status(), Some(409));
}

#[test]
fn nothing_became_of_a_cost_where_the_budget_was_given_back() {
    let settled = |desk: &Desk| results(desk).settled(&desk.reservation);
    for answer in [
        ok(RELEASED),
        Err(FailureKind::Lost),
        refusal(409, "RESERVATION_FINALIZED"),
    ] {
        let mut desk = Desk::held();
        desk.release();
        desk.settle();
        assert!(settled(&desk).is_none(), "{answer:?} did not come yet");
        desk.run([answer]);
        assert!(settled(&desk).unwrap().unwrap().is_none());
    }
    let mut desk = Desk::new();
    desk.run([refusal(409, "BUDGET_EXCEEDED")]);
    assert!(settled(&desk).unwrap().unwrap_err().is_budget_exceeded());
}

#[test]
fn a_cost_that_was_not_counted_is_told_once_the_rest_is_settled() {
    let mut desk = Desk::held();
    desk.commit(5).unwrap();
    desk.settle();
    let not_counted = |desk: &Desk| {
        let mut results = results(desk);
        results.not_counted(InvalidCommit::NotTold);
        results.settled(&desk.reservation)
    };
    assert!(not_counted(&desk).is_none());
    desk.run([ok(COMMITTED)]);
    let error = not_counted(&desk).unwrap().unwrap_err();
    assert_eq!(error.to_string(), Error::from(InvalidCommit::NotTold).to_string());
}
