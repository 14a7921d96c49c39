//! What a person does with a journal: the listing changes nothing, and whatever is done with an entry, interrupted after
//! any operation, loses no cost and touches no other.

use super::crashes::{disk, file_systems, states};
use super::*;
use crate::time::UnixMillis;

/// A day after the records were written.
pub(super) const NOW: UnixMillis = UnixMillis(1_795_086_400_000);

pub(super) const RETRY: EntryChange = EntryChange::Retry { is_forced: false };

fn listed(disk: &mut Disk) -> Entries {
    entries(URL, NOW).run(|op| disk.execute(1, op)).unwrap()
}

fn entry(disk: &mut Disk, kind: EntryKind) -> JournalEntry {
    let mut entries = listed(disk).entries.into_iter();
    entries.find(|entry| entry.kind == kind).unwrap()
}

/// All files with their content, under any name.
fn contents(files: &Memory) -> Vec<Bytes> {
    let mut contents: Vec<_> = files.iter().map(|(_, bytes)| bytes.clone()).collect();
    contents.sort();
    contents.dedup();
    contents
}

#[test]
fn a_listing_shows_every_file_that_is_or_may_be_a_cost_and_changes_nothing() {
    let mut disk = Disk::default();
    let throttled = record("K1").with_not_before(NOW.saturating_add(core::time::Duration::from_secs(30)));
    disk.files.insert(home(), throttled.to_json());
    disk.files.insert(waiting("K2"), record("K2").to_json());
    let [rejected, _] = aside(Aside::Rejected, "K1");
    disk.files.insert(rejected, record("K3").to_json());
    let [stale, _] = aside(Aside::Stale, "K1");
    disk.files.insert(stale, event("K4").to_json());
    disk.files.insert("torn.json", "{\"version\":1,");
    disk.files.insert("a.corrupt", "no record");
    disk.files.insert("b.discarded", record("K5").to_json());
    disk.files.insert("c.1.00000001.run", record("K6").to_json());
    disk.files.insert("d.9.00000001.taken", record("K7").to_json());
    disk.files.insert("e.9.00000002.tmp", "{\"version\":");
    // Superseded by the record proper, which is of the same cost.
    disk.files.insert("f.9.00000003.tmp", record("K1").to_json());
    disk.files
        .insert("other.json", record_of(ELSEWHERE, "r_9", "K1").to_json());
    disk.files
        .insert("other.rejected", record_of(ELSEWHERE, "r_8", "K1").to_json());
    disk.files.insert("claim.lock", "");
    let before = disk.files.clone();

    let list = listed(&mut disk);
    assert_eq!(disk.files, before, "nothing is changed");
    let mut shown: Vec<_> = list.entries.iter().map(|entry| entry.to_string()).collect();
    shown.sort();
    let record = "r.1 5 TOKENS, commit, k n, tenant:acme, 1d 0h old";
    let event = record.replace("commit", "event");
    let mut expected = [
        "corrupt    \"a.corrupt\": the file is not a JSON object".to_owned(),
        "corrupt    \"torn.json\": the record is cut off after 13 bytes".to_owned(),
        format!("discarded  {record}, \"b.discarded\""),
        format!("pending    {record}, next attempt in 30s, {:?}", home()),
        format!("rejected   {record}, {:?}", aside(Aside::Rejected, "K1")[0]),
        format!("run        {record}, \"c.1.00000001.run\""),
        format!("stale      {event}, {:?}", aside(Aside::Stale, "K1")[0]),
        format!("temporary  {record}, \"d.9.00000001.taken\""),
        format!("waiting    {record}, {:?}", waiting("K2")),
    ];
    expected.sort();
    assert_eq!(shown, expected);
    let [elsewhere] = list.elsewhere.as_slice() else {
        panic!("{list:?}")
    };
    assert_eq!(
        (
            elsewhere.base_url.as_deref(),
            elsewhere.records,
            elsewhere.set_aside
        ),
        (Some(ELSEWHERE), 1, 1)
    );
    let json =
        serde_json::to_value(list.entries.iter().find(|entry| entry.kind == EntryKind::Pending)).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "kind": "pending", "path": home(), "reservation_id": "r.1", "idempotency_key": "K1",
            "actual": {"unit": "TOKENS", "amount": 5}, "dispatched": null, "subject": {"tenant": "acme"},
            "action": {"kind": "k", "name": "n"}, "mode": "commit", "recorded_at_ms": 1_795_000_000_000_u64,
            "age_ms": 86_400_000, "next_attempt_ms": NOW.0 + 30_000, "last_error": null, "problem": null,
            "is_in_progress": false, "may_count_twice": false,
        })
    );
}

#[test]
fn what_is_done_by_hand_and_interrupted_after_any_operation_loses_no_cost_and_leaves_none_twice() {
    let mut ends = 0;
    for lacks in file_systems() {
        for state in states() {
            let start = disk(lacks, &state);
            for entry in listed(&mut start.clone()).entries {
                for discards in [false, true] {
                    for operations in 0.. {
                        let context = (lacks, &state, &entry, discards, operations);
                        let mut disk = start.clone();
                        let is_over = match discards {
                            true => run(discard(URL, &entry, false), &mut disk, operations).is_some(),
                            false => run(restore(URL, &entry, RETRY, NOW), &mut disk, operations).is_some(),
                        };
                        ends += 1;
                        let kept = contents(&disk.files);
                        assert_eq!(kept, contents(&start.files), "{context:?}");
                        let pending = |disk: &mut Disk| assert_settles(disk, &context);
                        let (before, after) = (pending(&mut start.clone()), pending(&mut disk));
                        let others = |ids: &BTreeSet<RecordId>| {
                            let is_other = |id: &&RecordId| Some(*id) != entry.id();
                            ids.iter().filter(is_other).cloned().collect::<BTreeSet<_>>()
                        };
                        assert_eq!(others(&after), others(&before), "{context:?}");
                        if is_over {
                            break;
                        }
                    }
                }
            }
        }
    }
    assert!(ends > 1_500, "{ends}");
}

/// Runs this many operations. Returns the result if it is over.
fn run<T>(mut next: Next<'_, T>, disk: &mut Disk, operations: usize) -> Option<T> {
    for _ in 0..operations {
        match next {
            Next::Do(op, paused) => next = paused.resume(disk.execute(1, op)),
            Next::Done(result) => return Some(result),
        }
    }
    match next {
        Next::Do(..) => None,
        Next::Done(result) => Some(result),
    }
}

#[test]
fn a_record_that_was_set_aside_gets_its_name_back_or_waits_for_the_cost_that_has_it() {
    for (kind, ending) in [
        (EntryKind::Rejected, Aside::Rejected),
        (EntryKind::Stale, Aside::Stale),
    ] {
        for is_taken in [false, true] {
            let mut disk = Disk::default();
            disk.files.insert(&aside(ending, "K1")[0], record("K1").to_json());
            if is_taken {
                disk.files.insert(home(), record("K2").to_json());
            }
            let entry = entry(&mut disk, kind);
            let restored = restore(URL, &entry, RETRY, NOW)
                .run(|op| disk.execute(1, op))
                .unwrap();
            assert_eq!(restored.record.id(), record("K1").id());
            let name = if is_taken { waiting("K1") } else { home() };
            assert_eq!(
                disk.files.get(name).unwrap(),
                &Bytes::from(record("K1").to_json())
            );
            assert_eq!(disk.files.iter().count(), 1 + usize::from(is_taken));
            let again = restore(URL, &entry, RETRY, NOW).run(|op| disk.execute(1, op));
            assert!(
                matches!(again, Err(EntryFailure::Refused(EntryError::Gone))),
                "{again:?}"
            );
        }
    }
}

#[test]
fn a_file_that_is_not_the_cost_that_was_listed_is_left_alone() {
    let mut disk = Disk::default();
    disk.files.insert(home(), record("K1").to_json());
    disk.files.insert("x.corrupt", "no record");
    let entries = [
        entry(&mut disk, EntryKind::Pending),
        entry(&mut disk, EntryKind::Corrupt),
    ];
    disk.files.insert(home(), record("K2").to_json());
    disk.files.insert("x.corrupt", "another one");
    let before = contents(&disk.files);
    for entry in &entries {
        let discarded = discard(URL, entry, false).run(|op| disk.execute(1, op));
        assert!(
            matches!(discarded, Err(EntryFailure::Refused(EntryError::Gone))),
            "{discarded:?}"
        );
    }
    assert_eq!(contents(&disk.files), before);
    assert!(disk.files.get("x.corrupt").is_some() && disk.files.get(home()).is_some());
}

#[test]
fn what_is_discarded_keeps_its_content_under_a_name_of_its_own_and_can_be_taken_back() {
    let mut disk = Disk::default();
    for key in ["K1", "K2"] {
        disk.files.insert(home(), record(key).to_json());
        let entry = entry(&mut disk, EntryKind::Pending);
        discard(URL, &entry, false).run(|op| disk.execute(1, op)).unwrap();
    }
    disk.files.insert("x.corrupt", "no record");
    let corrupt = entry(&mut disk, EntryKind::Corrupt);
    discard(URL, &corrupt, false)
        .run(|op| disk.execute(1, op))
        .unwrap();
    let mut names: Vec<_> = disk.files.iter().map(|(name, _)| name.to_owned()).collect();
    names.sort();
    let stem = home().replace(".json", "");
    let expected = [
        format!("{stem}.2.discarded"),
        format!("{stem}.discarded"),
        "x.discarded".to_owned(),
    ];
    assert_eq!(names, expected.map(OsString::from));
    assert!(disk.scan_later().records.is_empty());
    let mut discarded = listed(&mut disk).entries.into_iter();
    let second = discarded
        .find(|entry| entry.id() == Some(record("K2").id()))
        .unwrap();
    restore(URL, &second, RETRY, NOW)
        .run(|op| disk.execute(1, op))
        .unwrap()
        .record
        .id();
    assert_eq!(disk.scan_later().records[0].id(), record("K2").id());
}
