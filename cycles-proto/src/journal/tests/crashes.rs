//! A process that ends after any operation of any change, in any state of the directory, and on file systems that lack
//! features: no cost is lost or duplicated.

use super::*;

/// File systems that lack none, some or all of the features.
pub(super) fn file_systems() -> [Lacks; 3] {
    [(false, false, false), (true, true, false), (true, true, true)].map(|(unless_taken, exchange, links)| {
        Lacks {
            unless_taken,
            exchange,
            links,
        }
    })
}

/// Possible states of the directory before a change of `K1`.
pub(super) fn states() -> Vec<Vec<(String, Bytes)>> {
    let json = |record: JournalRecord| Bytes::from(record.to_json());
    let (one, two, three) = (json(record("K1")), json(record("K2")), json(record("K3")));
    let torn = one.slice(..one.len() / 2);
    let elsewhere = json(record_of(ELSEWHERE, RESERVATION, "K1"));
    let another = json(record_of(URL, "r_1", "K1"));
    let [stale, second_stale] = aside(Aside::Stale, "K1");
    let [rejected, second_rejected] = aside(Aside::Rejected, "K1");
    let temp = |ending: &str| format!("{}.7.0000000a{ending}", home());
    let states: Vec<Vec<(String, &Bytes)>> = vec![
        vec![],
        vec![(home(), &one)],
        vec![(home(), &two)],
        vec![(home(), &torn)],
        vec![(home(), &elsewhere)],
        vec![(home(), &another)],
        vec![(home(), &one), (waiting("K2"), &two)],
        vec![(home(), &one), (waiting("K2"), &two), (waiting("K3"), &three)],
        vec![(home(), &two), (waiting("K1"), &one)],
        vec![(home(), &one), (waiting("K1"), &one)],
        vec![(home(), &torn), (waiting("K1"), &one)],
        vec![(waiting("K1"), &one)],
        vec![(waiting("K1"), &two), (home(), &three)],
        vec![(waiting("K1"), &elsewhere), (home(), &two)],
        vec![(waiting("K1"), &torn), (home(), &two)],
        vec![(waiting("K1"), &another), (waiting("K2"), &two), (home(), &three)],
        vec![(legacy(), &one)],
        vec![(legacy(), &another)],
        vec![(legacy(), &one), (home(), &one)],
        vec![(legacy(), &one), (home(), &two)],
        vec![(legacy(), &one), (home(), &two), (waiting("K1"), &one)],
        vec![(stale.clone(), &one)],
        vec![(stale.clone(), &one), (home(), &one)],
        vec![(stale.clone(), &two), (second_stale, &one), (home(), &three)],
        vec![(rejected.clone(), &one)],
        vec![(rejected.clone(), &two), (home(), &one)],
        vec![(rejected.clone(), &two), (second_rejected, &one), (home(), &one)],
        vec![(rejected, &two), (stale, &three), (waiting("K1"), &one)],
        vec![(temp(".tmp"), &one)],
        vec![(temp(".taken"), &one), (home(), &two)],
        vec![(temp(".taken"), &two), (home(), &one)],
        vec![(temp(".tmp"), &torn), (home(), &one)],
    ];
    states
        .into_iter()
        .map(|state| {
            let state = state.into_iter();
            state.map(|(name, bytes)| (name, bytes.clone())).collect()
        })
        .collect()
}

fn changes() -> Vec<JournalWrite> {
    vec![
        JournalWrite::Put(record("K1")),
        JournalWrite::Put(event("K1")),
        JournalWrite::Remove(record("K1")),
        JournalWrite::SetAside(record("K1"), Aside::Rejected),
        JournalWrite::SetAside(event("K1"), Aside::Stale),
    ]
}

/// Runs this many operations of a change. Returns the operation that would be next, if there is one.
fn run(disk: &mut Disk, write: &JournalWrite, seen: &Seen, operations: usize) -> Option<FileOp> {
    let mut next = change(write, URL, seen);
    for _ in 0..operations {
        match next {
            Next::Do(op, paused) => next = paused.resume(disk.execute(1, op)),
            Next::Done(_) => return None,
        }
    }
    match next {
        Next::Do(op, _) => Some(op),
        Next::Done(_) => None,
    }
}

/// Files that are neither records nor being written.
fn unknown(files: &Memory) -> BTreeSet<Bytes> {
    let files = files.iter();
    files
        .filter(|(name, bytes)| {
            JournalRecord::parse(bytes).is_err() && !name.as_encoded_bytes().ends_with(b".tmp")
        })
        .map(|(_, bytes)| bytes.clone())
        .collect()
}

fn check(
    before: &Memory,
    mut disk: Disk,
    write: &JournalWrite,
    is_over: bool,
    context: &dyn core::fmt::Debug,
) {
    let (ours, after_crash) = (write.id(), disk.files.clone());
    let pending_before = |id: &RecordId| {
        let cost = (URL.to_owned(), id.clone());
        let files = costs(before).remove(&cost).unwrap_or_default();
        files.iter().any(|(name, _)| is_pending(name))
    };
    let found = assert_settles(&mut disk, context);
    let context = &(context, after_crash, &disk.files);
    let after = costs(&disk.files);
    for ((url, id), files) in costs(before) {
        let there = after.get(&(url.clone(), id.clone()));
        if url != URL || id != *ours {
            assert!(there.is_some(), "{context:?}: {id} of {url} is lost");
            let bytes = |files: &[(OsString, Bytes)]| -> BTreeSet<Bytes> {
                files.iter().map(|(_, bytes)| bytes.clone()).collect()
            };
            assert_eq!(
                bytes(there.unwrap()),
                bytes(&files),
                "{context:?}: {id} has changed"
            );
            assert!(
                url != URL || found.contains(&id) == pending_before(&id),
                "{context:?}: {id}"
            );
        } else if !matches!(write, JournalWrite::Remove(_)) {
            assert!(there.is_some(), "{context:?}: the cost itself is lost");
        }
    }
    assert!(
        unknown(&disk.files).is_superset(&unknown(before)),
        "{context:?}: what may be a cost is lost"
    );
    if !is_over {
        return;
    }
    let there = after.get(&(URL.to_owned(), ours.clone()));
    match write {
        JournalWrite::PutRun(_)
        | JournalWrite::PutMark(_)
        | JournalWrite::RemoveMark(_)
        | JournalWrite::LeaveMark(_) => {}
        JournalWrite::Put(record) => {
            let there = there.unwrap().iter().filter(|(name, _)| is_pending(name));
            let there: Vec<_> = there.map(|(_, bytes)| bytes.clone()).collect();
            assert_eq!(there, [Bytes::from(record.to_json())], "{context:?}");
        }
        // A record that an ended writer left is used, and sent again under its key.
        JournalWrite::Remove(_) if is_left(before) => {}
        JournalWrite::Remove(_) => assert!(!found.contains(ours), "{context:?}"),
        JournalWrite::SetAside(_, reason) => {
            let ending = format!(".{}", reason.ending());
            let is_aside = |name: &OsStr| name.as_encoded_bytes().ends_with(ending.as_bytes());
            assert!(is_left(before) || !found.contains(ours), "{context:?}");
            assert!(
                there.unwrap().iter().any(|(name, _)| is_aside(name)),
                "{context:?}"
            );
        }
    }
}

/// Whether the record was left by a writer that ended.
fn is_left(files: &Memory) -> bool {
    let ours = (URL.to_owned(), record("K1").id().clone());
    let files = costs(files).remove(&ours).unwrap_or_default();
    files.iter().any(|(name, _)| {
        let name = name.as_encoded_bytes();
        name.ends_with(b".tmp") || name.ends_with(b".taken")
    })
}

#[test]
fn a_process_that_ends_after_any_operation_of_any_change_loses_no_cost_and_leaves_none_twice() {
    let mut ends = 0;
    for (lacks, state, write) in every_case() {
        let mut disk = disk(lacks, &state);
        let mut seen = Seen::default();
        let before = disk.files.clone();
        if state.iter().any(|(name, _)| name.ends_with(".waiting")) {
            let scan = scan(URL).run(|op| disk.execute(1, op));
            seen.note_scan(&scan.unwrap());
        }
        let mut checked = None;
        for operations in 0.. {
            let mut disk = disk.clone();
            let next = run(&mut disk, &write, &seen, operations);
            let context = (lacks, &state, &write, operations);
            if let Some(FileOp::Write { name, bytes }) = &next {
                // The process ended while writing.
                for kept in [0, bytes.len() / 2, bytes.len() - 1] {
                    let mut disk = disk.clone();
                    let temp = Temporary::Written.name(name.as_ref(), 1, 77);
                    disk.files.insert(temp, bytes.slice(..kept));
                    check(&before, disk, &write, false, &(kept, &context));
                }
            }
            ends += 1;
            // An operation that only looks leaves a state that was checked before.
            if next.is_none() || checked.as_ref() != Some(&disk) {
                checked = Some(disk.clone());
                check(&before, disk, &write, next.is_none(), &context);
            }
            if next.is_none() {
                break;
            }
        }
    }
    assert!(ends > 4_000, "{ends}");
}

#[test]
fn a_process_that_ends_after_any_operation_of_a_scan_loses_no_cost_and_leaves_none_twice() {
    // Like a change that was not started.
    let nobody = JournalWrite::Remove(record_of(URL, "nobody", "K"));
    for lacks in file_systems() {
        for state in states() {
            let disk = disk(lacks, &state);
            let before = disk.files.clone();
            for operations in 0.. {
                let mut disk = disk.clone();
                let mut left = operations;
                let mut next = scan(URL);
                let is_over = loop {
                    match next {
                        Next::Done(_) => break true,
                        Next::Do(..) if left == 0 => break false,
                        Next::Do(op, paused) => next = paused.resume(disk.execute(1, op)),
                    }
                    left -= 1;
                };
                check(&before, disk, &nobody, is_over, &(lacks, &state, operations));
                if is_over {
                    break;
                }
            }
        }
    }
}

#[test]
fn an_operation_that_fails_in_the_middle_loses_no_cost_and_leaves_none_twice() {
    for (lacks, state, write) in every_case().filter(|(lacks, ..)| !lacks.links) {
        for operations in 0.. {
            let mut disk = disk(lacks, &state);
            let before = disk.files.clone();
            let (mut count, mut changes_files) = (0, false);
            let _ = change(&write, URL, &Seen::default()).run(|op| {
                count += 1;
                if count == operations + 1 {
                    changes_files =
                        !matches!(op, FileOp::Read { .. } | FileOp::Look { .. } | FileOp::Prepare);
                    return Err(std::io::ErrorKind::StorageFull.into());
                }
                disk.execute(1, op)
            });
            let has_failed = count > operations;
            if !has_failed || changes_files {
                check(
                    &before,
                    disk,
                    &write,
                    !has_failed,
                    &(lacks, &state, &write, operations),
                );
            }
            if !has_failed {
                break;
            }
        }
    }
}

pub(super) fn disk(lacks: Lacks, state: &[(String, Bytes)]) -> Disk {
    let mut disk = Disk {
        files: Memory::lacking(lacks),
        ended: [7].into(),
    };
    for (name, bytes) in state {
        disk.files.insert(name, bytes.clone());
    }
    disk
}

fn every_case() -> impl Iterator<Item = (Lacks, Vec<(String, Bytes)>, JournalWrite)> {
    file_systems().into_iter().flat_map(|lacks| {
        states().into_iter().flat_map(move |state| {
            let changes = changes().into_iter();
            changes.map(move |write| (lacks, state.clone(), write))
        })
    })
}
