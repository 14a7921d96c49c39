//! The journal of a world: directories in memory. They execute the core's file operations, can refuse changes, and can
//! contain the remains of a change after a crash. Names and contents are the same as on a real client's disk, because
//! the core determines both.

mod by_hand;

pub(crate) use self::by_hand::ChangeByHand;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::CyclesConfig;
use cycles_proto::journal::record::{InvalidRecord, Partition, file_name};
use cycles_proto::journal::{
    self, ChangeFailure, FileOp, Found, JournalRecord, JournalWrite, Memory, Next, OpOutcome, OpResult,
    Owner, RecordId, Seen, StoreFailure,
};
use cycles_proto::session::Scanned;
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
    leaves_marks: bool,
    takes_owners_for_gone: bool,
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

impl Client {
    /// Notes a change that a person has made.
    pub(crate) fn note(&mut self, changed: &journal::Changed) {
        self.seen.note(changed);
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

    /// From now on, leaves a mark beside the record that is to take its place, to test that a world detects it.
    pub fn leave_marks_beside_records(&mut self) {
        self.leaves_marks = true;
    }

    /// From now on, takes every owner of a mark for gone, to test that a world detects it.
    pub fn take_owners_for_gone(&mut self) {
        self.takes_owners_for_gone = true;
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
        let nothing = Seen::default();
        let leaves_mark = self.leaves_marks && matches!(write, JournalWrite::Put(_));
        let seen = if leaves_mark { &nothing } else { &client.seen };
        let change = journal::change(write, &client.base_url, seen);
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

    /// What this client finds in its directory. Quarantines files that are not records.
    pub(crate) fn scan(&mut self, client: &mut Client) -> Scanned {
        let found = journal::read(&client.base_url, false, &client.seen).run(|op| self.execute(client, op));
        // Reading a directory in memory never fails.
        let Ok(found) = found else {
            return Scanned::default();
        };
        let mut scanned = Scanned::default();
        scanned.events = found.events(&mut client.seen, Path::new(&client.directory));
        scanned.quarantined = found.quarantined();
        scanned.unread = found.unread();
        scanned.unknown = found.unknown(&client.seen);
        let quarantined = found.problems().iter().filter_map(|problem| {
            Some(Quarantined {
                name: problem.file.to_str()?.to_owned(),
                problem: problem.invalid.clone()?,
            })
        });
        self.quarantined.extend(quarantined);
        scanned.records = found.into_records();
        scanned
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
            return Ok(OpOutcome::Owner(
                match self.takes_owners_for_gone || self.has_owner_ended(owner) {
                    true => Owner::Gone,
                    false => Owner::Running,
                },
            ));
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
mod tests;
