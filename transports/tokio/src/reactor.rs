//! Sockets, tasks and timers of tokio.

use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use cycles_host::Clock;
use cycles_http::{DrivenBy, Reactor};
use cycles_proto::{Failure, FailureKind};
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};
use tokio::time::Sleep;

/// Sockets and tasks are those of the runtime that runs where they are asked for. The timers are those of our own thread, so
/// that they go on where that stands still.
#[derive(Clone)]
pub(crate) struct TokioReactor {
    clock: Clock,
    own: Arc<OnceLock<Handle>>,
}

impl TokioReactor {
    pub(crate) fn new(clock: Clock, own: Arc<OnceLock<Handle>>) -> Self {
        Self { clock, own }
    }
}

impl Reactor for TokioReactor {
    type Stream = TcpStream;
    type Sleep = Pin<Box<Sleep>>;
    type RuntimeId = Id;

    /// A task that is woken runs next on the thread that woke it.
    const DRIVEN_BY: DrivenBy = DrivenBy::Caller;

    fn runtime(&self) -> Result<Id, Failure> {
        let here = Handle::try_current();
        here.map(|here| here.id())
            .map_err(|_| Failure::new(FailureKind::NoRuntime))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    fn now(&self) -> Duration {
        self.clock.mono()
    }

    fn sleep(&self, time: Duration) -> Pin<Box<Sleep>> {
        let _own = self.own.get().map(Handle::enter);
        Box::pin(tokio::time::sleep(time))
    }

    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        // A request leaves in one piece; there is nothing to wait for.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}
