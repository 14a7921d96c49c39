//! Temporary directories, and the journal files in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use cycles_proto::record::JournalRecord;

/// The records of all principals with this ending (`json`, `rejected`, `stale`) in a journal's directory. Records that
/// are removed in the meantime are skipped.
pub fn records(dir: &Path, ending: &str) -> Vec<JournalRecord> {
    let files = files(dir, ending).into_iter();
    files
        .filter_map(|path| fs::read(path).ok())
        .map(|bytes| JournalRecord::parse(&bytes).unwrap())
        .collect()
}

/// The files of all principals with this ending (all files if it is empty) in a journal's directory.
pub fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in fs::read_dir(dir).unwrap() {
        let folder = folder.unwrap().path();
        if folder.is_dir() {
            files.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    files.retain(|path| ending.is_empty() || path.extension().is_some_and(|found| found == ending));
    files.sort();
    files
}

/// A temporary directory that is removed on drop.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Creates a new directory.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("cycles-suite-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match fs::create_dir(&path) {
                Ok(()) => return Self(path),
                // A process with the same id was killed and left it.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
