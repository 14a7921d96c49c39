//! What an adapter gives: sockets, tasks, a timer.

use core::future::{Future, ready};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};

/// The sockets, tasks and timers of an async runtime. One value serves a client from any thread and in any runtime.
pub trait Reactor: Clone + Send + Sync + 'static {
    /// A TCP connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// A wait.
    type Sleep: Future<Output = ()> + Unpin + Send + 'static;

    /// Tells the user's runtimes apart: a connection is used in the runtime that made it and in no other. `()` where no call
    /// is made in any of them.
    type RuntimeId: Clone + PartialEq + Send + Sync + 'static;

    /// Where a call that begins here is to be made: in the user's runtime that runs here, or else on the adapter's own thread.
    fn place(&self) -> Place<Self::RuntimeId>;

    /// Runs a task to its end, or drops it when its runtime ends or is not there. For [`Place::Here`] in the runtime that runs
    /// here.
    fn spawn(&self, place: &Place<Self::RuntimeId>, task: impl Future<Output = ()> + Send + 'static);

    /// Whether connections can be made in the user's runtime that runs here. Asked by a task of each connection there.
    fn is_able(&self) -> impl Future<Output = bool> + Send {
        ready(true)
    }

    /// Whether a caller on this thread may be kept waiting.
    fn may_wait_here(&self) -> bool {
        false
    }

    /// Monotonic time, which counts the time that the machine slept and is the same in all threads.
    fn now(&self) -> Duration;

    /// Waits for that long, however long that is. Called and polled in a task.
    fn sleep(&self, time: Duration) -> Self::Sleep;

    /// The addresses of a name. Called and polled in a task.
    fn resolve(&self, name: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// A connection that sends each write at once (`TCP_NODELAY`). Called and polled in a task.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Where tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<Id> {
    /// In this runtime of the user's, the one that runs here. It may stand still or end at any time.
    Here(Id),
    /// On the adapter's own thread.
    Own,
}
