//! Operations as HTTP requests: method, path, query, headers, body.

use core::fmt::Write as _;
use core::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::call::{Call, MAX_RESPONSE, Ticket};
use crate::config::CyclesConfig;
use crate::keys::{Seed, TraceParent};
use crate::models::{
    Amount, BalanceParams, CommitRequest, DecisionRequest, EventCreateRequest, EvidenceId, IdempotencyKey,
    InvalidRequest, ListReservationsParams, ReleaseRequest, ReservationCreateRequest,
    ReservationExtendRequest, ReservationId,
};

/// A request that can be made again and again: every call of it has the same bytes.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    uri: http::Uri,
    body: Body,
    trace_id: Option<String>,
}

#[derive(Clone, Debug)]
enum Body {
    /// A read that anybody may make: no key is sent.
    PublicGet,
    Get,
    Post {
        json: Bytes,
        key: IdempotencyKey,
    },
}

/// A request that changes or asks the ledger under an idempotency key.
pub(crate) trait Post: Serialize {
    /// What this kind of call is called in the keys that are made for it.
    const LABEL: &'static str;

    /// The limits of its fields.
    fn check(&self) -> Result<(), InvalidRequest>;

    /// The key it was given.
    fn idempotency_key(&self) -> Option<&IdempotencyKey>;

    /// The amount it is about.
    fn amount(&self) -> Option<&Amount>;
}

impl Encoded {
    /// A `POST` of `request` under its own key or one made from `seed`.
    pub(crate) fn post<R: Post>(
        config: &CyclesConfig,
        path: &str,
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
        let json =
            json.map_err(|error| InvalidRequest::new("request", format!("cannot be written: {error}")))?;
        Self::new(
            config,
            path,
            seed,
            Body::Post {
                json: Bytes::from(json),
                key,
            },
        )
    }

    /// A `GET`; of something public without the API key.
    pub(crate) fn get(
        config: &CyclesConfig,
        path: &str,
        seed: &Seed,
        public: bool,
    ) -> Result<Self, InvalidRequest> {
        Self::new(
            config,
            path,
            seed,
            if public { Body::PublicGet } else { Body::Get },
        )
    }

    fn new(config: &CyclesConfig, path: &str, seed: &Seed, body: Body) -> Result<Self, InvalidRequest> {
        let uri = config.base().join(path);
        let uri = uri.ok_or_else(|| InvalidRequest::new("query", "is too long for an address"))?;
        Ok(Self {
            uri,
            body,
            trace_id: seed.trace_id(),
        })
    }

    /// The key that the request is made under.
    pub(crate) fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        match &self.body {
            Body::Post { key, .. } => Some(key),
            Body::Get | Body::PublicGet => None,
        }
    }

    /// The trace that its calls belong to: the caller's, else ours.
    pub(crate) fn trace_id<'a>(&'a self, config: &'a CyclesConfig) -> Option<&'a str> {
        config
            .trace_parent()
            .map(TraceParent::trace_id)
            .or(self.trace_id.as_deref())
    }

    /// One attempt at it.
    pub(crate) fn call(&self, config: &CyclesConfig, ticket: Ticket, timeout: Duration) -> Call {
        let (method, body) = match &self.body {
            Body::PublicGet | Body::Get => (Method::GET, Bytes::new()),
            Body::Post { json, .. } => (Method::POST, json.clone()),
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.reserve(8);
        headers.insert(ACCEPT, JSON);
        headers.insert(USER_AGENT, config.user_agent().clone());
        self.insert_trace(config, headers);
        match &self.body {
            Body::PublicGet => {}
            Body::Get => {
                headers.insert(API_KEY, config.api_key().header().clone());
            }
            Body::Post { json, key } => {
                headers.insert(API_KEY, config.api_key().header().clone());
                headers.insert(CONTENT_TYPE, JSON);
                // HTTP clients differ in whether they add it.
                headers.insert(CONTENT_LENGTH, HeaderValue::from(json.len()));
                if let Some(value) = header_of(key) {
                    headers.insert(IDEMPOTENCY_KEY, value);
                }
            }
        }
        Call {
            ticket,
            request,
            timeout,
            max_response: MAX_RESPONSE,
        }
    }

    /// The caller's trace if there is one, else ours, so that even a lost answer can be found in the
    /// server's logs (CORRELATION AND TRACING).
    fn insert_trace(&self, config: &CyclesConfig, headers: &mut http::HeaderMap) {
        let (name, text) = match (config.trace_parent(), &self.trace_id) {
            (Some(parent), _) => (TRACE_PARENT, parent.as_str()),
            (None, Some(id)) => (TRACE_ID, id.as_str()),
            (None, None) => return,
        };
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    }
}

/// Path of an operation on one reservation; `suffix` starts with a slash or is empty.
pub(crate) fn reservation_path(id: &ReservationId, suffix: &str) -> Result<String, InvalidRequest> {
    id.check()?;
    Ok(format!(
        "/v1/reservations/{}{suffix}",
        utf8_percent_encode(id.as_str(), ENCODED)
    ))
}

/// Path of an evidence envelope.
pub(crate) fn evidence_path(id: &EvidenceId) -> Result<String, InvalidRequest> {
    id.check()?;
    Ok(format!("/v1/evidence/{id}"))
}

/// Path and query of `getBalances`.
pub(crate) fn balances_path(params: &BalanceParams) -> Result<String, InvalidRequest> {
    params.check()?;
    let mut query = Query::new("/v1/balances");
    query.texts(params.levels());
    query.text(
        "include_children",
        params
            .include_children
            .map(|children| if children { "true" } else { "false" }),
    );
    query.page(params.limit, params.cursor.as_deref());
    Ok(query.0)
}

/// Path and query of `listReservations`.
pub(crate) fn list_path(params: &ListReservationsParams) -> Result<String, InvalidRequest> {
    params.check()?;
    let mut query = Query::new("/v1/reservations");
    query.text(
        "idempotency_key",
        params.idempotency_key.as_ref().map(IdempotencyKey::as_str),
    );
    query.text("status", params.status.as_ref().map(|status| status.as_str()));
    query.texts(params.levels());
    for (name, time) in params.windows().into_iter().flatten() {
        query.text(name, time.map(|time| time.to_string()).as_deref());
    }
    query.text("sort_by", params.sort_by.as_ref().map(|key| key.as_str()));
    query.text("sort_dir", params.sort_dir.as_ref().map(|dir| dir.as_str()));
    let fields: Vec<&str> = params.include.iter().map(|field| field.as_str()).collect();
    query.text(
        "include",
        (!fields.is_empty()).then(|| fields.join(",")).as_deref(),
    );
    query.page(params.limit, params.cursor.as_deref());
    Ok(query.0)
}

macro_rules! post {
    ($request:ident, $label:literal, $amount:expr) => {
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
        }
    };
}

post!(DecisionRequest, "decide", |request| Some(&request.estimate));
post!(ReservationCreateRequest, "reserve", |request| Some(
    &request.estimate
));
post!(CommitRequest, "commit", |request| Some(&request.actual));
post!(ReleaseRequest, "release", |_request| None);
post!(ReservationExtendRequest, "extend", |_request| None);
post!(EventCreateRequest, "event", |request| Some(&request.actual));

/// A request's members after its key. They are not flattened into one struct per request so that the key
/// always comes first.
#[derive(Serialize)]
struct Keyed<'a, T> {
    idempotency_key: &'a IdempotencyKey,
    #[serde(flatten)]
    request: &'a T,
}

/// The key as a header too, where HTTP carries it unchanged; the body's is the one that counts.
fn header_of(key: &IdempotencyKey) -> Option<HeaderValue> {
    let plain = key.as_str().bytes().all(|byte| byte.is_ascii_graphic());
    plain.then(|| HeaderValue::from_str(key.as_str()).ok()).flatten()
}

struct Query(String);

impl Query {
    fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        let separator = if self.0.contains('?') { '&' } else { '?' };
        // Writing to a string cannot fail.
        let _ = write!(
            self.0,
            "{separator}{name}={}",
            utf8_percent_encode(value, ENCODED)
        );
    }

    fn texts<'a>(&mut self, values: impl IntoIterator<Item = (&'static str, Option<&'a str>)>) {
        values
            .into_iter()
            .for_each(|(name, value)| self.text(name, value));
    }

    fn page(&mut self, limit: Option<u32>, cursor: Option<&str>) {
        self.text("limit", limit.map(|limit| limit.to_string()).as_deref());
        self.text("cursor", cursor);
    }
}

/// Everything but the characters that mean themselves in every part of an address (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const API_KEY: HeaderName = HeaderName::from_static("x-cycles-api-key");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("x-idempotency-key");
const TRACE_ID: HeaderName = HeaderName::from_static("x-cycles-trace-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{ReservationField, ReservationSortKey, ReservationStatus, SortDirection};
    use crate::time::UnixMillis;

    #[test]
    fn no_id_can_change_the_route() {
        for (id, path) in [
            ("26c5a266-37a3", "/v1/reservations/26c5a266-37a3/commit"),
            ("a/b", "/v1/reservations/a%2Fb/commit"),
            ("../../v1/events", "/v1/reservations/..%2F..%2Fv1%2Fevents/commit"),
            ("a?b#c", "/v1/reservations/a%3Fb%23c/commit"),
            ("a b\r\nc", "/v1/reservations/a%20b%0D%0Ac/commit"),
            ("é%2F", "/v1/reservations/%C3%A9%252F/commit"),
            ("a\\b;c", "/v1/reservations/a%5Cb%3Bc/commit"),
        ] {
            assert_eq!(reservation_path(&id.into(), "/commit").unwrap(), path);
        }
        for id in ["", ".", "..", &"x".repeat(129)] {
            assert_eq!(
                reservation_path(&id.into(), "").unwrap_err().field(),
                "reservation_id",
                "{id}"
            );
        }
    }

    #[test]
    fn every_query_parameter_is_written_and_encoded() {
        let text = |value: &str| Some(value.to_owned());
        let params = ListReservationsParams {
            idempotency_key: Some("k&1=ü".into()),
            status: Some(ReservationStatus::Active),
            tenant: text("t"),
            workspace: text("w"),
            app: text("a"),
            workflow: text("f"),
            agent: text("g+h"),
            toolset: text("s"),
            from: Some(UnixMillis(0)),
            to: Some(UnixMillis(1)),
            expires_from: Some(UnixMillis(2)),
            expires_to: Some(UnixMillis(3)),
            finalized_from: Some(UnixMillis(4)),
            finalized_to: Some(UnixMillis(5)),
            sort_by: Some(ReservationSortKey::CreatedAtMs),
            sort_dir: Some(SortDirection::Asc),
            include: vec![ReservationField::Metadata, ReservationField::Evidence],
            limit: Some(10),
            cursor: text("c=="),
        };
        assert_eq!(
            list_path(&params).unwrap(),
            "/v1/reservations?idempotency_key=k%261%3D%C3%BC&status=ACTIVE&tenant=t&workspace=w&app=a&workflow=f\
             &agent=g%2Bh&toolset=s&from=1970-01-01T00%3A00%3A00.000Z&to=1970-01-01T00%3A00%3A00.001Z\
             &expires_from=1970-01-01T00%3A00%3A00.002Z&expires_to=1970-01-01T00%3A00%3A00.003Z\
             &finalized_from=1970-01-01T00%3A00%3A00.004Z&finalized_to=1970-01-01T00%3A00%3A00.005Z\
             &sort_by=created_at_ms&sort_dir=asc&include=metadata%2Cevidence&limit=10&cursor=c%3D%3D"
        );
        assert_eq!(
            list_path(&ListReservationsParams::default()).unwrap(),
            "/v1/reservations"
        );
        let params = BalanceParams {
            tenant: text("t"),
            include_children: Some(true),
            limit: Some(200),
            cursor: text("0"),
            ..Default::default()
        };
        assert_eq!(
            balances_path(&params).unwrap(),
            "/v1/balances?tenant=t&include_children=true&limit=200&cursor=0"
        );
    }

    #[test]
    fn a_key_that_http_would_change_stays_out_of_the_header() {
        assert_eq!(header_of(&"req-001".into()).unwrap(), "req-001");
        for key in [" a", "a ", "a b", "ä", "a\n"] {
            assert!(header_of(&key.into()).is_none(), "{key:?}");
        }
    }
}
