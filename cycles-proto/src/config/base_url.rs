//! The server's address.

use core::fmt;
use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};

use super::{ConfigError, pasted};

/// The server's address. The text is kept exactly as given, because the name of the journal's partition depends on it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    given: Arc<str>,
    scheme: Scheme,
    authority: Authority,
    /// The path before `/v1`, without a slash at its end.
    prefix: String,
}

impl BaseUrl {
    pub(super) fn parse(given: String) -> Result<Self, ConfigError> {
        if given.is_empty() {
            return Err(ConfigError::BaseUrl("is empty"));
        }
        if let Some(problem) = pasted::along_with(&given) {
            return Err(ConfigError::BaseUrl(problem));
        }
        if given.contains('$') || has_windows_variable(&given) {
            return Err(ConfigError::BaseUrl(
                "contains a `$` or `%`, so a variable in it was not expanded",
            ));
        }
        if given.contains(['<', '>']) {
            return Err(ConfigError::BaseUrl(
                "still contains a placeholder: write the whole address",
            ));
        }
        if given.contains(char::is_whitespace) {
            return Err(ConfigError::BaseUrl("contains white space: remove it"));
        }
        if !given.contains("://") {
            return Err(ConfigError::BaseUrl("has no scheme"));
        }
        if given.contains(['?', '#']) {
            return Err(ConfigError::BaseUrl("has a query or a fragment"));
        }
        if !given.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::BaseUrl(
                "has characters that must be percent-encoded",
            ));
        }
        let uri = Uri::try_from(&given).map_err(|_| ConfigError::BaseUrl("is not a URL"))?;
        let Parts {
            scheme,
            authority,
            path_and_query,
            ..
        } = uri.into_parts();
        let scheme = scheme
            .filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS)
            .ok_or(ConfigError::BaseUrl("is neither http nor https"))?;
        let authority = authority
            .filter(|authority| !authority.host().is_empty())
            .ok_or(ConfigError::BaseUrl("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(ConfigError::BaseUrl(
                "contains a user name or password, which this protocol does not use",
            ));
        }
        let port = authority
            .as_str()
            .strip_prefix(authority.host())
            .unwrap_or_default();
        let digits = port.strip_prefix(':').unwrap_or_default();
        if !port.is_empty() && (authority.port_u16().is_none() || !digits.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(ConfigError::BaseUrl(
                "has a port that is not a number up to 65535",
            ));
        }
        if authority.port_u16() == Some(0) {
            return Err(ConfigError::BaseUrl(
                "has port 0, which no server listens on: write the server's port",
            ));
        }
        let prefix = path_and_query
            .as_ref()
            .map_or("", PathAndQuery::path)
            .trim_end_matches('/')
            .to_owned();
        if prefix.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(ConfigError::BaseUrl("has a `.` or `..` in its path"));
        }
        if prefix.split('/').any(is_a_page) {
            return Err(ConfigError::BaseUrl(
                "points to one of the server's pages, such as its health check: remove the path of that page",
            ));
        }
        if let Some(before) = before_version(&prefix) {
            return Err(ConfigError::BaseUrlWithPath(format!(
                "{scheme}://{authority}{before}"
            )));
        }
        Ok(Self {
            given: given.into(),
            scheme,
            authority,
            prefix,
        })
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.given)
    }

    pub(crate) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The address of `path`, which starts with a slash and is already encoded; `None` if it is too long.
    pub(crate) fn join(&self, path: impl Into<Cow<'static, str>>) -> Option<Uri> {
        let path = match path.into() {
            path if !self.prefix.is_empty() => Bytes::from(format!("{}{path}", self.prefix)),
            Cow::Borrowed(path) => Bytes::from_static(path.as_bytes()),
            Cow::Owned(path) => Bytes::from(path),
        };
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_maybe_shared(path).ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// The part before the `/v1` of an operation's path, or before a `/v1` at the end. A `/v1` in the middle may be a
/// gateway's own.
fn before_version(path: &str) -> Option<&str> {
    let small = path.to_ascii_lowercase();
    let (before, after) = small.rsplit_once("/v1")?;
    let operation = after.split('/').nth(1).unwrap_or_default();
    let is_of_an_operation = ["decide", "reservations", "events", "balances", "health"].contains(&operation);
    (after.is_empty() || is_of_an_operation).then(|| &path[..before.len()])
}

/// Whether the segment leads to the server's pages for people and monitors.
fn is_a_page(segment: &str) -> bool {
    ["actuator", "swagger-ui", "swagger-ui.html", "api-docs"]
        .iter()
        .any(|page| segment.eq_ignore_ascii_case(page))
}

/// Whether the text contains `%NAME%`. Percent-encoded text never ends in a `%`.
fn has_windows_variable(given: &str) -> bool {
    given.split(['/', ':', '.']).any(pasted::is_windows_variable)
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.given, f)
    }
}
