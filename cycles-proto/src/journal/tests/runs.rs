//! The files of runs: a process that ends after any operation leaves every stored total to be charged once.

use super::crashes::file_systems;
use super::*;

const OWNER: u32 = 1;

/// The total of a run.
fn total(key: &str, amount: i64) -> JournalRecord {
    let purpose = Purpose {
        subject: Subject::tenant("acme"),
        action: Action::new("agent.run", "research"),
    };
    let commit = CommitRequest::builder().actual(Amount::tokens(amount)).build();
    JournalRecord::new(
        URL,
        &RESERVATION.into(),
        &Arc::new(purpose),
        key.into(),
        commit,
        UnixMillis(1_795_000_000_000),
    )
    .unwrap()
}

/// The life of a run whose steps cost 3 and 4.
fn life() -> [JournalWrite; 4] {
    [
        JournalWrite::PutRun(total("run", 3)),
        JournalWrite::PutRun(total("run", 7)),
        JournalWrite::Put(total("run", 7)),
        JournalWrite::Remove(total("run", 7)),
    ]
}

fn amounts(scan: &Scan, key: &str) -> Vec<i64> {
    let of_run = scan
        .records
        .iter()
        .filter(|record| record.id().key.as_str() == key);
    of_run.map(|record| record.actual().unwrap().amount).collect()
}

#[test]
fn a_process_that_ends_at_any_moment_of_a_run_leaves_what_was_stored_to_be_charged_once() {
    let mut ends = 0;
    for lacks in file_systems() {
        // Alone, beside another cost of the reservation, and beside a record of the same cost.
        for beside in [None, Some(total("K2", 5)), Some(total("run", 7))] {
            for operations in 0.. {
                let mut disk = Disk {
                    files: Memory::lacking(lacks),
                    ended: BTreeSet::new(),
                };
                if let Some(record) = &beside {
                    disk.files.insert(home(), record.to_json());
                }
                let (mut seen, mut left, mut stored) = (Seen::default(), operations, None);
                let mut is_over = true;
                'life: for (place, write) in life().iter().enumerate() {
                    let mut next = change(write, URL, &seen);
                    let changed = loop {
                        match next {
                            Next::Done(changed) => break changed.unwrap(),
                            Next::Do(..) if left == 0 => {
                                is_over = false;
                                break 'life;
                            }
                            Next::Do(op, paused) => next = paused.resume(disk.execute(OWNER, op)),
                        }
                        left -= 1;
                    };
                    seen.note(&changed);
                    stored = Some(place);
                }
                ends += 1;
                let context = (lacks, &beside, operations, disk.files.clone());
                let found = disk.scan_later();
                let run = amounts(&found, "run");
                let least = [3, 7, 7].get(stored.unwrap_or(3)).copied();
                match (stored, run.as_slice()) {
                    _ if beside
                        .as_ref()
                        .is_some_and(|record| record.id() == total("run", 7).id()) =>
                    {
                        assert!(
                            run.iter().filter(|amount| **amount == 7).count() <= 1,
                            "{context:?}"
                        );
                    }
                    // Nothing was stored yet, or it is settled and being removed.
                    (None | Some(2 | 3), []) => {}
                    (_, [amount]) => assert!(least.is_none_or(|least| *amount >= least), "{context:?}"),
                    (_, other) => panic!("{other:?} in {context:?}"),
                }
                if is_over && beside.is_none() {
                    assert!(run.is_empty() && disk.files.iter().count() == 0, "{context:?}");
                }
                if beside
                    .as_ref()
                    .is_some_and(|record| record.id().key.as_str() == "K2")
                {
                    assert_eq!(amounts(&found, "K2"), [5], "{context:?}");
                }
                let runs = disk
                    .files
                    .iter()
                    .filter(|(name, _)| name.as_encoded_bytes().ends_with(b".run"));
                assert_eq!(runs.count(), 0, "{context:?}");
                assert_eq!(
                    disk.scan_later().records.len(),
                    found.records.len(),
                    "{context:?}"
                );
                if is_over {
                    break;
                }
            }
        }
    }
    assert!(ends > 150, "{ends}");
}

#[test]
fn the_total_of_a_run_whose_owner_lives_is_left_alone_however_old_it_is() {
    let mut disk = Disk::default();
    let seen = Seen::default();
    let stored = change(&life()[0], URL, &seen).run(|op| disk.execute(OWNER, op));
    assert!(stored.is_ok());
    disk.files
        .set_time(core::time::Duration::from_secs(400 * 24 * 3600));
    let before = disk.files.clone();
    let found = scan(URL).run(|op| disk.execute(2, op)).unwrap();
    assert!(found.records.is_empty() && found.problems.is_empty() && found.abandoned_runs.is_empty());
    assert_eq!(disk.files, before);
}

#[test]
fn the_total_of_a_run_is_told_once_and_stays_if_it_cannot_be_known_whether_its_owner_lives() {
    let mut disk = Disk::default();
    let name = run_file_name(total("run", 3).id(), "elsewhere");
    disk.files.insert(&name, total("run", 3).to_json());
    let mut seen = Seen::default();
    for told in [1, 0] {
        let found = read(URL, false, &seen).run(|op| disk.execute(LATER, op)).unwrap();
        assert_eq!(found.unread(), 1);
        assert_eq!(found.events(&mut seen, "/journal".as_ref()).len(), told);
        assert!(found.into_records().is_empty());
    }
    assert!(disk.files.get(&name).is_some());
}

#[test]
fn two_runs_of_one_reservation_are_two_costs_and_the_second_waits() {
    let mut disk = Disk::default();
    for (key, amount) in [("A", 3), ("B", 4)] {
        let write = JournalWrite::PutRun(total(key, amount));
        assert!(
            change(&write, URL, &Seen::default())
                .run(|op| disk.execute(OWNER, op))
                .is_ok()
        );
    }
    let found = disk.scan_later();
    assert_eq!((amounts(&found, "A"), amounts(&found, "B")), (vec![3], vec![4]));
    assert_eq!(found.waiting.len(), 1);
}

#[test]
fn a_lock_that_no_owner_holds_is_removed_after_an_hour_unless_a_run_needs_it() {
    let mut disk = Disk {
        ended: [OWNER, 3].into(),
        ..Disk::default()
    };
    let locks = ["1", "2", "3"].map(owner_lock_name);
    for lock in &locks {
        disk.files.insert(lock, "");
    }
    disk.files.insert(
        run_file_name(total("run", 3).id(), "3"),
        total("run", 3).to_json(),
    );
    for (age, left) in [(3_599, &locks[..]), (3_600, &locks[1..])] {
        disk.files.set_time(core::time::Duration::from_secs(age));
        let mut after = disk.clone();
        scan(URL).run(|op| after.execute(2, op)).unwrap();
        let there: Vec<_> = locks
            .iter()
            .filter(|lock| after.files.get(lock).is_some())
            .cloned()
            .collect();
        assert_eq!(there, left);
    }
}

#[test]
fn a_total_that_was_not_stored_completely_is_never_used() {
    for (owner, age, left) in [
        ("1", 0, 0),
        ("elsewhere", 3_599, 1),
        ("elsewhere", 3_600, 0),
        ("100", 0, 1),
    ] {
        let mut disk = Disk::default();
        let name = run_file_name(total("run", 3).id(), owner);
        let temp = Temporary::Written.name(name.as_ref(), 1, 7);
        disk.files.insert(&temp, total("run", 3).to_json());
        disk.files.set_time(core::time::Duration::from_secs(age));
        assert!(disk.scan_later().records.is_empty());
        assert_eq!(disk.files.iter().count(), left, "{owner} {age}");
    }
}
