//! Several threads and several processes on one journal, and processes that are killed.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Barrier;
use std::sync::mpsc;
use std::thread;

use crate::support::*;
use cycles_proto::journal::JournalWrite;
use cycles_proto::record::JournalRecord;

#[test]
fn of_many_threads_each_finds_its_change_made() {
    let dir = TempDir::new();
    let journal = dir.journal();
    let barrier = Barrier::new(64);
    thread::scope(|scope| {
        for thread in 0..64 {
            let (journal, barrier) = (&journal, &barrier);
            let folder = dir.path().join(ACME);
            scope.spawn(move || {
                barrier.wait();
                for round in 0..5 {
                    let id = format!("r-{thread}-{round}");
                    journal.apply(put(&id)).unwrap();
                    assert!(folder.join(v2_name(&id)).exists());
                    if round > 0 {
                        journal.apply(remove(&id)).unwrap();
                        assert!(!folder.join(v2_name(&id)).exists());
                    }
                }
            });
        }
    });
    let expected: BTreeSet<String> = (0..64).map(|thread| v2_name(&format!("r-{thread}-0"))).collect();
    assert_eq!(
        listing(&dir.folder()).into_iter().collect::<BTreeSet<_>>(),
        expected
    );
}

#[test]
fn what_is_submitted_for_one_reservation_is_made_in_order() {
    let dir = TempDir::new();
    let journal = dir.journal();
    let (sender, done) = mpsc::channel();
    for round in 0..20 {
        for write in [
            JournalWrite::Put(record_at("r-1", round)),
            remove("r-1"),
            JournalWrite::Put(record_at("r-1", round)),
        ] {
            let sender = sender.clone();
            journal.submit(write, move |result| sender.send(result).unwrap());
        }
    }
    assert!(done.iter().take(60).all(|result| result.is_ok()));
    let found = journal.scan().unwrap();
    assert_eq!(found.records.len(), 1);
    assert_eq!(found.records[0].recorded_at().0, 19);
}

#[test]
fn one_claim_at_a_time_in_a_process() {
    let dir = TempDir::new();
    dir.journal().apply(put("r-1")).unwrap();
    let claim = dir.journal().claim();
    assert!(claim.is_some());
    #[cfg(unix)]
    assert!(dir.journal().claim().is_none());
    drop(claim);
    assert!(dir.journal().claim().is_some());
    assert_eq!(
        ids(&dir.journal().scan().unwrap().records),
        ["r-1"],
        "the lock's file is no record"
    );
}

#[test]
#[cfg(unix)]
fn a_claim_holds_between_processes_and_ends_with_a_killed_one() {
    let test = "processes::a_claim_holds_between_processes_and_ends_with_a_killed_one";
    if let Some(dir) = child_dir() {
        let claim = journal(&dir).claim();
        println!("{} claimed", if claim.is_some() { "have" } else { "not" });
        // Until killed, or left alone by a parent that is gone.
        let _ = std::io::stdin().read_line(&mut String::new());
        return drop(claim);
    }
    let dir = TempDir::new();
    dir.journal().apply(put("r-1")).unwrap();
    let start = || {
        let mut child = as_child(test, dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_suffix(" claimed").map(str::to_owned));
        (child, said.unwrap())
    };
    let (mut first, said) = start();
    assert!(said.ends_with("have"), "{said}");
    assert!(dir.journal().claim().is_none());
    let (mut second, said) = start();
    assert!(said.ends_with("not"), "{said}");
    second.kill().unwrap();
    second.wait().unwrap();
    assert!(dir.journal().claim().is_none(), "the first still has it");
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(dir.journal().claim().is_some());
}

#[test]
fn of_what_a_killed_process_was_told_is_stored_nothing_is_lost() {
    let test = "processes::of_what_a_killed_process_was_told_is_stored_nothing_is_lost";
    if let Some(dir) = child_dir() {
        let journal = journal(&dir);
        thread::scope(|scope| {
            for thread in 0..16 {
                let journal = &journal;
                scope.spawn(move || {
                    for round in 0.. {
                        let id = format!("r-{thread}-{round}");
                        journal.apply(put(&id)).unwrap();
                        println!("\nstored {id}");
                    }
                });
            }
        });
    }
    for enough in [1, 7, 40, 150, 400] {
        let dir = TempDir::new();
        let mut child = as_child(test, dir.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut stored = BTreeSet::new();
        let is_stored = |line: String| line.strip_prefix("stored ").map(str::to_owned);
        stored.extend(lines.by_ref().filter_map(is_stored).take(enough));
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said between our decision and its end; its last line may be cut off.
        let mut rest: Vec<String> = lines.filter_map(is_stored).collect();
        rest.pop();
        stored.extend(rest);
        assert!(stored.len() >= enough);
        let found = dir.journal().scan().unwrap();
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        let found: BTreeSet<String> = ids(&found.records).into_iter().map(str::to_owned).collect();
        assert!(stored.is_subset(&found), "{:?}", stored.difference(&found));
        for name in listing(&dir.folder()) {
            let is_torn = || JournalRecord::parse(&fs::read(dir.folder().join(&name)).unwrap()).is_err();
            assert!(
                name.ends_with(".json") || name.ends_with(".tmp") && is_torn(),
                "{name}"
            );
        }
    }
}

#[test]
fn two_processes_that_tidy_the_same_journal_lose_nothing() {
    let test = "processes::two_processes_that_tidy_the_same_journal_lose_nothing";
    if let Some(dir) = child_dir() {
        let journal = journal(&dir);
        let found = journal.scan().unwrap();
        // Whatever the other one does meanwhile, what was found is there under its proper name.
        for id in ids(&found.records) {
            assert!(dir.join(ACME).join(v2_name(id)).exists(), "{id}");
        }
        return;
    }
    for _ in 0..8 {
        let dir = TempDir::new();
        let folder = dir.folder();
        let mut expected: BTreeSet<String> = BTreeSet::new();
        for number in 0..30 {
            let (old, new) = (format!("old.{number}"), format!("new-{number}"));
            fs::write(
                folder.join(format!("old_{number}.json")),
                record_at(&old, 5).to_json(),
            )
            .unwrap();
            fs::write(folder.join(v2_name(&new)), record_at(&new, 5).to_json()).unwrap();
            let temp = folder.join(format!("{number}.tmp"));
            fs::write(&temp, record_at(&format!("temp-{number}"), 5).to_json()).unwrap();
            age(&temp, std::time::Duration::from_secs(7200));
            fs::write(folder.join(format!("bad-{number}.json")), "no record").unwrap();
            expected.extend([old, new, format!("temp-{number}")]);
        }
        let start = || {
            as_child(test, dir.path())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let children = [start(), start()];
        for child in children {
            assert_passed(&child.wait_with_output().unwrap());
        }
        let found = dir.journal().scan().unwrap();
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        let found: BTreeSet<String> = ids(&found.records).into_iter().map(str::to_owned).collect();
        assert_eq!(found, expected);
        let names = listing(&folder);
        assert_eq!(names.iter().filter(|name| name.ends_with(".corrupt")).count(), 30);
        assert_eq!(names.len(), 120, "{names:?}");
    }
}
