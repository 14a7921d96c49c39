//! Quarantines corrupt files: a file that is not a record, or one that has the wrong name while its own is taken, gets
//! a name that ends in `.corrupt`. A person decides what to do with it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use super::file::{File, Files};
use super::op::{FileOp, How, with_room_for_more};
use super::temporary_file::Temp;

/// Quarantines a file that is not a record. The file is kept, because it may be a cost. Returns the new name, or `None`
/// if another process has already renamed the file, or has put a record in its place; that record stays.
pub(super) async fn quarantine(files: &Files<'_>, name: &OsStr) -> io::Result<Option<OsString>> {
    let take = FileOp::Take {
        name: name.to_owned(),
    };
    let taken = match files.temporary(take).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let temp = Temp::taken(taken.clone(), name);
    if matches!(files.read(&taken).await, Ok(File::Record(_))) {
        return temp.give_back(files).await.map(|()| None);
    }
    let moved = files.call_corrupt(&taken, name).await;
    if moved.is_err() {
        temp.put_down(files).await;
    }
    moved
}

impl Files<'_> {
    /// Renames a file that was called `was` to `<stem>.corrupt`, with a number if that name is taken. Returns the new
    /// name, or `None` if the file is gone.
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
