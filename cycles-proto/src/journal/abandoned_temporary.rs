//! When the writer of a temporary file counts as dead, so that a record in the file is used.

use core::time::Duration;
use std::ffi::OsStr;
use std::path::Path;

use super::file::Files;

/// Whether the writer of this temporary file is gone: its process has ended or has not touched the file for a minute.
/// A process on another machine, or one that was suspended, writes the file again if it finds it gone.
pub(super) async fn is_writer_dead(files: &Files<'_>, temp: &OsStr, age: Duration) -> bool {
    const SLOW: Duration = Duration::from_secs(60);

    if age >= SLOW {
        return true;
    }
    let name = Path::new(temp).file_stem().and_then(OsStr::to_str);
    let mut words = name.unwrap_or_default().rsplit('.');
    let number = words.next().and_then(|word| u32::from_str_radix(word, 16).ok());
    match words.next().and_then(|word| word.parse().ok()) {
        Some(process) => !files.is_writer_alive(process, number).await,
        None => false,
    }
}
