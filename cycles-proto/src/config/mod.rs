//! The configuration of a client, validated once when it is built.

mod base_url;
mod builder;
mod env;
mod pasted;
mod settings;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

pub use crate::api_key::{ApiKey, GivenKey};
pub use builder::CyclesConfigBuilder;
pub use settings::Settings;

use crate::models::{InvalidRequest, Subject};
use crate::trace_parent::TraceParent;
use base_url::BaseUrl;
use http::HeaderValue;

/// A validated configuration. It derefs to its [`Settings`], which can be read but not changed.
///
/// ```
/// use cycles_proto::CyclesConfig;
///
/// let config = CyclesConfig::builder("cyc_live_...", "http://localhost:7878").tenant("acme-corp").build()?;
/// assert_eq!(config.subject().tenant.as_deref(), Some("acme-corp"));
/// # Ok::<(), cycles_proto::config::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct CyclesConfig {
    settings: Settings,
    base: BaseUrl,
    key: ApiKey,
    user_agent: HeaderValue,
    subject: Subject,
    retry: RetryPolicy,
    trace_parent: Option<TraceParent>,
}

/// When calls with an unknown outcome are repeated.
///
/// ```
/// use cycles_proto::config::RetryPolicy;
///
/// let mut retry = RetryPolicy::default();
/// retry.max_attempts = 3;
/// ```
///
/// Plain operations use `enabled` only. Settlements use the other fields too, and releases use the waits. Adapters use
/// `flush_timeout`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Whether calls are repeated at all; yes by default.
    pub enabled: bool,
    /// How many times a settlement is repeated after the first attempt; 5 by default.
    pub max_attempts: u32,
    /// The wait before the first repetition; 500 ms by default.
    pub initial_delay: Duration,
    /// The factor by which each wait is longer than the one before, 1 or more; 2 by default.
    pub multiplier: f64,
    /// The longest wait; 30 s by default.
    pub max_delay: Duration,
    /// How long a flush waits for unsettled costs; 10 s by default.
    pub flush_timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            max_attempts: 5,
            initial_delay: Duration::from_millis(500),
            multiplier: 2.0,
            max_delay: Duration::from_secs(30),
            flush_timeout: Duration::from_secs(10),
        }
    }
}

/// What is wrong with a configuration, and how to fix it. The message quotes no value, because a value may be a secret
/// in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A required environment variable is missing or empty.
    #[error("{0} is not set")]
    Missing(String),
    /// An environment variable has a value that cannot be read.
    #[error("{variable} {problem}")]
    Malformed {
        /// The variable.
        variable: String,
        /// The problem, worded to follow the name.
        problem: String,
    },
    /// The API key and the base URL were swapped.
    #[error("the API key and the base URL are swapped: the key comes first, then the URL")]
    Swapped,
    /// The API key is not valid.
    #[error("the API key {0}")]
    ApiKey(&'static str),
    /// The base URL is not valid.
    #[error("the base URL {0}; it should look like http://localhost:7878")]
    BaseUrl(&'static str),
    /// The base URL contains part of the path that the client adds itself; the correct URL is inside.
    #[error("the base URL must end before /v1, which the client adds itself: use {0}")]
    BaseUrlWithPath(String),
    /// A field of the default subject breaks a limit.
    #[error("{0}")]
    Subject(InvalidRequest),
    /// A setting is out of its range.
    #[error("{name} {problem}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// The problem, worded to follow the name.
        problem: &'static str,
    },
    /// The client was made before a fork, and this is the child process.
    #[error(
        "this process was forked from the one that made the client, so the client's connections and threads do not \
         exist here: make a client in each child, after the fork"
    )]
    Forked,
    /// The configuration is for a different server than the session's.
    #[error("this configuration is for a different server than the client's: make another client for it")]
    OtherServer,
    /// The client was closed.
    #[error("the client is closed; make another, or close this one later")]
    Closed,
    /// The adapter cannot be set up.
    #[error("{0}")]
    Adapter(String),
}

/// [`ConfigError::Adapter`] with this text, for transports that cannot be set up.
impl From<&str> for ConfigError {
    fn from(problem: &str) -> Self {
        Self::Adapter(problem.to_owned())
    }
}

/// [`ConfigError::Adapter`] with this text, for transports that cannot be set up.
impl From<String> for ConfigError {
    fn from(problem: String) -> Self {
        Self::Adapter(problem)
    }
}

impl CyclesConfig {
    /// Creates a configuration with the defaults for everything else.
    ///
    /// # Errors
    /// What is wrong with the key or the URL.
    pub fn new(api_key: impl Into<String>, base_url: impl Into<String>) -> Result<Self, ConfigError> {
        Self::builder(api_key, base_url).build()
    }

    /// Starts a configuration: the API key (`cyc_live_…`), then the server's address.
    pub fn builder(api_key: impl Into<String>, base_url: impl Into<String>) -> CyclesConfigBuilder {
        CyclesConfigBuilder::new(api_key.into(), base_url.into())
    }

    /// The settings that it was made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn server(&self) -> Arc<str> {
        self.base.shared()
    }

    /// Whether the server is reached over TLS.
    pub fn is_https(&self) -> bool {
        self.base.is_https()
    }

    /// The API key.
    pub fn api_key(&self) -> &ApiKey {
        &self.key
    }

    /// The default subject: helpers take the levels that a request leaves out from it. Low-level calls send only what
    /// they are given.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// How long one attempt may take in total: connecting, sending and receiving.
    pub fn attempt_timeout(&self) -> Duration {
        self.settings
            .connect_timeout
            .saturating_add(self.settings.read_timeout)
    }

    /// How calls are repeated.
    pub fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// The caller's place in a trace, sent with every call.
    pub fn trace_parent(&self) -> Option<&TraceParent> {
        self.trace_parent.as_ref()
    }

    /// Returns the same configuration for another key with these defaults, for example for another tenant.
    ///
    /// # Errors
    /// What is wrong with the key or the defaults.
    pub fn for_principal(&self, api_key: &str, subject: Subject) -> Result<Self, ConfigError> {
        subject.check_partial().map_err(ConfigError::Subject)?;
        Ok(Self {
            key: parse_key(api_key)?,
            settings: self.settings.for_principal(api_key, &subject),
            subject,
            ..self.clone()
        })
    }

    /// Returns the same configuration within this trace.
    #[must_use]
    pub fn with_trace_parent(&self, parent: TraceParent) -> Self {
        Self {
            trace_parent: Some(parent),
            ..self.clone()
        }
    }

    /// Returns the same configuration for the named adapter, which the `User-Agent` mentions.
    #[must_use]
    pub fn for_adapter(mut self, adapter: &'static str) -> Self {
        let text = format!("cycles-rust/{} ({adapter})", env!("CARGO_PKG_VERSION"));
        if let Ok(value) = HeaderValue::try_from(text) {
            self.user_agent = value;
        }
        self
    }

    /// Settings that are allowed but look like mistakes, as sentences to log once.
    pub fn warnings(&self) -> Vec<String> {
        [
            ("connect timeout", self.settings.connect_timeout),
            ("read timeout", self.settings.read_timeout),
        ]
        .into_iter()
        .filter(|(_, timeout)| *timeout < SUSPICIOUS_TIMEOUT)
        .map(|(name, timeout)| format!("the {name} is {timeout:?}: did you mean seconds?"))
        .collect()
    }

    pub(crate) fn base(&self) -> &BaseUrl {
        &self.base
    }

    pub(crate) fn user_agent(&self) -> &HeaderValue {
        &self.user_agent
    }
}

impl core::ops::Deref for CyclesConfig {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

impl fmt::Debug for CyclesConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CyclesConfig")
            .field("settings", &self.settings)
            .field("user_agent", &self.user_agent)
            .field("trace_parent", &self.trace_parent)
            .finish()
    }
}

/// Parses the key.
fn parse_key(text: &str) -> Result<ApiKey, ConfigError> {
    let problem = pasted::along_with_key(text);
    problem
        .map_or_else(|| ApiKey::parse(text), Err)
        .map_err(ConfigError::ApiKey)
}

/// A timeout shorter than this was probably meant to be in seconds.
const SUSPICIOUS_TIMEOUT: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
