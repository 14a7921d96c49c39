//! Errors of the journal, with sentences that say what to do.

use std::io;
use std::path::{Path, PathBuf};

use cycles_proto::journal::{ChangeFailure, JournalWrite, OpFailure, StoreFailure};

/// Why the journal could not be used. Settlements continue without it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The configuration switches the journal off.
    #[error("the journal is switched off in the configuration")]
    Off,
    /// The journal was opened before this process was forked.
    #[error(
        "the journal was opened before this process was forked: make the client after the fork, in each child"
    )]
    Forked,
    /// No directory is configured, and there is no home directory.
    #[error(
        "there is no home directory to keep the journal in: set CYCLES_JOURNAL_DIR, or `journal_dir`, to a \
         persistent directory"
    )]
    NoHome,
    /// The directory may belong to another user, whose costs would then be sent under this program's key.
    #[error("will not use {path:?}: {reason}")]
    #[non_exhaustive]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Who owns it, and how to fix that.
        reason: String,
    },
    /// The system did not allow an operation.
    #[error("cannot {attempt} {path:?}: {cause}{}", advice(.cause))]
    #[non_exhaustive]
    Io {
        /// The operation, worded to precede the path.
        attempt: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
}

impl JournalError {
    pub(super) fn io(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io {
            attempt,
            path: path.to_owned(),
            cause,
        }
    }

    /// The failure of an operation in this directory.
    pub(super) fn failed(failure: OpFailure, folder: &Path) -> Self {
        let OpFailure {
            attempt, file, cause, ..
        } = failure;
        // If the directory itself was refused, the error is already a `JournalError`, which the core passes on
        // unchanged.
        cause.downcast().unwrap_or_else(|cause| Self::Io {
            attempt,
            path: file.map_or_else(|| folder.to_owned(), |file| folder.join(file)),
            cause,
        })
    }

    /// The failure to report for a change that could not begin.
    pub(super) fn of(&self, write: &JournalWrite) -> StoreFailure {
        StoreFailure::new(format!("{self}. {}", write.consequence()))
    }

    /// The failure of a change, with a sentence that says what to do.
    pub(super) fn told(failure: ChangeFailure, folder: &Path) -> StoreFailure {
        failure.into_store_failure(|why| Self::failed(why, folder))
    }
}

/// What to do about an error, if that is known.
fn advice(cause: &io::Error) -> &'static str {
    let known = ADVICE.iter().find(|(kind, _)| *kind == cause.kind());
    known.map_or("", |(_, advice)| advice)
}

const ADVICE: [(io::ErrorKind, &str); 6] = [
    (io::ErrorKind::StorageFull, "; free some space there"),
    (io::ErrorKind::QuotaExceeded, "; free some space there"),
    (
        io::ErrorKind::FileTooLarge,
        "; raise the limit on file sizes (ulimit -f)",
    ),
    (
        io::ErrorKind::PermissionDenied,
        "; give this user write access there, or set CYCLES_JOURNAL_DIR to a directory of its own",
    ),
    (
        io::ErrorKind::ReadOnlyFilesystem,
        "; set CYCLES_JOURNAL_DIR to a writable directory",
    ),
    (
        io::ErrorKind::NotADirectory,
        "; move what is in the way, or set CYCLES_JOURNAL_DIR to a directory of its own",
    ),
];
