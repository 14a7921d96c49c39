//! A result together with what the response's headers say.

use core::ops::Deref;

use super::response_info::ResponseInfo;

/// A result together with what the headers of its response say.
///
/// The form is the same for every operation, for logs and for callers that keep to a rate limit. It derefs to the
/// result. Every result also has its whole response in `info`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiResponse<T> {
    /// The result.
    pub data: T,
    /// [`ResponseInfo::request_id`].
    pub request_id: Option<String>,
    /// [`ResponseInfo::trace_id`].
    pub trace_id: Option<String>,
    /// [`ResponseInfo::rate_limit_remaining`].
    pub rate_limit_remaining: Option<i64>,
    /// [`ResponseInfo::rate_limit_reset`].
    pub rate_limit_reset: Option<i64>,
    /// [`ResponseInfo::tenant`].
    pub cycles_tenant: Option<String>,
    /// [`ResponseInfo::date`] in Unix milliseconds.
    pub date_ms: Option<u64>,
}

impl<T> ApiResponse<T> {
    /// Combines the result with what the headers say.
    pub fn new(data: T, info: &ResponseInfo) -> Self {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Self {
            data,
            request_id: text(info.request_id()),
            trace_id: text(info.trace_id()),
            rate_limit_remaining: info.rate_limit_remaining(),
            rate_limit_reset: info.rate_limit_reset(),
            cycles_tenant: text(info.tenant()),
            date_ms: info.date().map(|date| date.0),
        }
    }

    /// The result alone.
    pub fn into_inner(self) -> T {
        self.data
    }
}

impl<T> Deref for ApiResponse<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_the_headers_say_stands_beside_the_result() {
        let response = http::Response::builder()
            .header("x-request-id", "r-1")
            .header("x-cycles-trace-id", "t-1")
            .header("x-ratelimit-remaining", "99")
            .header("x-ratelimit-reset", "1795000000")
            .header("x-cycles-tenant", "acme-corp")
            .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
            .body(Bytes::new())
            .unwrap();
        let found = ApiResponse::new("result", &ResponseInfo::of(&response));
        let expected = ApiResponse {
            data: "result",
            request_id: Some("r-1".into()),
            trace_id: Some("t-1".into()),
            rate_limit_remaining: Some(99),
            rate_limit_reset: Some(1_795_000_000),
            cycles_tenant: Some("acme-corp".into()),
            date_ms: Some(784_111_777_000),
        };
        assert_eq!(found, expected);
        assert_eq!((found.len(), found.into_inner()), (6, "result"));
        let bare = ApiResponse::new((), &ResponseInfo::default());
        assert_eq!((bare.request_id, bare.date_ms), (None, None));
    }
}
