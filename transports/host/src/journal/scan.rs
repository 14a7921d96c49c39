//! What the journal holds: the records to replay, found among whatever else lies there.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cycles_proto::record::{JournalRecord, RecordId, file_name, waiting_file_name};

use super::JournalError;
use super::file::{self, Found, Temp};
use crate::platform;

/// What was found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Scan {
    /// The records of this server and principal, oldest first.
    pub records: Vec<JournalRecord>,
    /// What is in the way, to be told to somebody.
    pub problems: Vec<Problem>,
    /// Those of the records that wait beside another cost of their reservation, and their files.
    pub waiting: Vec<(RecordId, PathBuf)>,
    /// How many records there are of other addresses.
    pub of_others: usize,
}

/// A file that should be a record and is not, or that could not be dealt with. `Display` is a sentence.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// Where it was moved to, if it was: out of the way, for a person to look at.
    pub moved_to: Option<PathBuf>,
}

/// How old a temporary file has to be that is no record to be removed: what every SDK waits.
const STALE: Duration = Duration::from_secs(3600);

/// Looks through `folder`. Changes only names, and only of what is no record or has an outdated name.
pub(super) fn scan(folder: &Path, base_url: &str) -> Result<Scan, JournalError> {
    let mut scan = Scanning {
        folder,
        base_url,
        found: Scan::default(),
        known: BTreeSet::new(),
        has_moved: false,
    };
    let mut strays = Vec::new();
    for name in names(folder, ".json")? {
        strays.extend(scan.look_at(&name));
    }
    // Only now: a name may have been freed above.
    for (path, record) in strays {
        scan.bring_home(&path, record);
    }
    for name in names(folder, ".waiting")? {
        // None of them has the name of the record proper.
        if let Some((path, record)) = scan.look_at(&name) {
            scan.bring_home(&path, record);
        }
    }
    for ending in [".tmp", file::TAKEN] {
        for name in names(folder, ending)? {
            scan.clean_up(&folder.join(name));
        }
    }
    if scan.has_moved {
        platform::sync_dir(folder).map_err(JournalError::io("make durable what was renamed in", folder))?;
    }
    let mut found = scan.found;
    found
        .records
        .sort_by_cached_key(|record| (record.recorded_at(), record.id().clone()));
    Ok(found)
}

/// The names with this ending, in order; none if there is no directory.
pub(super) fn names(folder: &Path, ending: &str) -> Result<Vec<OsString>, JournalError> {
    let list = || {
        fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .filter(|name| match name {
                Ok(name) => name.as_encoded_bytes().ends_with(ending.as_bytes()),
                Err(_) => true,
            })
            .collect::<io::Result<Vec<_>>>()
    };
    let mut names = match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        result => result.map_err(JournalError::io("read the directory", folder))?,
    };
    names.sort();
    Ok(names)
}

/// How many files there are that look like records in the other directories beside `folder`. What is in them is not read:
/// it may be anybody's.
pub(super) fn beside(folder: &Path) -> usize {
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let is_partition = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        name.len() == 16 && name.iter().all(u8::is_ascii_hexdigit)
    };
    let is_record = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        name.starts_with(b"v2-") && (name.ends_with(b".json") || name.ends_with(b".waiting"))
    };
    folder
        .parent()
        .into_iter()
        .flat_map(entries)
        .filter(|entry| is_partition(&entry.file_name()) && entry.path() != folder)
        .map(|entry| {
            entries(&entry.path())
                .filter(|file| is_record(&file.file_name()))
                .count()
        })
        .sum()
}

struct Scanning<'a> {
    folder: &'a Path,
    base_url: &'a str,
    found: Scan,
    /// The costs of the records that were found.
    known: BTreeSet<RecordId>,
    has_moved: bool,
}

impl Scanning<'_> {
    /// Takes a record that lies under its own name; gives back one that does not.
    fn look_at(&mut self, name: &OsString) -> Option<(PathBuf, JournalRecord)> {
        let path = self.folder.join(name);
        match file::read(&path) {
            Ok(Found::Record(record)) if record.base_url() != self.base_url => {
                self.found.of_others += 1;
                None
            }
            Ok(Found::Record(record)) if *name == *file_name(record.reservation_id()) => {
                self.find(*record);
                None
            }
            Ok(Found::Record(record)) => Some((path, *record)),
            Ok(Found::Invalid(reason)) => {
                self.quarantine(path, reason);
                None
            }
            // It was settled since the directory was read.
            Ok(Found::Nothing) => None,
            Err(error) => {
                self.report(path, format!("it cannot be read: {error}"), None);
                None
            }
        }
    }

    fn quarantine(&mut self, path: PathBuf, reason: String) {
        let moved = match file::quarantine(&path) {
            Ok(Some(moved)) => moved,
            // Another process has done it.
            Ok(None) => return,
            Err(error) => {
                let reason = format!("{reason}, and it cannot be renamed: {error}");
                return self.report(path, reason, None);
            }
        };
        self.has_moved = true;
        // It may have been replaced by a record between the look and the move.
        if matches!(file::read(&moved), Ok(Found::Record(_)))
            && matches!(file::move_unless_taken(&moved, &path), Ok(true))
        {
            return;
        }
        self.report(path, reason, Some(moved));
    }

    /// Gives a record the name that it should have, unless a record of its reservation has it.
    fn bring_home(&mut self, path: &Path, record: JournalRecord) {
        let home = self.folder.join(file_name(record.reservation_id()));
        match file::move_unless_taken(path, &home) {
            Ok(true) => {
                self.has_moved = true;
                self.find(record);
            }
            Ok(false) => self.give_way(path, record, &home),
            // Another process has moved it, and it is settled.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let reason = format!("it cannot be given its proper name: {error}");
                self.report(path.to_owned(), reason, None);
                self.find(record);
            }
        }
    }

    /// Removes a record if the one at `home` settles the same cost; one of another cost waits.
    fn give_way(&mut self, path: &Path, record: JournalRecord, home: &Path) {
        let result = match file::read(home) {
            Ok(Found::Record(there)) if is_same_cost(&there, &record) => {
                // Another process may have brought it there just now.
                self.find(*there);
                Temp::take(path, |there| is_same_cost(there, &record))
                    .and_then(|superseded| superseded.map_or(Ok(()), Temp::remove))
            }
            Ok(Found::Record(_) | Found::Invalid(_) | Found::Nothing) | Err(_) => self.let_wait(path, record),
        };
        if let Err(error) = result {
            let reason = format!(
                "its reservation has a record of another cost, and this one could not be given a name beside it: {error}"
            );
            self.report(path.to_owned(), reason, None);
        }
    }

    fn let_wait(&mut self, path: &Path, record: JournalRecord) -> io::Result<()> {
        let to = self.folder.join(waiting_file_name(record.id()));
        if path != to {
            let taken = Temp::take(path, |there| is_same_cost(there, &record))?;
            let Some(mut temp) = taken else { return Ok(()) };
            while !temp.name_unless_taken(&to)? && !temp.replace(&to, |there| is_same_cost(there, &record))? {
            }
            self.has_moved = true;
        }
        if self.find(record.clone()) {
            self.found.waiting.push((record.id().clone(), to));
        }
        Ok(())
    }

    /// Takes it unless it was found before.
    fn find(&mut self, record: JournalRecord) -> bool {
        let is_new = self.known.insert(record.id().clone());
        if is_new {
            self.found.records.push(record);
        }
        is_new
    }

    /// What an interrupted writer left: a record that it had written to the end is a cost that would be lost with it,
    /// so that one is taken up. The rest is removed when no writer can be at it any more.
    fn clean_up(&mut self, temp: &Path) {
        let Some(age) = age(temp) else { return };
        let cleaned = match file::read(temp) {
            Ok(Found::Record(record))
                if record.base_url() == self.base_url && file::is_abandoned(temp, age) =>
            {
                return self.bring_home(temp, *record);
            }
            Ok(Found::Invalid(reason)) if age >= STALE && file::was_taken(temp) => {
                return self.quarantine(temp.to_owned(), reason);
            }
            Ok(Found::Invalid(_)) if age >= STALE => file::remove(temp),
            Err(error) if age >= STALE => Err(error),
            Ok(Found::Record(_) | Found::Invalid(_) | Found::Nothing) | Err(_) => Ok(()),
        };
        if let Err(error) = cleaned {
            let reason = format!("an interrupted writer left it, and it cannot be cleaned up: {error}");
            self.report(temp.to_owned(), reason, None);
        }
    }

    fn report(&mut self, file: PathBuf, reason: String, moved_to: Option<PathBuf>) {
        self.found.problems.push(Problem {
            file,
            reason,
            moved_to,
        });
    }
}

impl Problem {
    /// Where a person finds the file.
    pub fn found_at(&self) -> &Path {
        self.moved_to.as_deref().unwrap_or(&self.file)
    }
}

/// Whether settling one settles the other.
fn is_same_cost(one: &JournalRecord, other: &JournalRecord) -> bool {
    one.id() == other.id() && one.base_url() == other.base_url()
}

/// How long ago a file was written last, or got its name if that was later; nothing for what is not a file, and for one
/// from the future.
fn age(temp: &Path) -> Option<Duration> {
    let metadata = temp.symlink_metadata().ok().filter(Metadata::is_file)?;
    let mut changed = metadata.modified().ok()?;
    if file::was_taken(temp) {
        changed = changed.max(platform::changed(&metadata)?);
    }
    SystemTime::now().duration_since(changed).ok()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, reason, .. } = self;
        match &self.moved_to {
            Some(moved) => write!(
                f,
                "{file:?} is no record that can be settled: {reason}. It is kept as {moved:?}; if it was a cost, \
                 that cost is not in the ledger"
            ),
            None => write!(
                f,
                "{file:?} in the journal needs attention: {reason}. It was left as it is"
            ),
        }
    }
}
