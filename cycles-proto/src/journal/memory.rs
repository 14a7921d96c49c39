//! A directory in memory, with the exact meaning of the operations: for simulations, for tests, and for programs
//! without a disk.

use core::time::Duration;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};

use bytes::Bytes;

use super::op::{FileOp, Found, How, LONGEST_NAME, Looks, OpOutcome, OpResult, Owner, Temporary};

/// A directory in memory. Clones are independent, so a clone can serve as the state that a crash leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory {
    files: BTreeMap<OsString, File>,
    lacks: Lacks,
    now: Duration,
    /// How many temporary names each process has used.
    numbers: BTreeMap<u32, u32>,
}

/// Features that a file system lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lacks {
    /// [`How::UnlessTaken`].
    pub unless_taken: bool,
    /// [`How::Exchange`].
    pub exchange: bool,
    /// [`FileOp::Link`].
    pub links: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct File {
    /// `None` if it is not a regular file.
    bytes: Option<Bytes>,
    written: Duration,
    changed: Duration,
}

impl Memory {
    /// Creates an empty directory on a file system that lacks these features.
    pub fn lacking(lacks: Lacks) -> Self {
        Self {
            lacks,
            ..Self::default()
        }
    }

    /// Sets the time. The age of a file is the time since it was written.
    pub fn set_time(&mut self, now: Duration) {
        self.now = now;
    }

    /// Adds a file with any content.
    pub fn insert(&mut self, name: impl Into<OsString>, bytes: impl Into<Bytes>) {
        self.add(name.into(), Some(bytes.into()));
    }

    /// Adds something that is not a regular file.
    pub fn insert_obstacle(&mut self, name: impl Into<OsString>) {
        self.add(name.into(), None);
    }

    /// The content of the file with this name.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&Bytes> {
        self.files.get(name.as_ref())?.bytes.as_ref()
    }

    /// The files by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &Bytes)> {
        let files = self.files.iter();
        files.filter_map(|(name, file)| Some((name.as_os_str(), file.bytes.as_ref()?)))
    }

    /// Cuts a file off after `kept` bytes, as a crash does while a file is written.
    pub fn tear(&mut self, name: impl AsRef<OsStr>, kept: usize) {
        if let Some(File {
            bytes: Some(bytes), ..
        }) = self.files.get_mut(name.as_ref())
        {
            bytes.truncate(kept);
        }
    }

    /// Executes an operation of the process with this number. All processes count as running.
    ///
    /// # Errors
    /// The same errors as a disk, in the same cases.
    pub fn execute(&mut self, process: u32, op: FileOp) -> OpResult {
        if op.names().any(|name| name.len() > LONGEST_NAME) {
            return Err(ErrorKind::InvalidFilename.into());
        }
        match op {
            FileOp::Prepare | FileOp::Sync => Ok(OpOutcome::Done),
            FileOp::List { beside: None } => Ok(OpOutcome::Names(self.files.keys().cloned().collect())),
            FileOp::List { beside: Some(_) } => Err(ErrorKind::NotFound.into()),
            FileOp::Neighbours => Ok(OpOutcome::Names(Vec::new())),
            FileOp::Look { name } => Ok(OpOutcome::Looks(self.files.get(&name).map(|file| Looks {
                is_file: file.bytes.is_some(),
                written: self.now.checked_sub(file.written),
                changed: self.now.checked_sub(file.changed),
            }))),
            FileOp::Read { name } => Ok(OpOutcome::Found(match self.files.get(&name) {
                None => Found::Nothing,
                Some(File { bytes: None, .. }) => Found::NoFile,
                Some(File {
                    bytes: Some(bytes), ..
                }) => Found::Bytes(bytes.clone()),
            })),
            FileOp::Write { name, bytes } => {
                let name = self.temporary(Temporary::Written, &name, process);
                self.insert(name.clone(), bytes);
                Ok(OpOutcome::Name(name))
            }
            FileOp::Take { name } => {
                let taken = self.temporary(Temporary::Taken, &name, process);
                self.rename(&name, taken.clone()).map(|_| OpOutcome::Name(taken))
            }
            FileOp::Rename {
                how: How::UnlessTaken,
                ..
            } if self.lacks.unless_taken => Err(ErrorKind::Unsupported.into()),
            FileOp::Rename {
                how: How::Exchange, ..
            } if self.lacks.exchange => Err(ErrorKind::Unsupported.into()),
            FileOp::Link { .. } if self.lacks.links => Err(ErrorKind::Unsupported.into()),
            FileOp::Rename { from, to, how } => match (how, self.files.contains_key(&to)) {
                (How::UnlessTaken, true) if self.files.contains_key(&from) => {
                    Err(ErrorKind::AlreadyExists.into())
                }
                (How::Exchange, false) => Err(ErrorKind::NotFound.into()),
                (How::UnlessTaken | How::Exchange | How::Replace, _) => {
                    if let (Some(replaced), How::Exchange) = (self.rename(&from, to)?, how) {
                        self.files.insert(from, replaced);
                    }
                    Ok(OpOutcome::Done)
                }
            },
            FileOp::Link { from, to } => match self.files.get(&from).cloned() {
                None => Err(ErrorKind::NotFound.into()),
                Some(_) if self.files.contains_key(&to) => Err(ErrorKind::AlreadyExists.into()),
                Some(file) => {
                    self.files.insert(to, file);
                    Ok(OpOutcome::Done)
                }
            },
            FileOp::Remove { name } => match self.files.get(&name) {
                None => Err(ErrorKind::NotFound.into()),
                Some(File { bytes: None, .. }) => Err(ErrorKind::IsADirectory.into()),
                Some(File { bytes: Some(_), .. }) => {
                    self.files.remove(&name);
                    Ok(OpOutcome::Done)
                }
            },
            FileOp::IsWriterAlive { .. } => Ok(OpOutcome::IsSo(true)),
            FileOp::Own => Ok(OpOutcome::Name(format!("{process}").into())),
            FileOp::LookForOwner { .. } => Ok(OpOutcome::Owner(Owner::Running)),
        }
    }

    fn add(&mut self, name: OsString, bytes: Option<Bytes>) {
        let (written, changed) = (self.now, self.now);
        let file = File {
            bytes,
            written,
            changed,
        };
        self.files.insert(name, file);
    }

    fn temporary(&mut self, why: Temporary, name: &OsStr, process: u32) -> OsString {
        let number = self.numbers.entry(process).or_default();
        *number += 1;
        why.name(name, process, *number)
    }

    /// Renames a file, and returns the file that had the new name.
    fn rename(&mut self, from: &OsStr, to: OsString) -> io::Result<Option<File>> {
        let mut file = self.files.remove(from).ok_or(ErrorKind::NotFound)?;
        file.changed = self.now;
        Ok(self.files.insert(to, file))
    }
}
