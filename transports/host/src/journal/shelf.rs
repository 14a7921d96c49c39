//! The changes of the journal as changes of files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cycles_proto::CyclesConfig;
use cycles_proto::models::ReservationId;
use cycles_proto::record::{JournalRecord, file_name, legacy_file_name};
use cycles_proto::step::{Aside, JournalWrite, StoreFailure};

use super::JournalError;
use super::file::{self, Found};
use super::folder::Folder;
use super::writers::{NeedsSync, Shelf};
use crate::platform;

/// The files of one server and one principal.
pub(super) struct Files {
    folder: Folder,
    base_url: String,
}

/// The ending of the names of what is set aside.
pub(super) fn ending(aside: Aside) -> &'static str {
    match aside {
        Aside::Rejected => ".rejected",
        Aside::Stale => ".stale",
    }
}

impl Files {
    pub(super) fn of(config: &CyclesConfig, home: Option<PathBuf>) -> Self {
        Self {
            folder: Folder::of(config, home),
            base_url: config.base_url().to_owned(),
        }
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The server's address, as it stands in the records.
    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    fn put(&self, record: &JournalRecord) -> Result<(), JournalError> {
        let name = file_name(record.reservation_id());
        let bytes = record.to_json();
        let folder = self.folder.made()?;
        let result = match file::replace(folder, &name, bytes.as_bytes()) {
            // Somebody deleted the directory, or cleaned up the temporary file of a process that slept.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.folder.forget();
                file::replace(self.folder.made()?, &name, bytes.as_bytes())
            }
            result => result,
        };
        result.map_err(JournalError::io("write the record", &folder.join(name)))
    }

    /// Also one that was set aside as stale and settled by force, and one under an outdated name.
    fn remove(&self, id: &ReservationId) -> Result<(), JournalError> {
        let folder = self.folder.path()?;
        let record = folder.join(file_name(id));
        for path in [&record, &aside_path(&record, Aside::Stale)] {
            file::remove(path).map_err(JournalError::io("remove the record", path))?;
        }
        if let Some(path) = legacy_record(folder, id) {
            file::remove(&path).map_err(JournalError::io("remove the record", &path))?;
        }
        Ok(())
    }

    /// Under a name of its own, from wherever it is.
    fn set_aside(&self, id: &ReservationId, aside: Aside) -> Result<(), JournalError> {
        let folder = self.folder.path()?;
        let record = folder.join(file_name(id));
        let to = aside_path(&record, aside);
        let stale = Some(aside_path(&record, Aside::Stale)).filter(|stale| *stale != to);
        // What is moved last stays: the record proper, if there is one.
        for from in [stale, legacy_record(folder, id), Some(record)]
            .into_iter()
            .flatten()
        {
            match fs::rename(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result.map_err(JournalError::io("set aside the record", &from))?,
            }
        }
        // It may have been set aside by another process before.
        to.symlink_metadata()
            .map(|_| ())
            .map_err(JournalError::io("find a record to keep as", &to))
    }
}

impl Shelf for Files {
    fn change(&self, write: &JournalWrite) -> Result<NeedsSync, StoreFailure> {
        let result = match write {
            JournalWrite::Put(record) => self.put(record).map(|()| NeedsSync::Yes),
            JournalWrite::Remove(id) => self.remove(id).map(|()| NeedsSync::No),
            JournalWrite::SetAside(id, aside) => self.set_aside(id, *aside).map(|()| NeedsSync::Yes),
        };
        result.map_err(|error| error.of(write))
    }

    fn sync(&self) -> Result<(), StoreFailure> {
        let sync = |folder| platform::sync_dir(folder).map_err(JournalError::io("sync", folder));
        self.folder.path().and_then(sync).map_err(|error| {
            StoreFailure(format!(
                "{error}. The record is written, but may be gone if the machine goes down"
            ))
        })
    }
}

fn aside_path(record: &Path, aside: Aside) -> PathBuf {
    record.with_extension(&ending(aside)[1..])
}

/// The file of this reservation under the name of older versions. Several reservations may share that name, so
/// only the record in it tells.
fn legacy_record(folder: &Path, id: &ReservationId) -> Option<PathBuf> {
    let path = folder.join(legacy_file_name(id));
    match file::read(&path) {
        Ok(Found::Record(record)) if record.reservation_id() == id => Some(path),
        Ok(Found::Record(_) | Found::Invalid(_) | Found::Nothing) | Err(_) => None,
    }
}
