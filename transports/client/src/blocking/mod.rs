//! The blocking client: no runtime, no `await`.

#[doc(hidden)]
pub mod attribute;
mod guard;
mod guard_meter;
mod journal;
mod operations;
mod pages;
mod run;
mod with_cycles;

use core::future::Future;
use core::time::Duration;

use cycles_host::Observer;
use cycles_proto::config::Settings;
use cycles_proto::models::Subject;
use cycles_proto::session::Close;
use cycles_proto::{Error, Flushed, Mode, Stats, TraceParent};

pub use self::guard::ReservationGuard;
pub use self::guard_meter::Metered;
pub use self::journal::Journal;

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

    /// Returns the statistics of this client and its clones since it was created, by tenant: what was reserved, denied
    /// and charged, and what is under way. Takes no lock and does not block. All zero if the client cannot be used.
    ///
    /// [`Stats::to_prometheus`] is the text for a `/metrics` endpoint. With the feature `metrics` the same numbers also
    /// go to the recorder of the [`metrics`](https://docs.rs/metrics) crate, after each event.
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// Returns a client that uses the same connections and timers, and whose [subject defaults](Self::config) are these.
    /// Levels that `subject` leaves out keep their defaults. Dimensions are added by name. Does not block.
    ///
    /// One API key belongs to one tenant: for another tenant use [`with_credentials`](Self::with_credentials). If the
    /// new defaults are not valid, every call of the returned client returns that error.
    #[must_use]
    pub fn with_subject(&self, subject: Subject) -> Self {
        Self(self.0.with_subject(subject))
    }

    /// Returns a client that uses the same connections, and whose guards, guarded actions and runs are in this mode. An
    /// action that [has a mode of its own](cycles_proto::with_cycles_config::WithCyclesConfig::mode) keeps it. A mode that
    /// is set here wins over `CYCLES_MODE`. Does not block.
    #[must_use]
    pub fn with_mode(&self, mode: Mode) -> Self {
        Self(self.0.with_mode(mode))
    }

    /// Returns a client for another tenant, with that tenant's API key. It uses the same connections, thread and
    /// observer; the other subject defaults stay. Calls that no blocked thread makes share the limit of 64 concurrent
    /// calls in turns, so that one tenant with many calls does not hold up another. Does not block.
    ///
    /// Each key and tenant have a journal directory of their own. A [`flush`](Self::flush) covers the key and tenant of
    /// the client on which it is called, and no other. Calling this again with the same arguments gives another handle
    /// to the same key and tenant. Their state is kept until the last client is dropped, so use a new client for
    /// tenants that come and go.
    ///
    /// # Errors
    /// [`Error::Config`] if the key or the tenant is not valid, or if this client cannot be used. Nothing is sent: a key
    /// that the server does not accept is found out by the first call.
    pub fn with_credentials(
        &self,
        api_key: impl AsRef<str>,
        tenant: impl Into<String>,
    ) -> Result<Self, Error> {
        self.0.with_credentials(api_key, tenant).map(Self)
    }

    /// Settles what can be settled, from this process and from the journal. Blocks until nothing is in progress any
    /// more, or until `timeout` has passed. If another process is replaying the journal, or the journal could not be
    /// read, a last look at the journal takes up to a second longer. Call this at the end of a short script, because
    /// background threads end with the process. A good `timeout` is
    /// [`RetryPolicy::flush_timeout`](crate::RetryPolicy::flush_timeout), 10 s by default.
    ///
    /// Covers the API key and tenant of this client. Flush the clients that
    /// [`with_credentials`](Self::with_credentials) returned as well.
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

    /// Closes this client and everything that shares its connections: its clones, and clients made from it for other
    /// observers, traces or credentials. From now on every new reservation and call returns [`Error::Closed`]. Then:
    ///
    /// 1. Actions that run are waited for. With [`Close::WhenDone`] they run to their end; with [`Close::Leaving`] they
    ///    are asked to stop, which an action sees from [`Lease::is_stopping`](crate::Lease::is_stopping). What an action
    ///    had spent is charged, otherwise its budget is given back. Leases are extended and costs are accepted until
    ///    the end.
    /// 2. Everything is [flushed](Self::flush), for every key and tenant.
    ///
    /// [`Close::WritingOnly`] sends nothing any more: costs are only written to the journal, for the next run.
    ///
    /// Blocks until all that is done, or until `timeout` has passed, or up to a second longer if a journal still has to
    /// be read or written. When the time is up, the reported spending of actions that still run is committed. Other
    /// actions that were asked to stop give their budget back. With `WhenDone` they keep it until their leases end,
    /// because their costs may still come: these are accepted as long as the process lives.
    ///
    /// [`Flushed`] says what is left, for all keys and tenants together; costs that are left stay in the journal. Closing
    /// again can make the close stricter and earlier, and once it is over, returns the same result, unless a stricter
    /// way still has something to do. An action must not close its own client with `WhenDone`: it would wait for itself.
    ///
    /// # Errors
    /// [`Error::Config`] if the client cannot be used.
    pub fn close(&self, how: Close, timeout: Duration) -> Result<Flushed, Error> {
        self.wait(self.0.close(how, timeout))
    }

    /// Blocks until the future is ready.
    pub(super) fn wait<T>(&self, asking: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.wait_for(asking)
    }

    /// Blocks until the future is ready; with an error of its own.
    fn wait_for<T, E: From<Error>>(&self, asking: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        block_on(self.0.ready()?.engine.shared(), asking)
    }
}
