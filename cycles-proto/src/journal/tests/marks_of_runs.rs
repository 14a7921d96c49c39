//! The marks of a run's steps, which are in the file of its total.

use super::by_hand::NOW;
use super::crashes::file_systems;
use super::marks::{CHARGE, found, live};
use super::*;

/// The total of a run, and the estimates of its steps whose requests have left.
fn total(amount: i64, dispatched: i64) -> JournalRecord {
    let purpose = Purpose {
        subject: Subject::tenant("acme"),
        action: Action::new("agent.run", "research"),
    };
    let mut summary = serde_json::json!({"steps": 1});
    if dispatched > 0 {
        summary["dispatched"] = dispatched.into();
    }
    let commit = CommitRequest::builder()
        .actual(Amount::tokens(amount))
        .metadata(crate::models::JsonObject::new().with("cycles_run", summary))
        .build();
    let at = UnixMillis(1_795_000_000_000);
    JournalRecord::new(
        URL,
        &RESERVATION.into(),
        &Arc::new(purpose),
        "run".into(),
        commit,
        at,
    )
    .unwrap()
}

/// The amounts of the costs that a later process settles and of the marks that it tells.
fn amounts(disk: &mut Disk) -> (Vec<i64>, Vec<i64>) {
    found(disk);
    let scan = disk.scan_later();
    let costs = scan.records.iter().map(|record| record.actual().unwrap().amount);
    let marks = scan
        .marks
        .iter()
        .map(|(mark, _)| mark.dispatched().unwrap().amount);
    (costs.collect(), marks.collect())
}

#[test]
fn a_run_that_dies_leaves_its_total_to_be_charged_and_its_dispatched_steps_to_be_told_at_every_moment() {
    let id = total(0, 0).id().clone();
    // A step leaves, ends with its cost, another leaves and stays unknown; or none ever costs anything.
    let with_costs = [
        JournalWrite::PutRun(total(0, 9)),
        JournalWrite::PutRun(total(7, 0)),
        JournalWrite::PutRun(total(7, 5)),
        JournalWrite::Put(total(7, 5)),
    ];
    let after = [
        (vec![], vec![9]),
        (vec![7], vec![]),
        (vec![7], vec![5]),
        (vec![7], vec![5]),
    ];
    let without = [
        JournalWrite::PutRun(total(0, 9)),
        JournalWrite::LeaveMark(total(0, 9)),
    ];
    let refused = [
        JournalWrite::PutRun(total(0, 9)),
        JournalWrite::PutRun(total(0, 0)),
        JournalWrite::RemoveMark(id),
    ];
    // The disk is full when the run ends, so its record is not written, but its cost is settled.
    let charged_after_all = [
        JournalWrite::PutRun(total(7, 5)),
        JournalWrite::Remove(total(12, 0)),
    ];
    let still_unknown = [
        JournalWrite::PutRun(total(7, 5)),
        JournalWrite::Remove(total(9, 5)),
    ];
    /// The amounts of costs and of marks.
    type Left = (Vec<i64>, Vec<i64>);
    let lives: [(&[JournalWrite], &[Left]); 5] = [
        (&with_costs, &after),
        (&without, &[(vec![], vec![9]), (vec![], vec![9])]),
        (&refused, &[(vec![], vec![9]), (vec![], vec![]), (vec![], vec![])]),
        (&charged_after_all, &[(vec![7], vec![5]), (vec![], vec![])]),
        (&still_unknown, &[(vec![7], vec![5]), (vec![], vec![5])]),
    ];
    let mut ends = 0;
    for (life, after) in lives {
        for lacks in file_systems() {
            for operations in 0.. {
                let mut disk = Disk {
                    files: Memory::lacking(lacks),
                    ended: BTreeSet::new(),
                };
                let done = live(&mut disk, life, operations);
                ends += 1;
                let context = format!("{lacks:?}, after {operations}: {:?}", disk.files);
                let found = amounts(&mut disk);
                let nothing = (vec![], vec![]);
                let allowed = [
                    done.checked_sub(1).map_or(&nothing, |last| &after[last]),
                    after.get(done).unwrap_or(&nothing),
                ];
                assert!(allowed.contains(&&found), "{found:?} of {allowed:?}, {context}");
                if done == life.len() {
                    assert_eq!(found, after[done - 1], "{context}");
                    break;
                }
            }
        }
    }
    assert!(ends > 90, "{ends}");
}

#[test]
fn the_mark_of_steps_is_charged_as_an_event_under_a_key_of_its_own() {
    let mut disk = Disk::default();
    disk.files
        .insert(run_file_name(total(7, 5).id(), "1"), total(7, 5).to_json());
    let list = entries(URL, NOW)
        .run(|op| disk.execute(LATER, op))
        .unwrap()
        .entries;
    let [run] = &list[..] else { panic!("{list:?}") };
    assert_eq!(
        (run.kind, &run.dispatched),
        (EntryKind::Run, &Some(Amount::tokens(5)))
    );
    assert!(
        run.to_string().contains("7 TOKENS and 5 TOKENS dispatched"),
        "{run}"
    );
    assert_eq!(amounts(&mut disk), (vec![7], vec![5]));
    let list = entries(URL, NOW)
        .run(|op| disk.execute(LATER, op))
        .unwrap()
        .entries;
    let mark = list
        .iter()
        .find(|entry| entry.kind == EntryKind::Dispatched)
        .unwrap();
    assert_eq!(mark.mode, Some(record::Mode::Event));
    let charged = restore(URL, mark, CHARGE, NOW)
        .run(|op| disk.execute(LATER, op))
        .unwrap();
    assert_ne!(charged.record.id().key.as_str(), "run");
    assert_eq!(charged.record.mode(), record::Mode::Event);
    assert_eq!(amounts(&mut disk).0.len(), 2);
}
