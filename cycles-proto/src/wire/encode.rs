//! Operations as HTTP requests: method, path, query, headers, body. The protocol's headers are written here; adapters
//! add only `Host` and proxy headers.

use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request};
use serde::Serialize;

use crate::config::CyclesConfig;
use crate::idempotency::Seed;
use crate::models::{
    Action, Amount, CommitRequest, DecisionRequest, EventCreateRequest, IdempotencyKey, InvalidRequest,
    ReleaseRequest, ReservationCreateRequest, ReservationExtendRequest, Subject,
};
use crate::outcome::{Purpose, ReservationInfo};
use crate::ticket::Ticket;
use crate::wire::reply::Reply;
use crate::wire::{Call, MAX_RESPONSE, Reader, Reads, Urgency};

/// A request that can be repeated: every call sends the same bytes.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    uri: http::Uri,
    body: Body,
    reads: Reads,
    /// The source of the trace id, if the caller has no trace.
    seed: Seed,
}

#[derive(Clone, Debug)]
enum Body {
    /// A public read, for which no API key is sent.
    PublicGet,
    Get,
    Post {
        json: Bytes,
        key: IdempotencyKey,
    },
}

/// A request to the ledger under an idempotency key.
pub(crate) trait Post: Serialize {
    /// The name of this kind of call in generated keys.
    const LABEL: &'static str;

    /// Checks the limits of its fields.
    fn check(&self) -> Result<(), InvalidRequest>;

    /// The key that the caller chose, if any.
    fn idempotency_key(&self) -> Option<&IdempotencyKey>;

    /// The amount in the request, if it has one.
    fn amount(&self) -> Option<&Amount>;

    /// What the request is for, if it says so.
    fn info(&self) -> Option<ReservationInfo>;
}

impl Encoded {
    /// Encodes a `POST` of `request`, under its own key or one derived from `seed`.
    pub(crate) fn post<R: Post>(
        config: &CyclesConfig,
        reads: Reads,
        path: impl Into<Cow<'static, str>>,
        seed: &Seed,
        request: &R,
    ) -> Result<Self, InvalidRequest> {
        request.check()?;
        let (key, json) = match request.idempotency_key() {
            Some(key) => (key.clone(), serde_json::to_vec(request)),
            None => {
                let key = seed.idempotency_key(R::LABEL, 0);
                let json = serde_json::to_vec(&Keyed {
                    idempotency_key: &key,
                    request,
                });
                (key, json)
            }
        };
        let json = json
            .map_err(|error| InvalidRequest::new("request", format!("cannot be written as JSON: {error}")))?;
        let json = Bytes::from(json);
        Self::new(config, reads, path, seed, Body::Post { json, key })
    }

    /// Encodes a `POST` of an already encoded body, byte for byte, under the key in it.
    pub(crate) fn verbatim(
        config: &CyclesConfig,
        reads: Reads,
        path: impl Into<Cow<'static, str>>,
        seed: &Seed,
        json: Bytes,
        key: IdempotencyKey,
    ) -> Result<Self, InvalidRequest> {
        Self::new(config, reads, path, seed, Body::Post { json, key })
    }

    /// Encodes a `GET`. For a public operation, the API key is not sent.
    pub(crate) fn get(
        config: &CyclesConfig,
        reads: Reads,
        path: impl Into<Cow<'static, str>>,
        seed: &Seed,
    ) -> Result<Self, InvalidRequest> {
        let body = match reads.kind.is_public() {
            true => Body::PublicGet,
            false => Body::Get,
        };
        Self::new(config, reads, path, seed, body)
    }

    fn new(
        config: &CyclesConfig,
        reads: Reads,
        path: impl Into<Cow<'static, str>>,
        seed: &Seed,
        body: Body,
    ) -> Result<Self, InvalidRequest> {
        let uri = config.base().join(path);
        let uri = uri.ok_or_else(|| InvalidRequest::new("query", "makes the URL too long"))?;
        Ok(Self {
            uri,
            body,
            reads,
            seed: *seed,
        })
    }

    /// The key that the request is made under.
    pub(crate) fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        match &self.body {
            Body::Post { key, .. } => Some(key),
            Body::Get | Body::PublicGet => None,
        }
    }

    /// The reader of the answers to its calls.
    pub(crate) fn reader(&self, config: &CyclesConfig) -> Reader {
        Reader::new(config.api_key(), self.reads)
    }

    /// Returns the same request, but its answers are kept unchanged.
    pub(crate) fn read_as_it_came<T: Reply>(self) -> Self {
        let reads = self.reads.as_it_came::<T>();
        Self { reads, ..self }
    }

    /// The trace id of its calls: the caller's, or else our own.
    pub(crate) fn trace_id(&self, config: &CyclesConfig) -> Option<String> {
        match config.trace_parent() {
            Some(parent) => Some(parent.trace_id().to_owned()),
            None => self.seed.trace_id(),
        }
    }

    /// Turns the request into a call.
    pub(crate) fn call(&self, config: &CyclesConfig, ticket: Ticket, timeout: Duration) -> Call {
        self.clone().into_call(config, ticket, timeout)
    }

    /// Consumes the request and returns its call.
    pub(crate) fn into_call(self, config: &CyclesConfig, ticket: Ticket, timeout: Duration) -> Call {
        let reader = self.reader(config);
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.insert(ACCEPT, JSON);
        headers.insert(USER_AGENT, config.user_agent().clone());
        self.insert_trace(config, &mut headers);
        let (method, body) = match self.body {
            Body::PublicGet => (Method::GET, Bytes::new()),
            Body::Get => {
                headers.insert(API_KEY, config.api_key().header().clone());
                (Method::GET, Bytes::new())
            }
            Body::Post { json, key } => {
                headers.insert(API_KEY, config.api_key().header().clone());
                headers.insert(CONTENT_TYPE, JSON);
                // HTTP clients differ in whether they add this header.
                headers.insert(CONTENT_LENGTH, HeaderValue::from(json.len()));
                if let Some(value) = header_of(&key) {
                    headers.insert(IDEMPOTENCY_KEY, value);
                }
                (Method::POST, json)
            }
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = headers;
        Call {
            ticket,
            request,
            timeout,
            max_response: MAX_RESPONSE,
            urgency: Urgency::Other,
            fresh: false,
            reader,
        }
    }

    /// Adds the caller's trace if there is one, or else our own, so that even a lost answer can be found in the
    /// server's logs (CORRELATION AND TRACING).
    fn insert_trace(&self, config: &CyclesConfig, headers: &mut HeaderMap) {
        let (name, value) = match config.trace_parent() {
            Some(parent) => (TRACE_PARENT, HeaderValue::from_str(parent.as_str())),
            None if self.seed.is_a_trace() => (TRACE_ID, HeaderValue::from_bytes(&self.seed.hex())),
            None => return,
        };
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
}

macro_rules! post {
    ($request:ident, $label:literal, $amount:expr) => {
        post!($request, $label, $amount, |_request| None);
    };
    ($request:ident, $label:literal, $amount:expr, $info:expr) => {
        impl Post for $request {
            const LABEL: &'static str = $label;
            fn check(&self) -> Result<(), InvalidRequest> {
                self.check()
            }
            fn idempotency_key(&self) -> Option<&IdempotencyKey> {
                self.idempotency_key.as_ref()
            }
            fn amount(&self) -> Option<&Amount> {
                let amount: fn(&Self) -> Option<&Amount> = $amount;
                amount(self)
            }
            fn info(&self) -> Option<ReservationInfo> {
                let info: fn(&Self) -> Option<ReservationInfo> = $info;
                info(self)
            }
        }
    };
}

post!(
    DecisionRequest,
    "decide",
    |request| Some(&request.estimate),
    |request| info(&request.subject, &request.action, &request.estimate)
);
post!(
    ReservationCreateRequest,
    "reserve",
    |request| Some(&request.estimate),
    |request| info(&request.subject, &request.action, &request.estimate)
);
post!(CommitRequest, "commit", |request| Some(&request.actual));
post!(ReleaseRequest, "release", |_request| None);
post!(ReservationExtendRequest, "extend", |_request| None);
post!(
    EventCreateRequest,
    "event",
    |request| Some(&request.actual),
    |request| info(&request.subject, &request.action, &request.actual)
);

fn info(subject: &Subject, action: &Action, amount: &Amount) -> Option<ReservationInfo> {
    let (subject, action) = (subject.clone(), action.clone());
    let purpose = Arc::new(Purpose { subject, action });
    Some(ReservationInfo::new(purpose, Some(amount.clone())))
}

/// A request preceded by its key. Its members are flattened here, rather than in one struct per request, so that the
/// key always comes first.
#[derive(Serialize)]
struct Keyed<'a, T> {
    idempotency_key: &'a IdempotencyKey,
    #[serde(flatten)]
    request: &'a T,
}

/// The key as a header, if HTTP can carry it unchanged. The key in the body is the one that counts.
fn header_of(key: &IdempotencyKey) -> Option<HeaderValue> {
    let plain = key.as_str().bytes().all(|byte| byte.is_ascii_graphic());
    plain.then(|| HeaderValue::from_str(key.as_str()).ok()).flatten()
}

/// The maximum number of headers of a call, plus those that the transport adds.
const HEADERS: usize = 8 + 2;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const API_KEY: HeaderName = HeaderName::from_static("x-cycles-api-key");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("x-idempotency-key");
const TRACE_ID: HeaderName = HeaderName::from_static("x-cycles-trace-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_http_would_change_stays_out_of_the_header() {
        assert_eq!(header_of(&"req-001".into()).unwrap(), "req-001");
        for key in [" a", "a ", "a b", "ä", "a\n"] {
            assert!(header_of(&key.into()).is_none(), "{key:?}");
        }
    }
}
