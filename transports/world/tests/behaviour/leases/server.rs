//! A model of a server that only grants leases, in the three ways that the protocol has.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

/// The granted share of a request. Lengths are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// All of it, added to the current expiry.
    Adds,
    /// At most this much per reservation and per extension, added to the current expiry.
    ClampsGrant(u64),
    /// At most this much from now.
    ClampsLead(u64),
}

/// One reservation on such a server, without any limit to the number of extensions.
pub struct LeaseServer {
    rule: Rule,
    /// Whether responses carry `remaining_ttl_ms`.
    is_measured: bool,
    expires_at_ms: u64,
    /// The answer to each key.
    answers: BTreeMap<String, u64>,
}

impl LeaseServer {
    pub fn new(rule: Rule, is_measured: bool) -> Self {
        Self {
            rule,
            is_measured,
            expires_at_ms: 0,
            answers: BTreeMap::new(),
        }
    }

    pub fn is_over(&self, now_ms: u64) -> bool {
        now_ms > self.expires_at_ms
    }

    pub fn handle(&mut self, now_ms: u64, request: &Request<Bytes>) -> Response<Bytes> {
        if request.method() == Method::GET {
            let body = json!({"error": "NOT_FOUND", "message": "it only grants leases", "request_id": "r"});
            return respond(StatusCode::NOT_FOUND, &body);
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let key = body["idempotency_key"].as_str().unwrap();
        if let Some(&expires_at_ms) = self.answers.get(key) {
            return self.answer(now_ms, request, expires_at_ms);
        }
        let is_create = request.uri().path() == "/v1/reservations";
        if !is_create && self.is_over(now_ms) {
            let body = json!({"error": "RESERVATION_EXPIRED", "message": "expired", "request_id": "r"});
            return respond(StatusCode::GONE, &body);
        }
        let (asked, from) = if is_create {
            (&body["ttl_ms"], now_ms)
        } else {
            (&body["extend_by_ms"], self.expires_at_ms)
        };
        self.expires_at_ms = self.rule.expiry(now_ms, from, asked.as_u64().unwrap());
        self.answers.insert(key.to_owned(), self.expires_at_ms);
        self.answer(now_ms, request, self.expires_at_ms)
    }

    fn answer(&self, now_ms: u64, request: &Request<Bytes>, expires_at_ms: u64) -> Response<Bytes> {
        let mut body = if request.uri().path() == "/v1/reservations" {
            json!({"decision": "ALLOW", "reservation_id": "r", "affected_scopes": ["tenant:acme-corp"]})
        } else {
            json!({"status": "ACTIVE"})
        };
        body["expires_at_ms"] = expires_at_ms.into();
        if self.is_measured {
            body["remaining_ttl_ms"] = expires_at_ms.saturating_sub(now_ms).into();
        }
        respond(StatusCode::OK, &body)
    }
}

impl Rule {
    fn expiry(self, now_ms: u64, from_ms: u64, asked_ms: u64) -> u64 {
        match self {
            Self::Adds => from_ms + asked_ms,
            Self::ClampsGrant(most_ms) => from_ms + asked_ms.min(most_ms),
            Self::ClampsLead(lead_ms) => (from_ms + asked_ms).min(now_ms + lead_ms),
        }
    }

    /// The kinds of servers to test for `ttl_ms`.
    pub fn all(ttl_ms: u64) -> [Self; 4] {
        [
            Self::Adds,
            Self::ClampsGrant(ttl_ms / 2),
            Self::ClampsGrant(ttl_ms / 4),
            Self::ClampsLead(ttl_ms),
        ]
    }

    /// The length that is granted for a reservation of `ttl_ms`, and at most for an extension of it.
    pub fn grant_ms(self, ttl_ms: u64) -> u64 {
        match self {
            Self::Adds => ttl_ms,
            Self::ClampsGrant(most_ms) | Self::ClampsLead(most_ms) => most_ms.min(ttl_ms),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adds => f.write_str("adds"),
            Self::ClampsGrant(most) => write!(f, "grants {} s", *most as f64 / 1e3),
            Self::ClampsLead(lead) => write!(f, "leads {} s", *lead as f64 / 1e3),
        }
    }
}

fn respond(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response
}
