//! Two costs of one reservation, under keys of their own: no change of one touches the other.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::*;
use cycles_proto::journal::JournalWrite;
use cycles_proto::outcome::Aside;
use cycles_proto::record::{JournalRecord, waiting_file_name};

fn record(key: &str) -> JournalRecord {
    record_with_key("r.1", key, 5)
}

fn put(key: &str) -> JournalWrite {
    JournalWrite::Put(record(key))
}

fn remove(key: &str) -> JournalWrite {
    JournalWrite::Remove(record(key))
}

fn waiting(key: &str) -> String {
    waiting_file_name(record(key).id())
}

/// The keys of the records, in order.
fn keys(records: &[JournalRecord]) -> Vec<&str> {
    let mut keys: Vec<&str> = records.iter().map(|record| record.id().key.as_str()).collect();
    keys.sort_unstable();
    keys
}

/// The key of the record in this file.
fn key_in(folder: &Path, name: &str) -> String {
    let record = JournalRecord::parse(&fs::read(folder.join(name)).unwrap()).unwrap();
    record.id().key.as_str().to_owned()
}

#[test]
fn the_second_waits_beside_the_first_and_has_its_name_once_that_is_settled() {
    let dir = TempDir::new();
    let (journal, folder) = (dir.journal(), dir.folder());
    for key in ["K1", "K2", "K1", "K2"] {
        journal.apply(put(key)).unwrap();
    }
    let found = journal.scan().unwrap();
    assert_eq!(keys(&found.records), ["K1", "K2"]);
    assert_eq!(
        found.waiting,
        [(record("K2").id().clone(), folder.join(waiting("K2")))]
    );
    assert_eq!(key_in(&folder, &v2_name("r.1")), "K1");
    journal.apply(remove("K1")).unwrap();
    assert_eq!(listing(&folder), [v2_name("r.1")]);
    assert_eq!(key_in(&folder, &v2_name("r.1")), "K2");
    assert!(journal.scan().unwrap().waiting.is_empty());
}

#[test]
fn the_second_may_be_settled_or_changed_first() {
    let dir = TempDir::new();
    let (journal, folder) = (dir.journal(), dir.folder());
    journal.apply(put("K1")).unwrap();
    journal.apply(put("K2")).unwrap();
    let event = record("K2").into_event().unwrap();
    journal.apply(JournalWrite::Put(event.clone())).unwrap();
    let waits = fs::read_to_string(folder.join(waiting("K2"))).unwrap();
    assert_eq!(waits, event.to_json());
    journal.apply(remove("K2")).unwrap();
    assert_eq!(listing(&folder), [v2_name("r.1")]);
    assert_eq!(key_in(&folder, &v2_name("r.1")), "K1");
    journal.apply(remove("another")).unwrap();
    assert_eq!(listing(&folder), [v2_name("r.1")], "no other key removes it");
}

#[test]
fn one_that_an_earlier_run_let_wait_has_the_name_after_the_next_scan() {
    let dir = TempDir::new();
    let folder = dir.folder();
    dir.journal().apply(put("K1")).unwrap();
    dir.journal().apply(put("K2")).unwrap();
    // This run did not see that one waits.
    dir.journal().apply(remove("K1")).unwrap();
    assert_eq!(listing(&folder), [waiting("K2")]);
    let found = dir.journal().scan().unwrap();
    assert_eq!((keys(&found.records), found.waiting.len()), (vec!["K2"], 0));
    assert_eq!(listing(&folder), [v2_name("r.1")]);
}

#[test]
fn two_that_are_refused_are_two_files_for_a_person() {
    let dir = TempDir::new();
    let (journal, folder) = (dir.journal(), dir.folder());
    for aside in [Aside::Rejected, Aside::Stale] {
        for key in ["K1", "K2", "K3"] {
            journal.apply(put(key)).unwrap();
        }
        for key in ["K2", "K1", "K3", "K1"] {
            let refused = JournalWrite::SetAside(record(key), aside);
            journal.apply(refused).unwrap();
        }
        let kept = journal.set_aside(aside).unwrap();
        let kept: Vec<_> = kept.into_iter().map(|aside| aside.record.unwrap()).collect();
        assert_eq!(keys(&kept), ["K1", "K2", "K3"]);
        assert!(journal.scan().unwrap().records.is_empty());
    }
    assert_eq!(listing(&folder).len(), 6);
    // Each that was stale may be settled by force, or be refused then.
    journal.apply(remove("K1")).unwrap();
    let refused = JournalWrite::SetAside(record("K2"), Aside::Rejected);
    journal.apply(refused).unwrap();
    let stale = journal.set_aside(Aside::Stale).unwrap();
    assert_eq!(
        key_in(&folder, stale[0].path.file_name().unwrap().to_str().unwrap()),
        "K3"
    );
    assert_eq!(
        (stale.len(), journal.set_aside(Aside::Rejected).unwrap().len()),
        (1, 3)
    );
}

#[test]
fn a_second_under_an_older_name_or_from_an_interrupted_writer_waits_too() {
    let dir = TempDir::new();
    let folder = dir.folder();
    dir.journal().apply(put("K1")).unwrap();
    fs::write(folder.join("r_1.json"), record("K2").to_json()).unwrap();
    let temp = folder.join("r.7.0a.tmp");
    fs::write(&temp, record("K3").to_json()).unwrap();
    age(&temp, Duration::from_secs(7200));
    let found = dir.journal().scan().unwrap();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    assert_eq!(keys(&found.records), ["K1", "K2", "K3"]);
    let mut expected = [v2_name("r.1"), waiting("K2"), waiting("K3")];
    expected.sort();
    assert_eq!(listing(&folder), expected);
}

#[test]
fn what_is_no_record_keeps_the_name_until_a_scan_and_the_cost_is_safe_meanwhile() {
    let dir = TempDir::new();
    let (journal, folder) = (dir.journal(), dir.folder());
    fs::write(folder.join(v2_name("r.1")), "torn, and perhaps another cost").unwrap();
    journal.apply(put("K1")).unwrap();
    assert_eq!(listing(&folder).len(), 2);
    let found = journal.scan().unwrap();
    assert_eq!((keys(&found.records), found.problems.len()), (vec!["K1"], 1));
    assert_eq!(
        listing(&folder),
        [v2_name("r.1").replace(".json", ".corrupt"), v2_name("r.1")]
    );
}

#[test]
fn a_second_cost_is_told_once() {
    let dir = TempDir::new();
    let journal = dir.journal();
    let mut told = Vec::new();
    for key in ["K1", "K2"] {
        journal.apply(put(key)).unwrap();
        for _ in 0..2 {
            let (reading, _claim) = journal.read(false).unwrap();
            told.extend(reading.events.iter().map(|event| format!("{event:?}")));
        }
    }
    assert_eq!(told.len(), 1, "{told:?}");
    for word in ["SecondCost", "r.1", "K2", &waiting("K2")] {
        assert!(told[0].contains(word), "{}", told[0]);
    }
}

#[test]
fn of_two_processes_that_write_at_once_neither_loses_its_cost() {
    let test = "two_costs::of_two_processes_that_write_at_once_neither_loses_its_cost";
    const ROUNDS: u64 = 60;
    let of = |round: u64, key: &str| record_with_key(&format!("r-{round}"), key, round);
    if let Some(dir) = child_dir() {
        let key = std::env::var("CYCLES_TEST_KEY").unwrap();
        let journal = journal(&dir);
        for round in 0..ROUNDS {
            let record = of(round, &key);
            // A first cost comes and goes, so that the name is taken, given back and given on all the time.
            let passing = of(round, &format!("passing-{key}"));
            journal.apply(JournalWrite::Put(passing.clone())).unwrap();
            journal.apply(JournalWrite::Put(record.clone())).unwrap();
            journal.scan().unwrap();
            journal.apply(JournalWrite::Remove(passing)).unwrap();
            journal
                .apply(JournalWrite::Put(record.into_event().unwrap()))
                .unwrap();
        }
        return;
    }
    let dir = TempDir::new();
    let start = |key: &str| {
        as_child(test, dir.path())
            .env("CYCLES_TEST_KEY", key)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children = ["K1", "K2", "K3"].map(start);
    for child in children {
        assert_passed(&child.wait_with_output().unwrap());
    }
    let found = dir.journal().scan().unwrap();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    let mut found: Vec<_> = found.records.iter().map(|record| record.id().clone()).collect();
    found.sort();
    let mut expected: Vec<_> = (0..ROUNDS)
        .flat_map(|round| ["K1", "K2", "K3"].map(|key| of(round, key).id().clone()))
        .collect();
    expected.sort();
    assert_eq!(found, expected);
}

/// A caller that gives the commit a key of its own, and is run twice.
#[test]
fn two_amounts_under_one_key_are_two_costs_as_well() {
    let dir = TempDir::new();
    let (journal, folder) = (dir.journal(), dir.folder());
    let [first, second] = [100, 250].map(|amount| record_of("r.1", "K", amount, 5));
    let amounts = || {
        let mut found: Vec<_> = journal.scan().unwrap().records;
        found.sort_by_key(|record| record.actual().unwrap().amount);
        found
            .iter()
            .map(|record| record.actual().unwrap().amount)
            .collect::<Vec<_>>()
    };
    for record in [&first, &second, &first, &second] {
        journal.apply(JournalWrite::Put(record.clone())).unwrap();
    }
    assert_eq!(amounts(), [100, 250]);
    journal.apply(JournalWrite::Remove(first.clone())).unwrap();
    assert_eq!(amounts(), [250]);
    assert_eq!(listing(&folder), [v2_name("r.1")]);

    journal.apply(JournalWrite::Put(first.clone())).unwrap();
    for record in [&first, &second] {
        journal
            .apply(JournalWrite::SetAside(record.clone(), Aside::Rejected))
            .unwrap();
    }
    let mut kept: Vec<_> = journal.set_aside(Aside::Rejected).unwrap();
    kept.sort_by_key(|kept| kept.record.as_ref().unwrap().actual().unwrap().amount);
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(amounts().is_empty());
}

#[test]
fn the_costs_of_a_reservation_with_a_long_id_are_settled_and_set_aside_as_all_others() {
    for length in [200, 229, 240, 250, 251, 300, 4_000] {
        let dir = TempDir::new();
        let journal = dir.journal();
        let id = "r".repeat(length);
        let [first, second] = [("K1", 5), ("K2", 6)].map(|(key, tokens)| record_with_key(&id, key, tokens));
        for record in [&first, &second] {
            journal.apply(JournalWrite::Put(record.clone())).unwrap();
        }
        journal.apply(JournalWrite::Remove(first)).unwrap();
        assert_eq!(listing(&dir.folder()), [v2_name(&id)], "{length}");
        journal
            .apply(JournalWrite::SetAside(second.clone(), Aside::Rejected))
            .unwrap();
        let rejected = v2_name(&id).replace(".json", ".rejected");
        assert_eq!(listing(&dir.folder()), [rejected], "{length}");
    }
}
