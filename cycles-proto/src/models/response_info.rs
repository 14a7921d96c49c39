//! What a response says beside its body.

use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{HeaderMap, HeaderName, LOCATION, RETRY_AFTER};

/// Status, headers and body of the response that a result or an error came from.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ResponseInfo {
    status: u16,
    request_id: Option<HeaderValue>,
    trace_id: Option<HeaderValue>,
    tenant: Option<HeaderValue>,
    rate_limit_remaining: Option<i64>,
    rate_limit_reset: Option<i64>,
    retry_after: Option<Duration>,
    location: Option<HeaderValue>,
    body: Bytes,
}

impl ResponseInfo {
    /// What `response` says.
    pub fn of(response: &http::Response<Bytes>) -> Self {
        let headers = response.headers();
        Self {
            status: response.status().as_u16(),
            request_id: headers.get(&REQUEST_ID).cloned(),
            trace_id: headers.get(&TRACE_ID).cloned(),
            tenant: headers.get(&TENANT).cloned(),
            rate_limit_remaining: integer(headers, &RATE_LIMIT_REMAINING),
            rate_limit_reset: integer(headers, &RATE_LIMIT_RESET),
            retry_after: retry_after(headers),
            location: headers.get(LOCATION).cloned(),
            body: response.body().clone(),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The server's name for the request (`X-Request-Id`): what to quote to its operators.
    pub fn request_id(&self) -> Option<&str> {
        text(&self.request_id)
    }

    /// The trace that the request belongs to (`X-Cycles-Trace-Id`): 32 hex digits.
    pub fn trace_id(&self) -> Option<&str> {
        text(&self.trace_id)
    }

    /// The tenant of the API key (`X-Cycles-Tenant`).
    pub fn tenant(&self) -> Option<&str> {
        text(&self.tenant)
    }

    /// Requests left in this window (`X-RateLimit-Remaining`); −1 where there is no limit.
    pub fn rate_limit_remaining(&self) -> Option<i64> {
        self.rate_limit_remaining
    }

    /// When the window ends, in seconds since 1970 (`X-RateLimit-Reset`); 0 where there is no limit.
    pub fn rate_limit_reset(&self) -> Option<i64> {
        self.rate_limit_reset
    }

    /// How long to wait (`Retry-After`). The protocol knows whole seconds only: a date is no value.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Where a redirect points to (`Location`), as it came. It is not followed.
    pub fn location(&self) -> Option<&str> {
        text(&self.location)
    }

    /// The body as it came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl fmt::Debug for ResponseInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseInfo")
            .field("status", &self.status)
            .field("request_id", &self.request_id())
            .field("trace_id", &self.trace_id())
            .field("tenant", &self.tenant())
            .field("rate_limit_remaining", &self.rate_limit_remaining)
            .field("rate_limit_reset", &self.rate_limit_reset)
            .field("retry_after", &self.retry_after)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-cycles-trace-id");
const TENANT: HeaderName = HeaderName::from_static("x-cycles-tenant");
const RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

fn text(value: &Option<HeaderValue>) -> Option<&str> {
    value.as_ref()?.to_str().ok()
}

fn integer(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Digits only; a number that does not fit waits for ever, which callers bound.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let digits = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(digits.parse().unwrap_or(u64::MAX)))
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
    fn retry_after_is_whole_seconds_or_nothing() {
        assert_eq!(info("retry-after", "0").retry_after(), Some(Duration::ZERO));
        assert_eq!(
            info("retry-after", "120").retry_after(),
            Some(Duration::from_secs(120))
        );
        assert_eq!(
            info("retry-after", &"9".repeat(40)).retry_after(),
            Some(Duration::from_secs(u64::MAX))
        );
        for none in ["", "-1", "+1", "1.5", "soon", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(info("retry-after", none).retry_after(), None, "{none}");
        }
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
