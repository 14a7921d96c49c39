//! The client.

use core::fmt;
use std::sync::Arc;

use cycles_host::Observer;
use cycles_proto::session::Caller;
use cycles_proto::{ConfigError, CyclesConfig, Error, TraceParent};

use crate::builder::Adapter;
use crate::engine::{Engine, Observed};

/// What every adapter's client is. Clones are cheap, and share connections, journal, thread and observer.
///
/// In a child that was forked later every call answers with [`ConfigError::Forked`], and what was reserved before is the
/// parent's: make the client after a fork.
///
/// With the last clone and the last guard what is under way is still brought to its end in the background; what is left in
/// the journal waits for the next client.
#[derive(Clone)]
pub struct Client {
    state: Result<Arc<Ready>, ConfigError>,
}

/// A client that can be used.
pub(crate) struct Ready {
    pub(crate) engine: Arc<Engine>,
    pub(crate) caller: Caller,
    /// Kept for as long as something may be told to it.
    observed: Arc<Observed>,
}

impl Client {
    /// With an error every call answers with it.
    pub(crate) fn new(state: Result<Ready, ConfigError>) -> Self {
        Self {
            state: state.map(Arc::new),
        }
    }

    /// The configuration in use.
    ///
    /// # Errors
    /// [`Error::Config`] if the client was given one that cannot be used.
    pub fn config(&self) -> Result<&CyclesConfig, Error> {
        let ready = self.state.as_ref().map_err(Clone::clone)?;
        ready.engine.shared().check()?;
        Ok(ready.caller.config())
    }

    /// The same client, but this is who is told what happens to reservations.
    #[must_use]
    pub fn with_observer(&self, observer: impl Observer) -> Self {
        self.with(|ready| {
            let observed = ready.engine.observe(Some(Arc::new(observer)));
            Ready {
                engine: Arc::clone(&ready.engine),
                caller: ready.caller.clone().with_observer(observed.id()),
                observed,
            }
        })
    }

    /// A client on the same connections whose calls belong to the caller's trace.
    #[must_use]
    pub fn with_trace_parent(&self, parent: TraceParent) -> Self {
        self.with(|ready| Ready {
            engine: Arc::clone(&ready.engine),
            caller: ready.caller.with_trace_parent(parent),
            observed: Arc::clone(&ready.observed),
        })
    }

    fn with(&self, change: impl FnOnce(&Ready) -> Ready) -> Self {
        let state = self.state.as_ref().map_err(Clone::clone);
        let state = state.and_then(|ready| {
            ready.engine.shared().check()?;
            Ok(Arc::new(change(ready)))
        });
        Self { state }
    }

    /// The client's parts, if it can be used. Starts the thread that keeps the time if there is none yet.
    pub(crate) fn ready(&self) -> Result<&Arc<Ready>, Error> {
        let ready = self.state.as_ref().map_err(Clone::clone)?;
        let shared = ready.engine.shared();
        shared.check()?;
        shared.start()?;
        Ok(ready)
    }
}

impl Ready {
    pub(crate) fn new(
        config: Arc<CyclesConfig>,
        adapter: Adapter,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, ConfigError> {
        let engine = Engine::new(&config, adapter)?;
        let caller = engine.caller(config)?;
        let observed = engine.observe(observer);
        Ok(Self {
            caller: caller.with_observer(observed.id()),
            engine: Arc::new(engine),
            observed,
        })
    }

    /// Who asks, and whether it blocks for the answer.
    pub(crate) fn caller_here(&self) -> Caller {
        let caller = self.caller.clone();
        #[cfg(feature = "blocking")]
        if crate::engine::is_helped_here(self.engine.shared()) {
            return caller.blocking();
        }
        caller
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client")
            .field(&self.state.as_ref().map(|ready| ready.caller.config()))
            .finish()
    }
}
