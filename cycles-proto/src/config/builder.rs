//! The builder of a configuration.

use core::fmt;
use core::time::Duration;
use std::path::{Path, PathBuf};

use super::base_url::BaseUrl;
use super::{ConfigError, CyclesConfig, JournalConfig, RetryPolicy, parse_key};
use crate::keys::TraceParent;
use crate::models::Subject;

/// Builds a [`CyclesConfig`]; [`build`](Self::build) validates the settings.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct CyclesConfigBuilder {
    api_key: String,
    base_url: String,
    pub(super) subject: Subject,
    pub(super) connect_timeout: Duration,
    pub(super) read_timeout: Duration,
    pub(super) retry: RetryPolicy,
    pub(super) journal: JournalConfig,
    trace_parent: Option<TraceParent>,
}

impl CyclesConfigBuilder {
    pub(super) fn new(api_key: String, base_url: String) -> Self {
        Self {
            api_key,
            base_url,
            subject: Subject::default(),
            connect_timeout: Duration::from_secs(2),
            read_timeout: Duration::from_secs(5),
            retry: RetryPolicy::default(),
            journal: JournalConfig {
                enabled: true,
                dir: None,
            },
            trace_parent: None,
        }
    }

    /// Sets the default tenant, which helpers use unless a request names another.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.subject.tenant = Some(tenant.into());
        self
    }

    /// Sets the default workspace.
    pub fn workspace(mut self, workspace: impl Into<String>) -> Self {
        self.subject.workspace = Some(workspace.into());
        self
    }

    /// Sets the default app.
    pub fn app(mut self, app: impl Into<String>) -> Self {
        self.subject.app = Some(app.into());
        self
    }

    /// Sets the default workflow.
    pub fn workflow(mut self, workflow: impl Into<String>) -> Self {
        self.subject.workflow = Some(workflow.into());
        self
    }

    /// Sets the default agent.
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.subject.agent = Some(agent.into());
        self
    }

    /// Sets the default toolset.
    pub fn toolset(mut self, toolset: impl Into<String>) -> Self {
        self.subject.toolset = Some(toolset.into());
        self
    }

    /// Sets how long connecting may take; 2 s by default. This and every other duration here is capped at a year.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long the rest of an attempt may take; 5 s by default.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// Sets when calls with an unknown outcome are repeated.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets whether calls with an unknown outcome are repeated; yes by default.
    pub fn retry_enabled(mut self, enabled: bool) -> Self {
        self.retry.enabled = enabled;
        self
    }

    /// Sets [`RetryPolicy::max_attempts`]: how often a settlement is repeated; 5 by default.
    pub fn retry_max_attempts(mut self, max_attempts: u32) -> Self {
        self.retry.max_attempts = max_attempts;
        self
    }

    /// Sets [`RetryPolicy::initial_delay`]: the longest wait before the first repetition; half a second by default.
    pub fn retry_initial_delay(mut self, delay: Duration) -> Self {
        self.retry.initial_delay = delay;
        self
    }

    /// Sets [`RetryPolicy::multiplier`]: the factor between one wait and the next; 2 by default.
    pub fn retry_multiplier(mut self, multiplier: f64) -> Self {
        self.retry.multiplier = multiplier;
        self
    }

    /// Sets [`RetryPolicy::max_delay`]: the longest wait; 30 s by default.
    pub fn retry_max_delay(mut self, delay: Duration) -> Self {
        self.retry.max_delay = delay;
        self
    }

    /// Sets whether unsettled costs are kept on disk; yes by default.
    pub fn journal_enabled(mut self, enabled: bool) -> Self {
        self.journal.enabled = enabled;
        self
    }

    /// Sets the directory for unsettled costs; `~/.runcycles/commit-journal` by default. A leading `~/` is the user's
    /// home directory.
    pub fn journal_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.journal.dir = Some(dir.into());
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
        match (looks_like_url(&self.api_key), looks_like_key(&self.base_url)) {
            (true, true) => return Err(ConfigError::Swapped),
            (true, false) => return Err(ConfigError::ApiKey("is a URL; a key starts with cyc_live_")),
            (false, true) => return Err(ConfigError::BaseUrl("is an API key")),
            (false, false) => {}
        }
        let api_key = parse_key(&self.api_key)?;
        let base_url = BaseUrl::parse(self.base_url)?;
        self.subject.check_partial().map_err(ConfigError::Subject)?;
        positive("the connect timeout", self.connect_timeout)?;
        positive("the read timeout", self.read_timeout)?;
        if !(1.0..=f64::MAX).contains(&self.retry.multiplier) {
            return Err(ConfigError::OutOfRange {
                name: "the retry multiplier",
                problem: "must be 1 or more",
            });
        }
        let dir = self.journal.dir.as_deref().map(Path::to_string_lossy);
        if dir.is_some_and(|dir| dir.contains(char::is_control)) {
            return Err(ConfigError::OutOfRange {
                name: "the journal's directory",
                problem: "contains a line break or another control character: remove it",
            });
        }
        let config = CyclesConfig {
            base_url,
            api_key,
            user_agent: http::HeaderValue::from_static("cycles-rust"),
            subject: self.subject,
            connect_timeout: bounded(self.connect_timeout),
            read_timeout: bounded(self.read_timeout),
            retry: RetryPolicy {
                initial_delay: bounded(self.retry.initial_delay),
                max_delay: bounded(self.retry.max_delay),
                flush_timeout: bounded(self.retry.flush_timeout),
                ..self.retry
            },
            journal: self.journal,
            trace_parent: self.trace_parent,
        };
        Ok(config.for_adapter("proto"))
    }
}

/// Shows neither the key nor the URL: they are unchecked and may be swapped.
impl fmt::Debug for CyclesConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CyclesConfigBuilder")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

fn looks_like_url(text: &str) -> bool {
    text.contains("://") && !text.starts_with("file:")
}

fn looks_like_key(text: &str) -> bool {
    text.starts_with("cyc_")
}

/// Caps a duration at a year: clocks overflow with the longest ones, and no one waits for that long.
fn bounded(duration: Duration) -> Duration {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    duration.min(YEAR)
}

fn positive(name: &'static str, timeout: Duration) -> Result<(), ConfigError> {
    if timeout.is_zero() {
        return Err(ConfigError::OutOfRange {
            name,
            problem: "must be longer than 0",
        });
    }
    Ok(())
}
