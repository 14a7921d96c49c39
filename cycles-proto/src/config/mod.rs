//! How a client is set up, checked once so that nothing can go wrong with it later.

mod base_url;
mod builder;
mod copied;
mod env;

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::api_key::ApiKey;
pub use builder::CyclesConfigBuilder;

use crate::keys::TraceParent;
use crate::models::{InvalidRequest, Subject};
use base_url::BaseUrl;
use http::HeaderValue;

/// A checked configuration.
///
/// ```
/// use cycles_proto::CyclesConfig;
///
/// let config = CyclesConfig::builder("cyc_live_...", "http://localhost:7878").tenant("acme-corp").build()?;
/// assert_eq!(config.subject().tenant.as_deref(), Some("acme-corp"));
/// # Ok::<(), cycles_proto::config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CyclesConfig {
    base_url: BaseUrl,
    api_key: ApiKey,
    user_agent: HeaderValue,
    subject: Subject,
    connect_timeout: Duration,
    read_timeout: Duration,
    retry: RetryPolicy,
    journal: JournalConfig,
    trace_parent: Option<TraceParent>,
}

/// How calls with an unknown outcome are repeated.
///
/// ```
/// use cycles_proto::config::RetryPolicy;
///
/// let mut retry = RetryPolicy::default();
/// retry.max_attempts = 3;
/// ```
///
/// Plain operations look at `enabled` only. Settlements go by the rest, and releases by its waits; flushing is
/// what adapters do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Whether they are repeated at all.
    pub enabled: bool,
    /// How many times after the first attempt, for settlements.
    pub max_attempts: u32,
    /// The wait before the first repetition.
    pub initial_delay: Duration,
    /// By what each wait is longer than the one before; 1 or more.
    pub multiplier: f64,
    /// The longest wait.
    pub max_delay: Duration,
    /// How long a flush waits for what is unsettled.
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

/// Where unsettled costs are kept across restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct JournalConfig {
    enabled: bool,
    /// `.runcycles/commit-journal` in the home directory if not given.
    dir: Option<PathBuf>,
}

/// What is wrong with a configuration, and what would be right. No value is quoted: it may be a secret in
/// the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An environment variable that must be there is missing or empty.
    #[error("{0} is not set")]
    Missing(String),
    /// An environment variable has a value that cannot be read.
    #[error("{variable} {problem}")]
    Malformed {
        /// The variable.
        variable: String,
        /// What is wrong, to be read after its name.
        problem: String,
    },
    /// The API key and the base URL were given in each other's place.
    #[error("the API key and the base URL are swapped: the key comes first, then the URL")]
    Swapped,
    /// The API key cannot be one.
    #[error("the API key {0}")]
    ApiKey(&'static str),
    /// The base URL cannot be one.
    #[error("the base URL {0}; it should look like http://localhost:7878")]
    BaseUrl(&'static str),
    /// The base URL has a part of the paths in it, which the client adds; inside is what it should be.
    #[error("the base URL must end before /v1, which the client adds itself: use {0}")]
    BaseUrlWithPath(String),
    /// A default of the subject breaks a limit.
    #[error("{0}")]
    Subject(InvalidRequest),
    /// A number is out of its range.
    #[error("{name} {problem}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// What is wrong, to be read after its name.
        problem: &'static str,
    },
    /// The client was made before its process was forked, and this is the child.
    #[error(
        "this process was forked from the one that made it, whose connections and threads are not here; make the client \
         after the fork, in each child"
    )]
    Forked,
    /// A session has one server, and this configuration is for another.
    #[error("this configuration is for another server than the client's: make a client for it")]
    OtherServer,
    /// The client was closed.
    #[error("the client is closed, so nothing was sent; make another, or close it later")]
    Closed,
    /// What the adapter needs cannot be had.
    #[error("{0}")]
    Adapter(String),
}

impl CyclesConfig {
    /// A configuration with the defaults for everything else.
    ///
    /// # Errors
    /// Whatever is wrong with the key or the URL.
    pub fn new(api_key: impl Into<String>, base_url: impl Into<String>) -> Result<Self, ConfigError> {
        Self::builder(api_key, base_url).build()
    }

    /// Starts a configuration: the API key (`cyc_live_…`), then the server's address.
    pub fn builder(api_key: impl Into<String>, base_url: impl Into<String>) -> CyclesConfigBuilder {
        CyclesConfigBuilder::new(api_key.into(), base_url.into())
    }

    /// The server's address exactly as it was given.
    pub fn base_url(&self) -> &str {
        self.base_url.as_given()
    }

    pub(crate) fn server(&self) -> Arc<str> {
        self.base_url.shared()
    }

    /// Whether the server is reached over TLS.
    pub fn is_https(&self) -> bool {
        self.base_url.is_https()
    }

    /// The API key.
    pub fn api_key(&self) -> &ApiKey {
        &self.api_key
    }

    /// What helpers fill in where a request's subject says nothing. Low-level calls send what they are
    /// given.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// How long connecting may take, name resolution and TLS included.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// How long one attempt may take as a whole: connecting, sending and receiving.
    pub fn attempt_timeout(&self) -> Duration {
        self.connect_timeout.saturating_add(self.read_timeout)
    }

    /// How calls are repeated.
    pub fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// Whether unsettled costs are to be kept on disk. If not, a [`Session`](crate::Session) never asks for
    /// its record to be stored.
    pub fn journal_enabled(&self) -> bool {
        self.journal.enabled
    }

    /// Where unsettled costs are to be kept, if it was given. A `~/` at its beginning is the user's home directory.
    pub fn journal_dir(&self) -> Option<&Path> {
        self.journal.dir.as_deref()
    }

    /// The caller's place in a trace, sent with every call.
    pub fn trace_parent(&self) -> Option<&TraceParent> {
        self.trace_parent.as_ref()
    }

    /// The same configuration for another key, with these defaults: of another tenant, say.
    ///
    /// # Errors
    /// Whatever is wrong with the key or the defaults.
    pub fn for_principal(&self, api_key: &str, subject: Subject) -> Result<Self, ConfigError> {
        subject.check_partial().map_err(ConfigError::Subject)?;
        Ok(Self {
            api_key: parse_key(api_key)?,
            subject,
            ..self.clone()
        })
    }

    /// The same configuration within this trace.
    #[must_use]
    pub fn with_trace_parent(&self, parent: TraceParent) -> Self {
        Self {
            trace_parent: Some(parent),
            ..self.clone()
        }
    }

    /// The same configuration as used by the named adapter, which the `User-Agent` tells.
    #[must_use]
    pub fn for_adapter(mut self, adapter: &'static str) -> Self {
        let text = format!("cycles-rust/{} ({adapter})", env!("CARGO_PKG_VERSION"));
        if let Ok(value) = HeaderValue::try_from(text) {
            self.user_agent = value;
        }
        self
    }

    /// What is allowed but looks like a mistake, in sentences to log once.
    pub fn warnings(&self) -> Vec<String> {
        [
            ("connect timeout", self.connect_timeout),
            ("read timeout", self.read_timeout),
        ]
        .into_iter()
        .filter(|(_, timeout)| *timeout < SUSPICIOUS_TIMEOUT)
        .map(|(name, timeout)| format!("the {name} is {timeout:?}: were seconds meant?"))
        .collect()
    }

    pub(crate) fn base(&self) -> &BaseUrl {
        &self.base_url
    }

    pub(crate) fn user_agent(&self) -> &HeaderValue {
        &self.user_agent
    }
}

/// The key, if it can be one.
fn parse_key(text: &str) -> Result<ApiKey, ConfigError> {
    let problem = copied::along_with_key(text);
    problem
        .map_or_else(|| ApiKey::parse(text), Err)
        .map_err(ConfigError::ApiKey)
}

/// Below this a timeout was probably meant in seconds.
const SUSPICIOUS_TIMEOUT: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
