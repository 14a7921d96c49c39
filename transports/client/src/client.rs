//! The client.

use core::ops::Deref;
use std::fmt;
use std::sync::Arc;

use cycles_host::{Journal, Observer, Observers, Process};
use cycles_proto::{ConfigError, CyclesConfig, Error, TraceParent};

use crate::builder::CyclesClientBuilder;
use crate::gate::Gate;
use crate::parked::Lots;
use crate::replay::InUse;
use crate::runtime::Runtime;
use crate::slot::ClockOf;

/// A client of a Cycles server. Clones are cheap and share connections, journal and observer.
///
/// Its methods must be awaited in a runtime of its kind; in none at all they answer with an error. A client
/// may outlive a runtime and be used in several, one after the other or at once. In a child that was forked later every
/// call answers with [`ConfigError::Forked`], and what was reserved before is the parent's: make the client after a fork.
///
/// What goes on in the background ends with the last clone and the last guard: costs that were handed over are
/// settled or in their records by then, and what is left in the journal waits for the next client.
pub struct CyclesClient<R: Runtime> {
    state: Result<Ready<R>, ConfigError>,
}

/// A client that can be used. Every life has one, so it is small.
pub(crate) struct Ready<R: Runtime> {
    pub(crate) config: Arc<CyclesConfig>,
    pub(crate) parts: Arc<Parts<R>>,
}

/// What all clones of a client share.
#[derive(Clone)]
pub(crate) struct Parts<R: Runtime> {
    pub(crate) runtime: R,
    pub(crate) clock: ClockOf,
    pub(crate) journal: Journal,
    /// For reservations.
    pub(crate) gate: Gate,
    /// For plain calls, whose places are the caller's to free: nothing that a reservation needs may depend on that.
    pub(crate) plain: Gate,
    pub(crate) observers: Observers,
    pub(crate) replay: InUse,
    pub(crate) lots: Arc<Lots<R>>,
    pub(crate) process: Process,
}

/// How many exchanges of one client are under way at once, for its reservations and for plain calls each.
const EXCHANGES: usize = 64;

/// Nothing was sent, because there is nobody to send it.
pub(crate) fn no_runtime() -> ConfigError {
    ConfigError::Adapter("no async runtime is running here, or none with timers and I/O".to_owned())
}

impl<R: Runtime> CyclesClient<R> {
    /// Starts a client from the API key and the server's address.
    pub fn builder(api_key: impl Into<String>, base_url: impl Into<String>) -> CyclesClientBuilder<R> {
        CyclesClientBuilder::new(CyclesConfig::builder(api_key, base_url))
    }

    /// A client with this configuration.
    pub fn new(config: CyclesConfig) -> Self {
        Self::with_http(config, &R::Options::default())
    }

    /// A client with this configuration that reaches its server in this way. If it cannot, every call
    /// answers with the reason.
    pub fn with_http(config: CyclesConfig, options: &R::Options) -> Self {
        Self::start(config, options, None)
    }

    pub(crate) fn start(
        config: CyclesConfig,
        options: &R::Options,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let config = Arc::new(config.for_adapter(R::NAME));
        let state = R::new(&config, options).map(|runtime| {
            let (blocking, clock) = (runtime.clone(), runtime.clone());
            let parts = Parts {
                clock: Arc::new(move || clock.now()),
                journal: Journal::open(&config),
                gate: Gate::new(EXCHANGES),
                plain: Gate::new(EXCHANGES),
                observers: Observers::new(observer, move |work| blocking.run_blocking(work)),
                replay: InUse::default(),
                lots: Arc::default(),
                process: Process::current(),
                runtime,
            };
            Ready {
                config,
                parts: Arc::new(parts),
            }
        });
        Self { state }
    }

    pub(crate) fn unusable(error: ConfigError) -> Self {
        Self { state: Err(error) }
    }

    /// The configuration in use.
    ///
    /// # Errors
    /// [`Error::Config`] if the client was given one that cannot be used.
    pub fn config(&self) -> Result<&CyclesConfig, Error> {
        Ok(&self.ready()?.config)
    }

    /// The same client, but this is who is told what happens to reservations.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        if let Ok(ready) = &mut self.state {
            let blocking = ready.runtime.clone();
            let observers = Observers::new(Some(Arc::new(observer)), move |work| blocking.run_blocking(work));
            ready.parts = Arc::new(Parts {
                observers,
                ..Parts::clone(&ready.parts)
            });
        }
        self
    }

    /// A client on the same connections whose calls belong to the caller's trace.
    #[must_use]
    pub fn with_trace_parent(&self, parent: TraceParent) -> Self {
        let mut client = self.clone();
        if let Ok(ready) = &mut client.state {
            ready.config = Arc::new(ready.config.with_trace_parent(parent));
        }
        client
    }

    pub(crate) fn ready(&self) -> Result<&Ready<R>, Error> {
        let ready = self.state.as_ref().map_err(Clone::clone)?;
        ready.process.check()?;
        Ok(ready)
    }
}

impl<R: Runtime> Clone for CyclesClient<R> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
        }
    }
}

impl<R: Runtime> Clone for Ready<R> {
    fn clone(&self) -> Self {
        Self {
            config: Arc::clone(&self.config),
            parts: Arc::clone(&self.parts),
        }
    }
}

impl<R: Runtime> Deref for Ready<R> {
    type Target = Parts<R>;

    fn deref(&self) -> &Parts<R> {
        &self.parts
    }
}

impl<R: Runtime> fmt::Debug for CyclesClient<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CyclesClient")
            .field(&self.state.as_ref().map(|ready| &ready.config))
            .finish()
    }
}
