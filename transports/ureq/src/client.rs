//! The client.

use std::fmt;
use std::sync::Arc;

use cycles_host::{Observer, Observers};
use cycles_proto::{ConfigError, CyclesConfig, Error, TraceParent};

use crate::builder::CyclesClientBuilder;
use crate::engine::{Engine, InUse};
use cycles_host::HttpOptions;

/// A client of a Cycles server whose methods block the thread that calls them. Clones are cheap, share
/// connections, journal, threads and observer, and may be used from any thread, also one of an async runtime.
///
/// In a child that was forked later every call answers with [`ConfigError::Forked`], and what was reserved before is the
/// parent's: make the client after a fork.
#[derive(Clone)]
pub struct CyclesClient {
    state: Result<Ready, ConfigError>,
}

/// A client that can be used.
#[derive(Clone)]
pub(crate) struct Ready {
    pub(crate) config: Arc<CyclesConfig>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) observers: Observers,
    _in_use: Arc<InUse>,
}

impl CyclesClient {
    /// Starts a client from the API key and the server's address.
    pub fn builder(api_key: impl Into<String>, base_url: impl Into<String>) -> CyclesClientBuilder {
        CyclesClientBuilder::new(CyclesConfig::builder(api_key, base_url))
    }

    /// A client with this configuration.
    pub fn new(config: CyclesConfig) -> Self {
        Self::with_http(config, &HttpOptions::default())
    }

    /// A client with this configuration that reaches its server in this way. If it cannot, every call
    /// answers with the reason.
    pub fn with_http(config: CyclesConfig, options: &HttpOptions) -> Self {
        Self::start(config, options, None)
    }

    pub(crate) fn start(
        config: CyclesConfig,
        options: &HttpOptions,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let config = Arc::new(config.for_adapter("ureq"));
        let engine = Engine::new(Arc::clone(&config), options);
        let state = engine.map(|engine| Ready {
            config,
            observers: Observers::new(observer),
            _in_use: Arc::new(InUse(Arc::clone(&engine))),
            engine,
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
            ready.observers = Observers::new(Some(Arc::new(observer)));
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

    pub(crate) fn ready(&self) -> Result<&Ready, Error> {
        let ready = self.state.as_ref().map_err(Clone::clone)?;
        ready.engine.process.check()?;
        Ok(ready)
    }
}

impl fmt::Debug for CyclesClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CyclesClient")
            .field(&self.state.as_ref().map(|ready| &ready.config))
            .finish()
    }
}
