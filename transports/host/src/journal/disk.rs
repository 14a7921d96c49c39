//! Executes the core's file operations on disk.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use cycles_proto::journal::{FileOp, Found, How, JournalRecord, Looks, OpOutcome, OpResult, Temporary};

use super::{run_owner, trusted_owner};
use crate::platform::{self, Rename};

/// Executes an operation in this directory, which must exist.
pub(super) fn execute(folder: &Path, op: FileOp) -> OpResult {
    let at = |name: &OsStr| folder.join(name);
    match op {
        FileOp::Prepare => Ok(OpOutcome::Done),
        FileOp::List { beside: None } => names(folder, |_| true).map(OpOutcome::Names),
        FileOp::List { beside: Some(name) } => {
            names(&above(folder).join(name), |_| true).map(OpOutcome::Names)
        }
        FileOp::Neighbours => {
            let is_neighbour = |entry: &fs::DirEntry| {
                let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
                is_dir && Some(&*entry.file_name()) != folder.file_name()
            };
            names(above(folder), is_neighbour).map(OpOutcome::Names)
        }
        FileOp::Look { name } => look(&at(&name)).map(OpOutcome::Looks),
        FileOp::Read { name } => match read(&at(&name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(OpOutcome::Found(Found::Nothing)),
            result => result.map(OpOutcome::Found),
        },
        FileOp::Write { name, bytes } => write(folder, &name, &bytes).map(OpOutcome::Name),
        FileOp::Take { name } => {
            let taken = temporary(Temporary::Taken, &name);
            fs::rename(at(&name), at(&taken)).map(|()| OpOutcome::Name(taken))
        }
        FileOp::Rename { from, to, how } => {
            let (from, to) = (at(&from), at(&to));
            let renamed = match how {
                How::UnlessTaken => platform::rename(&from, &to, Rename::UnlessTaken),
                How::Exchange => platform::rename(&from, &to, Rename::Exchange),
                How::Replace => fs::rename(&from, &to),
            };
            renamed.map(|()| OpOutcome::Done)
        }
        FileOp::Link { from, to } => fs::hard_link(at(&from), at(&to)).map(|()| OpOutcome::Done),
        FileOp::Remove { name } => fs::remove_file(at(&name)).map(|()| OpOutcome::Done),
        FileOp::IsWriterAlive { process, number } => Ok(OpOutcome::IsSo(match number {
            Some(number) if process == std::process::id() => Numbers::get().have(number),
            Some(_) | None => platform::is_running(process),
        })),
        FileOp::LookForOwner { owner } => Ok(OpOutcome::Owner(run_owner::look_for(folder, &owner))),
        // Executed by the journal, which has the lock.
        FileOp::Own => Err(ErrorKind::Unsupported.into()),
        FileOp::Sync => platform::sync_dir(folder).map(|()| OpOutcome::Done),
    }
}

fn above(folder: &Path) -> &Path {
    // The directory of a partition always has a parent.
    folder.parent().unwrap_or(folder)
}

fn names(folder: &Path, is_wanted: impl Fn(&fs::DirEntry) -> bool) -> io::Result<Vec<OsString>> {
    fs::read_dir(folder)?
        .filter(|entry| entry.as_ref().map_or(true, &is_wanted))
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect()
}

fn look(path: &Path) -> io::Result<Option<Looks>> {
    let metadata = match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let now = SystemTime::now();
    let ago = |time: SystemTime| now.duration_since(time).ok();
    Ok(Some(Looks {
        is_file: metadata.is_file(),
        written: metadata.modified().ok().and_then(ago),
        changed: platform::changed(&metadata).and_then(ago),
    }))
}

fn read(path: &Path) -> io::Result<Found> {
    if !path.symlink_metadata()?.is_file() {
        return Ok(Found::NoFile);
    }
    let file = platform::open_plain(path)?;
    trusted_owner::check_file(path, &file.metadata()?)
        .map_err(|reason| io::Error::new(ErrorKind::PermissionDenied, reason))?;
    let mut bytes = Vec::new();
    // One more byte than allowed, so that a larger file is detected.
    file.take(JournalRecord::LARGEST as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(Found::Bytes(bytes.into()))
}

/// Writes a new file to the disk, accessible only to its owner.
pub(super) fn write(folder: &Path, name: &OsStr, bytes: &[u8]) -> io::Result<OsString> {
    let (name, mut file) = create(folder, name)?;
    match file.write_all(bytes).and_then(|()| file.sync_all()) {
        Ok(()) => Ok(name),
        Err(error) => {
            // If this fails too, a later scan removes the incomplete file.
            let _ = fs::remove_file(folder.join(name));
            Err(error)
        }
    }
}

fn create(folder: &Path, name: &OsStr) -> io::Result<(OsString, File)> {
    loop {
        let name = temporary(Temporary::Written, name);
        match platform::create_private(&folder.join(&name)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => return Ok((name, result?)),
        }
    }
}

fn temporary(why: Temporary, name: &OsStr) -> OsString {
    let number = Numbers::get().next.fetch_add(1, Ordering::Relaxed);
    why.name(name, std::process::id(), number)
}

/// The numbers that this process has used for its temporary files.
struct Numbers {
    first: u32,
    next: AtomicU32,
}

impl Numbers {
    fn get() -> &'static Self {
        static NUMBERS: OnceLock<Numbers> = OnceLock::new();
        NUMBERS.get_or_init(|| {
            // Random, because processes in different containers may share a process id and a directory.
            let first = RandomState::new().hash_one(0_u8) as u32;
            Self {
                first,
                next: AtomicU32::new(first),
            }
        })
    }

    fn have(&self, number: u32) -> bool {
        let given = self.next.load(Ordering::Relaxed).wrapping_sub(self.first);
        number.wrapping_sub(self.first) < given
    }
}

#[cfg(test)]
mod tests;
