//! Makes a client from scratch.

use std::time::Duration;

use cycles_proto::config::RetryPolicy;
use cycles_proto::{CyclesConfigBuilder, Error, TraceParent};

use crate::client::CyclesClient;
use crate::http_options::HttpOptions;

/// Collects settings; [`build`](Self::build) makes the client.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CyclesClientBuilder {
    config: CyclesConfigBuilder,
    http: HttpOptions,
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

    /// Proxies and trust.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// The client. If something is wrong with the settings every call answers with that error;
    /// [`try_build`](Self::try_build) tells now.
    pub fn build(self) -> CyclesClient {
        match self.config.build() {
            Ok(config) => CyclesClient::with_http(config, &self.http),
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
