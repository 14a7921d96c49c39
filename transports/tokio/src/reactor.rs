//! Sockets, tasks and timers of tokio.

use core::future::{Future, pending, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use cycles_host::Clock;
use cycles_http::{DrivenBy, Reactor};
use cycles_proto::{Failure, FailureKind};
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};
use tokio::sync::oneshot;

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

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
    type Sleep = Wait;
    type RuntimeId = Id;

    const DRIVEN_BY: DrivenBy = DrivenBy::Caller;

    fn runtime(&self) -> Result<Id, Failure> {
        let here = Handle::try_current();
        here.map(|here| here.id())
            .map_err(|_| Failure::new(FailureKind::NoRuntime))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self.own.get() {
            Some(own) => drop(own.spawn(task)),
            None => drop(tokio::spawn(task)),
        }
    }

    fn now(&self) -> Duration {
        self.clock.mono()
    }

    fn sleep(&self, time: Duration) -> Wait {
        let own = self.own.get().filter(|own| {
            let here = Handle::try_current();
            here.is_ok_and(|here| here.id() != own.id())
        });
        let Some(own) = own else {
            return Box::pin(tokio::time::sleep(time));
        };
        // As a task there: a timer must not outlive its runtime, and that one ends with the last client.
        let (mut over, is_over) = oneshot::channel::<()>();
        own.spawn(async move {
            let mut timer = pin!(tokio::time::sleep(time));
            poll_fn(|cx| match timer.as_mut().poll(cx) {
                // Or nobody waits for it any more.
                Poll::Pending => over.poll_closed(cx),
                Poll::Ready(()) => Poll::Ready(()),
            })
            .await;
            let _ = over.send(());
        });
        Box::pin(async move {
            if is_over.await.is_err() {
                // The last client is gone, and with it whatever this was waited for.
                pending().await
            }
        })
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
