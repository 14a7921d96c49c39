//! What a scan of a directory found.

use core::fmt;
use std::path::{Path, PathBuf};

use super::record::{InvalidRecord, JournalRecord, RecordId};

/// The result of a scan. Files are given by name, or by path after [`within`](Self::within).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Scan {
    /// The records of this server and principal, oldest first.
    pub records: Vec<JournalRecord>,
    /// Files that need a person's attention.
    pub problems: Vec<Problem>,
    /// The records that wait because another cost has their reservation's name, with their files.
    pub waiting: Vec<(RecordId, PathBuf)>,
    /// Files of runs whose owner may have ended, but it cannot be known. Each may hold the total of a run that nobody
    /// settles.
    pub abandoned_runs: Vec<PathBuf>,
    /// The marks of actions whose requests have left and whose owners are gone, or may be: each may have cost up to
    /// about its estimate. They are never settled by themselves.
    pub marks: Vec<(JournalRecord, PathBuf)>,
    /// How many records belong to other addresses.
    pub of_others: usize,
}

/// A file that should be a record and is not, or that could not be handled. `Display` is a sentence.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// Why it is not a record; `None` if it may be one.
    pub invalid: Option<InvalidRecord>,
    /// Where it was moved to for a person to look at, if it was moved.
    pub moved_to: Option<PathBuf>,
}

/// A record that was set aside, for a person to look at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SetAside {
    /// The file, by name, or by path after [`within`](Self::within).
    pub path: PathBuf,
    /// The record; `None` if the file cannot be read as one any more.
    pub record: Option<JournalRecord>,
}

impl Scan {
    /// Turns the files' names into paths in this directory.
    #[must_use]
    pub fn within(mut self, directory: &Path) -> Self {
        for problem in &mut self.problems {
            problem.file = directory.join(&problem.file);
            problem.moved_to = problem.moved_to.take().map(|name| directory.join(name));
        }
        for (_, file) in &mut self.waiting {
            *file = directory.join(&file);
        }
        for file in &mut self.abandoned_runs {
            *file = directory.join(&file);
        }
        for (_, file) in &mut self.marks {
            *file = directory.join(&file);
        }
        self
    }
}

impl SetAside {
    /// Turns the file's name into a path in this directory.
    #[must_use]
    pub fn within(self, directory: &Path) -> Self {
        Self {
            path: directory.join(self.path),
            ..self
        }
    }
}

impl Problem {
    /// The path where a person finds the file.
    pub fn found_at(&self) -> &Path {
        self.moved_to.as_deref().unwrap_or(&self.file)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, reason, .. } = self;
        match &self.moved_to {
            Some(moved) => write!(
                f,
                "{file:?} is not a record that can be settled: {reason}. It is kept as {moved:?}; if it recorded a cost, that cost is not in the ledger"
            ),
            None => write!(
                f,
                "{file:?} in the journal needs attention: {reason}. It was left as it is"
            ),
        }
    }
}
