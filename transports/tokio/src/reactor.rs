//! Sockets, tasks and timers of tokio.

use core::future::{Future, pending, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cycles_host::Clock;
use cycles_http::{Place, Reactor};
use tokio::net::{TcpStream, UdpSocket};
use tokio::runtime::{Handle, Id};
use tokio::sync::oneshot;

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Programs have one runtime or two, tests have many, one after the other.
const MOST_MET: usize = 16;

/// Calls are made in the user's runtime where there is one with I/O. The timers are those of our own thread, so that they go on
/// where that stands still, or has none.
#[derive(Clone)]
pub(crate) struct TokioReactor {
    clock: Clock,
    own: Arc<OnceLock<Handle>>,
    /// The user's runtimes that were met last, and whether they have I/O.
    met: Arc<Mutex<Vec<(Id, bool)>>>,
}

impl TokioReactor {
    pub(crate) fn new(clock: Clock, own: Arc<OnceLock<Handle>>) -> Self {
        Self {
            clock,
            own,
            met: Arc::default(),
        }
    }

    fn is_own(&self, here: Id) -> bool {
        self.own.get().is_some_and(|own| own.id() == here)
    }

    fn has_io(&self, runtime: Id) -> Option<bool> {
        let met = self.met();
        let met = met.iter().find(|(met, _)| *met == runtime);
        met.map(|(_, has_io)| *has_io)
    }

    fn met(&self) -> MutexGuard<'_, Vec<(Id, bool)>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reactor for TokioReactor {
    type Stream = TcpStream;
    type Sleep = Wait;
    type RuntimeId = Id;

    fn place(&self) -> Place<Id> {
        // Where a panic ends the process it is not found out whether a runtime has I/O.
        match Handle::try_current().map(|here| here.id()) {
            Ok(here) if !cfg!(panic = "abort") && !self.is_own(here) && self.has_io(here) != Some(false) => {
                Place::Here(here)
            }
            Ok(_) | Err(_) => Place::Own,
        }
    }

    fn spawn(&self, place: &Place<Id>, task: impl Future<Output = ()> + Send + 'static) {
        match (place, self.own.get()) {
            (Place::Here(_), _) => drop(tokio::spawn(task)),
            (Place::Own, Some(own)) => drop(own.spawn(task)),
            (Place::Own, None) => drop(task),
        }
    }

    /// tokio does not tell, but panics where I/O is missed: a task that has no call finds out.
    async fn is_able(&self) -> bool {
        let here = Handle::current();
        if let Some(has_io) = self.has_io(here.id()) {
            return has_io;
        }
        let trial = here.spawn(async { drop(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await) });
        // Not if the runtime ends meanwhile.
        let has_io = trial.await.is_ok();
        let mut met = self.met();
        if met.len() == MOST_MET {
            met.remove(0);
        }
        met.push((here.id(), has_io));
        has_io
    }

    fn may_wait_here(&self) -> bool {
        Handle::try_current().is_err()
    }

    fn now(&self) -> Duration {
        self.clock.mono()
    }

    fn sleep(&self, time: Duration) -> Wait {
        let here = Handle::try_current();
        let is_elsewhere = |own: &&Handle| here.as_ref().is_ok_and(|here| here.id() != own.id());
        let Some(own) = self.own.get().filter(is_elsewhere) else {
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
