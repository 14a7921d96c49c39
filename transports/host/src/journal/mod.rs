//! The journal: known costs that are not settled yet, one file each, in the format that all Cycles SDKs share.

mod by_hand;
mod directory_name;
mod disk;
mod error;
mod files;
mod folder;
mod read_for_session;
mod replay_claim;
mod run_owner;
#[cfg(feature = "parts")]
mod simulated_hang;
mod trusted_owner;

mod writers;

use core::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use cycles_proto::CyclesConfig;
use cycles_proto::journal::{self, Aside, JournalWrite, StoreFailure};
pub use cycles_proto::journal::{Problem, Scan, SetAside};

pub use self::error::JournalError;
use self::files::Files;
pub use self::replay_claim::Claim;
#[cfg(feature = "parts")]
#[doc(hidden)]
pub use self::simulated_hang::Hanging;
use self::writers::Writers;
use crate::process::Process;

/// The journal of one server and one principal: their unsettled costs. Clones share one journal.
///
/// Every method except [`open`](Self::open), [`is_enabled`](Self::is_enabled), [`push`](Self::push) and
/// [`submit`](Self::submit) blocks on the disk; [`dir`](Self::dir) may block only the first time.
#[derive(Clone)]
pub struct Journal {
    /// `None` if the configuration switches it off.
    writers: Option<Arc<Writers<Files>>>,
    process: Process,
}

/// A change that is queued; see [`Journal::push`].
#[must_use = "the change might not be made until `go` is called"]
pub struct Pushed(Next);

enum Next {
    Write(Arc<Writers<Files>>),
    /// The change failed before it was queued.
    Answer(writers::Done, StoreFailure),
}

impl Pushed {
    /// Starts the change; does not wait for it. Do not hold a lock that `done` takes: `done` may be called at once. If
    /// no thread can be started, this blocks and makes the change itself.
    pub fn go(self) {
        match self.0 {
            Next::Write(writers) => writers.go(),
            Next::Answer(done, failure) => done(Err(failure)),
        }
    }
}

impl fmt::Debug for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushed").finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal of a configuration. Nothing is read or created yet, so this neither fails nor blocks:
    /// operations that need the directory report its problems, and check for them again each time.
    ///
    /// The default directory is `.runcycles/commit-journal` in the user's home directory.
    pub fn open(config: &CyclesConfig) -> Self {
        Self::with_home(config, std::env::home_dir())
    }

    fn with_home(config: &CyclesConfig, home: Option<PathBuf>) -> Self {
        let files = || Files::of(config, home);
        Self {
            writers: config.journal_enabled.then(|| Arc::new(Writers::new(files()))),
            process: Process::current(),
        }
    }

    /// Whether the configuration enables the journal. If not, there is nothing to replay, and every change fails with
    /// the message of [`JournalError::Off`].
    pub fn is_enabled(&self) -> bool {
        self.writers.is_some()
    }

    /// Returns the directory of this server and principal, whether or not it exists. The first call may block, because
    /// the directory's name is a slow hash.
    ///
    /// # Errors
    /// [`JournalError::Off`] and [`JournalError::NoHome`].
    pub fn dir(&self) -> Result<&Path, JournalError> {
        self.files().ok_or(JournalError::Off)?.folder().path()
    }

    /// Makes a change and blocks until it is durable. Removals are not synced: a record that reappears is settled under
    /// its old key, so its cost counts once.
    ///
    /// # Errors
    /// The error says what happened, what it means for the cost, and what to do. The settlement should continue.
    pub fn apply(&self, write: JournalWrite) -> Result<(), StoreFailure> {
        let (done, result) = mpsc::sync_channel(1);
        let tell = move |stored| {
            let _ = done.send(stored);
        };
        self.submit(write, tell);
        // Every job calls `done`, unless its thread has ended, and the change was lost with it.
        result
            .recv()
            .unwrap_or_else(|_| Err(StoreFailure::new("the journal's thread ended".to_owned())))
    }

    /// Queues a change. `done` receives the result that [`apply`](Self::apply) would return, on a thread of the
    /// journal, which it must not block. This calls nothing and does not block, so it may be used under a lock. Call
    /// [`go`](Pushed::go) after releasing the lock, because that may call `done` at once.
    ///
    /// If the reservation already has a record under another key, the new one [waits](Scan::waiting) alongside it.
    ///
    /// Changes to one reservation are made in the order in which they were pushed, even if `self` is dropped. At most 8
    /// threads write; one sync of the directory serves all changes made before it.
    pub fn push(
        &self,
        write: JournalWrite,
        done: impl FnOnce(Result<(), StoreFailure>) + Send + 'static,
    ) -> Pushed {
        Pushed(match &self.writers {
            Some(_) if !self.process.is_current() => {
                Next::Answer(Box::new(done), JournalError::Forked.of(&write))
            }
            Some(writers) => {
                writers.push(write, Box::new(done));
                Next::Write(Arc::clone(writers))
            }
            None => Next::Answer(Box::new(done), JournalError::Off.of(&write)),
        })
    }

    /// [Pushes](Self::push) a change and starts it. Does not wait for the disk, unless no thread can be started.
    pub fn submit(&self, write: JournalWrite, done: impl FnOnce(Result<(), StoreFailure>) + Send + 'static) {
        self.push(write, done).go();
    }

    /// Reads the records to replay, and tidies the directory. Files that are not records are renamed to `.corrupt` and
    /// reported. Records under names of older versions are renamed. Records that waited for another cost of their
    /// reservation get its name once that is free. A complete record that a dead writer left behind is recovered;
    /// incomplete ones are removed after an hour. Records for another server address are left alone.
    ///
    /// # Errors
    /// If the directory cannot be read. A missing directory is not an error.
    pub fn scan(&self) -> Result<Scan, JournalError> {
        let Some((files, folder)) = self.existing()? else {
            return Ok(Scan::default());
        };
        let scan = files.run(folder, journal::scan(files.base_url()))?;
        files.seen().note_scan(&scan);
        Ok(scan.within(folder))
    }

    /// Reads the records that were set aside for this reason, ordered by name. A stale record may still be settled by a
    /// forced flush of a [`Session`](cycles_proto::Session), whose changes then apply to the file that was set aside. A
    /// rejected record is for a person, who [restores](Self::restore) or [discards](Self::discard) it.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn set_aside(&self, reason: Aside) -> Result<Vec<SetAside>, JournalError> {
        let Some((files, folder)) = self.existing()? else {
            return Ok(Vec::new());
        };
        let found = files.run(folder, journal::set_aside(files.base_url(), reason))?;
        Ok(found.into_iter().map(|aside| aside.within(folder)).collect())
    }

    /// Takes the claim to replay; returns `None` if another process, or another holder in this process, has it. Does
    /// not wait for it.
    pub fn claim(&self) -> Option<Claim> {
        match self.existing() {
            Ok(Some((_, folder))) => Claim::of(folder),
            Err(JournalError::Forked) => None,
            Ok(None) | Err(_) => Some(Claim::undisputed()),
        }
    }

    fn files(&self) -> Option<&Files> {
        self.writers.as_ref().map(|writers| writers.store())
    }

    /// The files and their directory, if the directory exists.
    fn existing(&self) -> Result<Option<(&Files, &Path)>, JournalError> {
        let Some(files) = self.files() else {
            return Ok(None);
        };
        if !self.process.is_current() {
            return Err(JournalError::Forked);
        }
        Ok(files.folder().existing()?.map(|folder| (files, folder)))
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("is_enabled", &self.is_enabled())
            .finish_non_exhaustive()
    }
}
