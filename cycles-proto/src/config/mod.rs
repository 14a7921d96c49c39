//! The configuration of a client, validated once when it is built.

mod base_url;
mod builder;
mod env;
mod error;
mod mode;
mod pasted;
mod retry_policy;
mod settings;
mod user_agent;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

pub use crate::api_key::{ApiKey, GivenKey};
pub use builder::CyclesConfigBuilder;
pub use error::ConfigError;
pub use mode::Mode;
pub use retry_policy::RetryPolicy;
pub(crate) use settings::MAX_CONCURRENT_CALLS;
pub use settings::Settings;

use crate::models::Subject;
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

impl CyclesConfig {
    /// Creates a configuration with the defaults for everything else.
    ///
    /// # Errors
    /// The key or the URL is not valid.
    pub fn new(api_key: impl Into<String>, base_url: impl Into<String>) -> Result<Self, ConfigError> {
        Self::builder(api_key, base_url).build()
    }

    /// Starts a configuration: the API key (`cyc_live_…`), then the server's address.
    pub fn builder(api_key: impl Into<String>, base_url: impl Into<String>) -> CyclesConfigBuilder {
        CyclesConfigBuilder::new(api_key.into(), base_url.into())
    }

    /// The settings that the configuration was built from.
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

    /// The default subject. Helpers use it to fill in the levels that a request leaves out; low-level calls send only
    /// what they are given.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// How long one attempt may take in total: connecting, sending and receiving.
    pub fn attempt_timeout(&self) -> Duration {
        self.settings
            .connect_timeout
            .saturating_add(self.settings.read_timeout)
    }

    /// How long a reservation may take in all: [`reserve_timeout`](Settings::reserve_timeout) if it is set, otherwise
    /// as long as two attempts.
    pub fn longest_reserve(&self) -> Duration {
        let two_attempts = self.attempt_timeout().saturating_mul(2);
        self.settings.reserve_timeout.unwrap_or(two_attempts)
    }

    /// How calls are repeated.
    pub fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// The caller's place in a trace, sent with every call.
    pub fn trace_parent(&self) -> Option<&TraceParent> {
        self.trace_parent.as_ref()
    }

    /// Returns the same configuration with another key and these subject defaults, for example for another tenant.
    ///
    /// # Errors
    /// The key or the defaults are not valid.
    pub fn for_principal(&self, api_key: &str, subject: Subject) -> Result<Self, ConfigError> {
        subject.check_partial().map_err(ConfigError::Subject)?;
        Ok(Self {
            key: parse_key(api_key)?,
            settings: self.settings.for_principal(api_key, &subject),
            subject,
            ..self.clone()
        })
    }

    /// Returns the same configuration with these subject defaults; levels that `subject` leaves out stay as they are.
    ///
    /// # Errors
    /// The resulting defaults are not valid.
    pub fn with_subject(&self, subject: Subject) -> Result<Self, ConfigError> {
        let subject = subject.or(&self.subject);
        subject.check_partial().map_err(ConfigError::Subject)?;
        Ok(Self {
            settings: self.settings.with_subject(&subject),
            subject,
            ..self.clone()
        })
    }

    /// Returns the same configuration in this mode.
    #[must_use]
    pub fn with_mode(&self, mode: Mode) -> Self {
        let mut changed = self.clone();
        changed.settings.mode = mode;
        changed
    }

    /// Returns the same configuration within this trace.
    #[must_use]
    pub fn with_trace_parent(&self, parent: TraceParent) -> Self {
        Self {
            trace_parent: Some(parent),
            ..self.clone()
        }
    }

    /// Settings that are allowed but look like mistakes, or that a person should know of, as sentences to log once.
    pub fn warnings(&self) -> Vec<String> {
        let shadow = (self.settings.mode == Mode::Shadow).then(|| {
            "this client is in shadow mode (CYCLES_MODE=shadow, or the mode set in code): nothing is denied, nothing is \
             held, and nothing is charged"
                .to_owned()
        });
        let timeouts = [
            ("connect timeout", self.settings.connect_timeout),
            ("read timeout", self.settings.read_timeout),
            ("reserve timeout", self.longest_reserve()),
        ]
        .into_iter()
        .filter(|(_, timeout)| *timeout < SUSPICIOUS_TIMEOUT)
        .map(|(name, timeout)| format!("the {name} is {timeout:?}: did you mean seconds?"));
        timeouts.chain(shadow).collect()
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
