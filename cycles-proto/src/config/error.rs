//! What is wrong with a configuration, as sentences.

use crate::models::InvalidRequest;

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
    /// A setting is out of range.
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
