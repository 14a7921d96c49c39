//! One operation on the files of a directory, and what came of it.

use core::time::Duration;
use std::ffi::{OsStr, OsString};
use std::io;

use bytes::Bytes;

/// Something to do in the directory. A name is that of a file in it, and never leads out of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FileOp {
    /// Make the directory if it is not there, and see that it may be used: [`Outcome::Done`].
    Prepare,
    /// Every name in the directory, or in the one of this name beside it: [`Outcome::Names`].
    List {
        /// Another directory than the own one.
        beside: Option<OsString>,
    },
    /// The names of the directories beside this one: [`Outcome::Names`].
    Neighbours,
    /// What there is under a name, without opening it: [`Outcome::Looks`].
    Look {
        /// The name.
        name: OsString,
    },
    /// What a file holds, or so much of it that it is seen to be larger than
    /// [any record](super::JournalRecord::LARGEST): [`Outcome::Found`]. Only what is a file under this very name is
    /// opened, and only what belongs to whom the directory does is read.
    Read {
        /// The name.
        name: OsString,
    },
    /// Write a new file under a [temporary name](Temporary) that no other has, to the disk: [`Outcome::Name`]. Where that
    /// fails nothing of it stays.
    Write {
        /// What it is to be called later.
        name: OsString,
        /// What it holds.
        bytes: Bytes,
    },
    /// Give a file a [temporary name](Temporary) that no other has: [`Outcome::Name`].
    Take {
        /// Its name so far.
        name: OsString,
    },
    /// Give a file another name: [`Outcome::Done`].
    Rename {
        /// Its name so far.
        from: OsString,
        /// Its name from now on.
        to: OsString,
        /// What becomes of a file that has that name.
        how: How,
    },
    /// Give a file a second name unless that is taken: [`Outcome::Done`].
    Link {
        /// Its name.
        from: OsString,
        /// Its name too from now on.
        to: OsString,
    },
    /// Remove a file: [`Outcome::Done`].
    Remove {
        /// Its name.
        name: OsString,
    },
    /// Whether a process may still be at the temporary file that it gave this number: [`Outcome::IsSo`].
    IsAtWork {
        /// The process.
        process: u32,
        /// Its number of the file.
        number: Option<u32>,
    },
    /// Make every name durable that was given before: [`Outcome::Done`]. One such operation may serve many changes.
    Sync,
}

impl FileOp {
    /// The names of files in it.
    pub(super) fn names(&self) -> impl Iterator<Item = &OsStr> {
        let (first, second) = match self {
            Self::Prepare | Self::Neighbours | Self::Sync | Self::List { .. } | Self::IsAtWork { .. } => {
                (None, None)
            }
            // A file is not written under this name but under a temporary one.
            Self::Write { .. } => (None, None),
            Self::Look { name } | Self::Read { name } | Self::Take { name } | Self::Remove { name } => {
                (Some(name), None)
            }
            Self::Rename { from, to, .. } | Self::Link { from, to } => (Some(from), Some(to)),
        };
        first.into_iter().chain(second).map(OsString::as_os_str)
    }
}

/// What becomes of a file whose name is given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// It keeps its name, and the operation fails with [`AlreadyExists`](io::ErrorKind::AlreadyExists).
    UnlessTaken,
    /// It gets the other's name in the same step; [`NotFound`](io::ErrorKind::NotFound) if one of the two is not there.
    Exchange,
    /// It is gone.
    Replace,
}

/// The result of an operation. Four kinds of error are decided upon: [`NotFound`](io::ErrorKind::NotFound),
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists), [`InvalidFilename`](io::ErrorKind::InvalidFilename) for a name that no
/// file here can have, and [`Unsupported`](io::ErrorKind::Unsupported) for what this file system cannot do.
pub type Answer = io::Result<Outcome>;

/// What an operation gives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is done, and the file is called so now.
    Name(OsString),
    /// These are the names, in any order.
    Names(Vec<OsString>),
    /// What there is to read.
    Found(Found),
    /// What is there, if anything.
    Looks(Option<Looks>),
    /// Whether it is so.
    IsSo(bool),
}

/// What a name leads to, opened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// There is nothing.
    Nothing,
    /// A link, a directory, a pipe: whatever is not a file.
    NoFile,
    /// What it holds.
    Bytes(Bytes),
}

/// What a name leads to, from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Looks {
    /// Whether it is a file.
    pub is_file: bool,
    /// How long ago it was written; `None` if that is not known, or is to come.
    pub written: Option<Duration>,
    /// How long ago it was changed in any way, its name included; `None` likewise.
    pub changed: Option<Duration>,
}

/// Why a file has a name for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporary {
    /// It was written. Every SDK removes such a file when it is old.
    Written,
    /// It was taken away from its name. No other SDK looks at it, so that what a process leaves which ends in that
    /// moment is there for the next scan of ours.
    Taken,
}

/// The longest name that the usual file systems allow, in bytes.
pub(super) const LONGEST_NAME: usize = 255;

/// The name, or so much of a long one that 32 bytes can be added to it.
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
    /// The name for a file that is, or is to be, called `name`. It is unique by process and number, so a long `name` may
    /// be cut.
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
