//! Standard output: written once, and closed so that its reader comes to the end.

use std::io::{self, Write as _};

/// Writes all of `text`.
///
/// # Errors
/// If it could not be written: what was to be read there is missing.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("standard output could not be written: {error}"),
        )
    })
}

/// Lets go of it, as far as that is possible; what is written from now on is lost.
#[cfg(unix)]
pub(crate) fn close() {
    // Not left open to be taken by the next socket. Without a device that takes everything its reader has to wait.
    if let Ok(nothing) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nothing);
    }
}

/// Does nothing: there is no safe way, and no shell that waits for it.
#[cfg(not(unix))]
pub(crate) fn close() {}
