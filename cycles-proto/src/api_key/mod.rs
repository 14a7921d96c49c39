//! The API key, which only the server may see.

mod escaped;

use core::fmt;
use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use memchr::memmem::Finder;

/// An API key. It has no `Display`, and `Debug` does not show the key.
#[derive(Clone)]
pub struct ApiKey(Arc<Secret>);

struct Secret {
    header: HeaderValue,
    /// Finds the key in text from outside, before that text is shown.
    finder: Finder<'static>,
}

impl ApiKey {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("contains white space or another character that no key has: copy it again");
        }
        let mut header =
            HeaderValue::try_from(text).map_err(|_| "contains characters that no HTTP header can carry")?;
        header.set_sensitive(true);
        let finder = Finder::new(text).into_owned();
        Ok(Self(Arc::new(Secret { header, finder })))
    }

    /// The key itself. The caller is responsible for where it goes.
    pub fn expose(&self) -> &str {
        self.0.header.to_str().unwrap_or_default()
    }

    /// The header's value, marked as sensitive.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0.header
    }

    /// Whether the bytes contain the key, or may contain it escaped. The key is ASCII, so the bytes around it need not
    /// be text.
    fn may_be_in(&self, bytes: &[u8]) -> bool {
        escaped::has_escapes(bytes) || self.0.finder.find(bytes).is_some()
    }

    /// Removes the key from outside text that will be shown: servers and proxies that echo requests put it into headers
    /// and pages, escaped or not. Do not use it on text that is parsed: a short key may be part of an id.
    pub(crate) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.may_be_in(text.as_bytes()) {
            return Cow::Borrowed(text);
        }
        let mut clean = String::new();
        let mut kept = 0;
        while let Some(found) = escaped::find(text, kept, self.expose()) {
            clean.push_str(&text[kept..found.start]);
            clean.push_str(REDACTED);
            kept = found.end;
        }
        match kept {
            0 => Cow::Borrowed(text),
            _ => Cow::Owned(clean + &text[kept..]),
        }
    }

    /// Removes the key from the body of a reply that will be shown. `None` if the key is not in it.
    pub(crate) fn redact_body(&self, body: &Bytes) -> Option<Bytes> {
        if !self.may_be_in(body) {
            return None;
        }
        let text = String::from_utf8_lossy(body);
        match self.redact(&text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(clean) => Some(Bytes::from(clean)),
        }
    }
}

const REDACTED: &str = "[redacted]";

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.header == other.0.header
    }
}

impl Eq for ApiKey {}

/// An API key as it was given, before anything has checked it. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct GivenKey(Box<str>);

impl GivenKey {
    pub(crate) fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The key itself. The caller is responsible for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for GivenKey {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl PartialEq<&str> for GivenKey {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl fmt::Debug for GivenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenKey([redacted])")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}
