//! The API key, which nobody but the server gets to see.

use core::fmt;

use http::HeaderValue;

use super::ConfigError;

/// An API key. It has no `Display`, and `Debug` shows that there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(HeaderValue);

impl ApiKey {
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.is_empty() {
            return Err(ConfigError::ApiKey("is empty"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::ApiKey(
                "contains white space or other characters that no key has; was a line break copied with it?",
            ));
        }
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| ConfigError::ApiKey("contains characters that no HTTP header can carry"))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The key itself. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The header's value, marked as sensitive.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// Whether `text` shows the key, as the answer of a server or a proxy that echoes requests may.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        String::from_utf8_lossy(text).contains(self.expose())
    }

    /// `text` without the key.
    pub(crate) fn redact(&self, text: &str) -> String {
        text.replace(self.expose(), REDACTED)
    }
}

const REDACTED: &str = "[redacted]";

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}
