//! What an adapter gives: sockets, tasks, a timer.

use core::future::Future;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use cycles_proto::Failure;
use tokio::io::{AsyncRead, AsyncWrite};

/// The sockets, tasks and timers of an async runtime. One value serves a client from any thread and in any runtime:
/// what belongs to a runtime is looked up where it is used.
pub trait Reactor: Clone + Send + Sync + 'static {
    /// A TCP connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// A wait.
    type Sleep: Future<Output = ()> + Unpin + Send + 'static;

    /// Tells runtimes apart: a connection is used in the runtime that made it and in no other. `()` where there is
    /// one for the whole process.
    type RuntimeId: Clone + PartialEq + Send + 'static;

    /// Who moves the bytes of a connection.
    const DRIVEN_BY: DrivenBy;

    /// The runtime that runs here: the one that [`spawn`](Self::spawn) would use.
    ///
    /// # Errors
    /// There is none, or it lacks what the others need.
    fn runtime(&self) -> Result<Self::RuntimeId, Failure>;

    /// Runs a task to its end, or drops it when the runtime that runs here ends.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Monotonic time, which counts the time that the machine slept and is the same in all threads.
    fn now(&self) -> Duration;

    /// Waits for that long, however long that is. Called and polled in a runtime.
    fn sleep(&self, time: Duration) -> Self::Sleep;

    /// The addresses of a name. Called and polled in a runtime.
    fn resolve(&self, name: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// A connection that sends each write at once (`TCP_NODELAY`). Called and polled in a runtime.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Who moves the bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrivenBy {
    /// A task of its own. That is best where a task runs on the thread that woke it.
    Task,
    /// The call that waits for an answer on it. That is best where tasks run on other threads, which have to be woken
    /// first, and possible where sockets and timers belong to the process and not to a runtime.
    Caller,
}
