//! What is known of the journal from outside: when it is looked at next, and what is left in it.

use super::*;

#[test]
fn when_it_looks_next_is_known_unless_it_reads_or_rests() {
    let mut replayer = replayer();
    assert_eq!(replayer.next_look(), Some(Duration::ZERO), "at first use");
    let Replay::Scan { ticket, .. } = replayer.poll(at(0)) else {
        panic!("no scan")
    };
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
    let left =
        |journal: Option<&Replayer>, ending, unrecorded| Flushed::new(journal, true, now, ending, unrecorded);

    assert!(left(Some(&empty), 0, 0).is_complete());
    assert!(
        Flushed::new(None, false, now, 0, 0).is_complete(),
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
