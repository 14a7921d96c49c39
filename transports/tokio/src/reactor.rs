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
use tokio::time::Sleep;

/// Those of the thread that calls are made on.
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
    type RuntimeId = ();

    const DRIVEN_BY: DrivenBy = DrivenBy::Caller;

    fn runtime(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
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
