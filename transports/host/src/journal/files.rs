//! The files of a journal: runs the core's procedures in its directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cycles_proto::CyclesConfig;
use cycles_proto::journal::{
    self, ChangeFailure, EntryError, EntryFailure, FileOp, JournalWrite, Next, OpFailure, OpOutcome,
    OpResult, Seen, StoreFailure,
};

use super::folder::Folder;
use super::run_owner::RunOwner;
use super::writers::{NeedsSync, Store};
use super::{JournalError, disk};

/// The files of one server and one principal.
pub(super) struct Files {
    folder: Folder,
    base_url: String,
    seen: Mutex<Seen>,
    run_owner: RunOwner,
}

impl Files {
    pub(super) fn of(config: &CyclesConfig, home: Option<PathBuf>) -> Self {
        Self {
            folder: Folder::of(config, home),
            base_url: config.base_url.clone(),
            seen: Mutex::default(),
            run_owner: RunOwner::default(),
        }
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The server's address, as written in the records.
    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// What this client knows about the directory.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a procedure that reads and tidies the directory.
    pub(super) fn run<T>(
        &self,
        folder: &Path,
        procedure: Next<'_, Result<T, OpFailure>>,
    ) -> Result<T, JournalError> {
        let result = procedure.run(|op| disk::execute(folder, op));
        result.map_err(|failure| JournalError::failed(failure, folder))
    }

    /// Runs a procedure that a person asked for.
    pub(super) fn execute_by_hand<T>(
        &self,
        folder: &Path,
        procedure: Next<'_, Result<T, EntryFailure>>,
    ) -> Result<T, EntryError> {
        let result = procedure.run(|op| disk::execute(folder, op));
        result.map_err(|failure| failure.described(|why| JournalError::failed(why, folder).to_string()))
    }

    /// Executes an operation of a change. The directory's owner is checked each time the directory is prepared: if the
    /// parent directory is writable by everybody, another directory may have taken its name.
    fn execute(&self, folder: &Path, op: FileOp) -> OpResult {
        if op == FileOp::Prepare {
            let made = self.folder.made().map(|_| OpOutcome::Done);
            return made.map_err(io::Error::other);
        }
        if op == FileOp::Own {
            return self
                .run_owner
                .own(folder)
                .map(|owner| OpOutcome::Name(owner.into()));
        }
        disk::execute(folder, op)
    }
}

impl Store for Files {
    fn change(&self, write: &JournalWrite) -> Result<NeedsSync, StoreFailure> {
        let folder = self.folder.path().map_err(|error| error.of(write))?;
        #[cfg(feature = "parts")]
        super::simulated_hang::wait(folder);
        let change = journal::change(write, &self.base_url, &self.seen());
        let changed = change.run(|op| self.execute(folder, op));
        let changed = changed.map_err(|failure| JournalError::told(failure, folder))?;
        self.seen().note(&changed);
        Ok(if changed.needs_sync() {
            NeedsSync::Yes
        } else {
            NeedsSync::No
        })
    }

    fn sync(&self) -> Result<(), StoreFailure> {
        let folder = self
            .folder
            .path()
            .map_err(|error| StoreFailure::new(error.to_string()))?;
        match disk::execute(folder, FileOp::Sync) {
            Ok(_) => Ok(()),
            Err(cause) => Err(JournalError::told(ChangeFailure::not_durable(cause), folder)),
        }
    }
}
