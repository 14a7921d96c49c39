//! Waits for a reason to stop: Ctrl-C, SIGTERM on Unix, and, on request, the end of the parent process.

use std::io;

#[cfg(unix)]
use std::{os::unix::process::parent_id, time::Duration};

/// Why the program is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(windows, expect(dead_code, reason = "only Ctrl-C exists there"))]
pub(crate) enum Reason {
    Interrupt,
    Terminate,
    /// The process that started it has ended.
    Orphaned,
}

/// Collects stop requests from the moment it is created.
#[derive(Debug)]
pub(crate) struct Stop {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// The parent process, if the program must not outlive it.
    #[cfg(unix)]
    parent: Option<u32>,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Stop {
    /// Starts listening. Must be called within a tokio runtime.
    #[cfg(unix)]
    pub(crate) fn listen(with_parent: bool) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            parent: with_parent.then(parent_id),
        })
    }

    /// Starts listening. Must be called within a tokio runtime.
    #[cfg(windows)]
    pub(crate) fn listen(_: bool) -> io::Result<Self> {
        Ok(Self {
            interrupt: tokio::signal::windows::ctrl_c()?,
        })
    }

    /// Returns at the next stop request.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) -> Reason {
        tokio::select! {
            _ = self.interrupt.recv() => Reason::Interrupt,
            _ = self.terminate.recv() => Reason::Terminate,
            () = orphaned(self.parent) => Reason::Orphaned,
        }
    }

    /// Returns at the next stop request.
    #[cfg(windows)]
    pub(crate) async fn next(&mut self) -> Reason {
        self.interrupt.recv().await;
        Reason::Interrupt
    }
}

/// Returns when `parent` is no longer the parent process. An orphaned process gets another parent at once; there is no
/// portable notification, so this polls every 200 ms.
#[cfg(unix)]
async fn orphaned(parent: Option<u32>) {
    let Some(parent) = parent else {
        return std::future::pending().await;
    };
    while parent_id() == parent {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
