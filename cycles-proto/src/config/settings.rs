//! The settings that a configuration is made of.

use core::fmt;
use core::time::Duration;
use std::path::{Path, PathBuf};

use super::base_url::BaseUrl;
use super::{ConfigError, CyclesConfig, Mode, RetryPolicy, parse_key};
use crate::api_key::GivenKey;
use crate::models::Subject;

/// The default of [`Settings::max_concurrent_calls`].
pub(crate) const MAX_CONCURRENT_CALLS: usize = 64;

/// The settings of a client, each as given or at its default. A [`CyclesConfig`] derefs to its settings.
///
/// To derive a configuration from another one, change a copy of its settings and [check](Self::check) that:
///
/// ```
/// use cycles_proto::CyclesConfig;
///
/// let config = CyclesConfig::builder("cyc_live_...", "http://localhost:7878").tenant("acme-corp").build()?;
/// assert_eq!(config.base_url, "http://localhost:7878");
/// assert_eq!(config.tenant.as_deref(), Some("acme-corp"));
///
/// let mut settings = config.settings().clone();
/// settings.workspace = Some("staging".into());
/// assert_eq!(settings.check()?.subject().workspace.as_deref(), Some("staging"));
/// # Ok::<(), cycles_proto::config::ConfigError>(())
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The server's address.
    pub base_url: String,
    /// The API key.
    pub api_key: GivenKey,
    /// Whether the ledger's decisions are obeyed, as by default, or only reported. An action can have a mode of its own.
    pub mode: Mode,
    /// The default tenant, which helpers use unless a request names another; the same applies to the next five fields.
    pub tenant: Option<String>,
    /// The default workspace.
    pub workspace: Option<String>,
    /// The default app.
    pub app: Option<String>,
    /// The default workflow.
    pub workflow: Option<String>,
    /// The default agent.
    pub agent: Option<String>,
    /// The default toolset.
    pub toolset: Option<String>,
    /// How long connecting may take, including name resolution and TLS; 2 s by default.
    pub connect_timeout: Duration,
    /// How long the rest of an attempt may take; 5 s by default.
    pub read_timeout: Duration,
    /// How long a reservation may take in all: waiting for a place, its first attempt, the repetition, and the check of
    /// a replayed grant. `None`, the default, is twice the connect and the read timeout together, 14 s if those are not
    /// set either. See [`CyclesConfig::longest_reserve`].
    pub reserve_timeout: Option<Duration>,
    /// The age at which the heartbeat of an action that is still running stops, counted from the grant; `None`, the
    /// default, is never. The lease then runs out.
    pub max_lease_age: Option<Duration>,
    /// How many attempts the client and its clones make at the same time; 64 by default.
    pub max_concurrent_calls: usize,
    /// [`RetryPolicy::enabled`].
    pub retry_enabled: bool,
    /// [`RetryPolicy::max_attempts`].
    pub retry_max_attempts: u32,
    /// [`RetryPolicy::initial_delay`].
    pub retry_initial_delay: Duration,
    /// [`RetryPolicy::multiplier`].
    pub retry_multiplier: f64,
    /// [`RetryPolicy::max_delay`].
    pub retry_max_delay: Duration,
    /// [`RetryPolicy::flush_timeout`].
    pub retry_flush_timeout: Duration,
    /// Whether unsettled costs are kept on disk; yes by default. If not, a [`Session`](crate::Session) never asks to
    /// store a record.
    pub journal_enabled: bool,
    /// The directory for unsettled costs, if it was given. A leading `~/` is the user's home directory.
    pub journal_dir: Option<PathBuf>,
}

impl Settings {
    pub(super) fn new(api_key: String, base_url: String) -> Self {
        let retry = RetryPolicy::default();
        Self {
            base_url,
            api_key: GivenKey::new(api_key),
            mode: Mode::default(),
            tenant: None,
            workspace: None,
            app: None,
            workflow: None,
            agent: None,
            toolset: None,
            connect_timeout: Duration::from_secs(2),
            read_timeout: Duration::from_secs(5),
            reserve_timeout: None,
            max_lease_age: None,
            max_concurrent_calls: MAX_CONCURRENT_CALLS,
            retry_enabled: retry.enabled,
            retry_max_attempts: retry.max_attempts,
            retry_initial_delay: retry.initial_delay,
            retry_multiplier: retry.multiplier,
            retry_max_delay: retry.max_delay,
            retry_flush_timeout: retry.flush_timeout,
            journal_enabled: true,
            journal_dir: None,
        }
    }

    pub(super) fn set_retry(&mut self, retry: &RetryPolicy) {
        self.retry_enabled = retry.enabled;
        self.retry_max_attempts = retry.max_attempts;
        self.retry_initial_delay = retry.initial_delay;
        self.retry_multiplier = retry.multiplier;
        self.retry_max_delay = retry.max_delay;
        self.retry_flush_timeout = retry.flush_timeout;
    }

    /// Validates the settings and builds a configuration from them.
    ///
    /// # Errors
    /// The first problem that is found. The message does not quote the key.
    pub fn check(mut self) -> Result<CyclesConfig, ConfigError> {
        match (
            looks_like_url(self.api_key.expose()),
            looks_like_key(&self.base_url),
        ) {
            (true, true) => return Err(ConfigError::Swapped),
            (true, false) => return Err(ConfigError::ApiKey("is a URL; a key starts with cyc_live_")),
            (false, true) => return Err(ConfigError::BaseUrl("is an API key")),
            (false, false) => {}
        }
        let key = parse_key(self.api_key.expose())?;
        let base = BaseUrl::parse(self.base_url.clone())?;
        let subject = self.subject();
        subject.check_partial().map_err(ConfigError::Subject)?;
        positive("the connect timeout", self.connect_timeout)?;
        positive("the read timeout", self.read_timeout)?;
        for (name, time) in [
            ("the reserve timeout", self.reserve_timeout),
            ("the maximum age of a lease", self.max_lease_age),
        ] {
            time.map_or(Ok(()), |time| positive(name, time))?;
        }
        if self.max_concurrent_calls == 0 {
            return Err(ConfigError::OutOfRange {
                name: "the maximum of concurrent calls",
                problem: "must be 1 or more",
            });
        }
        if !(1.0..=f64::MAX).contains(&self.retry_multiplier) {
            return Err(ConfigError::OutOfRange {
                name: "the retry multiplier",
                problem: "must be 1 or more",
            });
        }
        let dir = self.journal_dir.as_deref().map(Path::to_string_lossy);
        if dir.is_some_and(|dir| dir.contains(char::is_control)) {
            return Err(ConfigError::OutOfRange {
                name: "the journal's directory",
                problem: "contains a line break or another control character: remove it",
            });
        }
        for duration in [
            &mut self.connect_timeout,
            &mut self.read_timeout,
            &mut self.retry_initial_delay,
            &mut self.retry_max_delay,
            &mut self.retry_flush_timeout,
        ] {
            *duration = bounded(*duration);
        }
        for limit in [&mut self.reserve_timeout, &mut self.max_lease_age] {
            *limit = limit.map(bounded);
        }
        let config = CyclesConfig {
            base,
            key,
            user_agent: http::HeaderValue::from_static("cycles-rust"),
            subject,
            retry: self.retry(),
            settings: self,
            trace_parent: None,
        };
        Ok(config.for_adapter("proto"))
    }

    /// The default subject.
    pub fn subject(&self) -> Subject {
        Subject {
            tenant: self.tenant.clone(),
            workspace: self.workspace.clone(),
            app: self.app.clone(),
            workflow: self.workflow.clone(),
            agent: self.agent.clone(),
            toolset: self.toolset.clone(),
            ..Subject::default()
        }
    }

    /// The same settings with another key and these subject defaults.
    pub(super) fn for_principal(&self, api_key: &str, subject: &Subject) -> Self {
        Self {
            api_key: GivenKey::new(api_key.to_owned()),
            ..self.with_subject(subject)
        }
    }

    /// The same settings with these subject defaults.
    pub(super) fn with_subject(&self, subject: &Subject) -> Self {
        Self {
            tenant: subject.tenant.clone(),
            workspace: subject.workspace.clone(),
            app: subject.app.clone(),
            workflow: subject.workflow.clone(),
            agent: subject.agent.clone(),
            toolset: subject.toolset.clone(),
            ..self.clone()
        }
    }

    fn retry(&self) -> RetryPolicy {
        RetryPolicy {
            enabled: self.retry_enabled,
            max_attempts: self.retry_max_attempts,
            initial_delay: self.retry_initial_delay,
            multiplier: self.retry_multiplier,
            max_delay: self.retry_max_delay,
            flush_timeout: self.retry_flush_timeout,
        }
    }
}

/// Never shows the key, and shows the address only if it is one: the two may be swapped.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = BaseUrl::parse(self.base_url.clone());
        let shown = address.as_ref().map_or("[not a URL]", |_| &self.base_url);
        f.debug_struct("Settings")
            .field("base_url", &shown)
            .field("api_key", &self.api_key)
            .field("mode", &self.mode)
            .field("subject", &self.subject())
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("reserve_timeout", &self.reserve_timeout)
            .field("max_lease_age", &self.max_lease_age)
            .field("max_concurrent_calls", &self.max_concurrent_calls)
            .field("retry", &self.retry())
            .field("journal_enabled", &self.journal_enabled)
            .field("journal_dir", &self.journal_dir)
            .finish()
    }
}

fn looks_like_url(text: &str) -> bool {
    text.contains("://") && !text.starts_with("file:")
}

fn looks_like_key(text: &str) -> bool {
    text.starts_with("cyc_")
}

/// Caps a duration at a year: clocks overflow with the longest durations, and no one waits that long.
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
