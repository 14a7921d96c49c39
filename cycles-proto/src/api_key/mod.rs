//! The API key, which nobody but the server gets to see.

mod spelled;

use core::fmt;
use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use memchr::memmem::Finder;

/// An API key. It has no `Display`, and `Debug` shows that there is one.
#[derive(Clone)]
pub struct ApiKey(Arc<Secret>);

struct Secret {
    header: HeaderValue,
    /// Every text that comes from outside is searched for it before it is shown.
    finder: Finder<'static>,
}

impl ApiKey {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has white space or another character in it that no key has: copy it again");
        }
        let mut header =
            HeaderValue::try_from(text).map_err(|_| "contains characters that no HTTP header can carry")?;
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

    /// Whether the key is in it as it is, or may be escaped. It is ASCII, so what is around it need not be text.
    fn may_be_in(&self, bytes: &[u8]) -> bool {
        spelled::has_escapes(bytes) || self.0.finder.find(bytes).is_some()
    }

    /// What is shown of a text from outside: the text without the key, which servers and proxies that echo requests put
    /// into headers and pages, escaped or not. Nothing that is parsed goes through here: a short key may be a part of an
    /// id.
    pub(crate) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.may_be_in(text.as_bytes()) {
            return Cow::Borrowed(text);
        }
        let mut clean = String::new();
        let mut kept = 0;
        while let Some(found) = spelled::find(text, kept, self.expose()) {
            clean.push_str(&text[kept..found.start]);
            clean.push_str(REDACTED);
            kept = found.end;
        }
        match kept {
            0 => Cow::Borrowed(text),
            _ => Cow::Owned(clean + &text[kept..]),
        }
    }

    /// The body of a reply that is shown, not read. Nothing if the key is not in it.
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

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}
