//! The files of a directory, as a procedure uses them: each is read with suspicion, and given a name without replacing
//! another.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::op::{FileOp, Found, How, Looks, Outcome, with_room_for_more};
use super::procedure::Desk;
use super::record::{InvalidRecord, JournalRecord, RecordId};

/// How often a name is looked at anew that other processes give and take.
pub(super) const LOOKS: usize = 8;

/// The directory of one server and one principal.
pub(super) struct Files<'a> {
    desk: Arc<Desk>,
    base_url: &'a str,
}

/// What a file holds.
pub(super) enum File {
    Record(Box<JournalRecord>),
    Invalid(InvalidRecord),
    Nothing,
}

impl<'a> Files<'a> {
    pub(super) fn new(desk: Arc<Desk>, base_url: &'a str) -> Self {
        Self { desk, base_url }
    }

    /// Whether it is a record of this server.
    pub(super) fn is_ours(&self, record: &JournalRecord) -> bool {
        record.base_url() == self.base_url
    }

    /// Whether it is a record of this cost, and of this server: settling one settles the other.
    pub(super) fn is_of(&self, record: &JournalRecord, id: &RecordId) -> bool {
        record.id() == id && self.is_ours(record)
    }

    pub(super) async fn read(&self, name: &OsStr) -> io::Result<File> {
        let op = FileOp::Read {
            name: name.to_owned(),
        };
        let found = match self.desk.ask(op).await {
            Ok(Outcome::Found(found)) => found,
            Ok(_) => return Err(unexpected()),
            // The outdated name of a reservation with a long id is one that no file can have.
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

    /// Whether this name leads to a record of this cost.
    pub(super) async fn holds(&self, name: &OsStr, id: &RecordId) -> bool {
        matches!(self.read(name).await, Ok(File::Record(there)) if self.is_of(&there, id))
    }

    pub(super) async fn look(&self, name: &OsStr) -> io::Result<Option<Looks>> {
        let op = FileOp::Look {
            name: name.to_owned(),
        };
        let Outcome::Looks(looks) = self.desk.ask(op).await? else {
            return Err(unexpected());
        };
        Ok(looks)
    }

    /// The names in the directory, or in another one, in order.
    pub(super) async fn list(&self, beside: Option<OsString>) -> io::Result<Vec<OsString>> {
        self.names(FileOp::List { beside }).await
    }

    /// The names of the directories beside this one.
    pub(super) async fn neighbours(&self) -> io::Result<Vec<OsString>> {
        self.names(FileOp::Neighbours).await
    }

    async fn names(&self, op: FileOp) -> io::Result<Vec<OsString>> {
        let Outcome::Names(mut names) = self.desk.ask(op).await? else {
            return Err(unexpected());
        };
        names.sort();
        Ok(names)
    }

    /// Writes or takes a file, and gives its temporary name.
    pub(super) async fn temporary(&self, op: FileOp) -> io::Result<OsString> {
        let Outcome::Name(name) = self.desk.ask(op).await? else {
            return Err(unexpected());
        };
        Ok(name)
    }

    pub(super) async fn is_at_work(&self, process: u32, number: Option<u32>) -> bool {
        let op = FileOp::IsAtWork { process, number };
        // Where nobody can tell it may be.
        !matches!(self.desk.ask(op).await, Ok(Outcome::IsSo(false)))
    }

    pub(super) async fn rename(&self, from: &OsStr, to: &OsStr, how: How) -> io::Result<()> {
        self.done(FileOp::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            how,
        })
        .await
    }

    /// Removes a file, if it is there.
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
        let Outcome::Done = self.desk.ask(op).await? else {
            return Err(unexpected());
        };
        Ok(())
    }

    /// Gives a file another name unless that is taken. False if it is.
    pub(super) async fn move_unless_taken(&self, from: &OsStr, to: &OsStr) -> io::Result<bool> {
        match self.rename(from, to, How::UnlessTaken).await {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            // Where this way does not work, another may.
            Err(_) => {}
        }
        let link = FileOp::Link {
            from: from.to_owned(),
            to: to.to_owned(),
        };
        match self.done(link).await {
            Ok(()) => self.remove(from).await.map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            // No hard links here, or not of this.
            Err(_) => self.move_if_free(from, to).await,
        }
    }

    /// The same where no step refuses to replace a file: a moment remains in which the name may get taken.
    async fn move_if_free(&self, from: &OsStr, to: &OsStr) -> io::Result<bool> {
        if matches!(self.look(to).await, Ok(Some(_))) {
            return Ok(false);
        }
        self.rename(from, to, How::Replace).await.map(|()| true)
    }

    /// Sets a file aside that was called `was`, as `<stem>.corrupt`, or under a number if there is one of that name
    /// already: it may be a cost. Gives the new name, or nothing if the file is gone.
    pub(super) async fn call_corrupt(&self, name: &OsStr, was: &OsStr) -> io::Result<Option<OsString>> {
        let stem = Path::new(was).file_stem().unwrap_or_default();
        for number in 1..=MOST_OF_A_NAME {
            let free = corrupt_name(stem, number);
            let moved = match self.rename(name, &free, How::UnlessTaken).await {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
                // Unlike a second link, a new name cannot be given twice, by two processes that look at the same time.
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
            "too many files of that name are set aside already",
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

/// Whoever executes the operations made a mistake.
fn unexpected() -> io::Error {
    io::Error::other("the operation has no such outcome")
}
