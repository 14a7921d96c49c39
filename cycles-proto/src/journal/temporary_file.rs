//! A file under a temporary name: either newly written, or renamed away from its own name.

use std::ffi::{OsStr, OsString};
use std::io;

use super::file::{File, Files, LOOKS};
use super::op::{FileOp, How, Temporary};
use super::record::{JournalRecord, RecordId, waiting_file_name};

/// A temporary file. Finish with [`put_down`](Self::put_down) or [`remove`](Self::remove).
#[must_use]
pub(super) struct Temp {
    /// `None` once it has another name.
    name: Option<OsString>,
    /// The name that it was taken from.
    place: Option<OsString>,
}

impl Temp {
    /// Writes a new file next to the one that it will replace, so that a crash leaves one of them complete.
    pub(super) async fn write(files: &Files<'_>, name: &OsStr, record: &JournalRecord) -> io::Result<Self> {
        let json = record.to_json();
        if json.len() > JournalRecord::LARGEST {
            let (size, most) = (json.len(), JournalRecord::LARGEST);
            return Err(io::Error::other(format!(
                "it has {size} bytes, but only {most} could be read back"
            )));
        }
        let (name, bytes) = (name.to_owned(), json.into());
        let name = files.temporary(FileOp::Write { name, bytes }).await?;
        Ok(Self {
            name: Some(name),
            place: None,
        })
    }

    /// Takes away the file of this name if it is the record of this cost, so that no other process finds it there. If
    /// the process ends before the file has a proper name again, the next scan finds a complete record.
    pub(super) async fn take(files: &Files<'_>, name: &OsStr, id: &RecordId) -> io::Result<Option<Self>> {
        let is_it = |file: File| matches!(file, File::Record(record) if files.is_of(&record, id));
        if !is_it(files.read(name).await?) {
            return Ok(None);
        }
        let take = FileOp::Take {
            name: name.to_owned(),
        };
        let taken = match files.temporary(take).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result?,
        };
        // Another process may have settled it meanwhile and moved another cost to its place.
        let is_it = files.read(&taken).await.map(is_it);
        let temp = Self::taken(taken, name);
        match is_it {
            Ok(true) => Ok(Some(temp)),
            Ok(false) => temp.give_back(files).await.map(|()| None),
            Err(error) => {
                temp.put_down(files).await;
                Err(error)
            }
        }
    }

    /// A file that was just renamed from `place` to the temporary `name`.
    pub(super) fn taken(name: OsString, place: &OsStr) -> Self {
        Self {
            name: Some(name),
            place: Some(place.to_owned()),
        }
    }

    /// A file with this name, which is to be renamed.
    pub(super) fn at(name: OsString) -> Self {
        Self {
            name: Some(name),
            place: None,
        }
    }

    /// Replaces what is in the file, in one step.
    pub(super) async fn rewrite(&self, files: &Files<'_>, record: &JournalRecord) -> io::Result<()> {
        let Some(name) = &self.name else { return Ok(()) };
        let temp = Self::write(files, name, record).await?;
        temp.rename_over(files, name).await
    }

    /// Like [`rewrite`](Self::rewrite), but only if the file is still there: another process may take away a file that was
    /// not touched for a minute. Until then, what is written has a temporary name for `unfinished`. Returns whether the
    /// file was there.
    pub(super) async fn rewrite_unless_gone(
        &self,
        files: &Files<'_>,
        unfinished: &OsStr,
        record: &JournalRecord,
    ) -> io::Result<bool> {
        let Some(name) = &self.name else { return Ok(true) };
        let new = Self::write(files, unfinished, record).await?;
        let Some(from) = &new.name else { return Ok(true) };
        let renamed = match files.rename(from, name, How::Exchange).await {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                if !matches!(files.look(name).await, Ok(None)) {
                    return new.rename_over(files, name).await.map(|()| true);
                }
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match files.look(name).await {
                Ok(None) => Ok(false),
                Ok(Some(_)) | Err(_) => Err(error),
            },
            renamed => renamed.map(|()| true),
        };
        // Now it has what was in the file before, or it is not needed.
        new.put_down(files).await;
        renamed
    }

    /// Renames the file, in place of another one with this name, which must belong to this client alone.
    pub(super) async fn rename_over(mut self, files: &Files<'_>, to: &OsStr) -> io::Result<()> {
        let Some(name) = &self.name else { return Ok(()) };
        match files.rename(name, to, How::Replace).await {
            // If it is gone, it was renamed in spite of the error.
            Err(_)
                if matches!(files.look(name).await, Ok(None))
                    && matches!(files.look(to).await, Ok(Some(_))) =>
            {
                self.name = None;
            }
            Err(error) => {
                self.put_down(files).await;
                return Err(error);
            }
            Ok(()) => self.name = None,
        }
        Ok(())
    }

    /// Renames the file unless the name is taken. Returns `false` if it is.
    pub(super) async fn name_unless_taken(&mut self, files: &Files<'_>, to: &OsStr) -> io::Result<bool> {
        let Some(name) = &self.name else { return Ok(true) };
        let is_named = files.move_unless_taken(name, to).await?;
        if is_named {
            self.name = None;
        }
        Ok(is_named)
    }

    /// Replaces an older record of the same cost under this name. Returns `false` if that record is gone: look again.
    pub(super) async fn replace(&mut self, files: &Files<'_>, to: &OsStr, id: &RecordId) -> io::Result<bool> {
        let Some(name) = &self.name else { return Ok(true) };
        match files.rename(name, to, How::Exchange).await {
            Ok(()) => {
                // If it is not the older record, another process has settled that one and moved another cost to its
                // place.
                self.place = (!files.holds(name, id).await).then(|| to.to_owned());
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match files.look(name).await {
                Ok(Some(_)) => Ok(false),
                Ok(None) | Err(_) => Err(error),
            },
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                files.rename(name, to, How::Replace).await?;
                self.name = None;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives the file the name under which its cost waits while another one has the reservation's name.
    pub(super) async fn let_wait(&mut self, files: &Files<'_>, id: &RecordId) -> io::Result<()> {
        let waiting = OsString::from(waiting_file_name(id));
        for _ in 0..LOOKS {
            if self.name_unless_taken(files, &waiting).await? {
                return Ok(());
            }
            match files.read(&waiting).await? {
                File::Nothing => {}
                // An older record of the same cost.
                File::Record(there) if files.is_of(&there, id) => {
                    if self.replace(files, &waiting, id).await? {
                        return Ok(());
                    }
                }
                // Another program gave it the wrong name.
                File::Record(there) if files.is_ours(&there) => {
                    let own = OsString::from(waiting_file_name(there.id()));
                    if !files.move_unless_taken(&waiting, &own).await? {
                        files.call_corrupt(&waiting, &waiting).await?;
                    }
                }
                File::Record(_) | File::Invalid(_) => {
                    files.call_corrupt(&waiting, &waiting).await?;
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes the file under its present name, if it still has it.
    pub(super) async fn remove_it(&mut self, files: &Files<'_>) -> io::Result<()> {
        match &self.name {
            Some(name) => files.remove(name).await.map(|()| self.name = None),
            None => Ok(()),
        }
    }

    /// Removes the file, wherever it came from.
    pub(super) async fn remove(self, files: &Files<'_>) -> io::Result<()> {
        match &self.name {
            Some(name) => {
                let result = files.remove(name).await;
                if result.is_err() {
                    self.put_down(files).await;
                }
                result
            }
            None => Ok(()),
        }
    }

    /// Disposes of the file if it still has its temporary name: a newly written file is removed; one that was taken
    /// away is a cost and goes back to its place. If this fails, the file keeps its name, and the next scan finds it.
    pub(super) async fn put_down(self, files: &Files<'_>) {
        let _ = match (&self.name, &self.place) {
            (Some(_), Some(_)) => self.give_back(files).await,
            (Some(name), None) => files.remove(name).await,
            (None, _) => Ok(()),
        };
    }

    /// Moves the file back to its place, or to its waiting name.
    pub(super) async fn give_back(mut self, files: &Files<'_>) -> io::Result<()> {
        let (Some(name), Some(place)) = (self.name.clone(), self.place.take()) else {
            return Ok(());
        };
        if self.name_unless_taken(files, &place).await? {
            return Ok(());
        }
        match files.read(&name).await? {
            // Its owner has written it again. It must not wait, because it would be charged then.
            File::Record(mark) if mark.dispatched().is_some() => files.remove(&name).await,
            File::Record(record) => self.let_wait_or_keep(files, &record).await,
            File::Invalid(_) | File::Nothing => Ok(()),
        }
    }

    /// Lets the cost wait. A file that it replaces is removed, or keeps the temporary name.
    async fn let_wait_or_keep(mut self, files: &Files<'_>, record: &JournalRecord) -> io::Result<()> {
        self.let_wait(files, record.id()).await?;
        match (&self.name, &self.place) {
            (Some(older), None) => files.remove(older).await,
            (Some(_), Some(_)) | (None, _) => Ok(()),
        }
    }
}

/// Removes the record of a cost from this name if there is one under a better name. The record is taken away before
/// the better name is checked, because another process may move that one to this name.
pub(super) async fn remove_superseded(
    files: &Files<'_>,
    name: &OsStr,
    id: &RecordId,
    better: [&OsStr; 2],
) -> io::Result<()> {
    let Some(temp) = Temp::take(files, name, id).await? else {
        return Ok(());
    };
    for better in better {
        if better != name && files.holds(better, id).await {
            return temp.remove(files).await;
        }
    }
    temp.put_down(files).await;
    Ok(())
}

/// Whether the file was renamed away from its own name.
pub(super) fn was_taken(temp: &OsStr) -> bool {
    has_ending(temp, Temporary::Taken.ending())
}

pub(super) fn has_ending(name: &OsStr, ending: &str) -> bool {
    name.as_encoded_bytes().ends_with(ending.as_bytes())
}
