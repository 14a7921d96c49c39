//! Turns an outcome into an HTTP response: status, headers and body.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

use super::error::{Refusal, UnitDetails};
use super::evidence::{Attested, EvidenceRef};

/// The answer to a request that was served.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// Set by the operation; without it, responses must not be stored.
    pub(super) cache_control: Option<&'static str>,
}

/// The facts about an exchange, apart from its outcome.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    pub(super) request_id: String,
    pub(super) trace_id: String,
    /// The tenant of the API key, once it is authenticated.
    pub(super) tenant: Option<String>,
    /// Whether the path is under `/v1/`.
    pub(super) versioned: bool,
    /// Whether the request passed authentication and throttling.
    pub(super) past_filters: bool,
    /// Set if the request was throttled.
    pub(super) throttled: Option<Throttled>,
    /// The request, if its refusal would be attested.
    pub(super) attested: Option<Attested>,
}

/// When a throttled caller may try again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throttled {
    pub(super) retry_after_s: u64,
    /// End of the window in seconds since 1970.
    pub(super) window_end_s: u64,
}

impl Reply {
    /// A reply with a JSON body. If the body cannot be serialised, the answer is a 500.
    pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Refusal> {
        let body = serde_json::to_vec(body).map_err(|_| Refusal::internal())?;
        Ok(Self {
            status,
            body: body.into(),
            cache_control: None,
        })
    }

    /// 200 with a JSON body.
    pub(super) fn ok(body: &impl Serialize) -> Result<Self, Refusal> {
        Self::json(StatusCode::OK, body)
    }
}

/// The response to one request.
pub(super) fn render(envelope: &Envelope, reply: Reply) -> Response<Bytes> {
    let mut response = Response::new(reply.body);
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type(envelope));
    identify(envelope, headers);
    if let Some(tenant) = &envelope.tenant {
        put(headers, HeaderName::from_static("x-cycles-tenant"), tenant);
    }
    rate_limit(headers, envelope);
    security(headers, reply.cache_control);
    response
}

/// Adds the headers that contain the ids of the exchange.
pub(super) fn identify(envelope: &Envelope, headers: &mut HeaderMap) {
    put(
        headers,
        HeaderName::from_static("x-request-id"),
        &envelope.request_id,
    );
    put(
        headers,
        HeaderName::from_static("x-cycles-trace-id"),
        &envelope.trace_id,
    );
}

/// The body of an error.
#[derive(Serialize)]
pub(super) struct ErrorBody<'a> {
    error: &'a str,
    message: &'a str,
    request_id: &'a str,
    trace_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a UnitDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cycles_evidence: Option<EvidenceRef>,
}

/// Turns a refusal into a reply. `attest` gets the body without evidence and returns the evidence to add.
pub(super) fn refused(
    envelope: &Envelope,
    refusal: &Refusal,
    attest: impl FnOnce(&ErrorBody<'_>) -> Option<EvidenceRef>,
) -> Reply {
    let mut body = ErrorBody {
        error: refusal.code.name(),
        message: &refusal.message,
        request_id: &envelope.request_id,
        trace_id: &envelope.trace_id,
        details: refusal.details.as_ref(),
        cycles_evidence: None,
    };
    body.cycles_evidence = attest(&body);
    // Every status of the catalogue is valid and strings always serialise; the fallbacks are unreachable.
    let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Reply {
        status,
        body: serde_json::to_vec(&body).unwrap_or_default().into(),
        cache_control: None,
    }
}

fn content_type(envelope: &Envelope) -> HeaderValue {
    let text = if envelope.past_filters {
        "application/json"
    } else {
        "application/json;charset=UTF-8"
    };
    HeaderValue::from_static(text)
}

/// Adds the rate-limit headers. Authenticated calls are never throttled, so they get sentinel values; requests that
/// were refused earlier get no headers.
fn rate_limit(headers: &mut HeaderMap, envelope: &Envelope) {
    let (remaining, reset) = if let Some(throttled) = envelope.throttled {
        headers.insert(header::RETRY_AFTER, throttled.retry_after_s.into());
        (HeaderValue::from_static("0"), throttled.window_end_s.into())
    } else if envelope.versioned && envelope.past_filters {
        (HeaderValue::from_static("-1"), HeaderValue::from_static("0"))
    } else {
        return;
    };
    headers.insert("x-ratelimit-remaining", remaining);
    headers.insert("x-ratelimit-reset", reset);
}

fn security(headers: &mut HeaderMap, cache_control: Option<&'static str>) {
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::X_XSS_PROTECTION, HeaderValue::from_static("0"));
    if let Some(cache_control) = cache_control {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
        return;
    }
    let never = HeaderValue::from_static("no-cache, no-store, max-age=0, must-revalidate");
    headers.insert(header::CACHE_CONTROL, never);
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::EXPIRES, HeaderValue::from_static("0"));
}

/// Adds a header, unless `text` is not a header value, such as a tenant id with a line break.
fn put(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
