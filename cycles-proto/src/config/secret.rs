//! The API key, which nobody but the server gets to see.

use core::fmt;
use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use memchr::memmem::Finder;

use super::{ConfigError, copied};
use crate::call::Failure;

/// An API key. It has no `Display`, and `Debug` shows that there is one.
#[derive(Clone)]
pub struct ApiKey(Arc<Secret>);

struct Secret {
    header: HeaderValue,
    /// Every text that comes from outside is searched for it before it is shown.
    finder: Finder<'static>,
}

impl ApiKey {
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.is_empty() {
            return Err(ConfigError::ApiKey("is empty"));
        }
        if let Some(problem) = copied::along_with_key(text) {
            return Err(ConfigError::ApiKey(problem));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::ApiKey(
                "has white space or another character in it that no key has: copy it again",
            ));
        }
        let mut header = HeaderValue::try_from(text)
            .map_err(|_| ConfigError::ApiKey("contains characters that no HTTP header can carry"))?;
        header.set_sensitive(true);
        let finder = Finder::new(text).into_owned();
        Ok(Self(Arc::new(Secret { header, finder })))
    }

    /// The key itself. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        self.0.header.to_str().unwrap_or_default()
    }

    /// The header's value, marked as sensitive.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0.header
    }

    /// Whether the key is in it as it is. It is ASCII, so what is around it need not be text.
    fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.finder.find(bytes).is_some()
    }

    /// What is shown of a text from outside: the text without the key, which servers and proxies that echo requests put
    /// into headers, pages and, escaped or not, into strings of JSON. Nothing that is parsed goes through here: a short
    /// key may be a part of an id.
    pub(crate) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut clean = Cow::Borrowed(text);
        if text.contains('\\')
            && let Some(replaced) = self.redact_strings(text)
        {
            clean = Cow::Owned(replaced);
        }
        if self.is_in(clean.as_bytes()) {
            clean = Cow::Owned(clean.replace(self.expose(), REDACTED));
        }
        clean
    }

    /// What an HTTP client said of a failure, without the key.
    pub(crate) fn redact_failure(&self, failure: Failure) -> Failure {
        let detail = self.redact(failure.detail()).into_owned();
        failure.with_detail(detail)
    }

    /// The body of a reply that is shown, not read. Nothing if the key is not in it.
    pub(crate) fn redact_body(&self, body: &Bytes) -> Option<Bytes> {
        if !self.is_in(body) && !body.contains(&b'\\') {
            return None;
        }
        let text = String::from_utf8_lossy(body);
        match self.redact(&text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(clean) => Some(Bytes::from(clean)),
        }
    }

    /// The response with the key beside it, so that whatever is read of it can leave the key out where it is shown.
    pub(crate) fn beside(&self, response: &http::Response<Bytes>) -> http::Response<Bytes> {
        let mut response = response.clone();
        response.extensions_mut().insert(self.clone());
        response
    }

    /// Replaces the string literals of JSON, or of Rust's `Debug`, that say the key in whatever way they are escaped.
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
                let shown = decoded.replace(self.expose(), REDACTED);
                clean.push_str(&serde_json::Value::String(shown).to_string());
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
        self.0.header == other.0.header
    }
}

impl Eq for ApiKey {}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}
