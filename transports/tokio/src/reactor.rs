//! The sockets, tasks and timers of tokio.

use core::future::{Future, pending, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cycles_client::Hold;
use cycles_host::Clock;
use cycles_http::{Place, Reactor};
use tokio::net::{TcpStream, UdpSocket};
use tokio::runtime::{Handle, Id};
use tokio::sync::oneshot;

use crate::paused_clock;

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How many runtimes are remembered. Programs have one or two runtimes; tests have many, one after another.
const MOST_MET: usize = 16;

/// Makes calls in the user's runtime if that runtime has I/O. Timers run on our own thread, because the user's runtime
/// may be blocked or have no timers.
#[derive(Clone)]
pub(crate) struct TokioReactor {
    clock: Clock,
    own: Arc<OnceLock<Handle>>,
    /// The most recently used runtimes of the user, and whether each has I/O.
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
        // Only a panic shows whether a runtime has I/O, so this is not tried if a panic ends the process.
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

    /// Tries I/O in a task without a call: tokio panics if I/O is missing, and offers no other way to find out.
    async fn is_able(&self) -> bool {
        let here = Handle::current();
        if let Some(has_io) = self.has_io(here.id()) {
            return has_io;
        }
        let trial = here.spawn(async { drop(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await) });
        // If the runtime ends meanwhile, it counts as having no I/O.
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

    fn hold_time(&self) -> Option<Hold> {
        paused_clock::hold()
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
        // Runs as a task of our runtime: a timer must not outlive its runtime, and ours ends with the last client.
        let (mut over, is_over) = oneshot::channel::<()>();
        own.spawn(async move {
            let mut timer = pin!(tokio::time::sleep(time));
            poll_fn(|cx| match timer.as_mut().poll(cx) {
                // Ends early if the waiter is dropped.
                Poll::Pending => over.poll_closed(cx),
                Poll::Ready(()) => Poll::Ready(()),
            })
            .await;
            let _ = over.send(());
        });
        Box::pin(async move {
            if is_over.await.is_err() {
                // The last client is gone, and with it the purpose of this wait.
                pending().await
            }
        })
    }

    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        // A request is written in one piece, so waiting for more data would only delay it.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}
