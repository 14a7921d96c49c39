//! Makes a client from scratch.

use std::sync::Arc;
use std::time::Duration;

use cycles_host::Observer;
use cycles_proto::config::RetryPolicy;
use cycles_proto::{CyclesConfigBuilder, Error, TraceParent};

use crate::client::CyclesClient;
use crate::runtime::Runtime;

/// Collects settings; [`build`](Self::build) makes the client.
#[must_use = "a builder does nothing until `build`"]
pub struct CyclesClientBuilder<R: Runtime> {
    config: CyclesConfigBuilder,
    http: R::Options,
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

impl<R: Runtime> CyclesClientBuilder<R> {
    pub(crate) fn new(config: CyclesConfigBuilder) -> Self {
        Self {
            config,
            http: R::Options::default(),
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

    /// Proxies and trust, as far as the adapter has a say in them.
    pub fn http(mut self, options: R::Options) -> Self {
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
    pub fn build(self) -> CyclesClient<R> {
        match self.config.build() {
            Ok(config) => CyclesClient::start(config, &self.http, self.observer),
            Err(error) => CyclesClient::unusable(error),
        }
    }

    /// The client, or what is wrong with the settings.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn try_build(self) -> Result<CyclesClient<R>, Error> {
        let client = self.build();
        client.config()?;
        Ok(client)
    }
}

impl<R: Runtime> Clone for CyclesClientBuilder<R> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            http: self.http.clone(),
            observer: self.observer.clone(),
        }
    }
}

impl<R: Runtime> std::fmt::Debug for CyclesClientBuilder<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CyclesClientBuilder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
