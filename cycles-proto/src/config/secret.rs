//! The API key, which nobody but the server gets to see.

use core::fmt;
use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;
use memchr::memmem::Finder;

use super::{ConfigError, copied};
use crate::call::Failure;

/// An API key. It has no `Display`, and `Debug` shows that there is one.
#[derive(Clone)]
pub struct ApiKey {
    header: HeaderValue,
    /// Every answer is searched for it.
    finder: Finder<'static>,
}

impl ApiKey {
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.is_empty() {
            return Err(ConfigError::ApiKey("is empty"));
        }
        if let Some(problem) = copied::along_with(text) {
            return Err(ConfigError::ApiKey(problem));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::ApiKey(
                "has white space or another character in it that no key has: copy it again",
            ));
        }
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| ConfigError::ApiKey("contains characters that no HTTP header can carry"))?;
        value.set_sensitive(true);
        Ok(Self {
            header: value,
            finder: Finder::new(text).into_owned(),
        })
    }

    /// The key itself. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        self.header.to_str().unwrap_or_default()
    }

    /// The header's value, marked as sensitive.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Whether the key is in it as it is. It is ASCII, so what is around it need not be text.
    fn is_in(&self, bytes: &[u8]) -> bool {
        self.finder.find(bytes).is_some()
    }

    /// `text` without the key.
    pub(crate) fn redact(&self, text: &str) -> String {
        text.replace(self.expose(), REDACTED)
    }

    /// What an HTTP client said of a failure, without the key.
    pub(crate) fn redact_failure(&self, failure: Failure) -> Failure {
        let detail = self.redact(failure.detail());
        failure.with_detail(detail)
    }

    /// The response without the key, which servers and proxies that echo requests put into headers, pages
    /// and, escaped or not, into strings of JSON. Everything else stays as it came, to the byte.
    pub(crate) fn redact_response<'a>(
        &self,
        response: &'a http::Response<Bytes>,
    ) -> Cow<'a, http::Response<Bytes>> {
        let shows = |value: &HeaderValue| self.is_in(value.as_bytes());
        let in_headers = response.headers().values().any(shows);
        let body = self.redact_body(response.body());
        if !in_headers && body.is_none() {
            return Cow::Borrowed(response);
        }
        let mut clean = http::Response::new(body.unwrap_or_else(|| response.body().clone()));
        *clean.status_mut() = response.status();
        let headers = response.headers().iter().filter(|(_, value)| !shows(value));
        clean
            .headers_mut()
            .extend(headers.map(|(name, value)| (name.clone(), value.clone())));
        Cow::Owned(clean)
    }

    /// Nothing if the key is not in it.
    fn redact_body(&self, body: &Bytes) -> Option<Bytes> {
        let literal = self.is_in(body);
        if !literal && !body.contains(&b'\\') {
            return None;
        }
        let text = String::from_utf8_lossy(body);
        let clean = self.redact_strings(&text);
        let clean = if literal {
            self.redact(clean.as_deref().unwrap_or(&text))
        } else {
            clean?
        };
        Some(Bytes::from(clean))
    }

    /// Replaces the string literals of JSON that say the key in whatever way they are escaped.
    fn redact_strings(&self, text: &str) -> Option<String> {
        let mut clean = String::new();
        let mut kept = 0;
        for (start, end) in string_literals(text) {
            let literal = &text[start..end];
            let Ok(decoded) = serde_json::from_str::<String>(literal) else {
                continue;
            };
            if decoded.contains(self.expose()) {
                clean.push_str(&text[kept..start]);
                clean.push_str(&serde_json::Value::String(self.redact(&decoded)).to_string());
                kept = end;
            }
        }
        (kept > 0).then(|| clean + &text[kept..])
    }
}

/// Where the string literals of a JSON text start and end, quotes included.
fn string_literals(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let bytes = text.as_bytes();
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + bytes.get(from..)?.iter().position(|byte| *byte == b'"')?;
        let mut end = start + 1;
        while *bytes.get(end)? != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        from = end + 1;
        Some((start, from))
    })
}

const REDACTED: &str = "[redacted]";

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        self.header == other.header
    }
}

impl Eq for ApiKey {}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}
