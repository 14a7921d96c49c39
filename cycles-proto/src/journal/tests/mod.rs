//! The procedures on directories in memory: interrupted after every operation, with two processes in every order, and
//! with arbitrary files.

mod by_hand;
mod crashes;
mod hostile;
mod interleaved;
mod marks;
mod marks_of_runs;
mod orders;
mod runs;
mod usual;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use bytes::Bytes;

use super::record::{Purpose, file_name, legacy_file_name, waiting_file_name};
use super::*;
use crate::models::{Action, Amount, CommitRequest, Subject};
use crate::time::UnixMillis;

const URL: &str = "http://localhost:7878";
const ELSEWHERE: &str = "http://elsewhere.test";

/// The reservation of the changes. Older versions gave its file another name.
const RESERVATION: &str = "r.1";

/// The record of a commit of five tokens, on 18 November 2026.
pub(crate) fn record_of(url: &str, reservation: &str, key: &str) -> JournalRecord {
    let purpose = Purpose {
        subject: Subject::tenant("acme"),
        action: Action::new("k", "n"),
    };
    let commit = CommitRequest::builder().actual(Amount::tokens(5)).build();
    JournalRecord::new(
        url,
        &reservation.into(),
        &Arc::new(purpose),
        key.into(),
        commit,
        UnixMillis(1_795_000_000_000),
    )
    .unwrap()
}

fn record(key: &str) -> JournalRecord {
    record_of(URL, RESERVATION, key)
}

fn event(key: &str) -> JournalRecord {
    record(key).into_event().unwrap()
}

fn home() -> String {
    file_name(&RESERVATION.into())
}

fn legacy() -> String {
    legacy_file_name(&RESERVATION.into())
}

fn waiting(key: &str) -> String {
    waiting_file_name(record(key).id())
}

fn aside(aside: Aside, key: &str) -> [String; 2] {
    aside.file_names(record(key).id())
}

/// A directory, and the processes that have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Disk {
    files: Memory,
    ended: BTreeSet<u32>,
}

impl Disk {
    fn execute(&mut self, process: u32, op: FileOp) -> OpResult {
        if let FileOp::IsWriterAlive { process, .. } = op {
            return Ok(OpOutcome::IsSo(!self.ended.contains(&process)));
        }
        if let FileOp::LookForOwner { owner } = &op {
            return Ok(OpOutcome::Owner(match owner.parse() {
                Ok(process) if self.ended.contains(&process) => Owner::Gone,
                Ok(_) => Owner::Running,
                Err(_) => Owner::Unknown,
            }));
        }
        self.files.execute(process, op)
    }

    /// The scan of a later process, when all others have ended.
    fn scan_later(&mut self) -> Scan {
        self.ended.extend(0..LATER);
        scan(URL).run(|op| self.execute(LATER, op)).unwrap()
    }
}

/// The number of a later process.
const LATER: u32 = 99;

/// All records in the directory, by address and cost, with their files.
fn costs(files: &Memory) -> BTreeMap<(String, RecordId), Vec<(OsString, Bytes)>> {
    let mut costs = BTreeMap::<_, Vec<_>>::new();
    for (name, bytes) in files.iter() {
        if let Ok(record) = JournalRecord::parse(bytes) {
            let cost = (record.base_url().to_owned(), record.id().clone());
            costs
                .entry(cost)
                .or_default()
                .push((name.to_owned(), bytes.clone()));
        }
    }
    costs
}

/// Whether a replay looks at a file of this name, now or when its writer is gone.
fn is_pending(name: &OsStr) -> bool {
    let endings: [&[u8]; 4] = [b".json", b".waiting", b".tmp", b".taken"];
    endings
        .iter()
        .any(|ending| name.as_encoded_bytes().ends_with(ending))
}

/// Whether a replay settles what is in the file. A mark under a temporary name is not a cost.
fn is_to_be_settled((name, bytes): &(OsString, Bytes)) -> bool {
    let is_mark = JournalRecord::parse(bytes).is_ok_and(|record| record.dispatched().is_some());
    let is_temporary =
        !name.as_encoded_bytes().ends_with(b".json") && !name.as_encoded_bytes().ends_with(b".waiting");
    is_pending(name) && !(is_mark && is_temporary)
}

/// Fails unless every unsettled cost is found exactly once, in one file, and stays there.
fn assert_settles(disk: &mut Disk, context: &dyn core::fmt::Debug) -> BTreeSet<RecordId> {
    let found = disk.scan_later();
    let ids: BTreeSet<_> = found.records.iter().map(|record| record.id().clone()).collect();
    assert_eq!(ids.len(), found.records.len(), "{context:?}: twice: {found:?}");
    let after: Vec<_> = disk
        .files
        .iter()
        .map(|(name, bytes)| (name.to_owned(), bytes.clone()))
        .collect();
    for ((url, id), files) in costs(&disk.files) {
        let pending = files.iter().filter(|file| is_to_be_settled(file)).count();
        if url == URL {
            assert_eq!(
                pending,
                usize::from(ids.contains(&id)),
                "{context:?}: {id} in {files:?}"
            );
        }
    }
    let again = disk.scan_later();
    assert_eq!(again.records.len(), found.records.len(), "{context:?}");
    let still: Vec<_> = disk
        .files
        .iter()
        .map(|(name, bytes)| (name.to_owned(), bytes.clone()))
        .collect();
    assert_eq!(still, after, "{context:?}");
    ids
}
