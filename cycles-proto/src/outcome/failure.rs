//! Why a call got no answer.

use core::fmt;
use std::error::Error as StdError;

/// What went wrong with an attempt that got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The server's name could not be resolved.
    Dns,
    /// No connection: refused, unreachable, or aborted before it was established.
    Connect,
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// TLS failed: an untrusted certificate, a different name, no common version.
    Tls,
    /// The proxy did not let the call through.
    Proxy,
    /// No complete response before the attempt's deadline.
    Timeout,
    /// The connection was lost before or during the response.
    Lost,
    /// The head or the body of the response was larger than allowed.
    TooLarge,
    /// The call was abandoned before it began: the transport or async runtime in charge of it ended, or dropped it.
    NotMade,
    /// The call was withdrawn before it began, because nobody waited for it any more or there was nothing left to
    /// send.
    Withdrawn,
    /// All places were taken for as long as the call could wait.
    Queued,
}

impl FailureKind {
    /// Whether the request may have reached the server. If `false`, nothing was sent.
    pub fn may_have_been_sent(self) -> bool {
        match self {
            Self::Dns
            | Self::Connect
            | Self::ConnectTimeout
            | Self::Tls
            | Self::Proxy
            | Self::NotMade
            | Self::Withdrawn
            | Self::Queued => false,
            Self::Timeout | Self::Lost | Self::TooLarge => true,
        }
    }

    /// Whether idle connections may be dead too: a device in between can drop all of them at once without notice.
    pub(crate) fn suggests_dead_connections(self) -> bool {
        match self {
            Self::Timeout | Self::Lost => true,
            Self::Dns
            | Self::Connect
            | Self::ConnectTimeout
            | Self::Tls
            | Self::Proxy
            | Self::TooLarge
            | Self::NotMade
            | Self::Withdrawn
            | Self::Queued => false,
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::Dns => "the server's name could not be resolved",
            Self::Connect => "no connection to the server",
            Self::ConnectTimeout => "no connection to the server in time",
            Self::Tls => "no secure connection to the server",
            Self::Proxy => "the proxy did not let the call through",
            Self::Timeout => "no complete answer in time",
            Self::Lost => "the connection was lost",
            Self::TooLarge => "the answer is too large",
            Self::NotMade => {
                "the call was abandoned before it began: its transport or its runtime ended, or dropped it"
            }
            Self::Withdrawn => "it was withdrawn before it was sent",
            Self::Queued => "the client was already at its limit of concurrent calls",
        }
    }
}

/// Why an attempt has no response, as the adapter saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: FailureKind,
    detail: String,
}

impl Failure {
    /// Creates a failure without a detail.
    pub fn new(kind: FailureKind) -> Self {
        Self {
            kind,
            detail: String::new(),
        }
    }

    /// Creates a failure from an HTTP client's error: the detail has the messages of the error and of all its causes.
    pub fn caused_by(kind: FailureKind, error: &(dyn StdError + 'static)) -> Self {
        let mut detail = String::new();
        let mut next = Some(error);
        while let Some(error) = next {
            let message = error.to_string();
            // Wrappers often repeat what they wrap.
            if !detail.contains(&message) {
                if !detail.is_empty() {
                    detail.push_str(": ");
                }
                detail.push_str(&message);
            }
            next = error.source();
        }
        Self { kind, detail }
    }

    /// What went wrong.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// What the HTTP client said about it; may be empty.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The same failure with another detail.
    pub(crate) fn with_detail(self, detail: String) -> Self {
        Self { detail, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.phrase())?;
        if self.detail.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("client error (Connect): {0}")]
        struct Outer(#[source] std::io::Error);
        let inner = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let failure = Failure::caused_by(FailureKind::Connect, &Outer(inner));
        assert_eq!(
            failure.to_string(),
            "no connection to the server (client error (Connect): connection refused)"
        );
    }
}
