//! The runtime services that an adapter supplies: sockets, tasks, timers.

use core::future::{Future, ready};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};

/// The sockets, tasks and timers of an async runtime. One value serves a client from any thread and in any runtime.
pub trait Reactor: Clone + Send + Sync + 'static {
    /// A TCP connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// A timer.
    type Sleep: Future<Output = ()> + Unpin + Send + 'static;

    /// Identifies one of the user's runtimes: a connection is only used in the runtime that opened it. `()` if no calls
    /// are made in the user's runtimes.
    type RuntimeId: Clone + PartialEq + Send + Sync + 'static;

    /// Returns where to make a call that starts here: in the user's runtime that runs here, or on the adapter's own
    /// thread.
    fn place(&self) -> Place<Self::RuntimeId>;

    /// Runs a task to its end, or drops it if its runtime ends or does not exist. [`Place::Here`] means the runtime
    /// that runs here. Must not block.
    fn spawn(&self, place: &Place<Self::RuntimeId>, task: impl Future<Output = ()> + Send + 'static);

    /// Whether the user's runtime that runs here can open connections. Called in the task of each connection there.
    /// True by default.
    fn is_able(&self) -> impl Future<Output = bool> + Send {
        ready(true)
    }

    /// Whether a caller on this thread may be blocked. False by default.
    fn may_wait_here(&self) -> bool {
        false
    }

    /// Returns the monotonic time, which includes the time that the machine slept and is the same in all threads.
    fn now(&self) -> Duration;

    /// Waits for `time`, which may be of any length. Called and polled in a task; may be dropped at any time.
    fn sleep(&self, time: Duration) -> Self::Sleep;

    /// Resolves a name. Called and polled in a task; may be dropped at any time.
    fn resolve(&self, name: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Opens a connection that sends each write at once (`TCP_NODELAY`). Called and polled in a task; may be dropped at
    /// any time.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Where tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<Id> {
    /// In the user's runtime that runs here. It may stall or end at any time.
    Here(Id),
    /// On the adapter's own thread.
    Own,
}
