//! Sockets, tasks and timers of tokio.

use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use cycles_host::Clock;
use cycles_http::{DrivenBy, Reactor};
use cycles_proto::Failure;
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};
use tokio::time::Sleep;

use crate::here::{self, Missing};

/// Whatever runtime a method is called in is the one that is used.
#[derive(Clone)]
pub(crate) struct TokioReactor {
    clock: Clock,
}

impl TokioReactor {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock }
    }
}

impl Reactor for TokioReactor {
    type Stream = TcpStream;
    type Sleep = Pin<Box<Sleep>>;
    type RuntimeId = Id;

    /// A task that is woken runs next on the thread that woke it.
    const DRIVEN_BY: DrivenBy = DrivenBy::Task;

    fn runtime(&self) -> Result<Id, Failure> {
        here::runtime()
            .map(|runtime| runtime.id())
            .map_err(Missing::failure)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(task);
        }
    }

    fn now(&self) -> Duration {
        self.clock.mono()
    }

    fn sleep(&self, time: Duration) -> Pin<Box<Sleep>> {
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
