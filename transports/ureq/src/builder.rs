//! Makes a client from scratch.

use std::sync::Arc;
use std::time::Duration;

use cycles_host::Observer;
use cycles_proto::config::RetryPolicy;
use cycles_proto::{CyclesConfigBuilder, Error, TraceParent};

use crate::client::CyclesClient;
use cycles_host::HttpOptions;

/// Collects settings; [`build`](Self::build) makes the client.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct CyclesClientBuilder {
    config: CyclesConfigBuilder,
    http: HttpOptions,
    observer: Option<Arc<dyn Observer>>,
}

/// Setters that hand their argument on to the configuration's builder.
macro_rules! settings {
    ($($name:ident: $type:ty,)+) => {
        $(
            #[doc = concat!("As [`CyclesConfigBuilder::", stringify!($name), "`].")]
            pub fn $name(mut self, $name: $type) -> Self {
                self.config = self.config.$name($name);
                self
            }
        )+
    };
}

impl CyclesClientBuilder {
    pub(crate) fn new(config: CyclesConfigBuilder) -> Self {
        Self {
            config,
            http: HttpOptions::default(),
            observer: None,
        }
    }

    settings! {
        tenant: impl Into<String>,
        workspace: impl Into<String>,
        app: impl Into<String>,
        workflow: impl Into<String>,
        agent: impl Into<String>,
        toolset: impl Into<String>,
        connect_timeout: Duration,
        read_timeout: Duration,
        retry: RetryPolicy,
        retry_enabled: bool,
        journal_enabled: bool,
        journal_dir: impl Into<std::path::PathBuf>,
        trace_parent: TraceParent,
    }

    /// How the server is reached: proxies and trust.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// Who is told what happens to reservations.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// The client. If something is wrong with the settings every call answers with that error;
    /// [`try_build`](Self::try_build) tells now.
    pub fn build(self) -> CyclesClient {
        match self.config.build() {
            Ok(config) => CyclesClient::start(config, &self.http, self.observer),
            Err(error) => CyclesClient::unusable(error),
        }
    }

    /// The client, or what is wrong with the settings.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn try_build(self) -> Result<CyclesClient, Error> {
        let client = self.build();
        client.config()?;
        Ok(client)
    }
}

impl std::fmt::Debug for CyclesClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CyclesClientBuilder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
