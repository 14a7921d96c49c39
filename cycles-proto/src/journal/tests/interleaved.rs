//! Processes that change and scan one directory at the same time, in every order of their operations; any of them may
//! end at any moment. No cost is lost.

use super::by_hand::{NOW, RETRY};
use super::crashes::{disk, file_systems, states};
use super::orders::*;
use super::*;

fn put(key: &str) -> Act {
    Act::Change(Box::new(JournalWrite::Put(record(key))))
}

fn switch(key: &str) -> Act {
    Act::Change(Box::new(JournalWrite::Put(event(key))))
}

fn remove(key: &str) -> Act {
    Act::Change(Box::new(JournalWrite::Remove(record(key))))
}

fn set_aside(key: &str, reason: Aside) -> Act {
    Act::Change(Box::new(JournalWrite::SetAside(record(key), reason)))
}

fn directory(files: &[(String, JournalRecord)]) -> Memory {
    let mut directory = Memory::default();
    for (name, record) in files {
        directory.insert(name, record.to_json());
    }
    directory
}

/// The directories in which two processes meet.
fn directories() -> Vec<Memory> {
    let mut torn = Memory::default();
    torn.insert(home(), "torn, and perhaps another cost");
    let directories = [
        vec![],
        vec![(home(), record("K1"))],
        vec![(home(), record("K2")), (waiting("K1"), record("K1"))],
        vec![
            (home(), record("K3")),
            (waiting("K1"), record("K1")),
            (waiting("K2"), record("K2")),
        ],
        vec![(legacy(), record("K1")), (home(), record("K2"))],
        vec![
            (format!("{}.7.0000000a.taken", home()), record("K1")),
            (home(), record("K2")),
        ],
    ];
    let directories = directories.iter().map(|files| directory(files));
    directories.chain([torn]).collect()
}

fn lose_nothing(processes: &[Vec<Act>], ends: bool) -> usize {
    let directories = directories();
    let moments = directories
        .iter()
        .map(|before| Orders::new(before, processes, ends).assert_nothing_is_lost());
    moments.sum()
}

/// The sequences of acts of one process with its cost.
fn ways(key: &str) -> [Vec<Act>; 4] {
    [
        vec![switch(key)],
        vec![remove(key)],
        vec![set_aside(key, Aside::Rejected)],
        vec![Act::Scan],
    ]
}

#[test]
fn two_processes_at_once_lose_no_cost_in_any_order_of_their_operations() {
    let mut moments = 0;
    for first in ways("K1") {
        for second in ways("K2") {
            moments += lose_nothing(&[first.clone(), second], false);
        }
    }
    println!("{moments} moments");
}

#[test]
fn two_processes_with_one_cost_lose_no_other_in_any_order_of_their_operations() {
    let mut moments = 0;
    let ways = ways("K1");
    for (place, first) in ways.iter().enumerate() {
        for second in &ways[place..] {
            moments += lose_nothing(&[first.clone(), second.clone()], false);
        }
    }
    println!("{moments} moments");
}

/// The second process settles the cost that the first is working on, and gives its name to the next one.
#[test]
fn a_name_that_another_cost_has_meanwhile_is_taken_from_it_in_no_order_of_the_operations() {
    let only = directory(&[(home(), record("K1"))]);
    let both = directory(&[(home(), record("K1")), (waiting("K2"), record("K2"))]);
    let mut moments = 0;
    for first in ways("K1") {
        for (before, second) in [
            (&only, vec![remove("K1"), put("K2")]),
            (&both, vec![Act::Scan, remove("K1")]),
        ] {
            let processes = [first.clone(), second];
            moments += Orders::new(before, &processes, true).assert_nothing_is_lost();
        }
    }
    println!("{moments} moments");
}

#[test]
fn two_processes_of_which_one_may_end_at_any_moment_lose_no_cost_in_any_order_of_their_operations() {
    let mut moments = 0;
    for first in ways("K1") {
        moments += lose_nothing(&[first, vec![Act::Scan]], true);
    }
    println!("{moments} moments");
}

/// A person sends a cost again or discards it, while the same cost or another one is settled, set aside or found.
#[test]
fn what_is_done_by_hand_beside_other_processes_loses_no_cost_in_any_order_of_the_operations() {
    let [rejected, _] = aside(Aside::Rejected, "K1");
    let directories = [
        directory(&[(rejected.clone(), record("K1"))]),
        directory(&[(rejected.clone(), record("K1")), (home(), record("K2"))]),
        directory(&[(rejected, record("K1")), (home(), record("K1"))]),
        directory(&[(home(), record("K1")), (waiting("K2"), record("K2"))]),
        directory(&[(home(), record("K2")), (waiting("K1"), record("K1"))]),
    ];
    let mut moments = 0;
    for before in &directories {
        let listed = entries(URL, UnixMillis(0)).run(|op| before.clone().execute(1, op));
        let is_it = |entry: &JournalEntry| entry.id() == Some(record("K1").id());
        for entry in listed.unwrap().entries.into_iter().filter(is_it).map(Box::new) {
            let by_hand = || [Act::Restore(entry.clone(), RETRY), Act::Discard(entry.clone())];
            let others = [
                switch("K1"),
                remove("K1"),
                set_aside("K1", Aside::Rejected),
                remove("K2"),
                Act::Scan,
            ];
            for ours in by_hand() {
                for other in by_hand().into_iter().chain(others.clone()) {
                    let processes = [vec![ours.clone()], vec![other]];
                    moments += Orders::new(before, &processes, true).assert_nothing_is_lost();
                }
            }
        }
    }
    assert!(moments > 1_000, "{moments}");
}

/// A person charges or discards a mark, while another does the same, its owner leaves it, or somebody looks.
#[test]
fn a_mark_that_several_persons_decide_about_becomes_one_cost_or_is_kept() {
    let mark = record("K1").into_mark();
    let charge = EntryChange::ChargeEstimate { is_forced: false };
    let directories = [
        directory(&[(mark_file_name(mark.id(), "7"), mark.clone())]),
        directory(&[
            (mark_file_name(mark.id(), "7"), mark.clone()),
            (home(), record("K2")),
        ]),
    ];
    let mut moments = 0;
    for before in &directories {
        let listed = entries(URL, NOW).run(|op| before.clone().execute(1, op)).unwrap();
        let is_it = |entry: &JournalEntry| entry.kind == EntryKind::Dispatched;
        let entry = Box::new(listed.entries.into_iter().find(is_it).unwrap());
        let by_hand = [Act::Restore(entry.clone(), charge), Act::Discard(entry)];
        for ours in &by_hand {
            for other in by_hand
                .iter()
                .chain(&[remove("K2"), set_aside("K2", Aside::Rejected), Act::Scan])
            {
                let processes = [vec![ours.clone()], vec![other.clone()]];
                moments += Orders::new(before, &processes, true).assert_nothing_is_lost();
            }
        }
    }
    assert!(moments > 500, "{moments}");
}

/// The other SDK removes what it settled by the name alone.
#[test]
fn an_sdk_that_removes_without_a_look_at_the_key_takes_no_cost_of_ours_while_its_own_has_the_name() {
    let before = directory(&[(home(), record("K2"))]);
    let elsewhere = vec![Act::SettleElsewhere];
    let mut moments = 0;
    for ours in [
        vec![put("K1"), switch("K1")],
        vec![put("K1"), set_aside("K1", Aside::Rejected)],
        vec![put("K1"), Act::Scan],
    ] {
        let processes = [ours, elsewhere.clone()];
        moments += Orders::new(&before, &processes, true).assert_nothing_is_lost();
    }
    println!("{moments} moments");
}

/// The remaining gap: both settle the same cost, ours ends first, so that the next cost gets the name, and then the
/// other SDK removes the file of that name. Costs under other names are not affected.
#[test]
fn only_a_cost_that_was_brought_forward_under_its_hands_can_be_taken_by_such_an_sdk() {
    let before = directory(&[(home(), record("K2")), (waiting("K1"), record("K1"))]);
    let processes = [vec![Act::Scan, remove("K2")], vec![Act::SettleElsewhere]];
    let mut moments = 0;
    Orders::new(&before, &processes, false).explore(&mut |orders, (_, pasts), id| {
        moments += 1;
        assert_eq!(id, record("K1").id());
        let elsewhere = &orders.pasts.values[pasts[1]].1;
        assert_eq!(elsewhere.len(), 2, "it has removed the file");
        assert!(
            orders.stands[pasts[0]].next.is_none(),
            "ours had ended the other's cost"
        );
    });
    assert!(moments > 0);
}

/// So many operations of one, then all of the other, then the rest.
#[test]
fn of_two_that_look_through_a_directory_at_once_both_find_every_record() {
    let ids = |scan: Scan| -> BTreeSet<RecordId> {
        let records = scan.records.iter();
        records.map(|record| record.id().clone()).collect()
    };
    let of_the_gone = |state: &[(String, Bytes)]| {
        let mut state = state.to_vec();
        for (name, bytes) in &mut state {
            // What lies under any name may lie in what a writer left that is gone.
            if JournalRecord::parse(bytes).is_ok() && !name.ends_with(".tmp") {
                *name = format!("{name}.7.1.tmp");
            }
        }
        state
    };
    for lacks in file_systems() {
        for state in states()
            .into_iter()
            .flat_map(|state| [of_the_gone(&state), state])
        {
            let expected = ids(disk(lacks, &state).scan_later());
            for before in 0.. {
                let mut disk = disk(lacks, &state);
                let (mut next, mut is_over) = (scan(URL), false);
                for _ in 0..before {
                    match next {
                        Next::Do(op, paused) => next = paused.resume(disk.execute(1, op)),
                        Next::Done(_) => {
                            is_over = true;
                            break;
                        }
                    }
                }
                if is_over {
                    break;
                }
                // What one has in its hands the other leaves to it.
                let in_hand: BTreeSet<_> = disk
                    .files
                    .iter()
                    .filter(|(name, _)| name.to_string_lossy().contains(".1."))
                    .filter_map(|(_, bytes)| Some(JournalRecord::parse(bytes).ok()?.id().clone()))
                    .collect();
                let other = ids(scan(URL).run(|op| disk.execute(2, op)).unwrap());
                let one = ids(next.run(|op| disk.execute(1, op)).unwrap());
                let context = format!("after {before} operations, of {state:?}");
                assert_eq!(one, expected, "{context}");
                assert_eq!(&other | &(&in_hand & &expected), expected, "{context}");
            }
        }
    }
}
