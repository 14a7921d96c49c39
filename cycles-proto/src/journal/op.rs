//! The operations on the files of a directory, and their results.

use core::time::Duration;
use std::ffi::{OsStr, OsString};
use std::io;

use bytes::Bytes;

/// An operation in the directory. All names are names of files in the directory, and never lead out of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FileOp {
    /// Create the directory if it does not exist, and check that it may be used: [`OpOutcome::Done`].
    Prepare,
    /// List all names in the directory, or in the neighbouring directory of this name: [`OpOutcome::Names`].
    List {
        /// The neighbouring directory to list instead.
        beside: Option<OsString>,
    },
    /// List the names of the neighbouring directories: [`OpOutcome::Names`].
    Neighbours,
    /// Look at a name without opening it: [`OpOutcome::Looks`].
    Look {
        /// The name.
        name: OsString,
    },
    /// Read a file, but no more of it than proves that it is larger than [any record](super::JournalRecord::LARGEST):
    /// [`OpOutcome::Found`]. Open only a regular file with exactly this name, and read it only if it has the same owner
    /// as the directory.
    Read {
        /// The name.
        name: OsString,
    },
    /// Write a new file under a unique [temporary name](Temporary), and sync it to the disk: [`OpOutcome::Name`]. If
    /// that fails, leave nothing behind.
    Write {
        /// The name that it will get later.
        name: OsString,
        /// The content.
        bytes: Bytes,
    },
    /// Rename a file to a unique [temporary name](Temporary): [`OpOutcome::Name`].
    Take {
        /// Its current name.
        name: OsString,
    },
    /// Rename a file: [`OpOutcome::Done`].
    Rename {
        /// Its current name.
        from: OsString,
        /// Its new name.
        to: OsString,
        /// What to do with a file that has the new name.
        how: How,
    },
    /// Add a second name to a file unless that name is taken: [`OpOutcome::Done`].
    Link {
        /// Its name.
        from: OsString,
        /// Its second name.
        to: OsString,
    },
    /// Remove a file: [`OpOutcome::Done`].
    Remove {
        /// Its name.
        name: OsString,
    },
    /// Check whether a process may still be using its temporary file with this number: [`OpOutcome::IsSo`].
    IsWriterAlive {
        /// The process.
        process: u32,
        /// The process's number for the file.
        number: Option<u32>,
    },
    /// Become the owner of runs in this directory, if this client is not that yet, and keep the
    /// [lock file](super::owner_lock_name) locked from now on as long as the client lives: [`OpOutcome::Name`] with the
    /// owner's name, the same each time. The name contains no dot, and no other client ever has it. Where files cannot
    /// be locked, the name is all there is.
    Own,
    /// Find out whether this owner of runs is gone: [`OpOutcome::Owner`].
    LookForOwner {
        /// The owner's name.
        owner: String,
    },
    /// Make all earlier renames durable: [`OpOutcome::Done`]. One sync may serve many changes.
    Sync,
}

impl FileOp {
    /// The names of files in the operation.
    pub(super) fn names(&self) -> impl Iterator<Item = &OsStr> {
        let (first, second) = match self {
            Self::Prepare
            | Self::Neighbours
            | Self::Sync
            | Self::List { .. }
            | Self::Own
            | Self::LookForOwner { .. }
            | Self::IsWriterAlive { .. } => (None, None),
            // The file is written under a temporary name, not under this one.
            Self::Write { .. } => (None, None),
            Self::Look { name } | Self::Read { name } | Self::Take { name } | Self::Remove { name } => {
                (Some(name), None)
            }
            Self::Rename { from, to, .. } | Self::Link { from, to } => (Some(from), Some(to)),
        };
        first.into_iter().chain(second).map(OsString::as_os_str)
    }
}

/// What to do with a file that already has the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// Keep it; the operation fails with [`AlreadyExists`](io::ErrorKind::AlreadyExists).
    UnlessTaken,
    /// Exchange the two names in one step; fails with [`NotFound`](io::ErrorKind::NotFound) if either does not exist.
    Exchange,
    /// Replace it.
    Replace,
}

/// The result of an operation. Four kinds of error matter: [`NotFound`](io::ErrorKind::NotFound),
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists), [`InvalidFilename`](io::ErrorKind::InvalidFilename) for a name
/// that is not possible here, and [`Unsupported`](io::ErrorKind::Unsupported) for an operation that this file system
/// does not support.
pub type OpResult = io::Result<OpOutcome>;

/// The outcome of an operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpOutcome {
    /// The operation is done.
    Done,
    /// The operation is done, and the file now has this name.
    Name(OsString),
    /// The names, in any order.
    Names(Vec<OsString>),
    /// The result of opening the file.
    Found(Found),
    /// What the name leads to, if anything.
    Looks(Option<Looks>),
    /// The answer to a yes-or-no question.
    IsSo(bool),
    /// What is known of an owner of runs.
    Owner(Owner),
}

/// What is known of an owner of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// It has its lock: it runs, however long it has done nothing.
    Running,
    /// It has ended: its lock is free, on a file system where a running owner would have it.
    Gone,
    /// It may be running or not: its lock file is missing, the file system has no locks, or the lock of another machine
    /// may not be visible here.
    Unknown,
}

/// The result of opening a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// There is no such file.
    Nothing,
    /// Not a regular file but a link, a directory, a pipe or the like.
    NoFile,
    /// The content.
    Bytes(Bytes),
}

/// The properties of a file, without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Looks {
    /// Whether it is a regular file.
    pub is_file: bool,
    /// How long ago it was written; `None` if that is unknown or in the future.
    pub written: Option<Duration>,
    /// How long ago it was changed in any way, including its name; `None` likewise.
    pub changed: Option<Duration>,
}

/// Why a file has a temporary name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporary {
    /// It was just written. Every SDK removes such a file when it is old.
    Written,
    /// It was renamed away from its own name. No other SDK looks at such a file; if the process ends at that moment,
    /// our next scan finds it.
    Taken,
}

/// The longest name that the usual file systems allow, in bytes.
pub(super) const LONGEST_NAME: usize = 255;

/// The name, cut so that 32 bytes can be added to it.
pub(super) fn with_room_for_more(name: &OsStr) -> OsString {
    const MOST: usize = LONGEST_NAME - 32;

    if name.len() <= MOST {
        return name.to_owned();
    }
    let text = name.to_string_lossy();
    let starts = text.char_indices().map(|(start, _)| start);
    let end = starts.take_while(|start| *start <= MOST).last();
    end.and_then(|end| text.get(..end)).unwrap_or_default().into()
}

impl Temporary {
    /// The temporary name for a file that is, or will be, called `name`. It is unique by process and number, so a long
    /// `name` may be cut.
    pub fn name(self, name: &OsStr, process: u32, number: u32) -> OsString {
        let mut temporary = with_room_for_more(name);
        temporary.push(format!(".{process}.{number:08x}{}", self.ending()));
        temporary
    }

    pub(super) const fn ending(self) -> &'static str {
        match self {
            Self::Written => ".tmp",
            Self::Taken => ".taken",
        }
    }
}

/// A failed operation for which there is no alternative.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {}: {cause}", shown(.file.as_deref()))]
#[non_exhaustive]
pub struct OpFailure {
    /// The attempted operation, worded to precede the file.
    pub attempt: &'static str,
    /// The file; `None` for the directory itself.
    pub file: Option<OsString>,
    /// The system's error.
    pub cause: io::Error,
}

fn shown(file: Option<&OsStr>) -> String {
    file.map_or_else(|| "the directory".to_owned(), |file| format!("{file:?}"))
}

impl OpFailure {
    pub(super) fn of(attempt: &'static str, file: &OsStr, cause: io::Error) -> Self {
        Self {
            attempt,
            file: Some(file.to_owned()),
            cause,
        }
    }

    pub(super) fn of_directory(attempt: &'static str, cause: io::Error) -> Self {
        Self {
            attempt,
            file: None,
            cause,
        }
    }
}
