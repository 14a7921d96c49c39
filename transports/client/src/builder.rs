//! The settings of a client.

use core::fmt;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use cycles_host::{HttpOptions, Observer};
use cycles_proto::config::RetryPolicy;
use cycles_proto::{ConfigError, CyclesConfig, CyclesConfigBuilder, Error, Mode, TraceParent};

use crate::client::{Client, Ready};
use crate::engine::GivenTime;
use crate::transport::{Clock, Transport};

/// The settings of a client in addition to its configuration.
#[derive(Clone, Default)]
pub struct Options {
    /// Proxies and trusted certificates; by default the environment's and the system's.
    pub http: HttpOptions,
    /// Receives events about reservations; none by default. Events are logged in any case.
    pub observer: Option<Arc<dyn Observer>>,
    /// Replaces the adapter's transport.
    pub transport: Option<Arc<dyn Transport>>,
    /// Replaces the adapter's clock. The adapter's own transport still takes the machine's time for connecting.
    pub clock: Option<Arc<dyn Clock>>,
}

/// An adapter: its transport and its clock.
pub type Adapter = (Arc<dyn Transport>, Arc<dyn Clock>);

impl Options {
    /// Makes a client that calls itself `name` in `User-Agent`. `adapter` makes the transport and the clock that the
    /// options do not replace. If the client cannot be set up, every call returns that error.
    pub fn client(
        self,
        config: CyclesConfig,
        name: &'static str,
        adapter: impl FnOnce(&CyclesConfig, &HttpOptions) -> Result<Adapter, ConfigError>,
    ) -> Client {
        Client::new(config.settings().clone(), self.ready(config, name, adapter))
    }

    fn ready(
        self,
        config: CyclesConfig,
        name: &'static str,
        adapter: impl FnOnce(&CyclesConfig, &HttpOptions) -> Result<Adapter, ConfigError>,
    ) -> Result<Ready, ConfigError> {
        for warning in config.warnings() {
            tracing::warn!(target: "cycles", "{warning}");
        }
        let config = Arc::new(config.for_adapter(name));
        let adapter: Adapter = match (self.transport, self.clock) {
            (Some(transport), Some(clock)) => (transport, clock),
            (None, Some(given)) => {
                let (transport, own) = adapter(&config, &self.http)?;
                (transport, Arc::new(GivenTime { own, given }))
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

/// Collects the settings of an adapter's client; [`build`](Self::build) makes the client.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct CyclesClientBuilder<C> {
    config: CyclesConfigBuilder,
    options: Options,
    make: Make,
    named: fn(Client) -> C,
}

/// An adapter's function that makes a client.
type Make = fn(CyclesConfig, Options) -> Client;

impl<C> CyclesClientBuilder<C> {
    /// For an adapter: `make` makes the client, and `named` wraps it in the adapter's own type.
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

    /// Sets whether the ledger's decisions are obeyed ([`Mode::Enforce`], the default) or only reported
    /// ([`Mode::Shadow`]). An action can have a mode of its own.
    pub fn mode(self, mode: Mode) -> Self {
        self.with(|config| config.mode(mode))
    }

    /// Sets the default tenant, for reservations by guards, `with_cycles` and the attribute that do not name a tenant.
    /// Unset by default, as are the other subject fields below.
    pub fn tenant(self, tenant: impl Into<String>) -> Self {
        self.with(|config| config.tenant(tenant))
    }

    /// Sets the default workspace.
    pub fn workspace(self, workspace: impl Into<String>) -> Self {
        self.with(|config| config.workspace(workspace))
    }

    /// Sets the default app.
    pub fn app(self, app: impl Into<String>) -> Self {
        self.with(|config| config.app(app))
    }

    /// Sets the default workflow.
    pub fn workflow(self, workflow: impl Into<String>) -> Self {
        self.with(|config| config.workflow(workflow))
    }

    /// Sets the default agent.
    pub fn agent(self, agent: impl Into<String>) -> Self {
        self.with(|config| config.agent(agent))
    }

    /// Sets the default toolset.
    pub fn toolset(self, toolset: impl Into<String>) -> Self {
        self.with(|config| config.toolset(toolset))
    }

    /// Sets how long connecting may take; 2 s by default. More than a year counts as a year, as with every duration
    /// here.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.connect_timeout(timeout))
    }

    /// Sets how long the rest of an attempt may take; 5 s by default.
    pub fn read_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.read_timeout(timeout))
    }

    /// Sets how long a reservation may take in all, from the call to the answer: waiting for a place, the first attempt,
    /// the repetition, and the check of a replayed grant. By default twice the connect and the read timeout together,
    /// 14 s if those are not set either.
    pub fn reserve_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.reserve_timeout(timeout))
    }

    /// Sets the age at which the heartbeat of an action that is still running stops, counted from the grant; never by
    /// default. The lease then runs out, which frees the budget of an action that hangs. A cost is still accepted.
    pub fn max_lease_age(self, age: Duration) -> Self {
        self.with(|config| config.max_lease_age(age))
    }

    /// Sets how many attempts the client and its clones make at the same time; 64 by default. A quarter is for
    /// extensions. Calls that a blocked caller makes on its own thread are not counted.
    pub fn max_concurrent_calls(self, calls: usize) -> Self {
        self.with(|config| config.max_concurrent_calls(calls))
    }

    /// Sets the whole [`RetryPolicy`]: whether, how often and after what delays calls with an unknown outcome are
    /// repeated. The default is [`RetryPolicy::default`].
    pub fn retry(self, retry: RetryPolicy) -> Self {
        self.with(|config| config.retry(retry))
    }

    /// Sets whether calls with an unknown outcome are repeated; yes by default.
    pub fn retry_enabled(self, enabled: bool) -> Self {
        self.with(|config| config.retry_enabled(enabled))
    }

    /// Sets how often a settlement is repeated; 5 times by default.
    pub fn retry_max_attempts(self, max_attempts: u32) -> Self {
        self.with(|config| config.retry_max_attempts(max_attempts))
    }

    /// Sets the longest wait before the first repetition; 500 ms by default.
    pub fn retry_initial_delay(self, delay: Duration) -> Self {
        self.with(|config| config.retry_initial_delay(delay))
    }

    /// Sets the factor by which the wait grows from one repetition to the next; 2 by default.
    pub fn retry_multiplier(self, multiplier: f64) -> Self {
        self.with(|config| config.retry_multiplier(multiplier))
    }

    /// Sets the longest wait between two attempts; 30 s by default.
    pub fn retry_max_delay(self, delay: Duration) -> Self {
        self.with(|config| config.retry_max_delay(delay))
    }

    /// Sets how long a flush should wait for unsettled costs; 10 s by default.
    pub fn retry_flush_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.retry_flush_timeout(timeout))
    }

    /// Sets whether unsettled costs are kept on disk; yes by default.
    pub fn journal_enabled(self, enabled: bool) -> Self {
        self.with(|config| config.journal_enabled(enabled))
    }

    /// Sets the directory in which unsettled costs are kept; `~/.runcycles/commit-journal` by default. A leading `~/`
    /// stands for the user's home directory.
    pub fn journal_dir(self, dir: impl Into<PathBuf>) -> Self {
        self.with(|config| config.journal_dir(dir))
    }

    /// Sets the caller's place in a trace, sent with every call; none by default.
    pub fn trace_parent(self, parent: TraceParent) -> Self {
        self.with(|config| config.trace_parent(parent))
    }

    /// Sets proxies and trusted certificates; by default those of the environment and of the system.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.options.http = options;
        self
    }

    /// Sets the observer of [events](crate::Event) about reservations; none by default. They are logged in any case.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.options.observer = Some(Arc::new(observer));
        self
    }

    /// Replaces the adapter's transport.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.options.transport = Some(Arc::new(transport));
        self
    }

    /// Replaces the adapter's clock, for example with a [`TestClock`](crate::TestClock) that a test moves. Leases, beats,
    /// retries and the deadlines of attempts follow it. The adapter's own transport takes the machine's time for
    /// connecting and for idle connections, as long as it is not [replaced](Self::transport) too.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.options.clock = Some(Arc::new(clock));
        self
    }

    /// Makes the client; connects to nothing and starts no thread. If the settings cannot be used, every call returns
    /// that error; [`try_build`](Self::try_build) returns it right away.
    pub fn build(self) -> C {
        let settings = self.config.settings().clone();
        (self.named)(match self.config.build() {
            Ok(config) => (self.make)(config, self.options),
            Err(error) => Client::new(settings, Err(error)),
        })
    }

    /// Makes the client, or returns what is wrong with the settings.
    ///
    /// # Errors
    /// [`Error::Config`] if the settings cannot be used.
    pub fn try_build(self) -> Result<C, Error> {
        let client = (self.make)(self.config.build()?, self.options);
        client.check()?;
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
