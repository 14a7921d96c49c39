//! One file of the journal: read with suspicion, written so that it is there whole or not at all, moved
//! without replacing anything.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use cycles_proto::record::JournalRecord;

use crate::platform;

/// The largest file that is read: 1 MiB. A record holds two request bodies, which are a few kilobytes.
pub(super) const LARGEST: u64 = 1 << 20;

/// What a file's name leads to.
pub(super) enum Found {
    Record(Box<JournalRecord>),
    /// It is no record, for this reason.
    Invalid(String),
    Nothing,
}

/// Reads a record. Only what is a file under this very name is opened.
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
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Ok(Err(format!("it is larger than {LARGEST} bytes")));
    }
    Ok(Ok(bytes))
}

/// Puts `bytes` under this name, in place of what is there: a crash leaves either the old file or the new one.
/// The new name is not durable before the directory is synced.
pub(super) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let (temp, mut file) = create_temp(folder, name)?;
    let result = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temp, folder.join(name)));
    if result.is_err() {
        let _ = fs::remove_file(&temp);
    }
    result
}

/// A new file beside the one it is to become, under the ending that every SDK cleans up.
fn create_temp(folder: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    static NEXT: OnceLock<AtomicU32> = OnceLock::new();

    // Processes in different containers may have the same number and the same directory.
    let next = NEXT.get_or_init(|| AtomicU32::new(RandomState::new().hash_one(0_u8) as u32));
    loop {
        let unique = next.fetch_add(1, Ordering::Relaxed);
        let temp = folder.join(format!("{name}.{}.{unique:08x}.tmp", std::process::id()));
        match platform::create_private(&temp) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return Ok((temp, result?)),
        }
    }
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
