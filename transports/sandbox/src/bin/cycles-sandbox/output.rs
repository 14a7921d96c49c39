//! Standard output: written once, then closed, so that its reader sees the end.

use std::io::{self, Write as _};

/// Writes all of `text`.
///
/// # Errors
/// If `text` could not be written completely.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| io::Error::new(error.kind(), format!("cannot write to standard output: {error}")))
}

/// Closes standard output, where that is possible; later writes are lost.
#[cfg(unix)]
pub(crate) fn close() {
    // Replaced rather than closed, because the next socket would get the free descriptor. Without `/dev/null` the
    // output stays open, and its reader waits until the program ends.
    if let Ok(nothing) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nothing);
    }
}

/// Does nothing: no safe API closes it here, and no shell waits for it.
#[cfg(not(unix))]
pub(crate) fn close() {}
