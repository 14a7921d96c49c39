//! The journal: known costs that are not settled yet, one file each, shared with the SDKs of all languages.

mod claim;
mod disk;
mod error;
mod files;
mod folder;
#[cfg(feature = "parts")]
mod hanging;
mod names;
mod owner;
mod reading;

mod writers;

use core::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use cycles_proto::CyclesConfig;
use cycles_proto::journal::{self, Aside, JournalWrite, StoreFailure};
pub use cycles_proto::journal::{Problem, Scan, SetAside};

pub use self::claim::Claim;
pub use self::error::JournalError;
#[cfg(feature = "parts")]
#[doc(hidden)]
pub use self::hanging::Hanging;
use self::files::Files;
use self::writers::Writers;
use crate::process::Process;

/// The costs of one server and one principal that are not settled yet. Clones are the same journal.
///
/// Every method but [`open`](Self::open), [`is_enabled`](Self::is_enabled) and [`push`](Self::push) waits
/// for the disk.
#[derive(Clone)]
pub struct Journal {
    /// `None` if the configuration switches it off.
    writers: Option<Arc<Writers<Files>>>,
    process: Process,
}

/// A change that is queued; see [`Journal::push`].
#[must_use = "nobody may see to the change before `go`"]
pub struct Pushed(Next);

enum Next {
    Write(Arc<Writers<Files>>),
    /// There is nothing to write.
    Answer(writers::Done, StoreFailure),
}

impl Pushed {
    /// Has the change made. Hold no lock that its answer takes.
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
    /// The journal of a configuration. Nothing is read or created before it has to be, so this cannot fail:
    /// whatever is wrong with the directory is told by what needs it, and is looked at anew every time.
    ///
    /// Without a configured directory it is `.runcycles/commit-journal` in the user's home.
    pub fn open(config: &CyclesConfig) -> Self {
        Self::with_home(config, std::env::home_dir())
    }

    fn with_home(config: &CyclesConfig, home: Option<PathBuf>) -> Self {
        let files = || Files::of(config, home);
        Self {
            writers: config.journal_enabled().then(|| Arc::new(Writers::new(files()))),
            process: Process::current(),
        }
    }

    /// Whether the configuration lets it keep anything. If not, there is nothing to replay, and every change
    /// fails with [`JournalError::Off`] in words, because nothing is durable.
    pub fn is_enabled(&self) -> bool {
        self.writers.is_some()
    }

    /// The directory of this server and principal, whether it exists or not.
    ///
    /// # Errors
    /// [`JournalError::Off`] and [`JournalError::NoHome`].
    pub fn dir(&self) -> Result<&Path, JournalError> {
        self.files().ok_or(JournalError::Off)?.folder().path()
    }

    /// Makes a change and waits until it is durable; the removal of a record is not waited for beyond this
    /// process, because one that comes back is settled under its old key, which counts once.
    ///
    /// # Errors
    /// What happened, what it means for the cost, and what to do. The settlement is to go on.
    pub fn apply(&self, write: JournalWrite) -> Result<(), StoreFailure> {
        let (done, result) = mpsc::sync_channel(1);
        let tell = move |stored| {
            let _ = done.send(stored);
        };
        self.submit(write, tell);
        // Every job is answered; if its thread were gone, so would the change.
        result
            .recv()
            .unwrap_or_else(|_| Err(StoreFailure::new("the journal's thread ended".to_owned())))
    }

    /// Queues a change and calls `done` with what [`apply`](Self::apply) would return, from a thread of the journal, which it
    /// must not hold up. Nothing is waited for and nothing is called here, so that this may be done under a lock;
    /// [`go`](Pushed::go) is to follow without it, and there `done` may be called at once.
    ///
    /// A record of a reservation that has one under another key [waits](Scan::waiting) beside that.
    ///
    /// Changes of one reservation are made in the order in which they were pushed, each whether or not
    /// somebody still wants to know. At most 8 threads write; one sync of the directory serves all
    /// changes made before it.
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

    /// [Pushes](Self::push) a change and has it made.
    pub fn submit(&self, write: JournalWrite, done: impl FnOnce(Result<(), StoreFailure>) + Send + 'static) {
        self.push(write, done).go();
    }

    /// Reads what is to be replayed. Files that are no records are renamed to `.corrupt` and told; records
    /// under names of older versions get their new ones, and those that waited for another cost of their reservation
    /// get its name once it is free; a whole record of a writer that is gone
    /// is taken up, and what it left otherwise is removed after an hour. Records of another address are left alone.
    ///
    /// # Errors
    /// If the directory cannot be read. That there is none is no error.
    pub fn scan(&self) -> Result<Scan, JournalError> {
        let Some((files, folder)) = self.existing()? else {
            return Ok(Scan::default());
        };
        let scan = files.run(folder, journal::scan(files.base_url()))?;
        files.seen().note_scan(&scan);
        Ok(scan.within(folder))
    }

    /// The records that were set aside for this reason, by name. A stale one may be settled when a
    /// [`Session`](cycles_proto::Session) is forced: what that asks the
    /// journal to do concerns the file that was set aside. A rejected one is for a person, who deletes it.
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

    /// The claim to replay; `None` if another process has it, or another holder in this one.
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

    /// The files and their directory, if there is anything to look at.
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
