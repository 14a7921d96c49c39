//! The runtime that runs here, if it is one that can be used.

use core::cell::Cell;
use std::net::UdpSocket;
use std::panic::catch_unwind;
use std::time::Duration;

use cycles_proto::{Failure, FailureKind};
use tokio::runtime::{Handle, Id};

/// What it takes to do anything here, and is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Runtime,
    Timers,
    Io,
}

impl Missing {
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::Runtime => Failure::new(FailureKind::NoRuntime),
            Self::Timers | Self::Io => Failure::caused_by(FailureKind::NoRuntime, &self),
        }
    }
}

thread_local! {
    /// The last one that was found to be usable.
    static USABLE: Cell<Option<Id>> = const { Cell::new(None) };
}

/// The runtime that runs here.
pub(crate) fn runtime() -> Result<Handle, Missing> {
    let runtime = Handle::try_current().map_err(|_| Missing::Runtime)?;
    let id = runtime.id();
    if USABLE.get() != Some(id) {
        check()?;
        USABLE.set(Some(id));
    }
    Ok(runtime)
}

/// tokio does not tell what was enabled when a runtime was built, but panics where it is missed. Here that costs
/// no more than a line on the standard error, and further on it would take a task along.
fn check() -> Result<(), Missing> {
    let has_timers = catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO)));
    has_timers.map_err(|_| Missing::Timers)?;
    let Ok(socket) = UdpSocket::bind("127.0.0.1:0").and_then(|socket| {
        socket.set_nonblocking(true)?;
        Ok(socket)
    }) else {
        // Nothing to try it with. What is wrong with the network here is told by who needs it.
        return Ok(());
    };
    let has_io = catch_unwind(|| drop(tokio::net::UdpSocket::from_std(socket)));
    has_io.map_err(|_| Missing::Io)
}

impl core::fmt::Display for Missing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Runtime => "no tokio runtime is running here",
            Self::Timers => "the tokio runtime has no timers: build it with `enable_all`",
            Self::Io => "the tokio runtime has no I/O: build it with `enable_all`",
        })
    }
}

impl core::error::Error for Missing {}
