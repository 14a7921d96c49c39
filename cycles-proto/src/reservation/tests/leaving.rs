//! Callers that leave, with or without something spent.

use super::super::*;
use super::desk::*;
use crate::meter::{End, Reading, Settle};
use crate::outcome::Event;

#[test]
fn what_was_spent_is_committed_as_partial_when_the_caller_goes_away() {
    let leave: [fn(&mut Desk); 2] = [|desk| desk.reservation.abandon(desk.now()), |desk| desk.release()];
    for leave in leave {
        let mut desk = Desk::held();
        for tokens in [3, 7, 5, 0] {
            desk.reservation.spent(&Amount::tokens(tokens)).unwrap();
        }
        leave(&mut desk);
        desk.run([committed(7)]);
        assert_eq!(desk.log(), ["put commit", "POST r-1/commit", "remove"]);
        let body = desk.body("/commit");
        assert_eq!(body["actual"]["amount"], 7, "it never goes down");
        assert_eq!(body["metadata"]["actual_source"], "partial");
        assert!(desk.receipt().is_settled());
    }
}

#[test]
fn where_nothing_was_spent_the_budget_is_given_back() {
    let mut desk = Desk::held();
    desk.reservation.spent(&Amount::tokens(0)).unwrap();
    desk.reservation.abandon(desk.now());
    desk.run([ok(RELEASED)]);
    assert_eq!(desk.log(), ["POST r-1/release"]);
    assert_eq!(desk.body("/release")["reason"], "abandoned");
}

#[test]
fn what_the_caller_says_at_last_counts_and_not_what_was_spent_so_far() {
    let mut desk = Desk::held();
    desk.reservation.spent(&Amount::tokens(7)).unwrap();
    desk.commit(5).unwrap();
    desk.reservation.abandon(desk.now());
    desk.run([ok(COMMITTED)]);
    let body = desk.body("/commit");
    assert_eq!(body["actual"]["amount"], 5);
    assert!(body.get("metadata").is_none());
}

#[test]
fn nothing_more_is_spent_once_the_cost_was_handed_over() {
    let hand_over: [fn(&mut Desk); 4] = [
        |desk| desk.commit(5).unwrap(),
        // The amount spent so far is the cost.
        |desk| desk.reservation.abandon(desk.now()),
        |desk| desk.release(),
        |desk| {
            let mut meter = desk.reservation.meter(desk.now());
            let _ = meter.read(Amount::tokens(5).into());
            let Settle::Commit(request) = desk.reservation.end_meter(desk.now(), meter, End::Finished) else {
                panic!("it cost something");
            };
            desk.reservation.commit(desk.now(), request).unwrap();
        },
    ];
    for hand_over in hand_over {
        let mut desk = Desk::held();
        desk.reservation.spent(&Amount::tokens(5)).unwrap();
        hand_over(&mut desk);
        // Whether the cost is about to be sent, under way, or in the ledger.
        for _ in 0..2 {
            for amount in [Amount::tokens(700), Amount::tokens(1), Amount::credits(1)] {
                assert_eq!(
                    desk.reservation.spent(&amount),
                    Err(InvalidCommit::AlreadyCommitted)
                );
                assert_eq!(
                    desk.reservation.counted(&amount),
                    Err(InvalidCommit::AlreadyCommitted)
                );
            }
            if desk.reservation.outcome().is_none() {
                desk.run([ok(COMMITTED)]);
            }
        }
        assert!(desk.receipt().is_settled());
        assert_eq!(desk.body("/commit")["actual"]["amount"], 5);
        assert_eq!(desk.log(), ["put commit", "POST r-1/commit", "remove"]);
    }
}

#[test]
fn an_amount_that_could_not_be_committed_is_not_taken_for_spent_and_nothing_is_released() {
    for wrong in [Amount::credits(7), Amount::tokens(-7)] {
        let mut desk = Desk::held();
        assert!(desk.reservation.spent(&wrong).is_err());
        desk.reservation.abandon(desk.now());
        desk.run([]);
        assert_eq!(desk.log(), ["not taken"], "{wrong:?}");
        assert!(matches!(
            desk.reservation.outcome(),
            Some(Outcome::Released(Released::LeftToExpire(None)))
        ));
    }
}

#[test]
fn after_a_cost_that_could_not_be_taken_nothing_is_released() {
    for wrong in [Amount::credits(7), Amount::tokens(-7)] {
        let mut desk = Desk::held();
        let request = CommitRequest::builder().actual(wrong).build();
        desk.reservation.commit(desk.now(), request).unwrap_err();
        desk.release();
        desk.run([]);
        assert_eq!(desk.log(), ["not taken"]);
        assert!(matches!(
            desk.reservation.outcome(),
            Some(Outcome::Released(Released::LeftToExpire(None)))
        ));
        assert_eq!(untaken(&desk), Some(None), "nothing is charged");
    }
}

#[test]
fn of_a_cost_that_could_not_be_taken_it_is_told_what_was_charged_instead() {
    let mut desk = Desk::held();
    desk.reservation.spent(&Amount::tokens(7)).unwrap();
    let request = CommitRequest::builder().actual(Amount::credits(9)).build();
    desk.reservation.commit(desk.now(), request).unwrap_err();
    desk.release();
    desk.run([committed(7)]);
    assert_eq!(
        desk.log(),
        ["not taken", "put commit", "POST r-1/commit", "remove"]
    );
    assert_eq!(untaken(&desk), Some(Some(Amount::tokens(7))));
}

#[test]
fn a_cost_that_was_put_right_is_not_told_and_an_item_that_was_not_counted_is() {
    for is_item in [false, true] {
        let mut desk = Desk::held();
        desk.reservation.spent(&Amount::credits(9)).unwrap_err();
        if is_item {
            let mut meter = desk.reservation.meter(desk.now());
            let _ = meter.read(Amount::credits(9).into());
            let _ = meter.read(Amount::tokens(5).into());
            let Settle::Commit(request) = desk.reservation.end_meter(desk.now(), meter, End::Finished) else {
                panic!("it cost something");
            };
            desk.reservation.commit(desk.now(), request).unwrap();
        } else {
            desk.commit(5).unwrap();
        }
        desk.run([ok(COMMITTED)]);
        assert_eq!(untaken(&desk), is_item.then_some(Some(Amount::tokens(5))));
    }
}

#[test]
fn an_item_that_a_later_total_covers_is_not_told_and_one_after_it_is() {
    let wrong = || Reading::from(Amount::credits(9));
    let total = || Reading::total(Amount::tokens(50));
    for (items, is_told) in [
        ([wrong(), total(), Reading::nothing()], false),
        ([wrong(), wrong(), total()], false),
        ([total(), wrong(), Reading::nothing()], true),
        ([wrong(), total(), wrong()], true),
    ] {
        let mut desk = Desk::held();
        let mut meter = desk.reservation.meter(desk.now());
        for item in items {
            if let Some(counted) = meter.read(item) {
                let _ = desk.reservation.counted(&counted);
            }
        }
        let Settle::Commit(request) = desk.reservation.end_meter(desk.now(), meter, End::Finished) else {
            panic!("it cost something");
        };
        assert_eq!(request.metadata.is_some(), is_told, "it is a part");
        desk.reservation.commit(desk.now(), request).unwrap();
        desk.run([committed(50)]);
        assert_eq!(desk.body("/commit")["actual"]["amount"], 50);
        assert_eq!(untaken(&desk), is_told.then_some(Some(Amount::tokens(50))));
    }
}

#[test]
fn what_was_told_to_be_spent_is_part_of_what_a_meter_counted() {
    for (spent, counted, end, expected) in [
        (7, vec![3], End::Finished, Some((7, false))),
        (7, vec![], End::Finished, Some((7, false))),
        (7, vec![], End::Failed, Some((7, true))),
        (2, vec![3, 4], End::Dropped, Some((7, true))),
        (0, vec![], End::Failed, None),
    ] {
        let mut desk = Desk::held();
        let mut meter = desk.reservation.meter(desk.now());
        desk.reservation.spent(&Amount::tokens(spent)).unwrap();
        for tokens in counted {
            let counted = meter.read(Amount::tokens(tokens).into()).unwrap();
            desk.reservation.counted(&counted).unwrap();
        }
        let settled = match desk.reservation.end_meter(desk.now(), meter, end) {
            Settle::Commit(request) => {
                let is_partial = request.metadata.is_some();
                Some((request.actual.amount, is_partial))
            }
            Settle::Release(_) => None,
        };
        assert_eq!(settled, expected);
    }
}

#[test]
fn a_meter_that_never_ends_is_charged_what_it_counted_last() {
    let mut desk = Desk::held();
    for counted in [9, 7] {
        desk.reservation.counted(&Amount::tokens(counted)).unwrap();
    }
    desk.reservation.abandon(desk.now());
    desk.run([ok(COMMITTED)]);
    assert_eq!(desk.body("/commit")["actual"]["amount"], 7);
}

/// The amount that an event reports as charged instead of a cost that was not accepted, if there was one.
fn untaken(desk: &Desk) -> Option<Option<Amount>> {
    desk.events.iter().find_map(|event| {
        if let Event::CostNotTaken { charged, .. } = event {
            return Some(charged.clone());
        }
        None
    })
}
