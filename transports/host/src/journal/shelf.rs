//! The changes of the journal as changes of files. Each concerns the record of one cost; what else has a name that
//! it wants stays where it is.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cycles_proto::CyclesConfig;
use cycles_proto::models::ReservationId;
use cycles_proto::record::{JournalRecord, RecordId, file_name, legacy_file_name, waiting_file_name};
use cycles_proto::step::{Aside, JournalWrite, StoreFailure};

use super::JournalError;
use super::file::{self, Found, Temp};
use super::folder::Folder;
use super::writers::{NeedsSync, Shelf};
use crate::platform;

const SET_ASIDE: &str = "set aside the record";

/// How often a name is looked at anew that other processes give and take.
const LOOKS: usize = 8;

/// The files of one server and one principal.
pub(super) struct Files {
    folder: Folder,
    base_url: String,
    /// The second costs of reservations that are known to wait.
    waiting: Mutex<BTreeSet<RecordId>>,
    /// Those of them that were told.
    told: Mutex<BTreeSet<RecordId>>,
    was_read: AtomicBool,
}

impl Files {
    pub(super) fn of(config: &CyclesConfig, home: Option<PathBuf>) -> Self {
        Self {
            folder: Folder::of(config, home),
            base_url: config.base_url().to_owned(),
            waiting: Mutex::default(),
            told: Mutex::default(),
            was_read: AtomicBool::new(false),
        }
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The server's address, as it stands in the records.
    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The second costs of reservations that are known to wait.
    pub(super) fn waiting(&self) -> MutexGuard<'_, BTreeSet<RecordId>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody was told of this second cost before.
    pub(super) fn note_news(&self, id: &RecordId) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(id.clone())
    }

    /// Whether it was not read before.
    pub(super) fn note_first_reading(&self) -> bool {
        !self.was_read.swap(true, Ordering::Relaxed)
    }

    fn put(&self, record: &JournalRecord) -> Result<(), JournalError> {
        let folder = self.folder.made()?;
        let result = match self.write(folder, record) {
            // Somebody deleted the directory, or cleaned up the temporary file of a process that slept.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.folder.forget();
                self.write(self.folder.made()?, record)
            }
            result => result,
        };
        let path = folder.join(file_name(record.reservation_id()));
        result.map_err(JournalError::io("write the record", &path))
    }

    fn write(&self, folder: &Path, record: &JournalRecord) -> io::Result<()> {
        let name = file_name(record.reservation_id());
        let mut temp = Temp::write(folder, &name, record.to_json().as_bytes())?;
        let (home, waiting) = (folder.join(name), folder.join(waiting_file_name(record.id())));
        let is_same = |there: &JournalRecord| self.is_of(there, record.id());
        for _ in 0..LOOKS {
            let is_named = match file::read(&home) {
                Ok(Found::Nothing) => temp.name_unless_taken(&home)?,
                Ok(Found::Record(there)) if is_same(&there) => temp.replace(&home, is_same)?,
                Ok(Found::Record(_) | Found::Invalid(_)) | Err(_) => break,
            };
            if is_named {
                return file::remove(&waiting);
            }
        }
        // What waits under this name is an older record of the same cost.
        while !temp.name_unless_taken(&waiting)? && !temp.replace(&waiting, is_same)? {}
        self.waiting().insert(record.id().clone());
        Ok(())
    }

    /// Also one that was set aside as stale and settled by force, one that waits, and one under an outdated name.
    fn remove(&self, id: &RecordId) -> Result<(), JournalError> {
        let folder = self.folder.path()?;
        for path in places(folder, id).into_iter().chain(stale(folder, id)) {
            Temp::take(&path, |there| self.is_of(there, id))
                .and_then(|taken| taken.map_or(Ok(()), Temp::remove))
                .map_err(JournalError::io("remove the record", &path))?;
        }
        self.waiting().remove(id);
        self.bring_forward(folder, &id.reservation);
        Ok(())
    }

    /// Under a name of its own, from wherever it is; written from memory if it is nowhere.
    fn set_aside(&self, record: &JournalRecord, aside: Aside) -> Result<(), JournalError> {
        let (folder, id) = (self.folder.made()?, record.id());
        let names = aside.file_names(id).map(|name| folder.join(name));
        let mut is_kept = false;
        let stale = stale(folder, id).into_iter().filter(|path| !names.contains(path));
        for from in places(folder, id).into_iter().chain(stale) {
            // The record proper, if there is one, comes first; what is found after it is removed.
            let moved = Temp::take(&from, |there| self.is_of(there, id)).and_then(|taken| match taken {
                Some(mut temp) if !is_kept => self.keep_as(&mut temp, &names, id).map(|()| true),
                Some(temp) => temp.remove().map(|()| true),
                None => Ok(false),
            });
            is_kept |= moved.map_err(JournalError::io(SET_ASIDE, &from))?;
        }
        // Another process may have set it aside before.
        if !is_kept && !names.iter().any(|name| self.holds(name, id)) {
            let name = file_name(&id.reservation);
            let write = Temp::write(folder, &name, record.to_json().as_bytes());
            write
                .and_then(|mut temp| self.keep_as(&mut temp, &names, id))
                .map_err(JournalError::io("write the record", &names[0]))?;
        }
        self.waiting().remove(id);
        self.bring_forward(folder, &id.reservation);
        Ok(())
    }

    /// Under the first of the names that no other cost has.
    fn keep_as(&self, temp: &mut Temp, names: &[PathBuf], id: &RecordId) -> io::Result<()> {
        for _ in 0..LOOKS {
            for name in names {
                if temp.name_unless_taken(name)?
                    || self.holds(name, id) && temp.replace(name, |there| self.is_of(there, id))?
                {
                    return Ok(());
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// The first cost of a reservation has ended: the next has the name that other SDKs look for.
    fn bring_forward(&self, folder: &Path, reservation: &ReservationId) {
        let mut waiting = self.waiting();
        let next = waiting.iter().find(|id| id.reservation == *reservation).cloned();
        if let Some(id) = next {
            let (from, to) = (
                folder.join(waiting_file_name(&id)),
                folder.join(file_name(reservation)),
            );
            // If it cannot be, it waits for the next scan, which settles it where it is.
            if !matches!(file::move_unless_taken(&from, &to), Ok(false)) {
                waiting.remove(&id);
            }
        }
    }

    /// Whether it is a record of this cost, and of this server.
    fn is_of(&self, record: &JournalRecord, id: &RecordId) -> bool {
        record.id() == id && record.base_url() == self.base_url
    }

    fn holds(&self, path: &Path, id: &RecordId) -> bool {
        matches!(file::read(path), Ok(Found::Record(there)) if self.is_of(&there, id))
    }
}

/// Where the record of a cost may lie that is to be settled, the record proper first.
fn places(folder: &Path, id: &RecordId) -> [PathBuf; 3] {
    [
        file_name(&id.reservation),
        waiting_file_name(id),
        // Several reservations may share a name of older versions.
        legacy_file_name(&id.reservation),
    ]
    .map(|name| folder.join(name))
}

fn stale(folder: &Path, id: &RecordId) -> [PathBuf; 2] {
    Aside::Stale.file_names(id).map(|name| folder.join(name))
}

impl Shelf for Files {
    fn change(&self, write: &JournalWrite) -> Result<NeedsSync, StoreFailure> {
        let result = match write {
            JournalWrite::Put(record) => self.put(record).map(|()| NeedsSync::Yes),
            JournalWrite::Remove(id) => self.remove(id).map(|()| NeedsSync::No),
            JournalWrite::SetAside(record, aside) => self.set_aside(record, *aside).map(|()| NeedsSync::Yes),
        };
        result.map_err(|error| error.of(write))
    }

    fn sync(&self) -> Result<(), StoreFailure> {
        let sync = |folder| platform::sync_dir(folder).map_err(JournalError::io("sync", folder));
        self.folder.path().and_then(sync).map_err(|error| {
            StoreFailure::not_durable(format!(
                "{error}. The record is written, but may be gone if the machine goes down"
            ))
        })
    }
}
