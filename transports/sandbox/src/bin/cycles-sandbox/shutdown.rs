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
    /// Another signal, for the command.
    Signal(Signal),
}

/// A signal that is passed on to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(windows, expect(dead_code, reason = "there are none there"))]
pub(crate) enum Signal {
    HangUp,
    Quit,
    User1,
    User2,
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
    /// The other signals, if there is a command to pass them on to.
    #[cfg(unix)]
    others: Option<Others>,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Stop {
    /// Starts listening. Must be called within a tokio runtime.
    #[cfg(unix)]
    pub(crate) fn listen(with_parent: bool, for_a_command: bool) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            parent: with_parent.then(parent_id),
            others: for_a_command.then(Others::listen).transpose()?,
        })
    }

    /// Starts listening. Must be called within a tokio runtime.
    #[cfg(windows)]
    pub(crate) fn listen(_: bool, _: bool) -> io::Result<Self> {
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
            signal = other(&mut self.others) => Reason::Signal(signal),
        }
    }

    /// Returns at the next stop request.
    #[cfg(windows)]
    pub(crate) async fn next(&mut self) -> Reason {
        self.interrupt.recv().await;
        Reason::Interrupt
    }
}

/// The signals that end the program, unless it has a command.
#[cfg(unix)]
#[derive(Debug)]
struct Others {
    hang_up: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
    user_1: tokio::signal::unix::Signal,
    user_2: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Others {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
        })
    }
}

#[cfg(unix)]
async fn other(others: &mut Option<Others>) -> Signal {
    let Some(others) = others else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = others.hang_up.recv() => Signal::HangUp,
        _ = others.quit.recv() => Signal::Quit,
        _ = others.user_1.recv() => Signal::User1,
        _ = others.user_2.recv() => Signal::User2,
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
