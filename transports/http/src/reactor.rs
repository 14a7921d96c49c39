//! The runtime services that an adapter supplies: sockets, tasks and timers.

use core::future::{Future, ready};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use cycles_client::Hold;
use tokio::io::{AsyncRead, AsyncWrite};

/// The sockets, tasks and timers of an async runtime. One value serves a client from any thread and in any runtime.
pub trait Reactor: Clone + Send + Sync + 'static {
    /// A TCP connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// A timer.
    type Sleep: Future<Output = ()> + Unpin + Send + 'static;

    /// Identifies one of the user's runtimes: a connection is only used in the runtime that opened it. It is `()` if no
    /// calls are made in the user's runtimes.
    type RuntimeId: Clone + PartialEq + Send + Sync + 'static;

    /// Returns where to make a call that starts here: in the user's runtime, if this code runs in one, or on the
    /// adapter's own thread.
    fn place(&self) -> Place<Self::RuntimeId>;

    /// Runs a task to its end, or drops the task if its runtime ends or does not exist. [`Place::Here`] means the
    /// runtime of the calling code. Must not block.
    fn spawn(&self, place: &Place<Self::RuntimeId>, task: impl Future<Output = ()> + Send + 'static);

    /// Returns whether the user's runtime can open connections. Called in the task of each connection in that runtime.
    /// True by default.
    fn is_able(&self) -> impl Future<Output = bool> + Send {
        ready(true)
    }

    /// Whether a caller on this thread may be blocked. False by default.
    fn may_wait_here(&self) -> bool {
        false
    }

    /// Called when a caller begins to wait on this thread; see [`Transport::hold_time`](cycles_client::Transport::hold_time).
    /// `None` by default.
    fn hold_time(&self) -> Option<Hold> {
        None
    }

    /// Returns the monotonic time, which includes the time that the machine slept, and is the same in all threads.
    fn now(&self) -> Duration;

    /// Waits for `time`, which may be of any length. Called and polled in a task; may be dropped at any time.
    fn sleep(&self, time: Duration) -> Self::Sleep;

    /// Resolves a name. Called and polled in a task; may be dropped at any time.
    fn resolve(&self, name: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Opens a connection that sends each write at once (`TCP_NODELAY`). Called and polled in a task; may be dropped at
    /// any time.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// A place where tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<Id> {
    /// The user's runtime that the calling code runs in. It may stall or end at any time.
    Here(Id),
    /// The adapter's own thread.
    Own,
}
