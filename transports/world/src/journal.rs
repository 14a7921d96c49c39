//! The journal of a world: directories of files in memory, which can refuse writes and hold what a crash left
//! of one. Names and contents are those that real clients keep on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bytes::Bytes;
use cycles_proto::CyclesConfig;
use cycles_proto::models::ReservationId;
use cycles_proto::record::{
    InvalidRecord, JournalRecord, Partition, RecordId, file_name, legacy_file_name, waiting_file_name,
};
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
    ignores_keys: bool,
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

    /// Takes the records of one reservation for one another from now on, as a journal must not: for tests that a world
    /// notices.
    pub fn ignore_keys(&mut self) {
        self.ignores_keys = true;
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
            .filter(|(_, name, _)| is_pending(name))
            .map(|(_, name, _)| name)
            .collect()
    }

    /// What was set aside because it was no record.
    pub fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    /// Makes a change, or says why not.
    pub(crate) fn apply(&mut self, directory: &str, write: &JournalWrite) -> Result<(), StoreFailure> {
        let refused = Err(StoreFailure::new("no space left on device".to_owned()));
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

    /// The records for `config`, in the order of their names. What is no record is quarantined, one under another name
    /// than its own gets that, and a second cost of a reservation waits beside the first.
    pub(crate) fn scan(&mut self, directory: &str, config: &CyclesConfig) -> Vec<JournalRecord> {
        let mut strays = Vec::new();
        for ending in [".json", ".waiting"] {
            for (name, bytes) in self.named(directory, ending) {
                match JournalRecord::parse(&bytes) {
                    Err(problem) => {
                        self.quarantine(directory, &name);
                        self.quarantined.push(Quarantined { name, problem });
                    }
                    Ok(record) if record.base_url() != config.base_url() => {}
                    Ok(record) if name == file_name(record.reservation_id()) => {}
                    Ok(record) => strays.push((name, record)),
                }
            }
        }
        for (name, record) in strays {
            self.move_to_its_place(directory, &name, &record);
        }
        let mut known = BTreeSet::new();
        [".json", ".waiting"]
            .into_iter()
            .flat_map(|ending| self.named(directory, ending))
            .filter_map(|(_, bytes)| JournalRecord::parse(&bytes).ok())
            .filter(|record| record.base_url() == config.base_url() && known.insert(record.id().clone()))
            .collect()
    }

    /// The file of this name.
    pub(crate) fn file(&self, directory: &str, name: &str) -> Option<&Bytes> {
        self.directories.get(directory)?.get(name)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.pending().is_empty()
    }

    fn change(&mut self, directory: &str, write: &JournalWrite) {
        match write {
            JournalWrite::Put(record) => self.put(directory, record),
            JournalWrite::Remove(id) => {
                for name in places(id).into_iter().chain(Aside::Stale.file_names(id)) {
                    self.take(directory, &name, id);
                }
                self.bring_forward(directory, &id.reservation);
            }
            JournalWrite::SetAside(record, aside) => {
                let id = record.id();
                let found: Vec<_> = places(id)
                    .into_iter()
                    .chain(Aside::Stale.file_names(id))
                    .filter_map(|name| self.take(directory, &name, id))
                    .collect();
                let [name, second] = aside.file_names(id);
                let is_free = self.file(directory, &name).is_none() || self.holds(directory, &name, id);
                let name = if is_free { name } else { second };
                let bytes = found.into_iter().next();
                self.put_file(directory, &name, bytes.unwrap_or_else(|| record.to_json().into()));
                self.bring_forward(directory, &id.reservation);
            }
        }
    }

    /// Under the reservation's own name, or beside another cost that has it.
    fn put(&mut self, directory: &str, record: &JournalRecord) {
        let (name, waiting) = (file_name(record.reservation_id()), waiting_file_name(record.id()));
        if self.file(directory, &name).is_none() || self.holds(directory, &name, record.id()) {
            self.put_file(directory, &name, record.to_json());
            self.remove(directory, &waiting);
        } else {
            self.put_file(directory, &waiting, record.to_json());
        }
    }

    fn move_to_its_place(&mut self, directory: &str, name: &str, record: &JournalRecord) {
        let id = record.id();
        let Some(bytes) = self.take(directory, name, id) else {
            return;
        };
        let home = file_name(record.reservation_id());
        if self.file(directory, &home).is_none() {
            self.put_file(directory, &home, bytes);
        } else if !self.holds(directory, &home, id) {
            self.put_file(directory, &waiting_file_name(id), bytes);
        }
    }

    /// The first cost of a reservation has ended: the next has the name that other SDKs look for.
    fn bring_forward(&mut self, directory: &str, reservation: &ReservationId) {
        let home = file_name(reservation);
        let next = self.named(directory, ".waiting").into_iter().find(|(_, bytes)| {
            JournalRecord::parse(bytes).is_ok_and(|record| record.reservation_id() == reservation)
        });
        if let (None, Some((name, bytes))) = (self.file(directory, &home), next) {
            self.remove(directory, &name);
            self.put_file(directory, &home, bytes);
        }
    }

    /// Takes a file away that holds the record of this cost; another's stays.
    fn take(&mut self, directory: &str, name: &str, id: &RecordId) -> Option<Bytes> {
        if !self.holds(directory, name, id) {
            return None;
        }
        self.directories.get_mut(directory)?.remove(name)
    }

    fn holds(&self, directory: &str, name: &str, id: &RecordId) -> bool {
        self.file(directory, name)
            .and_then(|bytes| JournalRecord::parse(bytes).ok())
            .is_some_and(|record| {
                record.id() == id || self.ignores_keys && record.reservation_id() == &id.reservation
            })
    }

    /// The files whose names end so.
    fn named(&self, directory: &str, ending: &str) -> Vec<(String, Bytes)> {
        let files = self.directories.get(directory).into_iter().flatten();
        files
            .filter(|(name, _)| name.ends_with(ending))
            .map(|(name, bytes)| (name.clone(), bytes.clone()))
            .collect()
    }

    fn remove(&mut self, directory: &str, name: &str) {
        if let Some(files) = self.directories.get_mut(directory) {
            files.remove(name);
        }
    }

    fn quarantine(&mut self, directory: &str, name: &str) {
        if let Some(files) = self.directories.get_mut(directory)
            && let Some(bytes) = files.remove(name)
        {
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            files.insert(format!("{stem}.corrupt"), bytes);
        }
    }
}

fn is_pending(name: &str) -> bool {
    name.ends_with(".json") || name.ends_with(".waiting")
}

/// Where the record of a cost may lie that is to be settled, the record proper first. Several reservations may share
/// the last of the names.
fn places(id: &RecordId) -> [String; 3] {
    [
        file_name(&id.reservation),
        waiting_file_name(id),
        legacy_file_name(&id.reservation),
    ]
}

#[cfg(test)]
mod tests {
    use cycles_proto::UnixMillis;
    use std::sync::Arc;

    use cycles_proto::models::{Action, Amount, CommitRequest, ReservationId, Subject};
    use cycles_proto::record::Purpose;

    use super::*;
    use crate::World;

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
            config.base_url(),
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
        let mut journal = Journal::default();
        journal.put_file("d", &legacy_file_name(&slash), record("rsv/a").to_json());
        journal.apply("d", &JournalWrite::Put(record("rsv_a"))).unwrap();
        journal
            .apply("d", &JournalWrite::Remove(record(line.as_str()).id().clone()))
            .unwrap();
        assert_eq!(
            journal.pending(),
            ["rsv_a.json"],
            "the old file is of the other one"
        );
        journal
            .apply("d", &JournalWrite::Remove(record(slash.as_str()).id().clone()))
            .unwrap();
        assert_eq!(journal.files().count(), 0);
    }

    #[test]
    fn a_change_of_one_cost_leaves_another_of_the_same_reservation_alone() {
        let [first, second] = ["K1", "K2"].map(|key| record_with_key("r", key));
        let put = |record: &JournalRecord| JournalWrite::Put(record.clone());
        let keys = |journal: &mut Journal| -> Vec<String> {
            let records = journal.scan("d", &World::config());
            records
                .iter()
                .map(|record| record.id().key.as_str().to_owned())
                .collect()
        };
        let mut journal = Journal::default();
        for record in [&first, &second, &second, &first] {
            journal.apply("d", &put(record)).unwrap();
        }
        assert_eq!(keys(&mut journal), ["K1", "K2"]);
        assert!(
            journal
                .files()
                .any(|(_, name, _)| name == waiting_file_name(second.id()))
        );
        journal
            .apply("d", &JournalWrite::Remove(first.id().clone()))
            .unwrap();
        assert_eq!(keys(&mut journal), ["K2"]);
        assert_eq!(
            journal.pending(),
            [file_name(&"r".into())],
            "and has the name by now"
        );
        for record in [&second, &first] {
            let aside = JournalWrite::SetAside(record.clone(), Aside::Rejected);
            journal.apply("d", &aside).unwrap();
        }
        let rejected = journal.files().filter(|(_, name, _)| name.ends_with(".rejected"));
        assert_eq!(rejected.count(), 2);
        assert!(journal.is_quiet());
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
