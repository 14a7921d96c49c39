//! The list of a journal for a person. Listing changes nothing: no file is renamed, removed or quarantined.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::entry::{EntryKind, JournalEntry, RecordsElsewhere};
use super::file::Files;
use super::op::{Found, OpFailure, Owner};
use super::owned_file::{owner_in, unfinished};
use super::procedure::Next;
use super::record::{InvalidRecord, JournalRecord, RecordId};
use crate::time::UnixMillis;

/// Everything in a journal that is, or may be, a cost.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Entries {
    /// The files of this server and principal, oldest cost first; files that are not records come last.
    pub entries: Vec<JournalEntry>,
    /// The records that this client does not send.
    pub elsewhere: Vec<RecordsElsewhere>,
}

/// Lists the directory: every file that holds a cost of `base_url` or may hold one, and how many records belong to
/// other addresses and other principals. Changes nothing.
pub fn entries(base_url: &str, now: UnixMillis) -> Next<'_, Result<Entries, OpFailure>> {
    Next::of(move |mailbox| async move {
        let files = Files::new(mailbox, base_url);
        let mut list = List {
            files: &files,
            now,
            entries: BTreeMap::new(),
            of_others: BTreeMap::new(),
        };
        let first = list.names().await?;
        for name in &first {
            list.add(name).await;
        }
        // Another process may have renamed records meanwhile: those that have moved are found under their new names, and
        // those that are gone are settled.
        let second = list.names().await?;
        for name in second.iter().filter(|name| !first.contains(*name)) {
            list.add(name).await;
        }
        list.retain(&second);
        let beside = beside(&files).await;
        Ok(list.finish(beside))
    })
}

struct List<'a> {
    files: &'a Files<'a>,
    now: UnixMillis,
    entries: BTreeMap<OsString, JournalEntry>,
    /// The records of other addresses, by file: the address, and whether the record was set aside.
    of_others: BTreeMap<OsString, (String, bool)>,
}

impl List<'_> {
    /// The names of the files that may hold a cost. Empty if the directory does not exist.
    async fn names(&self) -> Result<BTreeSet<OsString>, OpFailure> {
        let names = match self.files.list(None).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            result => result.map_err(|cause| OpFailure::of_directory("read", cause))?,
        };
        let may_be_a_cost = |name: &OsString| EntryKind::of(name.as_encoded_bytes()).is_some();
        Ok(names.into_iter().filter(may_be_a_cost).collect())
    }

    async fn add(&mut self, name: &OsStr) {
        let Some(kind) = EntryKind::of(name.as_encoded_bytes()) else {
            return;
        };
        if unfinished(name).is_some() {
            // Nobody relies on what it says.
            return;
        }
        let path = PathBuf::from(name);
        let entry = match self.files.found(name).await {
            Ok(Found::Nothing) => return,
            Ok(found) => match parsed(&found) {
                Ok(record) if !self.files.is_ours(&record) => {
                    let url = record.base_url().to_owned();
                    let is_aside = !matches!(kind, EntryKind::Pending | EntryKind::Waiting | EntryKind::Run);
                    let other = (url, is_aside);
                    self.of_others.insert(name.to_owned(), other);
                    return;
                }
                Ok(record) => {
                    let kind = kind_of_content(kind, &record);
                    let mut entry = JournalEntry::of_record(kind, path, &record, self.now);
                    entry.is_in_progress = kind == EntryKind::Dispatched && self.owner_runs(name).await;
                    entry
                }
                // A file that is being written is not a record yet.
                Err(_) if kind == EntryKind::Temporary => return,
                Err(invalid) => JournalEntry::of_other(path, &invalid, hash(&found), self.now),
            },
            Err(error) => {
                let problem = format!("it cannot be read: {error}");
                JournalEntry::of_unread(kind, path, problem, self.now)
            }
        };
        self.entries.insert(name.to_owned(), entry);
    }

    async fn owner_runs(&self, name: &OsStr) -> bool {
        match owner_in(name) {
            Some(owner) => self.files.owner(owner).await == Owner::Running,
            None => false,
        }
    }

    /// Drops files that are gone, and temporary files whose cost has another file.
    fn retain(&mut self, names: &BTreeSet<OsString>) {
        self.entries.retain(|name, _| names.contains(name));
        self.of_others.retain(|name, _| names.contains(name));
        let is_named = |entry: &&JournalEntry| entry.kind != EntryKind::Temporary;
        let named: BTreeSet<RecordId> = self
            .entries
            .values()
            .filter(is_named)
            .filter_map(|entry| entry.id.clone())
            .collect();
        let is_superseded = |entry: &JournalEntry| entry.id.as_ref().is_some_and(|id| named.contains(id));
        self.entries
            .retain(|_, entry| entry.kind != EntryKind::Temporary || !is_superseded(entry));
    }

    fn finish(self, beside: Vec<RecordsElsewhere>) -> Entries {
        let mut entries: Vec<_> = self.entries.into_values().collect();
        entries.sort_by(|a, b| {
            let key = |entry: &JournalEntry| (entry.id.is_none(), entry.recorded_at);
            (key(a), &a.path).cmp(&(key(b), &b.path))
        });
        let mut elsewhere = BTreeMap::<String, (usize, usize)>::new();
        for (url, is_aside) in self.of_others.into_values() {
            let (records, set_aside) = elsewhere.entry(url).or_default();
            *records += usize::from(!is_aside);
            *set_aside += usize::from(is_aside);
        }
        let here = elsewhere
            .into_iter()
            .map(|(url, (records, set_aside))| RecordsElsewhere {
                directory: PathBuf::new(),
                base_url: Some(url),
                records,
                set_aside,
            });
        let elsewhere = here.chain(beside).collect();
        Entries { entries, elsewhere }
    }
}

/// The neighbouring directories with files that look like records. The files are not read, because they may belong to
/// anyone.
async fn beside(files: &Files<'_>) -> Vec<RecordsElsewhere> {
    let is_partition = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        name.len() == 16 && name.iter().all(u8::is_ascii_hexdigit)
    };
    let mut found = Vec::new();
    for directory in files.neighbours().await.unwrap_or_default() {
        if !is_partition(&directory) {
            continue;
        }
        let names = files.list(Some(directory.clone())).await.unwrap_or_default();
        let kinds = names.iter().map(|name| name.as_encoded_bytes());
        let kinds = kinds
            .filter(|name| name.starts_with(b"v2-"))
            .filter_map(EntryKind::of);
        let (mut records, mut set_aside) = (0, 0);
        for kind in kinds {
            match kind {
                EntryKind::Pending | EntryKind::Waiting | EntryKind::Run => records += 1,
                EntryKind::Rejected | EntryKind::Stale | EntryKind::Dispatched => set_aside += 1,
                EntryKind::Corrupt | EntryKind::Temporary | EntryKind::Discarded => {}
            }
        }
        if records + set_aside > 0 {
            found.push(RecordsElsewhere {
                directory: directory.into(),
                base_url: None,
                records,
                set_aside,
            });
        }
    }
    found
}

/// What a file is that has this record. The process that was to rename it may have been killed.
fn kind_of_content(named: EntryKind, record: &JournalRecord) -> EntryKind {
    match (named, record.dispatched()) {
        (EntryKind::Dispatched, None) => EntryKind::Temporary,
        (EntryKind::Temporary, Some(_)) => EntryKind::Dispatched,
        _ => named,
    }
}

fn parsed(found: &Found) -> Result<JournalRecord, InvalidRecord> {
    match found {
        Found::Bytes(bytes) => JournalRecord::parse(bytes),
        Found::NoFile | Found::Nothing => Err(InvalidRecord::NoFile),
    }
}

/// The hash of a file, to recognize it.
pub(super) fn hash(found: &Found) -> Option<[u8; 32]> {
    match found {
        Found::Bytes(bytes) => Some(Sha256::digest(bytes).into()),
        Found::NoFile | Found::Nothing => None,
    }
}

impl Entries {
    /// Turns names into paths: of files in this directory, and of the directories beside it.
    #[must_use]
    pub fn within(self, directory: &Path) -> Self {
        let base = directory.parent().unwrap_or(directory);
        let entries = self.entries.into_iter().map(|entry| entry.within(directory));
        let elsewhere = self.elsewhere.into_iter().map(|other| RecordsElsewhere {
            directory: match other.base_url {
                Some(_) => directory.to_owned(),
                None => base.join(&other.directory),
            },
            ..other
        });
        Self {
            entries: entries.collect(),
            elsewhere: elsewhere.collect(),
        }
    }
}
