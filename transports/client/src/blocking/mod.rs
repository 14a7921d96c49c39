//! The blocking client: no runtime, no `await`.

#[doc(hidden)]
pub mod attribute;
mod guard;
mod guard_meter;
mod operations;
mod pages;
mod run;
mod with_cycles;

use core::future::Future;
use core::time::Duration;

use cycles_host::Observer;
use cycles_proto::config::Settings;
use cycles_proto::{Error, Flushed, TraceParent};

pub use self::guard::ReservationGuard;
pub use self::guard_meter::Metered;

pub use self::run::{Kept, Run, StepContext};
pub use self::with_cycles::{try_with_cycles, with_cycles};
pub use crate::Settling;
use crate::engine::block_on;

/// A client whose methods block the calling thread. That thread makes the calls itself. May be used from any thread,
/// including one of an async runtime. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Client(crate::Client);

impl Client {
    /// Makes a blocking client from an async one.
    pub fn new(client: crate::Client) -> Self {
        Self(client)
    }

    /// Returns the settings of the client, usable or not. Does not block.
    pub fn config(&self) -> &Settings {
        self.0.config()
    }

    /// Checks that the client can be used. Sends nothing, and does not block.
    ///
    /// # Errors
    /// [`Error::Config`] if every call would return it: the settings cannot be used, or this process was forked from
    /// the one that made the client.
    pub fn check(&self) -> Result<(), Error> {
        self.0.check()
    }

    /// Returns the same client with this [`Observer`] in place of the previous one, for reservations made with the
    /// returned client. Does not block.
    #[must_use]
    pub fn with_observer(&self, observer: impl Observer) -> Self {
        Self(self.0.with_observer(observer))
    }

    /// Returns a client that uses the same connections, and whose calls belong to the caller's trace. Does not block.
    #[must_use]
    pub fn with_trace_parent(&self, parent: TraceParent) -> Self {
        Self(self.0.with_trace_parent(parent))
    }

    /// Settles what can be settled, from this process and from the journal. Blocks until nothing is in progress any
    /// more, or until `timeout` has passed. If another process is replaying the journal, or the journal could not be
    /// read, a last look at the journal takes up to a second longer. Call this at the end of a short script, because
    /// background threads end with the process. A good `timeout` is
    /// [`RetryPolicy::flush_timeout`](crate::RetryPolicy::flush_timeout), 10 s by default.
    ///
    /// # Errors
    /// [`Error::Config`] if the client cannot be used.
    pub fn flush(&self, timeout: Duration) -> Result<Flushed, Error> {
        self.wait(self.0.flush(timeout))
    }

    /// Like [`flush`](Self::flush), but also sends costs that were set aside as
    /// [stale](crate::proto::outcome::Aside::Stale): they were in the journal for so long that the server may have
    /// forgotten their keys. Each is sent with the recorded bytes and key. Costs that cannot be settled keep their
    /// files, and are counted in [`Flushed::recorded`].
    ///
    /// **This may charge a cost twice**: if an attempt got through back then and only its response was lost, the server
    /// may not remember it. Use it only if no attempt can have reached the ledger, such as after an outage that began
    /// before the first attempt, or after comparing the `*.stale` files in the journal with the ledger and deleting
    /// those that the ledger has. A reservation that the server no longer knows cannot be committed: its record
    /// stays, and a person can charge the cost with [`create_event`](Self::create_event).
    ///
    /// # Errors
    /// The same errors as [`flush`](Self::flush).
    pub fn flush_stale(&self, timeout: Duration) -> Result<Flushed, Error> {
        self.wait(self.0.flush_stale(timeout))
    }

    /// Blocks until the future is ready.
    pub(super) fn wait<T>(&self, asking: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        block_on(self.0.ready()?.engine.shared(), asking)
    }
}
