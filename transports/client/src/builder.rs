//! What a client is told when it is made.

use core::fmt;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use cycles_host::{HttpOptions, Observer};
use cycles_proto::config::RetryPolicy;
use cycles_proto::{ConfigError, CyclesConfig, CyclesConfigBuilder, Error, TraceParent};

use crate::client::{Client, Ready};
use crate::transport::{Clock, Transport};

/// What a client is told beside its configuration.
#[derive(Clone, Default)]
pub struct Options {
    /// Proxies and trust.
    pub http: HttpOptions,
    /// Who is told what happens to reservations.
    pub observer: Option<Arc<dyn Observer>>,
    /// In place of the adapter's.
    pub transport: Option<Arc<dyn Transport>>,
    /// In place of the adapter's.
    pub clock: Option<Arc<dyn Clock>>,
}

/// What an adapter brings.
pub type Adapter = (Arc<dyn Transport>, Arc<dyn Clock>);

impl Options {
    /// A client that is called `name` in `User-Agent`, with what `adapter` makes of the configuration where nothing else was
    /// given. If it cannot be used every call answers with that error.
    pub fn client(
        self,
        config: Result<CyclesConfig, ConfigError>,
        name: &'static str,
        adapter: impl FnOnce(&CyclesConfig, &HttpOptions) -> Result<Adapter, ConfigError>,
    ) -> Client {
        Client::new(config.and_then(|config| self.ready(config, name, adapter)))
    }

    fn ready(
        self,
        config: CyclesConfig,
        name: &'static str,
        adapter: impl FnOnce(&CyclesConfig, &HttpOptions) -> Result<Adapter, ConfigError>,
    ) -> Result<Ready, ConfigError> {
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let config = Arc::new(config.for_adapter(name));
        let adapter = match (self.transport, self.clock) {
            (Some(transport), Some(clock)) => (transport, clock),
            (None, Some(_)) => {
                let problem =
                    "`clock` needs `transport` beside it: the adapter's own transport has its own time";
                return Err(ConfigError::Adapter(problem.to_owned()));
            }
            (transport, None) => {
                let (own, clock) = adapter(&config, &self.http)?;
                (transport.unwrap_or(own), clock)
            }
        };
        Ready::new(config, adapter, self.observer)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").finish_non_exhaustive()
    }
}

/// Collects settings; [`build`](Self::build) makes the client, which is an adapter's.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct CyclesClientBuilder<C> {
    config: CyclesConfigBuilder,
    options: Options,
    make: Make,
    named: fn(Client) -> C,
}

/// How an adapter makes a client.
type Make = fn(Result<CyclesConfig, ConfigError>, Options) -> Client;

impl<C> CyclesClientBuilder<C> {
    /// For an adapter: `make` makes the client that `named` makes one of the adapter's of.
    #[doc(hidden)]
    pub fn new(
        api_key: impl Into<String>,
        base_url: impl Into<String>,
        make: Make,
        named: fn(Client) -> C,
    ) -> Self {
        Self {
            config: CyclesConfig::builder(api_key, base_url),
            options: Options::default(),
            make,
            named,
        }
    }

    /// As [`CyclesConfigBuilder::tenant`].
    pub fn tenant(self, tenant: impl Into<String>) -> Self {
        self.with(|config| config.tenant(tenant))
    }

    /// As [`CyclesConfigBuilder::workspace`].
    pub fn workspace(self, workspace: impl Into<String>) -> Self {
        self.with(|config| config.workspace(workspace))
    }

    /// As [`CyclesConfigBuilder::app`].
    pub fn app(self, app: impl Into<String>) -> Self {
        self.with(|config| config.app(app))
    }

    /// As [`CyclesConfigBuilder::workflow`].
    pub fn workflow(self, workflow: impl Into<String>) -> Self {
        self.with(|config| config.workflow(workflow))
    }

    /// As [`CyclesConfigBuilder::agent`].
    pub fn agent(self, agent: impl Into<String>) -> Self {
        self.with(|config| config.agent(agent))
    }

    /// As [`CyclesConfigBuilder::toolset`].
    pub fn toolset(self, toolset: impl Into<String>) -> Self {
        self.with(|config| config.toolset(toolset))
    }

    /// As [`CyclesConfigBuilder::connect_timeout`].
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.connect_timeout(timeout))
    }

    /// As [`CyclesConfigBuilder::read_timeout`].
    pub fn read_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.read_timeout(timeout))
    }

    /// As [`CyclesConfigBuilder::retry`].
    pub fn retry(self, retry: RetryPolicy) -> Self {
        self.with(|config| config.retry(retry))
    }

    /// As [`CyclesConfigBuilder::retry_enabled`].
    pub fn retry_enabled(self, enabled: bool) -> Self {
        self.with(|config| config.retry_enabled(enabled))
    }

    /// As [`CyclesConfigBuilder::retry_max_attempts`].
    pub fn retry_max_attempts(self, max_attempts: u32) -> Self {
        self.with(|config| config.retry_max_attempts(max_attempts))
    }

    /// As [`CyclesConfigBuilder::retry_initial_delay`].
    pub fn retry_initial_delay(self, delay: Duration) -> Self {
        self.with(|config| config.retry_initial_delay(delay))
    }

    /// As [`CyclesConfigBuilder::retry_multiplier`].
    pub fn retry_multiplier(self, multiplier: f64) -> Self {
        self.with(|config| config.retry_multiplier(multiplier))
    }

    /// As [`CyclesConfigBuilder::retry_max_delay`].
    pub fn retry_max_delay(self, delay: Duration) -> Self {
        self.with(|config| config.retry_max_delay(delay))
    }

    /// As [`CyclesConfigBuilder::journal_enabled`].
    pub fn journal_enabled(self, enabled: bool) -> Self {
        self.with(|config| config.journal_enabled(enabled))
    }

    /// As [`CyclesConfigBuilder::journal_dir`].
    pub fn journal_dir(self, dir: impl Into<PathBuf>) -> Self {
        self.with(|config| config.journal_dir(dir))
    }

    /// As [`CyclesConfigBuilder::trace_parent`].
    pub fn trace_parent(self, parent: TraceParent) -> Self {
        self.with(|config| config.trace_parent(parent))
    }

    /// How the server is reached: proxies and trust.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.options.http = options;
        self
    }

    /// Who is told what happens to reservations.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.options.observer = Some(Arc::new(observer));
        self
    }

    /// What makes the calls, in place of the adapter's own.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.options.transport = Some(Arc::new(transport));
        self
    }

    /// The time, in place of the machine's: a test drives both sides by it.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.options.clock = Some(Arc::new(clock));
        self
    }

    /// The client. If something is wrong with the settings every call answers with that error;
    /// [`try_build`](Self::try_build) tells now.
    pub fn build(self) -> C {
        (self.named)((self.make)(self.config.build(), self.options))
    }

    /// The client, or what is wrong with the settings.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn try_build(self) -> Result<C, Error> {
        let client = (self.make)(self.config.build(), self.options);
        client.config()?;
        Ok((self.named)(client))
    }

    fn with(mut self, set: impl FnOnce(CyclesConfigBuilder) -> CyclesConfigBuilder) -> Self {
        self.config = set(self.config);
        self
    }
}

impl<C> fmt::Debug for CyclesClientBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CyclesClientBuilder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
