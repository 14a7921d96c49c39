//! Writes lines to standard error without ever blocking the caller. If the reader of standard error falls behind,
//! lines are dropped, and a line says how many; requests never wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use cycles_proto::time::UnixMillis;

use crate::log::{LogFormat, note};

/// The queue of lines for the writer's thread. Clones share it; the writer ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct StderrWriter {
    format: LogFormat,
    queue: SyncSender<String>,
    left_out: Arc<AtomicU64>,
}

/// Reports when the writer has written everything.
#[derive(Debug)]
pub(crate) struct Written(Receiver<()>);

/// The maximum number of queued lines.
const QUEUE_LENGTH: usize = 4_096;

/// How long the last lines may take when the program ends.
const FLUSH_TIME: Duration = Duration::from_millis(500);

impl StderrWriter {
    /// Starts the writer.
    pub(crate) fn start(format: LogFormat) -> (Self, Written) {
        let (queue, lines) = sync_channel::<String>(QUEUE_LENGTH);
        let left_out = Arc::new(AtomicU64::new(0));
        let (done, written) = sync_channel(1);
        let missing = Arc::clone(&left_out);
        std::thread::spawn(move || {
            for line in lines {
                note(&line);
                match missing.swap(0, Ordering::Relaxed) {
                    0 => {}
                    count => note(&said(
                        format,
                        "warning",
                        &format!("{count} lines dropped: standard error was not read in time"),
                    )),
                }
            }
            let _ = done.send(());
        });
        let writer = Self {
            format,
            queue,
            left_out,
        };
        (writer, Written(written))
    }

    /// Writes what is not about a request. `level` is `info` or `warning`.
    pub(crate) fn say(&self, level: &str, text: &str) {
        self.write(said(self.format, level, text));
    }

    pub(crate) fn write(&self, line: String) {
        if self.queue.try_send(line).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Written {
    /// Waits until the last line is written, but only briefly: perhaps nothing reads standard error.
    pub(crate) fn wait(self) {
        let _ = self.0.recv_timeout(FLUSH_TIME);
    }
}

/// A line that is not about a request.
fn said(format: LogFormat, level: &str, text: &str) -> String {
    match format {
        LogFormat::Text if level == "info" => format!("{text}\n"),
        LogFormat::Text => format!("{level}: {text}\n"),
        LogFormat::Json => {
            let time = UnixMillis::from(SystemTime::now()).to_string();
            let line = serde_json::json!({"time": time, "level": level, "message": text.trim()});
            format!("{line}\n")
        }
    }
}
