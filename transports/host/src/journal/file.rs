//! One file of the journal: read with suspicion, written so that it is there whole or not at all, moved
//! without replacing anything.

use core::time::Duration;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use cycles_proto::record::{JournalRecord, waiting_file_name};

use super::owner;
use crate::platform::{self, Access, Rename};

/// What a file's name leads to.
pub(super) enum Found {
    Record(Box<JournalRecord>),
    /// It is no record, for this reason.
    Invalid(String),
    Nothing,
}

/// Reads a record. Only what is a file under this very name is opened, and only what belongs to whom the directory
/// does is read.
pub(super) fn read(path: &Path) -> io::Result<Found> {
    match read_bytes(path) {
        Ok(Ok(bytes)) => Ok(match JournalRecord::parse(&bytes) {
            Ok(record) => Found::Record(Box::new(record)),
            Err(invalid) => Found::Invalid(invalid.to_string()),
        }),
        Ok(Err(reason)) => Ok(Found::Invalid(reason)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

fn read_bytes(path: &Path) -> io::Result<Result<Vec<u8>, String>> {
    if !path.symlink_metadata()?.is_file() {
        return Ok(Err("it is no regular file".to_owned()));
    }
    let file = platform::open_plain(path)?;
    owner::check_file(path, &file.metadata()?)
        .map_err(|reason| io::Error::new(io::ErrorKind::PermissionDenied, reason))?;
    let mut bytes = Vec::new();
    // One more, so that one that is too large is seen to be.
    file.take(JournalRecord::LARGEST as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(Ok(bytes))
}

/// A file under a name that no other has. When this is dropped, a file that was written is removed, under an ending that
/// every SDK cleans up; one that was taken away is a cost and goes back to its place.
pub(super) struct Temp {
    /// `None` once it has another name.
    path: Option<PathBuf>,
    /// Where it was taken from.
    place: Option<PathBuf>,
}

/// The ending of what was taken away for a moment. No SDK looks at it, so that what a process leaves which ends in that
/// moment is there for the next scan of ours.
pub(super) const TAKEN: &str = ".taken";

impl Temp {
    /// Writes a new file beside the one that it is to become, to the disk: a crash leaves one of them whole.
    pub(super) fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<Self> {
        if bytes.len() > JournalRecord::LARGEST {
            let (size, most) = (bytes.len(), JournalRecord::LARGEST);
            return Err(io::Error::other(format!(
                "it has {size} bytes, and at most {most} could be read again"
            )));
        }
        let (path, mut file) = create_temp(folder, name)?;
        let temp = Self {
            path: Some(path),
            place: None,
        };
        file.write_all(bytes).and_then(|()| file.sync_all())?;
        Ok(temp)
    }

    /// Whose it is.
    pub(super) fn access(&self) -> Access {
        let metadata = self.path.as_ref().and_then(|path| path.symlink_metadata().ok());
        metadata.map_or(
            Access {
                owner: platform::user(),
                is_open: false,
            },
            |metadata| platform::access(&metadata),
        )
    }

    /// Takes the file of this name away, if it holds what is wanted: from then on no other process finds it there. If
    /// the process ends before it has a name again, the next scan finds a whole record.
    pub(super) fn take(path: &Path, is_wanted: impl Fn(&JournalRecord) -> bool) -> io::Result<Option<Self>> {
        let wanted = |path: &Path| match read(path)? {
            Found::Record(record) => Ok::<_, io::Error>(is_wanted(&record)),
            Found::Invalid(_) | Found::Nothing => Ok(false),
        };
        if !wanted(path)? {
            return Ok(None);
        }
        let temp = temp_path(path, TAKEN);
        match fs::rename(path, &temp) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result?,
        }
        // Another process may have settled that one and brought another cost to its place meanwhile.
        if wanted(&temp)? {
            return Ok(Some(Self {
                path: Some(temp),
                place: Some(path.to_owned()),
            }));
        }
        give_back(&temp, path)?;
        Ok(None)
    }

    /// Removes it, wherever it came from.
    pub(super) fn remove(mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            remove(path)?;
            self.path = None;
        }
        Ok(())
    }

    /// Gives it this name unless that is taken. False if it is.
    pub(super) fn name_unless_taken(&mut self, to: &Path) -> io::Result<bool> {
        let Some(path) = &self.path else { return Ok(true) };
        let is_named = move_unless_taken(path, to)?;
        if is_named {
            self.path = None;
        }
        Ok(is_named)
    }

    /// Gives it this name, in place of an older record of the same cost. False if that is gone: look again.
    pub(super) fn replace(
        &mut self,
        to: &Path,
        is_same: impl Fn(&JournalRecord) -> bool,
    ) -> io::Result<bool> {
        let Some(path) = &self.path else { return Ok(true) };
        match platform::rename(path, to, Rename::Exchange) {
            Ok(()) => {
                let is_older = matches!(read(path), Ok(Found::Record(there)) if is_same(&there));
                // If not, another process has settled the older one and brought another cost to its place meanwhile.
                self.place = (!is_older).then(|| to.to_owned());
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                fs::rename(path, to)?;
                self.path = None;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // Where this fails the file keeps its name, and the next scan finds it.
        let _ = match (&self.path, &self.place) {
            (Some(path), Some(place)) => give_back(path, place),
            (Some(path), None) => fs::remove_file(path),
            (None, _) => Ok(()),
        };
    }
}

/// Another cost's record that was moved from its place: back, or to where it waits.
fn give_back(temp: &Path, place: &Path) -> io::Result<()> {
    if move_unless_taken(temp, place)? {
        return Ok(());
    }
    match read(temp)? {
        Found::Record(record) => fs::rename(temp, temp.with_file_name(waiting_file_name(record.id()))),
        Found::Invalid(_) | Found::Nothing => Ok(()),
    }
}

fn create_temp(folder: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    loop {
        let temp = temp_path(&folder.join(name), ".tmp");
        match platform::create_private(&temp) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return Ok((temp, result?)),
        }
    }
}

/// The numbers that this process has given to its temporary files.
struct Numbers {
    first: u32,
    next: AtomicU32,
}

impl Numbers {
    fn get() -> &'static Self {
        static NUMBERS: OnceLock<Numbers> = OnceLock::new();
        NUMBERS.get_or_init(|| {
            // Processes in different containers may have the same number and the same directory.
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

/// Whether whoever wrote this temporary file is gone: its process does not run here, or it did not touch the file for a
/// minute. A process that runs elsewhere or slept writes the file once more if it finds that it has gone.
pub(super) fn is_abandoned(temp: &Path, age: Duration) -> bool {
    const SLOW: Duration = Duration::from_secs(60);

    let name = temp.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let mut words = name.rsplit('.');
    let number = words.next().and_then(|word| u32::from_str_radix(word, 16).ok());
    let process = words.next().and_then(|word| word.parse().ok());
    let is_at_it = match (process, number) {
        (Some(process), Some(number)) if process == std::process::id() => Numbers::get().have(number),
        (Some(process), _) => platform::is_running(process),
        (None, _) => true,
    };
    !is_at_it || age >= SLOW
}

/// Whether the file is one that was taken away for a moment.
pub(super) fn was_taken(temp: &Path) -> bool {
    temp.as_os_str().as_encoded_bytes().ends_with(TAKEN.as_bytes())
}

/// A name beside this one that no other file has.
fn temp_path(path: &Path, ending: &str) -> PathBuf {
    let unique = Numbers::get().next.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.{unique:08x}{ending}", std::process::id()));
    path.with_file_name(name)
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Gives a file another name unless that is taken. False if it is.
pub(super) fn move_unless_taken(from: &Path, to: &Path) -> io::Result<bool> {
    match platform::rename(from, to, Rename::UnlessTaken) {
        Ok(()) => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
        // Where this way does not work, another may.
        Err(_) => {}
    }
    match fs::hard_link(from, to) {
        Ok(()) => remove(from).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // No hard links here, or not of this: what remains leaves a moment in which the name may get taken.
        Err(_) if to.symlink_metadata().is_ok() => Ok(false),
        Err(_) => fs::rename(from, to).map(|()| true),
    }
}

/// Sets a file aside as `<stem>.corrupt`, or under a number if there is one of that name already: it may be
/// a cost. Gives the new name, or nothing if the file is gone.
pub(super) fn quarantine(path: &Path) -> io::Result<Option<PathBuf>> {
    let stem = path.file_stem().unwrap_or_default();
    let free = (1..=MOST_OF_A_NAME)
        .map(|number| path.with_file_name(corrupt_name(stem, number)))
        .find(|to| to.symlink_metadata().is_err())
        .ok_or_else(|| io::Error::other("too many files of that name are set aside already"))?;
    // Unlike a second link, a new name cannot be given twice, by two processes that look at the same time.
    match fs::rename(path, &free) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(|()| Some(free)),
    }
}

const MOST_OF_A_NAME: u32 = 100;

fn corrupt_name(stem: &OsStr, number: u32) -> OsString {
    let mut name = stem.to_owned();
    if number > 1 {
        name.push(format!(".{number}"));
    }
    name.push(".corrupt");
    name
}
