//! Arbitrary files in the directory: no change and no scan panics, and every file that may be a cost stays.

use core::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::journal::op::LONGEST_NAME;

/// Present and old names of records, and names that no program uses.
fn names() -> Vec<OsString> {
    let mut names: Vec<OsString> = ["K1", "K2"]
        .into_iter()
        .flat_map(|key| {
            let [stale, rejected] = [Aside::Stale, Aside::Rejected].map(|reason| aside(reason, key));
            [waiting(key), waiting(key).replace(".waiting", ".json")]
                .into_iter()
                .chain(stale)
                .chain(rejected)
        })
        .chain([home(), legacy(), file_name(&"another".into())])
        .chain(["7", "100", "elsewhere", "ended"].into_iter().flat_map(|owner| {
            let id = record("K1").id().clone();
            [mark_file_name(&id, owner), run_file_name(&id, owner)]
        }))
        .chain(
            [
                ".json",
                ".waiting",
                ".tmp",
                ".taken",
                "..json",
                "x.json.json",
                "two\nlines.json",
                "x.corrupt",
                "x.2.corrupt",
                "x.json",
                "x.waiting",
                "x.tmp",
                "x.7.0000000a.tmp",
                "x.-7.zz.tmp",
                "x.7.0000000a.taken",
                "x.99999999999.00000001.taken",
                "x.stale",
                "x.rejected",
                ".dispatched",
                "x.dispatched",
                "x.run",
                "claim.lock",
                "notes",
                "é.json",
            ]
            .map(str::to_owned),
        )
        .chain(
            [".json", ".waiting", ".tmp", ".taken", ".7.0000000a.taken"].map(|ending| {
                let stem = "é".repeat((LONGEST_NAME - ending.len()) / 2);
                format!("{stem}{ending}")
            }),
        )
        .map(OsString::from)
        .collect();
    #[cfg(unix)]
    names.extend(
        [&b"\xff\xfe.json"[..], b"\xff.waiting", b"\xff.7.0000000a.tmp"]
            .map(std::os::unix::ffi::OsStrExt::from_bytes)
            .map(OsStr::to_owned),
    );
    names
}

fn contents() -> impl Strategy<Value = Option<Bytes>> {
    let json = |record: JournalRecord| Bytes::from(record.to_json());
    let records: Vec<_> = ["K1", "K2"]
        .into_iter()
        .flat_map(|key| [record(key), event(key), record_of(ELSEWHERE, RESERVATION, key)])
        .chain([record_of(URL, "r_1", "K1"), record_of(URL, "another", "K1")])
        .chain([record("K1").into_mark(), event("K2").into_mark()])
        .map(json)
        .collect();
    let torn =
        (select(records.clone()), 0_usize..400).prop_map(|(text, kept)| text.slice(..kept.min(text.len())));
    prop_oneof![
        6 => select(records).prop_map(Some),
        2 => torn.prop_map(Some),
        1 => vec(any::<u8>(), 0..20).prop_map(|bytes| Some(bytes.into())),
        1 => Just(Some(Bytes::from(vec![b' '; JournalRecord::LARGEST + 1]))),
        1 => Just(None),
    ]
}

#[derive(Clone, Debug)]
enum Act {
    Change(JournalWrite),
    Scan,
    Later(Duration),
}

fn act() -> impl Strategy<Value = Act> {
    let record = || {
        (select(vec!["K1", "K2"]), any::<bool>())
            .prop_map(|(key, is_event)| if is_event { event(key) } else { record(key) })
    };
    prop_oneof![
        record().prop_map(|record| Act::Change(JournalWrite::Put(record))),
        record().prop_map(|record| Act::Change(JournalWrite::Remove(record))),
        record().prop_map(|record| Act::Change(JournalWrite::PutMark(record.into_mark()))),
        record().prop_map(|record| Act::Change(JournalWrite::PutRun(record))),
        record().prop_map(|record| Act::Change(JournalWrite::RemoveMark(record.id().clone()))),
        record().prop_map(|record| Act::Change(JournalWrite::LeaveMark(record.into_mark()))),
        record().prop_map(|record| Act::Change(JournalWrite::SetAside(record, Aside::Rejected))),
        record().prop_map(|record| Act::Change(JournalWrite::SetAside(record, Aside::Stale))),
        Just(Act::Scan),
        select(vec![30, 61, 3_601]).prop_map(|seconds| Act::Later(Duration::from_secs(seconds))),
    ]
}

/// Files that are not records but may be costs: all except those that were cut off while being written.
fn unknown(files: &Memory) -> BTreeSet<Bytes> {
    files
        .iter()
        .filter(|(name, bytes)| {
            !name.as_encoded_bytes().ends_with(b".tmp") && JournalRecord::parse(bytes).is_err()
        })
        .map(|(_, bytes)| bytes.clone())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_lies_there_every_cost_is_found_or_in_a_file_for_a_person(
        files in vec((select(names()), contents()), 0..12),
        acts in vec(act(), 0..8),
        lacks in (any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let (unless_taken, exchange, links) = lacks;
        let mut disk = Disk {
            files: Memory::lacking(Lacks { unless_taken, exchange, links }),
            ended: [7].into(),
        };
        for (name, content) in files {
            match content {
                Some(bytes) => disk.files.insert(name, bytes),
                None => disk.files.insert_obstacle(name),
            }
        }
        let (before, unknown_before) = (costs(&disk.files), unknown(&disk.files));
        let (mut seen, mut now) = (Seen::default(), Duration::ZERO);
        let mut kept: BTreeSet<_> = before.into_keys().collect();
        for act in &acts {
            match act {
                Act::Change(write) => {
                    let changed = change(write, URL, &seen).run(|op| disk.execute(1, op));
                    let cost = (URL.to_owned(), write.id().clone());
                    match write {
                        JournalWrite::Remove(_) | JournalWrite::RemoveMark(_) => kept.remove(&cost),
                        JournalWrite::LeaveMark(_) => false,
                        JournalWrite::Put(_)
                        | JournalWrite::PutRun(_)
                        | JournalWrite::PutMark(_)
                        | JournalWrite::SetAside(..) => changed.is_ok() && kept.insert(cost),
                    };
                    changed.iter().for_each(|changed| seen.note(changed));
                }
                Act::Scan => {
                    let reading = read(URL, true, &seen).run(|op| disk.execute(1, op)).unwrap();
                    reading.events(&mut seen, "/journal".as_ref());
                }
                Act::Later(time) => {
                    now += *time;
                    disk.files.set_time(now);
                }
            }
        }
        // Until no process can be using a leftover temporary file.
        disk.files.set_time(now + Duration::from_secs(61));
        // Names that no program uses may take one more scan.
        disk.scan_later();
        let found = assert_settles(&mut disk, &acts);
        let there = costs(&disk.files);
        for cost in &kept {
            prop_assert!(there.contains_key(cost), "{} of {} is lost", cost.1, cost.0);
            let is_pending = there[cost].iter().any(is_to_be_settled);
            prop_assert!(!is_pending || cost.0 != URL || found.contains(&cost.1), "{} is not found", cost.1);
        }
        prop_assert!(unknown(&disk.files).is_superset(&unknown_before));
    }
}
