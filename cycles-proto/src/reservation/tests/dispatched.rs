//! Actions that end without a cost, after a request of theirs has left.

use super::super::*;
use super::desk::*;
use crate::meter::{End, Settle};
use crate::outcome::{ActualSource, Event};
use crate::with_cycles_config::OnError;

/// What an action says, in order.
#[derive(Clone, Copy, Debug)]
enum Says {
    Dispatched,
    NotCharged,
    Spent(i64),
}

use Says::{Dispatched, NotCharged, Spent};

/// What became of an action.
#[derive(Debug, PartialEq, Eq)]
enum Became {
    Released,
    /// Charged this much, and where that comes from.
    Charged(i64, ActualSource),
    /// Left to expire, and told with this estimate.
    Held(i64),
}

use Became::{Charged, Held, Released as GivenBack};

const PARTIAL: ActualSource = ActualSource::Partial;
const ESTIMATE: ActualSource = ActualSource::Estimate;

fn says(desk: &mut Desk, says: &[Says]) {
    for word in says {
        match word {
            Dispatched => desk.reservation.dispatched(),
            NotCharged => desk.reservation.not_charged(),
            Spent(amount) => desk.reservation.spent(&Amount::tokens(*amount)).unwrap(),
        }
    }
}

/// What becomes of a reservation, once its caller has gone away.
fn became(desk: &mut Desk) -> Became {
    desk.reservation.abandon(desk.now());
    match desk.reservation.has_cost() {
        true => {
            desk.run([ok(COMMITTED)]);
            let body = desk.body("/commit");
            let source = match body["metadata"]["actual_source"].as_str() {
                Some("partial") => PARTIAL,
                Some("estimate") => ESTIMATE,
                _ => ActualSource::Action,
            };
            let told = desk.ends.iter().find_map(|event| {
                if let Event::Committed { source, .. } = event {
                    return Some(*source);
                }
                None
            });
            assert_eq!(told, Some(source), "the event says the same as the commit");
            Charged(body["actual"]["amount"].as_i64().unwrap(), source)
        }
        false if desk.reservation.outcome().is_some() => {
            desk.run([]);
            assert_eq!(desk.log(), ["unknown"], "nothing is sent");
            assert!(matches!(
                desk.outcome(),
                Outcome::Released(Released::LeftToExpire(None))
            ));
            let told = desk.events.iter().find_map(|event| {
                if let Event::CostUnknown {
                    estimate,
                    charged: None,
                    ..
                } = event
                {
                    return Some(estimate.amount);
                }
                None
            });
            Held(told.unwrap())
        }
        false => {
            desk.run([ok(RELEASED)]);
            assert_eq!(desk.log(), ["POST r-1/release"]);
            GivenBack
        }
    }
}

fn estimate() -> i64 {
    reserve().estimate.amount
}

#[test]
fn an_action_without_a_cost_is_charged_its_estimate_once_a_request_has_left() {
    for (words, expected) in [
        (&[] as &[Says], GivenBack),
        (&[Spent(0)], GivenBack),
        (&[Dispatched], Charged(estimate(), ESTIMATE)),
        (&[Dispatched, Dispatched], Charged(estimate(), ESTIMATE)),
        (&[Dispatched, Spent(0)], Charged(estimate(), ESTIMATE)),
        (&[Dispatched, Spent(7)], Charged(7, PARTIAL)),
        (&[Spent(7), Dispatched], Charged(7, PARTIAL)),
        (&[Dispatched, NotCharged], GivenBack),
        (
            &[NotCharged, NotCharged, Dispatched],
            Charged(estimate(), ESTIMATE),
        ),
        (&[Dispatched, Spent(7), NotCharged], Charged(7, PARTIAL)),
    ] {
        let mut desk = Desk::held();
        says(&mut desk, words);
        assert_eq!(became(&mut desk), expected, "{words:?}");
    }
}

#[test]
fn a_refusal_takes_back_the_latest_request_only() {
    for (words, expected) in [
        // The first provider timed out, the second one refused.
        (
            &[Dispatched, Dispatched, NotCharged] as &[Says],
            Charged(estimate(), ESTIMATE),
        ),
        // The first provider refused, the second one timed out.
        (
            &[Dispatched, NotCharged, Dispatched],
            Charged(estimate(), ESTIMATE),
        ),
        (&[Dispatched, NotCharged, Dispatched, NotCharged], GivenBack),
        (&[Dispatched, Dispatched, NotCharged, NotCharged], GivenBack),
    ] {
        let mut desk = Desk::held();
        says(&mut desk, words);
        assert_eq!(became(&mut desk), expected, "{words:?}");
    }
}

#[test]
fn the_policy_decides_what_a_request_that_left_costs_and_what_was_spent_is_always_charged() {
    for (policy, without) in [
        (OnError::Release, GivenBack),
        (OnError::Spent, GivenBack),
        (OnError::Estimate, Charged(estimate(), ESTIMATE)),
        (OnError::Hold, Held(estimate())),
    ] {
        for (words, expected) in [
            (&[] as &[Says], GivenBack),
            (&[Dispatched, NotCharged], GivenBack),
            (&[Dispatched, Spent(7)], Charged(7, PARTIAL)),
            (&[Dispatched], without),
        ] {
            let mut desk = Desk::held();
            desk.reservation.set_on_error(policy);
            says(&mut desk, words);
            assert_eq!(became(&mut desk), expected, "{policy:?} {words:?}");
        }
    }
}

#[test]
fn a_request_that_left_changes_nothing_about_a_cost_that_is_handed_over() {
    let mut desk = Desk::held();
    says(&mut desk, &[Dispatched]);
    desk.commit(0).unwrap();
    says(&mut desk, &[Dispatched, NotCharged]);
    desk.reservation.abandon(desk.now());
    desk.run([ok(COMMITTED)]);
    let body = desk.body("/commit");
    assert_eq!(body["actual"]["amount"], 0, "the action said so itself");
    assert!(body.get("metadata").is_none());
}

#[test]
fn a_cost_that_could_not_be_taken_is_charged_as_the_estimate_and_told() {
    for (policy, expected) in [(OnError::Estimate, Some(estimate())), (OnError::Hold, None)] {
        let mut desk = Desk::held();
        desk.reservation.set_on_error(policy);
        says(&mut desk, &[Dispatched]);
        let request = CommitRequest::builder().actual(Amount::credits(9)).build();
        desk.reservation.commit(desk.now(), request).unwrap_err();
        desk.release();
        desk.run(expected.map(|_| ok(COMMITTED)));
        let told = desk.events.iter().filter_map(|event| {
            assert!(!matches!(event, Event::CostUnknown { .. }), "it is told once");
            if let Event::CostNotTaken { charged, .. } = event {
                return Some(charged.as_ref().map(|it| it.amount));
            }
            None
        });
        assert_eq!(told.collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn a_stream_that_is_cut_costs_what_was_read_or_else_the_estimate() {
    for (counted, end, expected) in [
        (&[] as &[i64], End::Failed, Charged(estimate(), ESTIMATE)),
        (&[], End::Dropped, Charged(estimate(), ESTIMATE)),
        (&[0], End::Failed, Charged(estimate(), ESTIMATE)),
        (&[3, 4], End::Dropped, Charged(7, PARTIAL)),
    ] {
        let mut desk = Desk::held();
        let mut meter = desk.reservation.meter(desk.now());
        says(&mut desk, &[Dispatched]);
        for tokens in counted {
            let counted = meter.read(Amount::tokens(*tokens).into()).unwrap();
            desk.reservation.counted(&counted).unwrap();
        }
        if let Settle::Commit(request) = desk.reservation.end_meter(desk.now(), meter, end) {
            desk.reservation.commit(desk.now(), request).unwrap();
        }
        assert_eq!(became(&mut desk), expected, "{counted:?} {end:?}");
    }
}

#[test]
fn a_held_budget_is_not_extended_any_more() {
    let mut desk = Desk::held();
    desk.reservation.set_on_error(OnError::Hold);
    says(&mut desk, &[Dispatched]);
    assert_eq!(became(&mut desk), Held(estimate()));
    desk.pass_s(600);
    desk.run([]);
    assert!(desk.is_done() && desk.log().is_empty());
}
