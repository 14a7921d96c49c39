//! The files of a directory, as procedures use them: no content is trusted, and a rename never replaces another file.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::op::{FileOp, Found, How, Looks, Outcome, with_room_for_more};
use super::procedure::Mailbox;
use super::record::{InvalidRecord, JournalRecord, RecordId};

/// How often to look at a name again while other processes change it.
pub(super) const LOOKS: usize = 8;

/// The files of one server and one principal.
pub(super) struct Files<'a> {
    mailbox: Arc<Mailbox>,
    base_url: &'a str,
}

/// The content of a file.
pub(super) enum File {
    Record(Box<JournalRecord>),
    Invalid(InvalidRecord),
    Nothing,
}

impl<'a> Files<'a> {
    pub(super) fn new(mailbox: Arc<Mailbox>, base_url: &'a str) -> Self {
        Self { mailbox, base_url }
    }

    /// Whether the record belongs to this server.
    pub(super) fn is_ours(&self, record: &JournalRecord) -> bool {
        record.base_url() == self.base_url
    }

    /// Whether the record is of this cost and this server, so that settling one settles the other.
    pub(super) fn is_of(&self, record: &JournalRecord, id: &RecordId) -> bool {
        record.id() == id && self.is_ours(record)
    }

    pub(super) async fn read(&self, name: &OsStr) -> io::Result<File> {
        let op = FileOp::Read {
            name: name.to_owned(),
        };
        let found = match self.mailbox.ask(op).await {
            Ok(Outcome::Found(found)) => found,
            Ok(_) => return Err(unexpected()),
            // The outdated name of a reservation with a long id may be too long for a file.
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => Found::Nothing,
            Err(error) => return Err(error),
        };
        Ok(match found {
            Found::Bytes(bytes) => match JournalRecord::parse(&bytes) {
                Ok(record) => File::Record(Box::new(record)),
                Err(invalid) => File::Invalid(invalid),
            },
            Found::NoFile => File::Invalid(InvalidRecord::NoFile),
            Found::Nothing => File::Nothing,
        })
    }

    /// Whether the file of this name is a record of this cost.
    pub(super) async fn holds(&self, name: &OsStr, id: &RecordId) -> bool {
        matches!(self.read(name).await, Ok(File::Record(there)) if self.is_of(&there, id))
    }

    pub(super) async fn look(&self, name: &OsStr) -> io::Result<Option<Looks>> {
        let op = FileOp::Look {
            name: name.to_owned(),
        };
        let Outcome::Looks(looks) = self.mailbox.ask(op).await? else {
            return Err(unexpected());
        };
        Ok(looks)
    }

    /// The names in the directory, or in one beside it, in order.
    pub(super) async fn list(&self, beside: Option<OsString>) -> io::Result<Vec<OsString>> {
        self.names(FileOp::List { beside }).await
    }

    /// The names of the neighbouring directories.
    pub(super) async fn neighbours(&self) -> io::Result<Vec<OsString>> {
        self.names(FileOp::Neighbours).await
    }

    async fn names(&self, op: FileOp) -> io::Result<Vec<OsString>> {
        let Outcome::Names(mut names) = self.mailbox.ask(op).await? else {
            return Err(unexpected());
        };
        names.sort();
        Ok(names)
    }

    /// Writes or takes a file, and returns its temporary name.
    pub(super) async fn temporary(&self, op: FileOp) -> io::Result<OsString> {
        let Outcome::Name(name) = self.mailbox.ask(op).await? else {
            return Err(unexpected());
        };
        Ok(name)
    }

    pub(super) async fn is_at_work(&self, process: u32, number: Option<u32>) -> bool {
        let op = FileOp::IsAtWork { process, number };
        // If that cannot be determined, it may be.
        !matches!(self.mailbox.ask(op).await, Ok(Outcome::IsSo(false)))
    }

    pub(super) async fn rename(&self, from: &OsStr, to: &OsStr, how: How) -> io::Result<()> {
        self.done(FileOp::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            how,
        })
        .await
    }

    /// Removes a file, if it exists.
    pub(super) async fn remove(&self, name: &OsStr) -> io::Result<()> {
        match self
            .done(FileOp::Remove {
                name: name.to_owned(),
            })
            .await
        {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    pub(super) async fn done(&self, op: FileOp) -> io::Result<()> {
        let Outcome::Done = self.mailbox.ask(op).await? else {
            return Err(unexpected());
        };
        Ok(())
    }

    /// Renames a file unless the new name is taken. Returns `false` if it is.
    pub(super) async fn move_unless_taken(&self, from: &OsStr, to: &OsStr) -> io::Result<bool> {
        match self.rename(from, to, How::UnlessTaken).await {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            // Try the next way.
            Err(_) => {}
        }
        let link = FileOp::Link {
            from: from.to_owned(),
            to: to.to_owned(),
        };
        match self.done(link).await {
            Ok(()) => self.remove(from).await.map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            // No hard links here, or not for this file.
            Err(_) => self.move_if_free(from, to).await,
        }
    }

    /// Does the same on file systems without a rename that refuses to replace a file. For a moment, another process can
    /// still take the name.
    async fn move_if_free(&self, from: &OsStr, to: &OsStr) -> io::Result<bool> {
        if matches!(self.look(to).await, Ok(Some(_))) {
            return Ok(false);
        }
        self.rename(from, to, How::Replace).await.map(|()| true)
    }

    /// Sets aside a file that was called `was`, as `<stem>.corrupt`, with a number if that name is taken: it may be a
    /// cost. Returns the new name, or `None` if the file is gone.
    pub(super) async fn call_corrupt(&self, name: &OsStr, was: &OsStr) -> io::Result<Option<OsString>> {
        let stem = Path::new(was).file_stem().unwrap_or_default();
        for number in 1..=MOST_OF_A_NAME {
            let free = corrupt_name(stem, number);
            let moved = match self.rename(name, &free, How::UnlessTaken).await {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
                // Unlike a hard link, a rename cannot succeed for two processes at the same time.
                Err(_) => self.move_if_free(name, &free).await,
            };
            match moved {
                Ok(true) => return Ok(Some(free)),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(
            "too many files of that name have already been set aside",
        ))
    }
}

const MOST_OF_A_NAME: u32 = 100;

fn corrupt_name(stem: &OsStr, number: u32) -> OsString {
    let mut name = with_room_for_more(stem);
    if number > 1 {
        name.push(format!(".{number}"));
    }
    name.push(".corrupt");
    name
}

/// The error for a driver that returns the wrong kind of outcome.
fn unexpected() -> io::Error {
    io::Error::other("the driver returned the wrong kind of outcome")
}
