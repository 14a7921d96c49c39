//! The builder of a configuration.

use core::fmt;
use core::time::Duration;
use std::path::PathBuf;

use super::{ConfigError, CyclesConfig, Mode, RetryPolicy, Settings};
use crate::trace_parent::TraceParent;

/// Builds a [`CyclesConfig`]; [`build`](Self::build) validates the settings.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct CyclesConfigBuilder {
    pub(super) settings: Settings,
    trace_parent: Option<TraceParent>,
}

impl CyclesConfigBuilder {
    pub(super) fn new(api_key: String, base_url: String) -> Self {
        Self {
            settings: Settings::new(api_key, base_url),
            trace_parent: None,
        }
    }

    /// Sets whether the ledger's decisions are obeyed ([`Mode::Enforce`], the default) or only reported
    /// ([`Mode::Shadow`]). An action can have a mode of its own.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.settings.mode = mode;
        self
    }

    /// Sets the default tenant, which helpers use unless a request names another.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.settings.tenant = Some(tenant.into());
        self
    }

    /// Sets the default workspace.
    pub fn workspace(mut self, workspace: impl Into<String>) -> Self {
        self.settings.workspace = Some(workspace.into());
        self
    }

    /// Sets the default app.
    pub fn app(mut self, app: impl Into<String>) -> Self {
        self.settings.app = Some(app.into());
        self
    }

    /// Sets the default workflow.
    pub fn workflow(mut self, workflow: impl Into<String>) -> Self {
        self.settings.workflow = Some(workflow.into());
        self
    }

    /// Sets the default agent.
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.settings.agent = Some(agent.into());
        self
    }

    /// Sets the default toolset.
    pub fn toolset(mut self, toolset: impl Into<String>) -> Self {
        self.settings.toolset = Some(toolset.into());
        self
    }

    /// Sets how long connecting may take; 2 s by default. This and every other duration here is capped at a year.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// Sets how long the rest of an attempt may take; 5 s by default.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.settings.read_timeout = timeout;
        self
    }

    /// Sets how long a reservation may take in all, from the call to the answer: waiting for a place, the first attempt,
    /// the repetition, and the check of a replayed grant. By default twice the connect and the read timeout together,
    /// 14 s if those are not set either.
    pub fn reserve_timeout(mut self, timeout: Duration) -> Self {
        self.settings.reserve_timeout = Some(timeout);
        self
    }

    /// Sets the age at which the heartbeat of an action that is still running stops, counted from the grant; never by
    /// default. The lease then runs out, which frees the budget of an action that hangs. A cost is still accepted.
    pub fn max_lease_age(mut self, age: Duration) -> Self {
        self.settings.max_lease_age = Some(age);
        self
    }

    /// Sets how many attempts the client and its clones make at the same time; 64 by default. A quarter is for
    /// extensions. Calls that a blocked caller makes on its own thread are not counted.
    pub fn max_concurrent_calls(mut self, calls: usize) -> Self {
        self.settings.max_concurrent_calls = calls;
        self
    }

    /// Sets when calls with an unknown outcome are repeated.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.settings.set_retry(&retry);
        self
    }

    /// Sets whether calls with an unknown outcome are repeated; yes by default.
    pub fn retry_enabled(mut self, enabled: bool) -> Self {
        self.settings.retry_enabled = enabled;
        self
    }

    /// Sets [`RetryPolicy::max_attempts`]: how often a settlement is repeated; 5 by default.
    pub fn retry_max_attempts(mut self, max_attempts: u32) -> Self {
        self.settings.retry_max_attempts = max_attempts;
        self
    }

    /// Sets [`RetryPolicy::initial_delay`]: the longest wait before the first repetition; half a second by default.
    pub fn retry_initial_delay(mut self, delay: Duration) -> Self {
        self.settings.retry_initial_delay = delay;
        self
    }

    /// Sets [`RetryPolicy::multiplier`]: the factor between one wait and the next; 2 by default.
    pub fn retry_multiplier(mut self, multiplier: f64) -> Self {
        self.settings.retry_multiplier = multiplier;
        self
    }

    /// Sets [`RetryPolicy::max_delay`]: the longest wait; 30 s by default.
    pub fn retry_max_delay(mut self, delay: Duration) -> Self {
        self.settings.retry_max_delay = delay;
        self
    }

    /// Sets [`RetryPolicy::flush_timeout`]: how long a flush should wait for unsettled costs; 10 s by default.
    pub fn retry_flush_timeout(mut self, timeout: Duration) -> Self {
        self.settings.retry_flush_timeout = timeout;
        self
    }

    /// Sets whether unsettled costs are kept on disk; yes by default.
    pub fn journal_enabled(mut self, enabled: bool) -> Self {
        self.settings.journal_enabled = enabled;
        self
    }

    /// Sets the directory for unsettled costs; `~/.runcycles/commit-journal` by default. A leading `~/` is the user's
    /// home directory.
    pub fn journal_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.settings.journal_dir = Some(dir.into());
        self
    }

    /// Sets the caller's place in a trace, which is sent with every call.
    pub fn trace_parent(mut self, parent: TraceParent) -> Self {
        self.trace_parent = Some(parent);
        self
    }

    /// Validates the settings and builds the configuration.
    ///
    /// # Errors
    /// The first problem that is found. The message does not quote the key.
    pub fn build(self) -> Result<CyclesConfig, ConfigError> {
        let config = self.settings.check()?;
        Ok(CyclesConfig {
            trace_parent: self.trace_parent,
            ..config
        })
    }

    /// The settings so far, not yet validated.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// Shows neither the key nor the URL: they are unchecked and may be swapped.
impl fmt::Debug for CyclesConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CyclesConfigBuilder")
            .field("subject", &self.settings.subject())
            .finish_non_exhaustive()
    }
}
