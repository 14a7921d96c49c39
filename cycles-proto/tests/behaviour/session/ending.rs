//! How callers end their reservations, and the results that they get.

use std::time::Duration;

use cycles_proto::meter::{End, Settle};
use cycles_proto::models::Amount;
use cycles_proto::outcome::ReleaseReason;
use cycles_proto::{Error, Event, InvalidCommit, Outcome, Reading, Receipt};

use super::desk::Desk;

fn released(desk: &Desk) -> usize {
    desk.sent.iter().filter(|sent| sent.ends_with("/release")).count()
}

#[test]
fn who_goes_away_commits_what_was_spent_and_gives_back_what_was_not() {
    let mut desk = Desk::new();
    let (spent, unspent) = (desk.held(), desk.held());
    desk.session.spent(spent, &Amount::tokens(7)).unwrap();
    desk.session.spent(spent, &Amount::tokens(3)).unwrap();
    for key in [spent, unspent] {
        desk.session.abandon(desk.now(), key);
    }
    desk.settle();
    assert_eq!((desk.charged(), released(&desk)), (vec![Some(7), None], 1));
    let settled = desk.session.settled(spent).unwrap().unwrap();
    assert!(matches!(settled, Some(Receipt::Committed(_))), "{settled:?}");
    assert!(desk.session.settled(unspent).unwrap().unwrap().is_none());
}

#[test]
fn what_is_forgotten_is_given_back_and_leaves_nothing() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.session.forget(desk.now(), key);
    desk.settle();
    assert_eq!(released(&desk), 1);
    assert!(desk.session.is_over(key) && desk.session.outcome(key).is_none());
    assert!(desk.session.is_idle());
    assert!(desk.session.released(key).is_none());
}

#[test]
fn a_cost_that_was_handed_over_is_settled_though_it_is_forgotten() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.commit(key, 5);
    desk.session.forget(desk.now(), key);
    desk.settle();
    assert_eq!((desk.charged(), released(&desk)), (vec![Some(5)], 0));
    assert!(desk.session.is_idle());
}

#[test]
fn a_release_is_confirmed() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.session
        .release(desk.now(), key, ReleaseReason::ACTION_FAILED);
    assert!(desk.session.released(key).is_none());
    desk.settle();
    assert!(desk.session.released(key).unwrap().unwrap());
    assert!(matches!(desk.session.outcome(key), Some(Outcome::Released(_))));
    let late = desk.session.spent(key, &Amount::tokens(1));
    assert_eq!(late, Err(InvalidCommit::NotHeld));
}

#[test]
fn an_extension_by_hand_tells_when_the_lease_ends_now() {
    let mut desk = Desk::new();
    let key = desk.held();
    let before = desk.session.grant(key).unwrap().expires_at.unwrap();
    let extended = desk
        .session
        .extend(desk.now(), key, Duration::from_secs(600))
        .unwrap();
    assert!(desk.session.extended(extended).is_none());
    desk.settle();
    let after = desk.session.extended(extended).unwrap().unwrap();
    assert!(after > before, "{before} {after}");
    assert_eq!(desk.session.grant(key).unwrap().expires_at, Some(after));
    // The result is given once.
    assert!(desk.session.extended(extended).is_none());
    assert_eq!(desk.told(|event| matches!(event, Event::LeaseExtended { .. })), 1);
}

#[test]
fn a_meter_counts_in_the_unit_of_the_reservation_and_what_it_counted_is_charged_if_it_comes_to_no_end() {
    let mut desk = Desk::new();
    let (ended, dropped) = (desk.held(), desk.held());
    for key in [ended, dropped] {
        let mut meter = desk.session.meter(desk.now(), key);
        for _ in 0..3 {
            let counted = meter.read(Reading::more(Amount::tokens(4))).unwrap();
            desk.session.counted(key, &counted).unwrap();
        }
        assert_eq!(meter.consumed(), Amount::tokens(12));
        if key == ended {
            let Settle::Commit(cost) = desk.session.end_meter(desk.now(), key, meter, End::Finished) else {
                panic!("it has consumed something")
            };
            desk.session.commit(desk.now(), key, cost).unwrap();
        } else {
            // Less than before: a reading took some of it back.
            desk.session.counted(key, &Amount::tokens(9)).unwrap();
            desk.session.forget(desk.now(), key);
        }
    }
    desk.settle();
    assert_eq!(desk.charged(), [Some(12), Some(9)]);
    let foreign = desk.session.counted(ended, &Amount::credits(1));
    assert_eq!(foreign, Err(InvalidCommit::AlreadyCommitted));
}

#[test]
fn who_waits_for_a_metered_stream_is_told_of_an_item_that_was_not_counted() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.session.not_counted(key, InvalidCommit::NotTold);
    desk.commit(key, 5);
    desk.settle();
    assert_eq!(desk.charged(), [Some(5)]);
    let told = desk.session.settled(key).unwrap();
    assert!(
        matches!(told, Err(Error::InvalidCommit(InvalidCommit::NotTold))),
        "{told:?}"
    );
}

#[test]
fn one_cost_is_handed_over_and_in_the_unit_of_the_estimate() {
    let mut desk = Desk::new();
    let key = desk.held();
    let wrong = desk.session.spent(key, &Amount::credits(1));
    assert!(matches!(wrong, Err(InvalidCommit::WrongUnit { .. })), "{wrong:?}");
    desk.commit(key, 5);
    let cost = cycles_proto::models::CommitRequest::builder()
        .actual(Amount::tokens(6))
        .build();
    let twice = desk.session.commit(desk.now(), key, cost);
    assert_eq!(twice, Err(InvalidCommit::AlreadyCommitted));
    desk.settle();
    assert_eq!(desk.charged(), [Some(5)]);
}
