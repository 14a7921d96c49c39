//! The journal of a world: directories of files in memory, which can refuse writes and hold what a crash left
//! of one. Names and contents are those that real clients keep on disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use cycles_proto::CyclesConfig;
use cycles_proto::record::{InvalidRecord, JournalRecord, Partition, file_name, legacy_file_name};
use cycles_proto::step::{Aside, JournalWrite, StoreFailure};
use sha2::{Digest as _, Sha256};

/// How a journal takes writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalHealth {
    /// As asked.
    #[default]
    Works,
    /// Nothing is written, and the writer is told so.
    Fails,
    /// The change is made, and the writer is told that it failed.
    WorksButSaysNot,
}

/// Directories of records, which outlive processes.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    directories: BTreeMap<String, BTreeMap<String, Bytes>>,
    health: JournalHealth,
    quarantined: Vec<Quarantined>,
}

/// A file that was no record, and is kept as `<stem>.corrupt`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// The file as it was called.
    pub name: String,
    /// What is wrong with it.
    pub problem: InvalidRecord,
}

/// What a crash leaves of a change that was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// As if it had not begun.
    Nothing,
    /// The change was made, and nobody was told.
    All,
    /// The first bytes of a file, in place of a whole one. A record that was there before stays, because a
    /// change is a rename.
    Torn,
}

impl Journal {
    /// The directory for the records of this configuration's server and principal.
    ///
    /// A real client derives its name from the same [`Partition`] with many rounds of PBKDF2; here one round of
    /// SHA-256 does, as nobody attacks it.
    pub fn directory(config: &CyclesConfig) -> String {
        let Partition { password, salt, .. } = Partition::of(config);
        let mut name = String::new();
        for byte in Sha256::digest(format!("{password}\0{salt}")).iter().take(8) {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }

    /// Changes how writes are taken from now on.
    pub fn set_health(&mut self, health: JournalHealth) {
        self.health = health;
    }

    /// Puts a file there as it is, whatever it holds.
    pub fn put_file(&mut self, directory: &str, name: &str, bytes: impl Into<Bytes>) {
        let files = self.directories.entry(directory.to_owned()).or_default();
        files.insert(name.to_owned(), bytes.into());
    }

    /// Directory, name and content of every file.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str, &Bytes)> {
        self.directories.iter().flat_map(|(directory, files)| {
            files
                .iter()
                .map(move |(name, bytes)| (directory.as_str(), name.as_str(), bytes))
        })
    }

    /// The names of the files that a replay would look at, in all directories.
    pub fn pending(&self) -> Vec<&str> {
        self.files()
            .filter(|(_, name, _)| name.ends_with(".json"))
            .map(|(_, name, _)| name)
            .collect()
    }

    /// What was set aside because it was no record.
    pub fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    /// Makes a change, or says why not.
    pub(crate) fn apply(&mut self, directory: &str, write: &JournalWrite) -> Result<(), StoreFailure> {
        let refused = Err(StoreFailure("no space left on device".to_owned()));
        match self.health {
            JournalHealth::Works => {
                self.change(directory, write);
                Ok(())
            }
            JournalHealth::Fails => refused,
            JournalHealth::WorksButSaysNot => {
                self.change(directory, write);
                refused
            }
        }
    }

    /// What a crash in the middle of a change leaves.
    pub(crate) fn crash_during(&mut self, directory: &str, write: &JournalWrite, remains: Remains, cut: u64) {
        match (remains, write) {
            _ if self.health == JournalHealth::Fails => {}
            (Remains::Nothing, _) => {}
            (Remains::Torn, JournalWrite::Put(record)) => {
                let json = Bytes::from(record.to_json());
                // The file is shorter than its text by one byte at least.
                let kept = usize::try_from(cut).unwrap_or(0) % json.len().max(1);
                let name = file_name(record.reservation_id());
                let is_there = self.file(directory, &name).is_some();
                let name = if is_there { format!("{name}.tmp") } else { name };
                self.put_file(directory, &name, json.slice(..kept));
            }
            (Remains::All | Remains::Torn, _) => self.change(directory, write),
        }
    }

    /// The records for `config`, oldest name first. What is no record is quarantined, and one under an old name
    /// gets its present one.
    pub(crate) fn scan(&mut self, directory: &str, config: &CyclesConfig) -> Vec<JournalRecord> {
        let Some(files) = self.directories.get(directory) else {
            return Vec::new();
        };
        let candidates = files.iter().filter(|(name, _)| name.ends_with(".json"));
        let candidates: Vec<_> = candidates
            .map(|(name, bytes)| (name.clone(), bytes.clone()))
            .collect();
        let mut records: Vec<JournalRecord> = Vec::new();
        for (name, bytes) in candidates {
            match JournalRecord::parse(&bytes) {
                Err(problem) => {
                    self.rename(directory, &name, "corrupt");
                    self.quarantined.push(Quarantined { name, problem });
                }
                Ok(record) if record.base_url() != config.base_url() => {}
                Ok(record) => {
                    self.migrate(directory, &name, &record);
                    let id = record.reservation_id();
                    if !records.iter().any(|known| known.reservation_id() == id) {
                        records.push(record);
                    }
                }
            }
        }
        records
    }

    /// The file of this name.
    pub(crate) fn file(&self, directory: &str, name: &str) -> Option<&Bytes> {
        self.directories.get(directory)?.get(name)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.files().all(|(_, name, _)| !name.ends_with(".json"))
    }

    fn change(&mut self, directory: &str, write: &JournalWrite) {
        match write {
            JournalWrite::Put(record) => {
                let name = file_name(record.reservation_id());
                self.put_file(directory, &name, record.to_json());
            }
            JournalWrite::Remove(id) => {
                self.remove_legacy(directory, id.as_str(), &legacy_file_name(id));
                self.remove(directory, &file_name(id));
            }
            JournalWrite::SetAside(id, aside) => {
                let ending = match aside {
                    Aside::Rejected => "rejected",
                    Aside::Stale => "stale",
                };
                self.rename(directory, &file_name(id), ending);
            }
        }
    }

    fn migrate(&mut self, directory: &str, name: &str, record: &JournalRecord) {
        let id = record.reservation_id();
        let present = file_name(id);
        if name == legacy_file_name(id) && name != present {
            if self.file(directory, &present).is_none() {
                self.put_file(directory, &present, record.to_json());
            }
            self.remove(directory, name);
        }
    }

    /// Several reservations may share an old name: only the file of this one goes.
    fn remove_legacy(&mut self, directory: &str, id: &str, name: &str) {
        let stored = self
            .file(directory, name)
            .and_then(|bytes| JournalRecord::parse(bytes).ok());
        if stored.is_some_and(|record| record.reservation_id().as_str() == id) {
            self.remove(directory, name);
        }
    }

    fn remove(&mut self, directory: &str, name: &str) {
        if let Some(files) = self.directories.get_mut(directory) {
            files.remove(name);
        }
    }

    fn rename(&mut self, directory: &str, name: &str, ending: &str) {
        if let Some(files) = self.directories.get_mut(directory)
            && let Some(bytes) = files.remove(name)
        {
            let stem = name.strip_suffix(".json").unwrap_or(name);
            files.insert(format!("{stem}.{ending}"), bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use cycles_proto::UnixMillis;
    use std::sync::Arc;

    use cycles_proto::models::{Action, Amount, CommitRequest, ReservationId, Subject};
    use cycles_proto::record::Purpose;

    use super::*;
    use crate::world::World;

    fn record(id: &str) -> JournalRecord {
        let commit = CommitRequest::builder().actual(Amount::tokens(1)).build();
        let purpose = Purpose {
            subject: Subject::tenant("acme"),
            action: Action::new("k", "n"),
        };
        let config = World::config();
        JournalRecord::new(
            config.base_url(),
            &id.into(),
            &Arc::new(purpose),
            "key".into(),
            commit,
            UnixMillis(0),
        )
        .unwrap()
    }

    #[test]
    fn what_is_settled_takes_its_old_file_with_it_and_nobody_elses() {
        let [slash, line] = ["rsv/a", "rsv_a"].map(ReservationId::from);
        let mut journal = Journal::default();
        journal.put_file("d", &legacy_file_name(&slash), record("rsv/a").to_json());
        journal.apply("d", &JournalWrite::Put(record("rsv_a"))).unwrap();
        journal.apply("d", &JournalWrite::Remove(line)).unwrap();
        assert_eq!(
            journal.pending(),
            ["rsv_a.json"],
            "the old file is of the other one"
        );
        journal.apply("d", &JournalWrite::Remove(slash)).unwrap();
        assert_eq!(journal.files().count(), 0);
    }

    #[test]
    fn a_torn_write_leaves_the_record_that_was_there() {
        let mut journal = Journal::default();
        let put = JournalWrite::Put(record("r"));
        journal.apply("d", &put).unwrap();
        journal.crash_during("d", &put, Remains::Torn, 7);
        assert_eq!(journal.scan("d", &World::config()).len(), 1);
        assert!(journal.quarantined().is_empty());
        let mut journal = Journal::default();
        journal.crash_during("d", &put, Remains::Torn, 7);
        assert!(journal.scan("d", &World::config()).is_empty());
        assert_eq!(journal.quarantined().len(), 1);
        assert!(journal.files().all(|(_, name, _)| name.ends_with(".corrupt")));
    }

    #[test]
    fn a_journal_that_fails_writes_nothing_and_one_that_lies_writes_all() {
        let mut journal = Journal::default();
        let put = JournalWrite::Put(record("r"));
        journal.set_health(JournalHealth::Fails);
        assert!(journal.apply("d", &put).is_err());
        assert_eq!(journal.files().count(), 0);
        journal.set_health(JournalHealth::WorksButSaysNot);
        assert!(journal.apply("d", &put).is_err());
        assert_eq!(journal.pending().len(), 1);
    }

    #[test]
    fn records_of_another_server_are_left_alone() {
        let mut journal = Journal::default();
        journal.apply("d", &JournalWrite::Put(record("r"))).unwrap();
        let elsewhere = CyclesConfig::new("cyc_live_1", "http://elsewhere.test").unwrap();
        assert!(journal.scan("d", &elsewhere).is_empty());
        assert_eq!(journal.pending().len(), 1);
    }
}
