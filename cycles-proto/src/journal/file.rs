//! The files of a directory, for procedures: no content is trusted, and a rename never replaces another file.

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;

use super::op::{FileOp, Found, How, Looks, OpOutcome, OpResult};
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

    /// Whether the record is for this cost and this server, so that settling one settles the other.
    pub(super) fn is_of(&self, record: &JournalRecord, id: &RecordId) -> bool {
        record.id() == id && self.is_ours(record)
    }

    /// The content of a file, whatever it is.
    pub(super) async fn found(&self, name: &OsStr) -> io::Result<Found> {
        let op = FileOp::Read {
            name: name.to_owned(),
        };
        match self.mailbox.ask(op).await {
            Ok(OpOutcome::Found(found)) => Ok(found),
            Ok(_) => Err(unexpected()),
            // The outdated name of a reservation with a long id may be too long for a file.
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn read(&self, name: &OsStr) -> io::Result<File> {
        Ok(match self.found(name).await? {
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
        let OpOutcome::Looks(looks) = self.mailbox.ask(op).await? else {
            return Err(unexpected());
        };
        Ok(looks)
    }

    /// The names in the directory, or in a neighbouring one, in order.
    pub(super) async fn list(&self, beside: Option<OsString>) -> io::Result<Vec<OsString>> {
        self.names(FileOp::List { beside }).await
    }

    /// The names of the neighbouring directories.
    pub(super) async fn neighbours(&self) -> io::Result<Vec<OsString>> {
        self.names(FileOp::Neighbours).await
    }

    async fn names(&self, op: FileOp) -> io::Result<Vec<OsString>> {
        let OpOutcome::Names(mut names) = self.mailbox.ask(op).await? else {
            return Err(unexpected());
        };
        names.sort();
        Ok(names)
    }

    /// Writes or takes a file, and returns its temporary name.
    pub(super) async fn temporary(&self, op: FileOp) -> io::Result<OsString> {
        let OpOutcome::Name(name) = self.mailbox.ask(op).await? else {
            return Err(unexpected());
        };
        Ok(name)
    }

    pub(super) fn ask(&self, op: FileOp) -> impl Future<Output = OpResult> {
        self.mailbox.ask(op)
    }

    pub(super) async fn is_writer_alive(&self, process: u32, number: Option<u32>) -> bool {
        let op = FileOp::IsWriterAlive { process, number };
        // If that cannot be determined, assume that it is.
        !matches!(self.mailbox.ask(op).await, Ok(OpOutcome::IsSo(false)))
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
        let OpOutcome::Done = self.mailbox.ask(op).await? else {
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

    /// Like [`move_unless_taken`](Self::move_unless_taken), for file systems without a rename that refuses to replace a
    /// file. For a moment, another process can still take the name.
    pub(super) async fn move_if_free(&self, from: &OsStr, to: &OsStr) -> io::Result<bool> {
        if matches!(self.look(to).await, Ok(Some(_))) {
            return Ok(false);
        }
        self.rename(from, to, How::Replace).await.map(|()| true)
    }
}

/// The error for a driver that returns the wrong kind of outcome.
fn unexpected() -> io::Error {
    io::Error::other("the driver returned the wrong kind of outcome")
}
