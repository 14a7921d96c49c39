//! The client.

use core::fmt;
use std::sync::Arc;

use cycles_host::Observer;
use cycles_proto::config::Settings;
use cycles_proto::models::Subject;
use cycles_proto::session::Caller;
use cycles_proto::{ConfigError, CyclesConfig, Error, Mode, TraceParent};

use crate::builder::Adapter;
use crate::engine::{Engine, Shared, Subscription};

/// The client of every adapter. Clones are cheap, and share their connections, journal, thread and observer.
///
/// The first call starts the adapter's background thread. Leases are kept alive and costs are settled even if no future
/// of the client is polled. Each future may be dropped at any time; its method's documentation says what happens then.
///
/// Create the client after a fork, not before: in a forked child every call returns [`ConfigError::Forked`], and
/// existing reservations belong to the parent.
///
/// When the last clone and the last guard are dropped, work in progress still finishes in the background. What remains
/// in the journal waits for the next client.
#[derive(Clone)]
pub struct Client {
    settings: Arc<Settings>,
    state: Result<Arc<Ready>, ConfigError>,
}

/// A client whose configuration is usable.
pub(crate) struct Ready {
    pub(crate) engine: Arc<Engine>,
    pub(crate) caller: Caller,
    /// Keeps the observer subscribed.
    subscription: Arc<Subscription>,
}

impl Client {
    /// Makes a client. If `state` is an error, every call returns it.
    pub(crate) fn new(settings: Settings, state: Result<Ready, ConfigError>) -> Self {
        Self {
            settings: Arc::new(settings),
            state: state.map(Arc::new),
        }
    }

    /// Returns the settings of the client, usable or not.
    pub fn config(&self) -> &Settings {
        &self.settings
    }

    /// Checks that the client can be used. Sends nothing.
    ///
    /// # Errors
    /// [`Error::Config`] if every call would return it: the settings cannot be used, or this process was forked from
    /// the one that made the client.
    pub fn check(&self) -> Result<(), Error> {
        let ready = self.state.as_ref().map_err(Clone::clone)?;
        Ok(ready.engine.shared().check()?)
    }

    /// Returns the same client with this [`Observer`] in place of the previous one, for reservations made with the
    /// returned client.
    #[must_use]
    pub fn with_observer(&self, observer: impl Observer) -> Self {
        self.with(|ready| {
            let subscription = ready.engine.subscribe(Some(Arc::new(observer)));
            Ready {
                engine: Arc::clone(&ready.engine),
                caller: ready.caller.clone().with_observer(subscription.id()),
                subscription,
            }
        })
    }

    /// Returns a client that uses the same connections, and whose calls belong to the caller's trace.
    #[must_use]
    pub fn with_trace_parent(&self, parent: TraceParent) -> Self {
        self.with(|ready| Ready {
            engine: Arc::clone(&ready.engine),
            caller: ready.caller.with_trace_parent(parent),
            subscription: Arc::clone(&ready.subscription),
        })
    }

    /// The engine, if the client can be used.
    pub(crate) fn shared(&self) -> Option<&Arc<Shared>> {
        let ready = self.state.as_ref().ok()?;
        Some(ready.engine.shared())
    }

    /// Returns a client that uses the same connections and timers, and whose [subject defaults](Self::config) are these.
    /// Levels that `subject` leaves out keep their defaults. Dimensions are added by name.
    ///
    /// One API key belongs to one tenant: for another tenant use [`with_credentials`](Self::with_credentials). If the
    /// new defaults are not valid, every call of the returned client returns that error.
    #[must_use]
    pub fn with_subject(&self, subject: Subject) -> Self {
        self.derive(|config| config.with_subject(subject))
            .unwrap_or_else(|error| Self {
                settings: Arc::clone(&self.settings),
                state: Err(error),
            })
    }

    /// Returns a client that uses the same connections, and whose guards, guarded actions and runs are in this mode. An
    /// action that [has a mode of its own](cycles_proto::with_cycles_config::WithCyclesConfig::mode) keeps it. A mode that
    /// is set here wins over `CYCLES_MODE`.
    ///
    /// ```
    /// # use cycles_client::{Client, Mode};
    /// # fn f(client: &Client) {
    /// // Payments never run without a budget, whatever CYCLES_MODE says.
    /// let payments = client.with_mode(Mode::Enforce);
    /// # }
    /// ```
    #[must_use]
    pub fn with_mode(&self, mode: Mode) -> Self {
        self.derive(|config| Ok(config.with_mode(mode)))
            .unwrap_or_else(|error| Self {
                settings: Arc::clone(&self.settings),
                state: Err(error),
            })
    }

    /// Returns a client for another tenant, with that tenant's API key. It uses the same connections, thread and
    /// observer; the other subject defaults stay. Calls of all tenants share the limit of 64 concurrent calls in turns,
    /// so that one tenant with many calls does not hold up another.
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
        let tenant = Subject::tenant(tenant);
        let subject = |config: &CyclesConfig| tenant.or(config.subject());
        Ok(self.derive(|config| config.for_principal(api_key.as_ref(), subject(config)))?)
    }

    /// Returns a client of the same engine with another configuration.
    fn derive(
        &self,
        change: impl FnOnce(&CyclesConfig) -> Result<CyclesConfig, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let ready = self.state.as_ref().map_err(Clone::clone)?;
        ready.engine.shared().check()?;
        let config = Arc::new(change(ready.caller.config())?);
        let caller = ready.engine.caller(Arc::clone(&config))?;
        Ok(Self {
            settings: Arc::new(config.settings().clone()),
            state: Ok(Arc::new(Ready {
                engine: Arc::clone(&ready.engine),
                caller: caller.with_observer(ready.subscription.id()),
                subscription: Arc::clone(&ready.subscription),
            })),
        })
    }

    fn with(&self, change: impl FnOnce(&Ready) -> Ready) -> Self {
        let state = self.state.as_ref().map_err(Clone::clone);
        let state = state.and_then(|ready| {
            ready.engine.shared().check()?;
            Ok(Arc::new(change(ready)))
        });
        Self {
            settings: Arc::clone(&self.settings),
            state,
        }
    }

    /// Returns the client's parts if the client can be used. Starts the clock if it is not running yet.
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
        let subscription = engine.subscribe(observer);
        Ok(Self {
            caller: caller.with_observer(subscription.id()),
            engine: Arc::new(engine),
            subscription,
        })
    }

    /// The caller, marked if this thread blocks for the answer.
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
            .field(&self.state.as_ref().map(|_| &self.settings))
            .finish()
    }
}
