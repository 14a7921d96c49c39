//! What ends the program: Ctrl-C everywhere, SIGTERM where there is one, and the end of its parent if that is asked for.

use std::io;

#[cfg(unix)]
use std::{os::unix::process::parent_id, time::Duration};

/// Listens from its making on.
#[derive(Debug)]
pub(crate) struct Stop {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// The process that is not to be outlived.
    #[cfg(unix)]
    parent: Option<u32>,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Stop {
    /// Needs a runtime around it.
    #[cfg(unix)]
    pub(crate) fn listen(with_parent: bool) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            parent: with_parent.then(parent_id),
        })
    }

    /// Needs a runtime around it.
    #[cfg(windows)]
    pub(crate) fn listen(_: bool) -> io::Result<Self> {
        Ok(Self {
            interrupt: tokio::signal::windows::ctrl_c()?,
        })
    }

    /// Returns with the first of them.
    #[cfg(unix)]
    pub(crate) async fn come(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = orphaned(self.parent) => {}
        }
    }

    /// Returns with the first of them.
    #[cfg(windows)]
    pub(crate) async fn come(mut self) {
        self.interrupt.recv().await;
    }
}

/// Returns when that process is the parent no longer: whoever loses a parent is given another one at once. No system
/// tells, so it is looked at now and then.
#[cfg(unix)]
async fn orphaned(parent: Option<u32>) {
    let Some(parent) = parent else {
        return std::future::pending().await;
    };
    while parent_id() == parent {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
