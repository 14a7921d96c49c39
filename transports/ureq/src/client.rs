//! The client.

use core::fmt;
use core::ops::Deref;

use cycles_client::Options;
use cycles_client::blocking::Client;
use cycles_host::{HttpOptions, Observer};
use cycles_proto::models::Subject;
use cycles_proto::{CyclesConfig, Error, Mode, TraceParent};

use crate::background::connect;

/// A client of a Cycles server, on ureq. Its methods are those of [`Client`], and block the calling thread. It may be
/// used from any thread, including one of an async runtime: timers and background work run on threads of its own.
#[derive(Clone)]
pub struct CyclesClient(Client);

impl CyclesClient {
    /// Returns a builder for a client with this API key and server address.
    pub fn builder(api_key: impl Into<String>, base_url: impl Into<String>) -> CyclesClientBuilder {
        CyclesClientBuilder::new(api_key, base_url, make, |client| Self(Client::new(client)))
    }

    /// Makes a client with this configuration, and with the proxies and certificates of the environment and the system.
    pub fn new(config: CyclesConfig) -> Self {
        Self::with_http(config, HttpOptions::default())
    }

    /// Makes a client with this configuration, and with these proxies and certificates. If they cannot be used, every
    /// call returns that error.
    pub fn with_http(config: CyclesConfig, http: HttpOptions) -> Self {
        let options = Options {
            http,
            ..Options::default()
        };
        Self(Client::new(make(config, options)))
    }

    /// Returns the same client with this [`Observer`] in place of the previous one, for reservations made with the
    /// returned client.
    #[must_use]
    pub fn with_observer(&self, observer: impl Observer) -> Self {
        Self(self.0.with_observer(observer))
    }

    /// Returns a client that uses the same connections, and whose calls belong to the caller's trace.
    #[must_use]
    pub fn with_trace_parent(&self, parent: TraceParent) -> Self {
        Self(self.0.with_trace_parent(parent))
    }

    /// Returns a client that uses the same connections and timers, and whose [subject defaults](Client::config) are
    /// these. Levels that `subject` leaves out keep their defaults. Dimensions are added by name.
    ///
    /// One API key belongs to one tenant: for another tenant use [`with_credentials`](Self::with_credentials). If the
    /// new defaults are not valid, every call of the returned client returns that error.
    #[must_use]
    pub fn with_subject(&self, subject: Subject) -> Self {
        Self(self.0.with_subject(subject))
    }

    /// Returns a client that uses the same connections, and whose guards, guarded actions and runs are in this mode. An
    /// action that [has a mode of its own](crate::WithCyclesConfig::mode) keeps it. A mode that is set here wins over
    /// `CYCLES_MODE`.
    #[must_use]
    pub fn with_mode(&self, mode: Mode) -> Self {
        Self(self.0.with_mode(mode))
    }

    /// Returns a client for another tenant, with that tenant's API key, on the same connections. Each key and tenant
    /// have a journal directory of their own, and a [`flush`](Client::flush) covers one of them; see
    /// [`Client::with_credentials`].
    ///
    /// # Errors
    /// [`Error::Config`] if the key or the tenant is not valid, or if this client cannot be used.
    pub fn with_credentials(
        &self,
        api_key: impl AsRef<str>,
        tenant: impl Into<String>,
    ) -> Result<Self, Error> {
        self.0.with_credentials(api_key, tenant).map(Self)
    }
}

impl Deref for CyclesClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

impl fmt::Debug for CyclesClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CyclesClient")
            .field(&self.check().map(|()| self.config()))
            .finish()
    }
}

/// Collects the settings of a client; [`build`](cycles_client::CyclesClientBuilder::build) makes the client.
pub type CyclesClientBuilder = cycles_client::CyclesClientBuilder<CyclesClient>;

fn make(config: CyclesConfig, options: Options) -> cycles_client::Client {
    options.client(config, "ureq", connect)
}
