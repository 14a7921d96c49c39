//! The client.

use core::fmt;
use core::ops::Deref;

use cycles_client::{Client, Options};
use cycles_host::{HttpOptions, Observer};
use cycles_proto::{ConfigError, CyclesConfig, TraceParent};

use crate::background::connect;
use crate::executor;

/// A client of a Cycles server on hyper and the sockets of async-io, which async-std and smol have in common. Its methods are those of [`Client`], and can be awaited anywhere: what it needs run
/// runs on a thread of its own.
#[derive(Clone)]
pub struct CyclesClient(Client);

impl CyclesClient {
    /// Starts a client from the API key and the server's address.
    pub fn builder(api_key: impl Into<String>, base_url: impl Into<String>) -> CyclesClientBuilder {
        CyclesClientBuilder::new(api_key, base_url, make, Self)
    }

    /// A client with this configuration.
    pub fn new(config: CyclesConfig) -> Self {
        Self::with_http(config, HttpOptions::default())
    }

    /// A client with this configuration that reaches its server in this way. If it cannot, every call
    /// answers with the reason.
    pub fn with_http(config: CyclesConfig, http: HttpOptions) -> Self {
        let options = Options {
            http,
            ..Options::default()
        };
        Self(make(Ok(config), options))
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
}

impl Deref for CyclesClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

impl fmt::Debug for CyclesClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CyclesClient").field(&self.config()).finish()
    }
}

/// Collects settings; [`build`](cycles_client::CyclesClientBuilder::build) makes the client.
pub type CyclesClientBuilder = cycles_client::CyclesClientBuilder<CyclesClient>;

fn make(config: Result<CyclesConfig, ConfigError>, options: Options) -> cycles_client::Client {
    options.client(config, executor::NAME, connect)
}
