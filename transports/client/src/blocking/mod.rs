//! The same client for threads that wait: no runtime, no `await`.

#[doc(hidden)]
pub mod attribute;
mod guard;
mod meter;
mod operations;
mod pages;
mod with_cycles;

use core::future::Future;
use core::time::Duration;

use cycles_host::Observer;
use cycles_proto::{CyclesConfig, Error, Flushed, TraceParent};

pub use self::guard::ReservationGuard;
pub use self::meter::Metered;

pub use self::with_cycles::{try_with_cycles, with_cycles};
pub use crate::Settling;
use crate::engine::block_on;

/// A client whose methods block the thread that calls them, which makes the calls itself. May be used from any thread, also
/// one of an async runtime. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Client(crate::Client);

impl Client {
    /// The same client, waited for.
    pub fn new(client: crate::Client) -> Self {
        Self(client)
    }

    /// The configuration in use.
    ///
    /// # Errors
    /// [`Error::Config`] if the client was given one that cannot be used.
    pub fn config(&self) -> Result<&CyclesConfig, Error> {
        self.0.config()
    }

    /// The same client, but this is who is told what happens to reservations.
    #[must_use]
    pub fn with_observer(&self, observer: impl Observer) -> Self {
        Self(self.0.with_observer(observer))
    }

    /// A client on the same connections whose calls belong to the caller's trace.
    #[must_use]
    pub fn with_trace_parent(&self, parent: TraceParent) -> Self {
        Self(self.0.with_trace_parent(parent))
    }

    /// Settles what can be settled, of this process and in the journal, and returns when nothing more is under
    /// way or after `timeout`, whichever comes first; up to a second later if the journal was left to another process or
    /// could not be read, for a last look at it. It is what a short script ends with: a process that ends
    /// takes its threads along. Without an argument of its own,
    /// [`RetryPolicy::flush_timeout`](crate::RetryPolicy::flush_timeout) is a good one.
    ///
    /// # Errors
    /// [`Error::Config`] if the client cannot be used.
    pub fn flush(&self, timeout: Duration) -> Result<Flushed, Error> {
        self.wait(self.0.flush(timeout))
    }

    /// As [`flush`](Self::flush), and sends what was set aside as [stale](crate::proto::outcome::Aside::Stale) too:
    /// costs that were in the journal for so long that the server may have forgotten their keys. Each is sent with
    /// the bytes and the key that were recorded. What stays keeps its file, and is counted in
    /// [`Flushed::recorded`].
    ///
    /// **It may charge a cost twice**: if an attempt got through back then and only its answer was lost, the
    /// server knows no more that it did. It is safe for costs that no attempt can have brought into the ledger,
    /// as after an outage that began before the first of them; and after somebody compared the `*.stale` files in
    /// the journal with the ledger and took away those that it has. A reservation that the server does not know
    /// any more cannot be committed: such a record stays, for a person to charge with
    /// [`create_event`](Self::create_event).
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn flush_stale(&self, timeout: Duration) -> Result<Flushed, Error> {
        self.wait(self.0.flush_stale(timeout))
    }

    /// Blocks until it is over.
    fn wait<T>(&self, asking: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        block_on(self.0.ready()?.engine.shared(), asking)
    }
}
