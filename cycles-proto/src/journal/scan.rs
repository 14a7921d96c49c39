//! The scan of a directory: decides which files are records to settle, which are left behind and which are corrupt.

use core::time::Duration;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;

use super::abandoned_temporary::is_writer_dead;
use super::file::{File, Files};
use super::op::Owner;
use super::op::{FileOp, Looks, OpFailure, Temporary};
use super::owned_file::{
    Left, Owned, Unfinished, costs_nothing, leave, leave_steps, left_name, look_at_owned, owner_in,
    owner_of_lock, unfinished,
};
use super::procedure::Next;
use super::quarantine::quarantine;
use super::record::{InvalidRecord, JournalRecord, RecordId, file_name, waiting_file_name};
use super::scan_result::{Problem, Scan, SetAside};
use super::temporary_file::{Temp, has_ending, remove_superseded, was_taken};
use crate::outcome::Aside;

/// Finds the records to settle. Files that are not records are renamed to `.corrupt` and reported. Records under old
/// names get their new ones, and a record that waited for another cost of its reservation gets the reservation's name
/// once it is free. A complete record that a dead writer left behind is used; its other temporary files are removed
/// after an hour. Records of addresses other than `base_url` are left alone. The total of a run whose owner is gone
/// becomes a record; a mark whose owner is gone stays as it is.
///
/// Pass the result to [`Seen::note_scan`](super::Seen::note_scan).
pub fn scan(base_url: &str) -> Next<'_, Result<Scan, OpFailure>> {
    Next::of(move |mailbox| async move { look_through(&Files::new(mailbox, base_url)).await })
}

/// Lists the records that were set aside for this reason, by name.
pub fn set_aside(base_url: &str, reason: Aside) -> Next<'_, Result<Vec<SetAside>, OpFailure>> {
    Next::of(move |mailbox| async move { kept(&Files::new(mailbox, base_url), reason).await })
}

/// The age at which a temporary file that is not a record is removed, the same in every SDK.
const STALE: Duration = Duration::from_secs(3600);

pub(super) async fn look_through(files: &Files<'_>) -> Result<Scan, OpFailure> {
    let mut scan = Scanning {
        files,
        found: Scan::default(),
        known: BTreeSet::new(),
        seen: BTreeSet::new(),
        has_moved: false,
    };
    let mut strays = Vec::new();
    for name in names(files, &[".json"]).await? {
        strays.extend(scan.look_at(name).await);
    }
    // This comes after the loop above, because that may have freed a name.
    for (name, record) in strays {
        scan.bring_home(&name, record).await;
    }
    for name in names(files, &[".waiting"]).await? {
        // None of these is under its reservation's name.
        if let Some((name, record)) = scan.look_at(name).await {
            scan.bring_home(&name, record).await;
        }
    }
    scan.look_at_owned().await?;
    for name in names(files, &[Temporary::Written.ending(), Temporary::Taken.ending()]).await? {
        scan.clean_up(&name).await;
    }
    // Another process may be scanning too, and may have given a record its name after the names were read above.
    for name in names(files, &[".json", ".waiting"]).await? {
        if !scan.seen.contains(&name)
            && let Some((name, record)) = scan.look_at(name).await
        {
            scan.bring_home(&name, record).await;
        }
    }
    if scan.has_moved {
        let synced = files.done(FileOp::Sync).await;
        synced.map_err(|cause| OpFailure::of_directory("sync", cause))?;
    }
    let mut found = scan.found;
    found
        .records
        .sort_by_cached_key(|record| (record.recorded_at(), record.id().clone()));
    Ok(found)
}

pub(super) async fn kept(files: &Files<'_>, reason: Aside) -> Result<Vec<SetAside>, OpFailure> {
    let mut kept = Vec::new();
    for name in names(files, &[&format!(".{}", reason.ending())]).await? {
        let record = match files.read(&name).await {
            Ok(File::Record(record)) if !files.is_ours(&record) => continue,
            Ok(File::Nothing) => continue,
            Ok(File::Record(record)) => Some(*record),
            Ok(File::Invalid(_)) | Err(_) => None,
        };
        let path = name.into();
        kept.push(SetAside { path, record });
    }
    Ok(kept)
}

/// The names with these endings, in order; empty if there is no directory.
async fn names(files: &Files<'_>, endings: &[&str]) -> Result<Vec<OsString>, OpFailure> {
    let mut names = match files.list(None).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        result => result.map_err(|cause| OpFailure::of_directory("read", cause))?,
    };
    names.retain(|name| endings.iter().any(|ending| has_ending(name, ending)));
    Ok(names)
}

/// Counts the files in the neighbouring directories that look like records. It does not read them, because they may
/// belong to anyone.
pub(super) async fn beside(files: &Files<'_>) -> usize {
    let is_partition = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        name.len() == 16 && name.iter().all(u8::is_ascii_hexdigit)
    };
    let is_record = |name: &OsString| {
        name.as_encoded_bytes().starts_with(b"v2-")
            && (has_ending(name, ".json") || has_ending(name, ".waiting") || Owned::of(name).is_some())
    };
    let mut records = 0;
    for directory in files.neighbours().await.unwrap_or_default() {
        if is_partition(&directory) {
            let names = files.list(Some(directory)).await.unwrap_or_default();
            records += names.iter().filter(|name| is_record(name)).count();
        }
    }
    records
}

struct Scanning<'a> {
    files: &'a Files<'a>,
    found: Scan,
    /// The costs of the records that were found.
    known: BTreeSet<RecordId>,
    /// The names that need no second look.
    seen: BTreeSet<OsString>,
    has_moved: bool,
}

impl Scanning<'_> {
    /// Accepts a record under its proper name, and returns a record under any other name.
    async fn look_at(&mut self, name: OsString) -> Option<(OsString, JournalRecord)> {
        match self.files.read(&name).await {
            Ok(File::Record(record)) if !self.files.is_ours(&record) => {
                self.found.of_others += 1;
                self.seen.insert(name);
                None
            }
            Ok(File::Record(record)) if *name == *file_name(record.reservation_id()) => {
                self.find(*record);
                self.seen.insert(name);
                None
            }
            Ok(File::Record(record)) => Some((name, *record)),
            Ok(File::Invalid(invalid)) => {
                self.quarantine(&name, invalid).await;
                None
            }
            // It was settled after the directory was read.
            Ok(File::Nothing) => None,
            Err(error) => {
                self.report(&name, format!("it cannot be read: {error}"));
                None
            }
        }
    }

    async fn quarantine(&mut self, name: &OsStr, invalid: InvalidRecord) {
        let moved = match quarantine(self.files, name).await {
            Ok(Some(moved)) => moved,
            Ok(None) => return,
            Err(error) => return self.report(name, format!("{invalid}, and it cannot be renamed: {error}")),
        };
        self.has_moved = true;
        self.found.problems.push(Problem {
            file: name.into(),
            reason: invalid.to_string(),
            invalid: Some(invalid),
            moved_to: Some(moved.into()),
        });
    }

    /// Makes the totals that owners left records, notes the marks that they left, and removes the locks of owners that
    /// left nothing.
    async fn look_at_owned(&mut self) -> Result<(), OpFailure> {
        let names = names(self.files, &[".run", ".dispatched", ".lock"]).await?;
        let (owned, locks): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| Owned::of(name).is_some());
        for name in &owned {
            match look_at_owned(self.files, name).await {
                Left::Cost(cost) => self.bring_home(name, *cost).await,
                Left::Total(total) => self.end_run(name, *total).await,
                Left::Mark(mark) => self.found.marks.push((*mark, name.into())),
                Left::Other => {
                    self.look_at(name.clone()).await;
                }
                Left::InUse => {}
                Left::Unknown => self.found.abandoned_runs.push(name.into()),
            }
        }
        for name in locks {
            let Some(owner) = owner_of_lock(&name) else {
                continue;
            };
            let looks = self.files.look(&name).await;
            let is_old =
                matches!(looks, Ok(Some(looks)) if age(&name, looks).is_some_and(|age| age >= STALE));
            let is_used = owned.iter().any(|name| owner_in(name) == Some(owner));
            if is_old && !is_used && self.files.owner(owner).await == Owner::Gone {
                // If that fails, the next scan tries again.
                let _ = self.files.remove(&name).await;
            }
        }
        Ok(())
    }

    /// Makes the total of a run a record, and what it says about dispatched steps a mark. That comes first: a mark that is
    /// there already is not written twice. While it cannot be written, the file stays.
    async fn end_run(&mut self, name: &OsStr, total: JournalRecord) {
        match leave_steps(self.files, &total).await {
            Ok(None) => {}
            Ok(Some(mark)) => {
                self.has_moved = true;
                let file = left_name(mark.id());
                self.found.marks.push((mark, file.into()));
            }
            Err(error) => {
                let reason = format!(
                    "it has the total of a run, which is not charged yet, because what it says about steps whose requests \
                     had left cannot be written to a file of its own: {error}. The next `flush` tries again"
                );
                return self.report(name, reason);
            }
        }
        match costs_nothing(&total) {
            // If that fails, the next scan tries again.
            true => drop(self.files.remove(name).await),
            false => self.bring_home(name, total).await,
        }
    }

    /// Gives a record its proper name, unless another record of its reservation has it.
    async fn bring_home(&mut self, name: &OsStr, record: JournalRecord) {
        let home = OsString::from(file_name(record.reservation_id()));
        match self.files.move_unless_taken(name, &home).await {
            Ok(true) => {
                self.has_moved = true;
                self.find(record);
            }
            Ok(false) => self.give_way(name, record, &home).await,
            // Another process has settled it, or moved it to a name that is checked at the end.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                self.report(name, format!("it cannot be given its proper name: {error}"));
                self.find(record);
            }
        }
    }

    /// Removes a record if one under a better name has the same cost; a record of another cost waits.
    async fn give_way(&mut self, name: &OsStr, record: JournalRecord, home: &OsStr) {
        let result = match self.files.read(home).await {
            Ok(File::Record(there)) if self.files.is_of(&there, record.id()) => {
                // Another process may just have moved it there.
                self.find(*there);
                self.remove(name, record.id()).await
            }
            Ok(File::Record(_) | File::Invalid(_) | File::Nothing) | Err(_) => {
                self.let_wait(name, record).await
            }
        };
        if let Err(error) = result {
            let reason = format!(
                "its reservation has a record of another cost, and this one cannot be put beside it: {error}"
            );
            self.report(name, reason);
        }
    }

    async fn let_wait(&mut self, name: &OsStr, record: JournalRecord) -> io::Result<()> {
        let waiting = OsString::from(waiting_file_name(record.id()));
        if *name == *waiting {
            self.find_waiting(record, waiting);
            return Ok(());
        }
        if self.files.holds(&waiting, record.id()).await {
            // The other one is looked at later.
            return self.remove(name, record.id()).await;
        }
        let Some(mut temp) = Temp::take(self.files, name, record.id()).await? else {
            return Ok(());
        };
        let waits = temp.let_wait(self.files, record.id()).await;
        temp.put_down(self.files).await;
        waits?;
        self.has_moved = true;
        self.find_waiting(record, waiting);
        Ok(())
    }

    async fn remove(&self, name: &OsStr, id: &RecordId) -> io::Result<()> {
        let (home, waiting) = (file_name(&id.reservation), waiting_file_name(id));
        remove_superseded(self.files, name, id, [home.as_ref(), waiting.as_ref()]).await
    }

    fn find_waiting(&mut self, record: JournalRecord, name: OsString) {
        let id = record.id().clone();
        if self.find(record) {
            self.found.waiting.push((id, name.into()));
        }
    }

    /// Accepts a record unless its cost was found before.
    fn find(&mut self, record: JournalRecord) -> bool {
        let is_new = self.known.insert(record.id().clone());
        if is_new {
            self.found.records.push(record);
        }
        is_new
    }

    /// Cleans up after an interrupted writer. A complete record is a cost that would be lost, so it is used. Anything
    /// else is removed once no writer can be using it any more.
    async fn clean_up(&mut self, temp: &OsStr) {
        let Ok(Some(looks)) = self.files.look(temp).await else {
            return;
        };
        let Some(age) = age(temp, looks) else { return };
        let is_over = match unfinished(temp) {
            Some(Unfinished::Of(owner)) => Some(age >= STALE || self.files.owner(owner).await == Owner::Gone),
            Some(Unfinished::Charge) => Some(is_writer_dead(self.files, temp, age).await),
            Some(Unfinished::Left) | None => None,
        };
        if let Some(is_over) = is_over {
            if is_over {
                // If that fails, the next scan tries again.
                let _ = self.files.remove(temp).await;
            }
            return;
        }
        let cleaned = match self.files.read(temp).await {
            // Somebody was about to discard a mark, or to leave it behind. It is still a mark, not a cost.
            Ok(File::Record(mark)) if mark.dispatched().is_some() => {
                let is_left = self.files.is_ours(&mark) && is_writer_dead(self.files, temp, age).await;
                match is_left {
                    true => self.keep_mark(temp, *mark).await,
                    false => Ok(()),
                }
            }
            Ok(File::Record(record)) if self.files.is_ours(&record) => {
                if is_writer_dead(self.files, temp, age).await {
                    self.bring_home(temp, *record).await;
                }
                return;
            }
            Ok(File::Invalid(invalid)) if was_taken(temp) => {
                if is_writer_dead(self.files, temp, age).await {
                    self.quarantine(temp, invalid).await;
                }
                return;
            }
            Ok(File::Invalid(_)) if age >= STALE => self.files.remove(temp).await,
            Err(error) if age >= STALE => Err(error),
            Ok(File::Record(_) | File::Invalid(_) | File::Nothing) | Err(_) => Ok(()),
        };
        if let Err(error) = cleaned {
            let reason =
                format!("an interrupted writer left it behind, and it cannot be cleaned up: {error}");
            self.report(temp, reason);
        }
    }

    /// Gives a mark that was taken away a name under which it is found again. If another file has that name, it stays.
    async fn keep_mark(&mut self, temp: &OsStr, mark: JournalRecord) -> io::Result<()> {
        let name = OsString::from(left_name(mark.id()));
        let mut file = Temp::at(temp.to_owned());
        match leave(self.files, &mut file, mark.id()).await {
            Ok(()) => {
                self.has_moved = true;
                self.found.marks.push((mark, name.into()));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.found.marks.push((mark, temp.into()));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn report(&mut self, file: &OsStr, reason: String) {
        self.seen.insert(file.to_owned());
        self.found.problems.push(Problem {
            file: file.into(),
            reason,
            invalid: None,
            moved_to: None,
        });
    }
}

/// How long ago a file was last written or renamed; `None` if it is not a regular file. A file dated in the future, for
/// example after a clock was set back, counts as new.
fn age(temp: &OsStr, looks: Looks) -> Option<Duration> {
    if !looks.is_file {
        return None;
    }
    let written = looks.written.unwrap_or_default();
    if was_taken(temp) {
        Some(written.min(looks.changed.unwrap_or_default()))
    } else {
        Some(written)
    }
}
