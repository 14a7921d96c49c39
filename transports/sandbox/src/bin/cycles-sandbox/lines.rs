//! Writes lines to standard error without ever holding up whoever makes them: a reader that stops reading
//! costs lines, and is told how many, but no requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::log::note;

/// The way to the writer. Clones share it; the writer ends when the last is gone.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    queue: SyncSender<String>,
    left_out: Arc<AtomicU64>,
}

/// Tells when the writer has written everything.
#[derive(Debug)]
pub(crate) struct Written(Receiver<()>);

/// Lines that wait to be written, at most.
const WAITING: usize = 4_096;

/// How long the last lines may take when the program ends.
const FAREWELL: Duration = Duration::from_millis(500);

impl Lines {
    /// Starts the writer.
    pub(crate) fn start() -> (Self, Written) {
        let (queue, lines) = sync_channel::<String>(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let (done, written) = sync_channel(1);
        let missing = Arc::clone(&left_out);
        std::thread::spawn(move || {
            for line in lines {
                note(&line);
                match missing.swap(0, Ordering::Relaxed) {
                    0 => {}
                    count => note(&format!(
                        "... {count} lines left out: they were not read in time\n"
                    )),
                }
            }
            let _ = done.send(());
        });
        (Self { queue, left_out }, Written(written))
    }

    pub(crate) fn write(&self, line: String) {
        if self.queue.try_send(line).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Written {
    /// Waits for the last line, but not for a reader that does not read.
    pub(crate) fn wait(self) {
        let _ = self.0.recv_timeout(FAREWELL);
    }
}
