//! Status, headers and body of a response.

use core::fmt;
use core::time::Duration;

use super::retry_after::{self, RetryAfter};
use std::borrow::Cow;

use crate::api_key::ApiKey;
use crate::time::UnixMillis;
use bytes::Bytes;
use http::HeaderValue;

/// Status, headers and body of the response that a result or an error came from. If a server echoes the API key, the
/// key is removed from the texts that are meant for display.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ResponseInfo {
    status: u16,
    request_id: Option<Box<str>>,
    trace_id: Option<Box<str>>,
    tenant: Option<HeaderValue>,
    rate_limit_remaining: Option<i64>,
    rate_limit_reset: Option<i64>,
    retry_after: Option<RetryAfter>,
    date: Option<HeaderValue>,
    location: Option<Box<str>>,
    content_type: Option<Box<str>>,
    content_encoding: Option<Box<str>>,
    body: Bytes,
    /// The key to remove from any part of the reply that is shown.
    key: Option<ApiKey>,
}

impl ResponseInfo {
    /// Reads status, headers and body of `response`.
    pub fn of(response: &http::Response<Bytes>) -> Self {
        Self::with_key(None, response)
    }

    /// Reads `response`, and keeps the key to remove it from any part that is shown.
    pub(crate) fn with_key(key: Option<&ApiKey>, response: &http::Response<Bytes>) -> Self {
        let shown = |value: &HeaderValue| {
            let text = value.to_str().ok()?;
            Some(key.map_or(text.into(), |key| key.redact(text)).into())
        };
        let mut first = First::default();
        // Looking at the few headers present is cheaper than searching for each known name.
        for (name, value) in response.headers() {
            let place = match name.as_str() {
                "x-request-id" => &mut first.request_id,
                "x-cycles-trace-id" => &mut first.trace_id,
                "x-cycles-tenant" => &mut first.tenant,
                "x-ratelimit-remaining" => &mut first.rate_limit_remaining,
                "x-ratelimit-reset" => &mut first.rate_limit_reset,
                "date" => &mut first.date,
                "location" => &mut first.location,
                "content-type" => &mut first.content_type,
                "content-encoding" => &mut first.content_encoding,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        Self {
            status: response.status().as_u16(),
            request_id: first.request_id.and_then(shown),
            trace_id: first.trace_id.and_then(shown),
            tenant: first.tenant.cloned(),
            rate_limit_remaining: first.rate_limit_remaining.and_then(integer),
            rate_limit_reset: first.rate_limit_reset.and_then(integer),
            retry_after: RetryAfter::of(response.headers()),
            date: first.date.cloned(),
            location: first.location.and_then(shown),
            content_type: first.content_type.and_then(shown),
            content_encoding: first.content_encoding.and_then(shown),
            body: response.body().clone(),
            key: key.cloned(),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The server's id of the request (`X-Request-Id`), to quote to its operators.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The trace that the request belongs to (`X-Cycles-Trace-Id`): 32 hex digits.
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_deref()
    }

    /// The tenant of the API key (`X-Cycles-Tenant`).
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_ref()?.to_str().ok()
    }

    /// Requests left in this window (`X-RateLimit-Remaining`); −1 if there is no limit.
    pub fn rate_limit_remaining(&self) -> Option<i64> {
        self.rate_limit_remaining
    }

    /// When the window ends, in seconds since 1970 (`X-RateLimit-Reset`); 0 if there is no limit.
    pub fn rate_limit_reset(&self) -> Option<i64> {
        self.rate_limit_reset
    }

    /// How long to wait (`Retry-After`), sent in seconds (a fraction is rounded up) or as a date. A heartbeat honours
    /// it only in whole seconds on a 429, as the protocol says.
    pub fn retry_after(&self) -> Option<Duration> {
        Some(self.retry_after?.wait)
    }

    /// The `Retry-After`, if it is in the protocol's form: whole seconds.
    pub(crate) fn retry_after_of_the_protocol(&self) -> Option<Duration> {
        let asked = self.retry_after.filter(|asked| asked.is_of_the_protocol);
        Some(asked?.wait)
    }

    /// When the server answered, by its own clock (`Date`), in whole seconds. The difference from the local clock is
    /// the clock skew; nothing in this client depends on it.
    pub fn date(&self) -> Option<UnixMillis> {
        let seconds = retry_after::date(self.date.as_ref()?.to_str().ok()?)?;
        Some(UnixMillis(seconds.saturating_mul(1_000)))
    }

    /// The target of a redirect (`Location`), without the API key. Redirects are not followed.
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// The declared type of the body (`Content-Type`).
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The declared encoding of the body (`Content-Encoding`). The client does not request one.
    pub fn content_encoding(&self) -> Option<&str> {
        self.content_encoding.as_deref()
    }

    /// The body as received. If the reply is not a success and the server echoed the API key, the key is removed.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl ResponseInfo {
    /// Text of the reply for display, without the API key.
    pub(crate) fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.key {
            Some(key) => key.redact(text),
            None => Cow::Borrowed(text),
        }
    }

    /// Writes the `Debug` of a reply, without the API key.
    pub(crate) fn show(&self, f: &mut fmt::Formatter<'_>, reply: &dyn fmt::Debug) -> fmt::Result {
        let Some(key) = &self.key else {
            return reply.fmt(f);
        };
        let text = if f.alternate() {
            format!("{reply:#?}")
        } else {
            format!("{reply:?}")
        };
        f.write_str(&key.redact(&text))
    }

    /// Removes the API key from the body, for a reply that is not a success: its body is only for display.
    pub(crate) fn without_key(mut self) -> Self {
        if let Some(clean) = self.key.as_ref().and_then(|key| key.redact_body(&self.body)) {
            self.body = clean;
        }
        self
    }
}

/// Implements `Debug` for a reply, with all its members and without the API key.
macro_rules! shown_without_the_key {
    ($reply:ident { $($member:ident),+ }) => {
        impl core::fmt::Debug for $reply {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                struct Members<'a>(&'a $reply);
                impl core::fmt::Debug for Members<'_> {
                    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                        // Names all members, so that a forgotten one is a compile error.
                        let $reply { $($member),+ } = self.0;
                        f.debug_struct(stringify!($reply))$(.field(stringify!($member), $member))+.finish()
                    }
                }
                self.info.show(f, &Members(self))
            }
        }
    };
}
pub(crate) use shown_without_the_key;

impl fmt::Debug for ResponseInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: Option<&str>| text.map(|text| self.shown(text).into_owned());
        f.debug_struct("ResponseInfo")
            .field("status", &self.status)
            .field("request_id", &shown(self.request_id()))
            .field("trace_id", &shown(self.trace_id()))
            .field("tenant", &shown(self.tenant()))
            .field("rate_limit_remaining", &self.rate_limit_remaining)
            .field("rate_limit_reset", &self.rate_limit_reset)
            .field("retry_after", &self.retry_after())
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}

/// The first value of each header of interest; further values are ignored.
#[derive(Default)]
struct First<'a> {
    request_id: Option<&'a HeaderValue>,
    trace_id: Option<&'a HeaderValue>,
    tenant: Option<&'a HeaderValue>,
    rate_limit_remaining: Option<&'a HeaderValue>,
    rate_limit_reset: Option<&'a HeaderValue>,
    date: Option<&'a HeaderValue>,
    location: Option<&'a HeaderValue>,
    content_type: Option<&'a HeaderValue>,
    content_encoding: Option<&'a HeaderValue>,
}

fn integer(value: &HeaderValue) -> Option<i64> {
    value.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, value: &str) -> ResponseInfo {
        let response = http::Response::builder()
            .header(name, value)
            .body(Bytes::new())
            .unwrap();
        ResponseInfo::of(&response)
    }

    #[test]
    fn the_sentinels_of_an_unlimited_server_are_kept() {
        assert_eq!(
            info("x-ratelimit-remaining", "-1").rate_limit_remaining(),
            Some(-1)
        );
        assert_eq!(info("x-ratelimit-reset", "0").rate_limit_reset(), Some(0));
        assert_eq!(info("x-ratelimit-reset", "tomorrow").rate_limit_reset(), None);
    }
}
