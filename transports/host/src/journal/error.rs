//! What keeps the journal from working, in sentences that say what to do.

use std::io;
use std::path::{Path, PathBuf};

use cycles_proto::journal::{ChangeFailure, Failure, JournalWrite, StoreFailure};

/// Why the journal could not be used. Settlements go on without it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The configuration says that nothing is kept on disk.
    #[error("the journal is switched off in the configuration")]
    Off,
    /// It was opened before its process was forked, and this is the child.
    #[error(
        "the journal was opened by the process that this one was forked from: make the client after the fork, in each \
         child"
    )]
    Forked,
    /// Nobody said where to keep it, and there is no home directory.
    #[error(
        "there is no home directory to keep the journal in: set CYCLES_JOURNAL_DIR, or `journal_dir`, to a \
         directory that lasts"
    )]
    NoHome,
    /// What is there may be somebody else's, whose costs would be sent under this program's key.
    #[error("will not use {path:?}: {reason}")]
    #[non_exhaustive]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Whose it is, and what mends it.
        reason: String,
    },
    /// The system refused.
    #[error("cannot {attempt} {path:?}: {cause}{}", advice(.cause))]
    #[non_exhaustive]
    Io {
        /// What was attempted, to be read before the path.
        attempt: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
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
    pub(super) fn failed(failure: Failure, folder: &Path) -> Self {
        let Failure {
            attempt, file, cause, ..
        } = failure;
        // What the directory itself is refused for comes through the core as it is.
        cause.downcast().unwrap_or_else(|cause| Self::Io {
            attempt,
            path: file.map_or_else(|| folder.to_owned(), |file| folder.join(file)),
            cause,
        })
    }

    /// The failure of a change before it began.
    pub(super) fn of(&self, write: &JournalWrite) -> StoreFailure {
        StoreFailure::new(format!("{self}. {}", write.consequence()))
    }

    /// The failure of a change, in words that say what to do.
    pub(super) fn told(failure: ChangeFailure, folder: &Path) -> StoreFailure {
        failure.into_store_failure(|why| Self::failed(why, folder))
    }
}

/// What to do about it, where that is known.
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
        "; let this user write there, or set CYCLES_JOURNAL_DIR to a directory of its own",
    ),
    (
        io::ErrorKind::ReadOnlyFilesystem,
        "; set CYCLES_JOURNAL_DIR to a directory that can be written",
    ),
    (
        io::ErrorKind::NotADirectory,
        "; move what is in the way, or set CYCLES_JOURNAL_DIR to a directory of its own",
    ),
];
