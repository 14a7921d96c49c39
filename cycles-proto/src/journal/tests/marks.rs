//! The marks of dispatched actions: a process that ends after any operation leaves the mark or the known cost, never both,
//! and nothing but a person's word makes a cost of a mark.

use super::by_hand::{NOW, RETRY};
use super::crashes::file_systems;
use super::*;

const OWNER: u32 = 1;
pub(super) const CHARGE: EntryChange = EntryChange::ChargeEstimate { is_forced: false };

fn mark() -> JournalRecord {
    record("M").into_mark()
}

/// A disk with the mark of a process that has ended, and its entry.
fn left_mark(now: UnixMillis) -> (Disk, JournalEntry) {
    let mut disk = Disk::default();
    let name = mark_file_name(mark().id(), "ended");
    disk.files.insert(name, mark().to_json());
    let listed = entries(URL, now).run(|op| disk.execute(2, op)).unwrap();
    let [entry] = listed.entries.try_into().unwrap();
    (disk, entry)
}

/// What lies on disk, as a later process finds it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) marks: usize,
    pub(super) costs: BTreeSet<RecordId>,
}

pub(super) fn found(disk: &mut Disk) -> Found {
    let context = format!("{disk:?}");
    let costs = assert_settles(disk, &context);
    let marks = disk.scan_later().marks.len();
    Found { marks, costs }
}

/// Runs the writes one after another, but no more than this many operations. Returns how many writes were completed.
pub(super) fn live(disk: &mut Disk, life: &[JournalWrite], operations: usize) -> usize {
    let (mut seen, mut left) = (Seen::default(), operations);
    for (place, write) in life.iter().enumerate() {
        let mut next = change(write, URL, &seen);
        let changed = loop {
            match next {
                Next::Done(changed) => break changed.unwrap(),
                Next::Do(..) if left == 0 => return place,
                Next::Do(op, paused) => next = paused.resume(disk.execute(OWNER, op)),
            }
            left -= 1;
        };
        seen.note(&changed);
    }
    life.len()
}

#[test]
fn a_process_that_ends_at_any_moment_leaves_the_mark_or_the_known_cost_and_never_both() {
    let mut ends = 0;
    // The cost may be committed under a key of its own.
    for key in ["M", "K"] {
        let cost = record(key).in_place_of_mark(&mark().id().key);
        let life = [
            JournalWrite::PutMark(mark()),
            JournalWrite::Put(cost.clone()),
            JournalWrite::Remove(cost.clone()),
        ];
        for lacks in file_systems() {
            for operations in 0.. {
                let mut disk = Disk {
                    files: Memory::lacking(lacks),
                    ended: BTreeSet::new(),
                };
                let done = live(&mut disk, &life, operations);
                ends += 1;
                let context = format!("{key}, {lacks:?}, after {operations}: {:?}", disk.files);
                let found = found(&mut disk);
                let is_cost = found.costs == BTreeSet::from([cost.id().clone()]);
                match (done, found.marks, found.costs.len()) {
                    // The mark is being written.
                    (0, 0 | 1, 0) => {}
                    // It is there, or the cost has just taken its place.
                    (1, 1, 0) => {}
                    (1, 0, 1) => assert!(is_cost, "{context}"),
                    (2, 0, 1) => assert!(is_cost, "{context}"),
                    // It is being removed.
                    (2 | 3, 0, 0) => {}
                    other => panic!("{other:?}: {context}"),
                }
                if done == life.len() {
                    assert_eq!(disk.files.iter().count(), 0, "{context}");
                    break;
                }
            }
        }
    }
    assert!(ends > 60, "{ends}");
}

#[test]
fn a_mark_that_is_removed_or_left_behind_is_gone_or_stays_whenever_the_process_ends() {
    for (end, stays) in [
        (JournalWrite::RemoveMark(mark().id().clone()), false),
        (JournalWrite::LeaveMark(mark()), true),
    ] {
        let life = [JournalWrite::PutMark(mark()), end];
        for operations in 0.. {
            let mut disk = Disk::default();
            let done = live(&mut disk, &life, operations);
            let found = found(&mut disk);
            assert_eq!(found.costs.len(), 0);
            match done {
                0 => {}
                1 => assert!(found.marks == 1 || !stays),
                _ => {
                    assert_eq!(found.marks, usize::from(stays));
                    break;
                }
            }
        }
    }
}

#[test]
fn a_mark_is_told_once_and_never_settled_however_old_it_is() {
    for (owner, is_told) in [("1", true), ("100", false), ("elsewhere", true), ("ended", true)] {
        let mut disk = Disk::default();
        let name = mark_file_name(mark().id(), owner);
        disk.files.insert(&name, mark().to_json());
        disk.files
            .set_time(core::time::Duration::from_secs(400 * 24 * 3_600));
        disk.ended.insert(OWNER);
        let before = disk.files.clone();
        let mut seen = Seen::default();
        for is_first in [true, false] {
            let found = read(URL, true, &seen).run(|op| disk.execute(2, op)).unwrap();
            assert_eq!(found.unread(), 0);
            assert_eq!(found.unknown(&seen).len(), usize::from(is_told), "{owner}");
            let events = found.events(&mut seen, "/journal".as_ref());
            assert_eq!(events.len(), usize::from(is_told && is_first), "{owner}");
            for event in events {
                let json = serde_json::to_string(&event).unwrap();
                let told = r#""kind":"unknown_cost_left","reservation_id":"r.1","subject":{"tenant":"acme"}"#;
                assert!(json.contains(told) && json.contains(r#""estimate":{"#), "{json}");
            }
            assert!(found.into_records().is_empty());
        }
        assert_eq!(disk.files, before);
    }
}

#[test]
fn a_person_may_charge_or_discard_a_mark_only_once_its_owner_is_gone() {
    let is_refused = |error: &EntryFailure| match error {
        EntryFailure::Refused(EntryError::OwnerRuns) => "runs",
        EntryFailure::Refused(EntryError::OwnerUnknown) => "unknown",
        EntryFailure::Refused(_) | EntryFailure::Failed(_) => panic!("{error:?}"),
    };
    for (owner, is_forced, refused) in [
        ("1", false, None),
        ("ended", false, None),
        ("100", false, Some("runs")),
        ("100", true, Some("runs")),
        ("elsewhere", false, Some("unknown")),
        ("elsewhere", true, None),
    ] {
        for discards in [false, true] {
            let mut disk = Disk::default();
            let name = mark_file_name(mark().id(), owner);
            disk.files.insert(&name, mark().to_json());
            disk.ended.insert(OWNER);
            let before = disk.files.clone();
            let [entry] = &entries(URL, NOW).run(|op| disk.execute(2, op)).unwrap().entries[..] else {
                panic!("{disk:?}")
            };
            assert_eq!(entry.kind, EntryKind::Dispatched);
            assert_eq!(entry.is_in_progress, owner == "100");
            let (error, left) = match discards {
                true => {
                    let discarded = discard(URL, entry, is_forced).run(|op| disk.execute(2, op));
                    (discarded.err(), (0, 0))
                }
                false => {
                    let charge = EntryChange::ChargeEstimate { is_forced };
                    let charged = restore(URL, entry, charge, NOW).run(|op| disk.execute(2, op));
                    if let Ok(charged) = &charged {
                        assert_eq!(charged.record.recorded_at(), mark().recorded_at());
                        assert!(charged.record.dispatched().is_none());
                        assert_eq!(charged.record.body(), mark().body());
                    }
                    (charged.err(), (0, 1))
                }
            };
            assert_eq!(error.as_ref().map(is_refused), refused, "{owner} {is_forced}");
            match refused {
                Some(_) => assert_eq!(disk.files, before),
                None => {
                    let found = found(&mut disk);
                    assert_eq!((found.marks, found.costs.len()), left, "{owner} {discards}");
                }
            }
        }
    }
}

#[test]
fn a_charged_mark_stays_as_old_as_it_is_unless_its_age_was_passed_over_by_force() {
    const DAY_MS: u64 = 86_400_000;
    let marked = mark().recorded_at();
    for (days, is_forced, is_as_old) in [
        (5, false, true),
        (5, true, true),
        (7, false, true),
        (7, true, false),
    ] {
        let now = UnixMillis(marked.0 + days * DAY_MS);
        let (mut disk, entry) = left_mark(now);
        let charge = EntryChange::ChargeEstimate { is_forced };
        let charged = restore(URL, &entry, charge, now)
            .run(|op| disk.execute(2, op))
            .unwrap();
        let since = if is_as_old { marked } else { now };
        assert_eq!(charged.record.recorded_at(), since, "{days} {is_forced}");
    }
}

#[test]
fn charging_or_discarding_a_mark_and_interrupted_after_any_operation_leaves_one_mark_or_one_cost() {
    for discards in [false, true] {
        for operations in 0.. {
            let (mut disk, entry) = left_mark(NOW);
            let mut left = operations;
            let mut execute = |disk: &mut Disk, op| {
                left -= 1;
                disk.execute(2, op)
            };
            let is_over = match discards {
                true => go(discard(URL, &entry, false), operations, |op| {
                    execute(&mut disk, op)
                }),
                false => go(restore(URL, &entry, CHARGE, NOW), operations, |op| {
                    execute(&mut disk, op)
                }),
            };
            let context = format!("{discards}, after {operations}: {:?}", disk.files);
            let discarded = disk
                .files
                .iter()
                .filter(|(name, _)| name.as_encoded_bytes().ends_with(b".discarded"))
                .count();
            let found = found(&mut disk);
            assert_eq!(found.marks + found.costs.len() + discarded, 1, "{context}");
            assert!(!discards || found.costs.is_empty(), "{context}");
            if is_over {
                assert_eq!(discarded + found.costs.len(), 1, "{context}");
                break;
            }
        }
    }
}

/// Runs this many operations. Returns whether that was all.
fn go<T>(mut next: Next<'_, T>, operations: usize, mut execute: impl FnMut(FileOp) -> OpResult) -> bool {
    for _ in 0..operations {
        match next {
            Next::Do(op, paused) => next = paused.resume(execute(op)),
            Next::Done(_) => return true,
        }
    }
    matches!(next, Next::Done(_))
}

#[test]
fn a_mark_is_charged_or_discarded_and_never_both_whenever_another_process_comes_in_between() {
    // Without an exchange of names, there is a moment at which this cannot be known.
    for lacks in file_systems().into_iter().filter(|lacks| !lacks.exchange) {
        for operations in 0.. {
            let mut disk = Disk {
                files: Memory::lacking(lacks),
                ended: BTreeSet::new(),
            };
            disk.files
                .insert(mark_file_name(mark().id(), "ended"), mark().to_json());
            let entry = entries(URL, NOW)
                .run(|op| disk.execute(2, op))
                .unwrap()
                .entries
                .remove(0);
            let mut next = restore(URL, &entry, CHARGE, NOW);
            for _ in 0..operations {
                if let Next::Do(op, paused) = next {
                    next = paused.resume(disk.execute(2, op));
                }
            }
            let is_over = matches!(next, Next::Done(_));
            // It may be found under its temporary name.
            let list = entries(URL, NOW).run(|op| disk.execute(3, op)).unwrap().entries;
            let marks = list.iter().filter(|entry| entry.kind == EntryKind::Dispatched);
            let discarded = marks
                .filter(|entry| discard(URL, entry, false).run(|op| disk.execute(3, op)).is_ok())
                .count();
            let charged = loop {
                match next {
                    Next::Do(op, paused) => next = paused.resume(disk.execute(2, op)),
                    Next::Done(charged) => break usize::from(charged.is_ok()),
                }
            };
            let context = format!("{lacks:?}, after {operations}: {:?}", disk.files);
            assert_eq!(discarded + charged, 1, "{context}");
            let found = found(&mut disk);
            assert_eq!((found.marks, found.costs.len()), (0, charged), "{context}");
            if is_over {
                break;
            }
        }
    }
}

#[test]
fn a_discarded_mark_is_taken_back_by_charging_it_and_no_retry_makes_a_cost_of_a_mark() {
    let mut disk = Disk::default();
    let list = |disk: &mut Disk| {
        entries(URL, NOW)
            .run(|op| disk.execute(2, op))
            .unwrap()
            .entries
            .remove(0)
    };
    disk.files
        .insert(mark_file_name(mark().id(), "ended"), mark().to_json());
    for _ in 0..2 {
        let entry = list(&mut disk);
        let retried = restore(URL, &entry, RETRY, NOW).run(|op| disk.execute(2, op));
        assert!(
            matches!(
                retried,
                Err(EntryFailure::Refused(EntryError::NotByHand(
                    EntryKind::Dispatched
                )))
            ),
            "{retried:?}"
        );
        if entry.kind == EntryKind::Dispatched {
            discard(URL, &entry, false).run(|op| disk.execute(2, op)).unwrap();
        }
    }
    let entry = list(&mut disk);
    assert_eq!(entry.kind, EntryKind::Discarded);
    assert!(
        restore(URL, &entry, CHARGE, NOW)
            .run(|op| disk.execute(2, op))
            .is_ok()
    );
    assert_eq!(found(&mut disk).costs.len(), 1);
    let gone = restore(URL, &entry, CHARGE, NOW).run(|op| disk.execute(2, op));
    assert!(
        matches!(gone, Err(EntryFailure::Refused(EntryError::Gone))),
        "{gone:?}"
    );
}

#[test]
fn a_mark_that_was_not_written_completely_is_never_used() {
    for (owner, age, left) in [
        ("1", 0, 0),
        ("elsewhere", 3_599, 1),
        ("elsewhere", 3_600, 0),
        ("100", 0, 1),
    ] {
        let mut disk = Disk::default();
        let name = mark_file_name(mark().id(), owner);
        let temp = Temporary::Written.name(name.as_ref(), 1, 7);
        disk.files.insert(&temp, mark().to_json());
        disk.files.set_time(core::time::Duration::from_secs(age));
        let found = disk.scan_later();
        assert!(found.records.is_empty() && found.marks.is_empty());
        assert_eq!(disk.files.iter().count(), left, "{owner} {age}");
    }
}
