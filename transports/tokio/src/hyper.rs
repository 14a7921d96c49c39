//! Makes calls by hyper, in the runtime that they are begun in.
//!
//! That costs the least, as nobody else has to be woken. It is the user's runtime, though: it may stand still, end, or have no
//! I/O. So extensions are never made there, and what has not begun there within a second is made on our own thread.

use core::time::Duration;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use cycles_client::{Done, Transport};
use cycles_http::HttpClient;
use cycles_proto::{Call, Urgency};
use tokio::net::UdpSocket;
use tokio::runtime::{Handle, Id};

use crate::reactor::TokioReactor;

/// How long a call waits for the user's runtime to begin it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Programs have one runtime or two, tests have many, one after the other.
const MOST_MET: usize = 16;

#[derive(Clone)]
pub(crate) struct Hyper(Arc<Shared>);

struct Shared {
    http: HttpClient<TokioReactor>,
    /// That of our own thread.
    own: Arc<OnceLock<Handle>>,
    waiting: Mutex<Waiting>,
}

/// What the user's runtimes are to begin.
#[derive(Default)]
struct Waiting {
    calls: HashMap<u64, (Instant, Call, Done)>,
    last: u64,
    /// Whether somebody looks after them.
    is_watched: bool,
    /// The runtimes that were met last, and whether they have I/O.
    met: Vec<(Id, bool)>,
}

impl Hyper {
    pub(crate) fn new(http: HttpClient<TokioReactor>, own: Arc<OnceLock<Handle>>) -> Self {
        let waiting = Mutex::default();
        Self(Arc::new(Shared { http, own, waiting }))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runtime that runs here, if it is the user's and can make this call.
    fn here(&self, call: &Call) -> Option<Handle> {
        if matches!(call.urgency, Urgency::Lease(_)) {
            return None;
        }
        let here = Handle::try_current().ok()?;
        let is_own = self.0.own.get().is_some_and(|own| own.id() == here.id());
        (!is_own && self.waiting().has_io(here.id()) != Some(false)).then_some(here)
    }

    /// Makes it on our own thread.
    fn start_on_own(&self, call: Call, done: Done) {
        if let Some(own) = self.0.own.get() {
            own.spawn(done.carry(Box::pin(self.0.http.clone().exchange(call))));
        }
    }

    fn start_in(&self, here: &Handle, call: Call, done: Done) {
        let mut waiting = self.waiting();
        waiting.last += 1;
        let number = waiting.last;
        waiting.calls.insert(number, (Instant::now(), call, done));
        let is_watched = core::mem::replace(&mut waiting.is_watched, true);
        drop(waiting);
        if let (false, Some(own)) = (is_watched, self.0.own.get()) {
            own.spawn(self.clone().watch());
        }
        let beginning = Beginning {
            hyper: self.clone(),
            number,
        };
        here.spawn(beginning.run());
    }

    fn take(&self, number: u64) -> Option<(Call, Done)> {
        let (_, call, done) = self.waiting().calls.remove(&number)?;
        Some((call, done))
    }

    /// Makes what has not begun in time, until there is nothing that could.
    async fn watch(self) {
        loop {
            tokio::time::sleep(PATIENCE).await;
            let late: Vec<_> = {
                let mut waiting = self.waiting();
                let late = waiting
                    .calls
                    .extract_if(|_, (since, ..)| since.elapsed() >= PATIENCE);
                let late = late.map(|(_, (_, call, done))| (call, done)).collect();
                if waiting.calls.is_empty() {
                    waiting.is_watched = false;
                }
                late
            };
            for (call, done) in late {
                self.start_on_own(call, done);
            }
            if !self.waiting().is_watched {
                return;
            }
        }
    }
}

impl Transport for Hyper {
    fn start(&self, call: Call, done: Done) {
        match self.here(&call) {
            Some(here) => self.start_in(&here, call, done),
            None => self.start_on_own(call, done),
        }
    }

    fn may_wait_here(&self) -> bool {
        Handle::try_current().is_err()
    }
}

/// A call in the user's runtime.
struct Beginning {
    hyper: Hyper,
    number: u64,
}

impl Waiting {
    fn has_io(&self, runtime: Id) -> Option<bool> {
        let met = self.met.iter().find(|(met, _)| *met == runtime);
        met.map(|(_, has_io)| *has_io)
    }
}

impl Beginning {
    /// Whether this runtime has I/O. tokio does not tell, but panics where it is missed: a task that has no call finds out.
    async fn find_out_io(&self) -> bool {
        if cfg!(panic = "abort") {
            // There it would be the end of the process.
            return false;
        }
        let here = Handle::current();
        if let Some(has_io) = self.hyper.waiting().has_io(here.id()) {
            return has_io;
        }
        let trial = here.spawn(async { drop(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await) });
        // Not if the runtime ends meanwhile.
        let has_io = trial.await.is_ok();
        let mut waiting = self.hyper.waiting();
        if waiting.met.len() == MOST_MET {
            waiting.met.remove(0);
        }
        waiting.met.push((here.id(), has_io));
        has_io
    }

    async fn run(self) {
        // Without, the end of this has the call made elsewhere.
        if !self.find_out_io().await {
            return;
        }
        if let Some((call, done)) = self.hyper.take(self.number) {
            done.carry(Box::pin(self.hyper.0.http.clone().exchange(call)))
                .await;
        }
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        // The runtime has ended before it came to it.
        if let Some((call, done)) = self.hyper.take(self.number) {
            self.hyper.start_on_own(call, done);
        }
    }
}
