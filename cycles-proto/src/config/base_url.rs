//! The server's address.

use core::fmt;
use std::sync::Arc;

use http::Uri;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};

use super::{ConfigError, copied};

/// Where the server is. The text as it was given is kept beside its parts, because the journal's partition
/// is named after exactly that text.
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
        if let Some(problem) = copied::along_with(&given) {
            return Err(ConfigError::BaseUrl(problem));
        }
        if given.contains('$') {
            return Err(ConfigError::BaseUrl(
                "has a `$` in it, so a variable was not replaced by its value",
            ));
        }
        if given.contains(char::is_whitespace) {
            return Err(ConfigError::BaseUrl("has white space in it: remove it"));
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
            .ok_or(ConfigError::BaseUrl("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(ConfigError::BaseUrl(
                "carries a user name or password, which this protocol does not use",
            ));
        }
        let port = authority
            .as_str()
            .strip_prefix(authority.host())
            .unwrap_or_default();
        let digits = port.strip_prefix(':').unwrap_or_default();
        if !port.is_empty() && (authority.port_u16().is_none() || !digits.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(ConfigError::BaseUrl("has a port that is no number up to 65535"));
        }
        let prefix = path_and_query
            .as_ref()
            .map_or("", PathAndQuery::path)
            .trim_end_matches('/')
            .to_owned();
        if prefix.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(ConfigError::BaseUrl("has a relative path"));
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

    pub(crate) fn as_given(&self) -> &str {
        &self.given
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.given)
    }

    pub(crate) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The address of `path`, which starts with a slash and is encoded; `None` if it is too long for one.
    pub(crate) fn join(&self, path: &str) -> Option<Uri> {
        let path = if self.prefix.is_empty() {
            path.to_owned()
        } else {
            format!("{}{path}", self.prefix)
        };
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_maybe_shared(bytes::Bytes::from(path)).ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// What stands before the `/v1` of an operation's address, or of the version alone. A `/v1` in the middle may be a
/// gateway's own.
fn before_version(path: &str) -> Option<&str> {
    let (before, after) = path.rsplit_once("/v1")?;
    let is_of_an_operation = ["/decide", "/reservations", "/events", "/balances"]
        .iter()
        .any(|operation| after.starts_with(operation));
    (after.is_empty() || is_of_an_operation).then_some(before)
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.given, f)
    }
}
