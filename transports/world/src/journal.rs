//! The journal of a world: directories in memory. They execute the core's file operations, can refuse changes, and can
//! contain the remains of a change after a crash. Names and contents are the same as on a real client's disk, because
//! the core determines both.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::CyclesConfig;
use cycles_proto::journal::record::{InvalidRecord, Partition, file_name};
use cycles_proto::journal::{
    self, ChangeFailure, FileOp, Found, JournalRecord, JournalWrite, Memory, Next, OpOutcome, OpResult,
    Owner, RecordId, Seen, StoreFailure,
};
use sha2::{Digest as _, Sha256};

/// How a journal handles changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalHealth {
    /// Changes are made.
    #[default]
    Works,
    /// Changes fail, and the writer gets the error.
    Fails,
    /// Changes are made, but the writer gets an error.
    WorksButReportsFailure,
}

/// The directories of records, which outlive processes.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    directories: BTreeMap<String, Memory>,
    now: Duration,
    /// The processes that have ended.
    ended: BTreeSet<u32>,
    health: JournalHealth,
    ignores_keys: bool,
    quarantined: Vec<Quarantined>,
}

/// The journal's view of a client in a process.
#[derive(Debug)]
pub(crate) struct Client {
    /// The directory of its server and principal.
    pub(crate) directory: String,
    base_url: String,
    /// The number of the process, in the names of its temporary files.
    process: u32,
    seen: Seen,
}

/// A file that was not a record and is kept as `<stem>.corrupt`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// The file's original name.
    pub name: String,
    /// The reason why it is not a record.
    pub problem: InvalidRecord,
}

/// The remains of an unfinished change after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// Nothing, as if the change had not begun.
    Nothing,
    /// The whole change, but its success was not reported.
    All,
    /// This many of the change's file operations, and the first bytes of a file that was being written.
    After(u32),
    /// The first bytes of a record under its final name, as if a client wrote its records in place. An existing record
    /// stays.
    Torn,
}

impl Client {
    /// The client with this configuration in the process with this number.
    pub(crate) fn new(config: &CyclesConfig, process: usize) -> Self {
        Self {
            directory: Journal::directory(config),
            base_url: config.base_url.to_owned(),
            // A world never has that many processes.
            process: u32::try_from(process).unwrap_or(u32::MAX),
            seen: Seen::default(),
        }
    }
}

impl Journal {
    /// The directory for the records of this configuration's server and principal.
    ///
    /// A real client derives its name from the same [`Partition`] with many rounds of PBKDF2; here one round of SHA-256
    /// is enough, because there is no attacker.
    pub fn directory(config: &CyclesConfig) -> String {
        let Partition { password, salt, .. } = Partition::of(config);
        let mut name = String::new();
        for byte in Sha256::digest(format!("{password}\0{salt}")).iter().take(8) {
            // Writing to a string never fails.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }

    /// Sets how changes are handled from now on.
    pub fn set_health(&mut self, health: JournalHealth) {
        self.health = health;
    }

    /// From now on, confuses the records of different costs of one reservation, to test that a world detects it.
    pub fn ignore_keys(&mut self) {
        self.ignores_keys = true;
    }

    /// Adds a file with any content.
    pub fn put_file(&mut self, directory: &str, name: &str, bytes: impl Into<Bytes>) {
        self.open(directory).insert(name, bytes);
    }

    /// The directory, name and content of every file.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str, &Bytes)> {
        self.directories.iter().flat_map(|(directory, files)| {
            // All names here are valid text.
            let text = |(name, bytes)| Some((directory.as_str(), std::ffi::OsStr::to_str(name)?, bytes));
            files.iter().filter_map(text)
        })
    }

    /// The names of the files that a replay would read, in all directories.
    pub fn pending(&self) -> Vec<&str> {
        self.files()
            .map(|(_, name, _)| name)
            .filter(|name| name.ends_with(".json") || name.ends_with(".waiting"))
            .collect()
    }

    /// The files that were quarantined because they were not records.
    pub fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    /// Sets the time.
    pub(crate) fn set_time(&mut self, now: Duration) {
        self.now = now;
    }

    /// Notes that the process has ended, so that it no longer writes any file.
    pub(crate) fn end(&mut self, client: &Client) {
        self.ended.insert(client.process);
    }

    /// Makes a change.
    pub(crate) fn apply(&mut self, client: &mut Client, write: &JournalWrite) -> Result<(), StoreFailure> {
        let change = journal::change(write, &client.base_url, &client.seen);
        let changed = change.run(|op| self.execute_for(client, write.id(), op));
        let changed = changed.map_err(|failure: ChangeFailure| failure.into_store_failure(|why| why))?;
        client.seen.note(&changed);
        match self.health {
            JournalHealth::Works | JournalHealth::Fails => Ok(()),
            JournalHealth::WorksButReportsFailure => Err(StoreFailure::new("no space left on device")),
        }
    }

    /// Leaves the remains of a change after a crash. `cut` is the length of a file that was cut.
    pub(crate) fn crash_during(&mut self, client: &Client, write: &JournalWrite, remains: Remains, cut: u64) {
        let cut = usize::try_from(cut).unwrap_or(0);
        match (remains, write) {
            (Remains::Nothing, _) => {}
            (Remains::Torn, _) if self.health == JournalHealth::Fails => {}
            (Remains::Torn, JournalWrite::Put(record)) => {
                let json = Bytes::from(record.to_json());
                // The file is at least one byte shorter than the record.
                let kept = cut % json.len().max(1);
                let name = file_name(record.reservation_id());
                let is_there = self.open(&client.directory).get(&name).is_some();
                let name = if is_there { format!("{name}.tmp") } else { name };
                self.put_file(&client.directory, &name, json.slice(..kept));
            }
            (Remains::After(operations), _) => self.stop_after(client, write, operations, cut),
            (Remains::All | Remains::Torn, _) => self.stop_after(client, write, u32::MAX, cut),
        }
    }

    fn stop_after(&mut self, client: &Client, write: &JournalWrite, operations: u32, cut: usize) {
        let mut next = journal::change(write, &client.base_url, &client.seen);
        for _ in 0..operations {
            match next {
                Next::Do(op, paused) => next = paused.resume(self.execute_for(client, write.id(), op)),
                Next::Done(_) => return,
            }
        }
        if let Next::Do(op @ FileOp::Write { .. }, _) = next
            && let Ok(OpOutcome::Name(name)) = self.execute_for(client, write.id(), op)
        {
            let files = self.open(&client.directory);
            let length = files.get(&name).map_or(0, Bytes::len);
            files.tear(&name, cut % length.max(1));
        }
    }

    /// The records that this client has to settle. Quarantines files that are not records.
    pub(crate) fn scan(&mut self, client: &mut Client) -> Vec<JournalRecord> {
        let scan = journal::scan(&client.base_url).run(|op| self.execute(client, op));
        // Reading a directory in memory never fails.
        let Ok(scan) = scan else { return Vec::new() };
        client.seen.note_scan(&scan);
        let quarantined = scan.problems.into_iter().filter_map(|problem| {
            Some(Quarantined {
                name: problem.file.to_str()?.to_owned(),
                problem: problem.invalid?,
            })
        });
        self.quarantined.extend(quarantined);
        scan.records
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let is_left = |name: &str| {
            let owner = name.strip_suffix(".run").and_then(|name| name.rsplit('.').next());
            owner.is_some_and(|owner| self.has_owner_ended(owner))
        };
        self.pending().is_empty() && !self.files().any(|(_, name, _)| is_left(name))
    }

    /// Whether the process with runs under this name has ended.
    fn has_owner_ended(&self, owner: &str) -> bool {
        owner.parse().is_ok_and(|process| self.ended.contains(&process))
    }

    /// Does the same as [`execute`](Self::execute), but fails if the journal's health requires it.
    fn execute_for(&mut self, client: &Client, id: &RecordId, op: FileOp) -> OpResult {
        let changes = match op {
            FileOp::Write { .. }
            | FileOp::Take { .. }
            | FileOp::Rename { .. }
            | FileOp::Link { .. }
            | FileOp::Remove { .. } => true,
            FileOp::Prepare
            | FileOp::List { .. }
            | FileOp::Neighbours
            | FileOp::Look { .. }
            | FileOp::Read { .. }
            | FileOp::IsWriterAlive { .. }
            | FileOp::Own
            | FileOp::LookForOwner { .. }
            | FileOp::Sync => false,
        };
        if changes && self.health == JournalHealth::Fails {
            return Err(io::ErrorKind::StorageFull.into());
        }
        match self.execute(client, op) {
            Ok(OpOutcome::Found(Found::Bytes(bytes))) if self.ignores_keys => {
                Ok(OpOutcome::Found(Found::Bytes(as_if_of(id, bytes))))
            }
            answer => answer,
        }
    }

    fn execute(&mut self, client: &Client, op: FileOp) -> OpResult {
        if let FileOp::IsWriterAlive { process, .. } = op {
            return Ok(OpOutcome::IsSo(!self.ended.contains(&process)));
        }
        if let FileOp::LookForOwner { owner } = &op {
            return Ok(OpOutcome::Owner(match self.has_owner_ended(owner) {
                true => Owner::Gone,
                false => Owner::Running,
            }));
        }
        self.open(&client.directory).execute(client.process, op)
    }

    fn open(&mut self, directory: &str) -> &mut Memory {
        let files = self.directories.entry(directory.to_owned()).or_default();
        files.set_time(self.now);
        files
    }
}

/// Returns the record of another cost of the reservation with the key of `id`.
fn as_if_of(id: &RecordId, bytes: Bytes) -> Bytes {
    let Ok(record) = JournalRecord::parse(&bytes) else {
        return bytes;
    };
    let there = record.id();
    let (Some((_, theirs)), Some((_, ours))) = (&there.actual, &id.actual) else {
        return bytes;
    };
    if there.reservation != id.reservation {
        return bytes;
    }
    let text = record.to_json().replace(there.key.as_str(), id.key.as_str());
    text.replace(&format!("\"amount\":{theirs}"), &format!("\"amount\":{ours}"))
        .into()
}

#[cfg(test)]
mod tests {
    use cycles_proto::UnixMillis;
    use std::sync::Arc;

    use cycles_proto::journal::Aside;
    use cycles_proto::journal::record::{Purpose, legacy_file_name, waiting_file_name};
    use cycles_proto::models::{Action, Amount, CommitRequest, ReservationId, Subject};

    use super::*;
    use crate::World;

    fn fresh() -> (Journal, Client) {
        (Journal::default(), Client::new(&World::config(), 0))
    }

    fn record(id: &str) -> JournalRecord {
        record_with_key(id, "key")
    }

    fn record_with_key(id: &str, key: &str) -> JournalRecord {
        let commit = CommitRequest::builder().actual(Amount::tokens(1)).build();
        let purpose = Purpose {
            subject: Subject::tenant("acme"),
            action: Action::new("k", "n"),
        };
        let config = World::config();
        JournalRecord::new(
            &config.base_url,
            &id.into(),
            &Arc::new(purpose),
            key.into(),
            commit,
            UnixMillis(0),
        )
        .unwrap()
    }

    #[test]
    fn what_is_settled_takes_its_old_file_with_it_and_nobody_elses() {
        let [slash, line] = ["rsv/a", "rsv_a"].map(ReservationId::from);
        let (mut journal, mut client) = fresh();
        journal.put_file(
            &client.directory,
            &legacy_file_name(&slash),
            record("rsv/a").to_json(),
        );
        journal
            .apply(&mut client, &JournalWrite::Put(record("rsv_a")))
            .unwrap();
        journal
            .apply(
                &mut client,
                &JournalWrite::Remove(record(line.as_str()).id().clone()),
            )
            .unwrap();
        assert_eq!(
            journal.pending(),
            ["rsv_a.json"],
            "the old file belongs to the other one"
        );
        journal
            .apply(
                &mut client,
                &JournalWrite::Remove(record(slash.as_str()).id().clone()),
            )
            .unwrap();
        assert_eq!(journal.files().count(), 0);
    }

    #[test]
    fn a_change_of_one_cost_leaves_another_of_the_same_reservation_alone() {
        let [first, second] = ["K1", "K2"].map(|key| record_with_key("r", key));
        let put = |record: &JournalRecord| JournalWrite::Put(record.clone());
        let keys = |journal: &mut Journal, client: &mut Client| -> Vec<String> {
            let records = journal.scan(client);
            records
                .iter()
                .map(|record| record.id().key.as_str().to_owned())
                .collect()
        };
        let (mut journal, mut client) = fresh();
        for record in [&first, &second, &second, &first] {
            journal.apply(&mut client, &put(record)).unwrap();
        }
        assert_eq!(keys(&mut journal, &mut client), ["K1", "K2"]);
        assert!(
            journal
                .files()
                .any(|(_, name, _)| name == waiting_file_name(second.id()))
        );
        journal
            .apply(&mut client, &JournalWrite::Remove(first.id().clone()))
            .unwrap();
        assert_eq!(keys(&mut journal, &mut client), ["K2"]);
        assert_eq!(
            journal.pending(),
            [file_name(&"r".into())],
            "and has the name by now"
        );
        for record in [&second, &first] {
            let aside = JournalWrite::SetAside(record.clone(), Aside::Rejected);
            journal.apply(&mut client, &aside).unwrap();
        }
        let rejected = journal.files().filter(|(_, name, _)| name.ends_with(".rejected"));
        assert_eq!(rejected.count(), 2);
        assert!(journal.is_quiet());
    }

    #[test]
    fn a_torn_write_leaves_the_record_that_was_there() {
        let (mut journal, mut client) = fresh();
        let put = JournalWrite::Put(record("r"));
        journal.apply(&mut client, &put).unwrap();
        journal.crash_during(&client, &put, Remains::Torn, 7);
        assert_eq!(journal.scan(&mut client).len(), 1);
        assert!(journal.quarantined().is_empty());
        let (mut journal, mut client) = fresh();
        journal.crash_during(&client, &put, Remains::Torn, 7);
        assert!(journal.scan(&mut client).is_empty());
        assert_eq!(journal.quarantined().len(), 1);
        assert!(journal.files().all(|(_, name, _)| name.ends_with(".corrupt")));
    }

    #[test]
    fn a_crash_between_two_operations_leaves_the_old_record_or_the_new_one_to_the_next_process() {
        let old = record("r");
        let new = old.clone().into_event().unwrap();
        for operations in 0..12 {
            let (mut journal, mut client) = fresh();
            journal
                .apply(&mut client, &JournalWrite::Put(old.clone()))
                .unwrap();
            let put = JournalWrite::Put(new.clone());
            journal.crash_during(&client, &put, Remains::After(operations), 7);
            journal.end(&client);
            let mut next = Client::new(&World::config(), 1);
            let found = journal.scan(&mut next);
            let found: Vec<_> = found.iter().map(JournalRecord::to_json).collect();
            assert!(
                found == [old.to_json()] || found == [new.to_json()],
                "{operations}: {found:?}"
            );
            assert_eq!(
                journal.pending(),
                [file_name(old.reservation_id())],
                "{operations}"
            );
        }
    }

    #[test]
    fn a_journal_that_fails_writes_nothing_and_one_that_lies_writes_all() {
        let (mut journal, mut client) = fresh();
        let put = JournalWrite::Put(record("r"));
        journal.set_health(JournalHealth::Fails);
        assert!(journal.apply(&mut client, &put).is_err());
        assert_eq!(journal.files().count(), 0);
        journal.set_health(JournalHealth::WorksButReportsFailure);
        assert!(journal.apply(&mut client, &put).is_err());
        assert_eq!(journal.pending().len(), 1);
    }

    #[test]
    fn records_of_another_server_are_left_alone() {
        let (mut journal, mut client) = fresh();
        journal
            .apply(&mut client, &JournalWrite::Put(record("r")))
            .unwrap();
        let elsewhere = CyclesConfig::new("cyc_live_1", "http://elsewhere.test").unwrap();
        let mut elsewhere = Client {
            directory: client.directory,
            ..Client::new(&elsewhere, 1)
        };
        assert!(journal.scan(&mut elsewhere).is_empty());
        assert_eq!(journal.pending().len(), 1);
    }
}
