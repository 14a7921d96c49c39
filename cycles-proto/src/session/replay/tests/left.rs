//! What others can see of the replay: when it scans next, and what is left.

use super::*;
use crate::models::ReservationId;
use crate::outcome::{ActualSource, Charged, Event, Flushed, InvalidCommit};

#[test]
fn when_it_looks_next_is_known_unless_it_reads_or_rests() {
    let mut replayer = replayer();
    assert_eq!(replayer.next_look(), Some(Duration::ZERO), "at first use");
    let ticket = asks_to_scan(&mut replayer, at(0));
    assert_eq!(replayer.next_look(), None, "it reads");
    replayer.handle_scanned(at(0), ticket, [record("a")]);
    started(&mut replayer, at(0));
    replayer.handle_ended(at(0), &id("a"), Some(&Outcome::Settled(pending())));
    let pause = next_scan(&mut replayer, at(0));
    assert_eq!(replayer.next_look(), Some(pause));
    replayer.wake(at(1));
    assert_eq!(replayer.next_look(), Some(Duration::from_secs(1)));
    scan(&mut replayer, at(1), []);
    assert_eq!(replayer.next_look(), None, "it rests");
}

#[test]
fn a_flush_is_complete_if_nothing_is_left_anywhere_and_that_is_certain() {
    let now = at(0);
    let read = |records: Vec<JournalRecord>| {
        let mut replayer = replayer();
        scan(&mut replayer, now, records);
        replayer
    };
    let (unread, empty, one) = (replayer(), read(vec![]), read(vec![record("a")]));
    let left = |journal: Option<&Replayer>, ending, unrecorded| {
        let mut tally = Tally::default();
        (0..ending + unrecorded).for_each(|_| tally.begin_ending());
        (0..unrecorded).for_each(|_| tally.end(None, Some(&unrecorded_receipt())));
        Flushed::new(journal, true, now, &tally)
    };

    assert!(left(Some(&empty), 0, 0).is_complete());
    assert!(
        Flushed::new(None, false, now, &Tally::default()).is_complete(),
        "there is no journal"
    );

    let one = left(Some(&one), 0, 0);
    assert!(one.recorded == 1 && !one.is_certain && !one.is_complete());
    let ending = left(Some(&empty), 1, 0);
    assert!(ending.ending == 1 && ending.is_certain && !ending.is_complete());
    let nowhere = left(Some(&empty), 0, 1);
    assert!(nowhere.unrecorded == 1 && nowhere.is_certain && !nowhere.is_complete());
    for unknown in [left(None, 0, 0), left(Some(&unread), 0, 0)] {
        assert!(unknown.recorded == 0 && !unknown.is_certain && !unknown.is_complete());
    }
}

#[test]
fn a_cost_that_was_not_taken_or_was_charged_for_less_leaves_a_flush_incomplete() {
    let reservation_id: ReservationId = "a".into();
    let untaken = |charged| Event::CostNotTaken {
        info: None,
        reservation_id: reservation_id.clone(),
        why: Box::new(InvalidCommit::NotTold),
        charged,
    };
    let less = Event::ChargedLess {
        info: None,
        reservation_id: reservation_id.clone(),
        actual: Amount::tokens(9),
        charged: Amount::tokens(5),
    };
    let by_event = Event::SettlingByEvent {
        info: None,
        reservation_id: reservation_id.clone(),
    };
    for (event, unrecorded, charged_less) in [
        (untaken(None), 1, 0),
        (untaken(Some(Amount::tokens(3))), 1, 0),
        (less, 0, 1),
        (by_event, 0, 0),
    ] {
        let mut tally = Tally::default();
        tally.note(&event);
        let flushed = Flushed::new(None, false, at(0), &tally);
        assert_eq!(
            (flushed.unrecorded, flushed.charged_less),
            (unrecorded, charged_less)
        );
        assert_eq!(flushed.is_complete(), unrecorded + charged_less == 0, "{event:?}");
    }
}

fn unrecorded_receipt() -> Receipt {
    Receipt::Pending {
        error: None,
        is_recorded: false,
    }
}

#[test]
fn a_flush_is_not_complete_if_something_was_set_aside_or_could_not_be_read() {
    let rejected = |is_recorded| Receipt::Rejected {
        error: None,
        actual: None,
        found: None,
        charged: None,
        is_recorded,
    };
    let flushed = |note: &dyn Fn(&mut Tally)| {
        let mut tally = Tally::default();
        note(&mut tally);
        Flushed::new(None, false, at(0), &tally)
    };
    let of = |receipt: Receipt| flushed(&|tally| tally.end(Some(&id("a")), Some(&receipt)));
    for (left, expected) in [
        (of(rejected(true)), (0, 1, true)),
        (of(Receipt::Stale), (0, 1, true)),
        (of(Receipt::LeaseLost(Box::new(Receipt::Stale))), (0, 1, true)),
        (of(rejected(false)), (1, 0, true)),
        (flushed(&|tally| tally.note_scan(2, 0)), (0, 2, true)),
        (flushed(&|tally| tally.note_scan(0, 1)), (0, 0, false)),
    ] {
        assert_eq!((left.unrecorded, left.set_aside, left.is_certain), expected);
        assert!(!left.is_complete(), "{left:?}");
    }
    assert!(of(pending()).is_complete(), "its record counts");
    assert!(of(Receipt::Committed(Charged::new(None, ActualSource::Action))).is_complete());
    let read_again = flushed(&|tally| {
        tally.note_scan(0, 1);
        tally.note_scan(0, 0);
    });
    assert!(read_again.is_complete());
}

#[test]
fn what_is_replayed_and_set_aside_counts_once_and_what_is_left_counts_as_recorded() {
    let stale = Outcome::Settled(Receipt::Stale);
    let mut tally = Tally::default();
    let set_aside = |tally: &Tally| Flushed::new(None, false, at(0), tally).set_aside;
    for (outcome, is_left) in [
        (Some(&stale), false),
        (Some(&stale), false),
        (Some(&stale), true),
        (None, true),
    ] {
        tally.note_replayed(&id("a"), outcome, is_left);
        assert_eq!(set_aside(&tally), 1);
    }
    tally.note_replayed(&id("a"), Some(&settled()), false);
    assert_eq!(set_aside(&tally), 0, "it was sent by force, and counts");
    let mut replayer = replayer();
    scan(&mut replayer, at(0), [record("a"), record("b")]);
    started(&mut replayer, at(0));
    assert!(!replayer.handle_ended(at(0), &id("a"), Some(&stale)));
    assert!(replayer.handle_ended(at(0), &id("b"), Some(&Outcome::Settled(pending()))));
}
