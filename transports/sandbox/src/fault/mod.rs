//! Repeatable faults, injected between a client and the ledger.
//!
//! A [`FaultRule`] says what happens to which operations and when. It works for the running sandbox and for any
//! in-process transport; as text, it is the argument of `cycles-sandbox --fault`.

mod parse;
mod spoilt;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Request, Response, StatusCode};

use crate::operation::Operation;
use crate::seed::Seed;

pub use parse::FaultSyntax;
pub use spoilt::Spoilt;

/// A fault between a client and the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The request reaches the ledger after this delay.
    Delay(Duration),
    /// The server answers with this status and the protocol's error code for it (401 `UNAUTHORIZED`, 429
    /// `LIMIT_EXCEEDED`, 5xx `INTERNAL_ERROR`); the ledger never sees the request.
    Status {
        /// 400 to 599.
        status: u16,
        /// `Retry-After` in seconds, if the answer has one.
        retry_after_s: Option<u64>,
    },
    /// The ledger executes the request, but the answer has this status: it is a protocol error or, if the status is a
    /// success, the real answer with that status.
    StatusAfter(u16),
    /// The server has lost its store, and gives the reference server's answer for that: 401 `UNAUTHORIZED` with the
    /// message `INTERNAL_ERROR`.
    Outage,
    /// A gateway in front of the server answers with its own HTML page, or, if the status is a redirect, with a
    /// redirect to the same path elsewhere; the ledger never sees the request.
    ForeignPage(u16),
    /// A gateway in front of the server answers with an error in the protocol's form. The error lacks a request id and
    /// repeats the API key; the ledger never sees the request.
    ForeignError(u16),
    /// The ledger executes the request, and the answer is a success with an unreadable body.
    Garbage,
    /// The ledger executes the request, and the answer is a success that violates the protocol.
    Spoilt(Spoilt),
    /// The request reaches the ledger a second time after this delay, as if a proxy had repeated it. The client gets
    /// the first answer.
    Twice(Duration),
    /// The connection is closed before the ledger sees the request.
    LoseRequest,
    /// The ledger executes the request, and the connection is closed without an answer.
    LoseResponse,
    /// The connection is reset before the ledger sees the request.
    ResetRequest,
    /// The ledger executes the request, and the connection is reset without an answer.
    ResetResponse,
    /// The ledger executes the request, and the connection is closed in the middle of the answer.
    Cut,
    /// The ledger executes the request, and the answer arrives byte by byte, with this pause before each byte.
    Drip(Duration),
}

impl Fault {
    /// The answer that replaces the ledger's; the ledger must then not see the request. `None` if the ledger gets the
    /// request, or if there is no answer at all.
    pub fn answer_instead(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        match self {
            Self::Status {
                status,
                retry_after_s,
            } => Some(status_response(*status, *retry_after_s)),
            Self::Outage => Some(outage()),
            Self::ForeignPage(status) => Some(foreign_page(*status, request)),
            Self::ForeignError(status) => Some(foreign_error(*status, request)),
            Self::Delay(_)
            | Self::StatusAfter(_)
            | Self::Garbage
            | Self::Spoilt(_)
            | Self::Twice(_)
            | Self::LoseRequest
            | Self::LoseResponse
            | Self::ResetRequest
            | Self::ResetResponse
            | Self::Cut
            | Self::Drip(_) => None,
        }
    }

    /// Changes the ledger's answer as the fault requires. Delivery faults, such as [`Fault::Cut`], leave it unchanged.
    pub fn spoil(&self, answer: Response<Bytes>) -> Response<Bytes> {
        match self {
            Self::StatusAfter(status) => after(*status, answer),
            Self::Garbage => garbage(answer.status()),
            Self::Spoilt(spoilt) => spoilt.of(answer),
            Self::Delay(_)
            | Self::Status { .. }
            | Self::Outage
            | Self::ForeignPage(_)
            | Self::ForeignError(_)
            | Self::Twice(_)
            | Self::LoseRequest
            | Self::LoseResponse
            | Self::ResetRequest
            | Self::ResetResponse
            | Self::Cut
            | Self::Drip(_) => answer,
        }
    }
}

/// Which calls of the matching operations a fault applies to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum When {
    /// All of them.
    Always,
    /// The calls with these numbers, counted from 1.
    Calls(BTreeSet<u64>),
    /// This many calls, from the first one.
    First(u64),
    /// All calls during this time, which starts at the first call.
    For(Duration),
    /// Each call with this probability, decided by a seeded generator.
    Randomly {
        /// 0 to 1.
        probability: f64,
        /// The same seed selects the same calls. Another rule with this seed draws independently, so that neither
        /// hides the other.
        seed: u64,
    },
}

/// A fault, the operations it applies to, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRule {
    fault: Fault,
    /// The operations that the rule applies to; empty for all.
    operations: BTreeSet<Operation>,
    when: When,
}

impl FaultRule {
    /// A rule that applies `fault` to every call of every operation.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            operations: BTreeSet::new(),
            when: When::Always,
        }
    }

    /// Limits the rule to this operation and those from earlier calls.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        self.operations.insert(operation);
        self
    }

    /// Limits the rule to these calls.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// The seed of a random rule; 0 for any other rule, which uses no randomness.
    const fn seed(&self) -> u64 {
        match self.when {
            When::Randomly { seed, .. } => seed,
            When::Always | When::Calls(_) | When::First(_) | When::For(_) => 0,
        }
    }
}

/// The active rules and their progress. The sandbox has one; an in-process transport can use its own.
#[derive(Debug, Default)]
pub struct FaultPlan {
    rules: Vec<Active>,
    /// How many rules have each seed.
    seeds: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct Active {
    rule: FaultRule,
    calls: u64,
    struck: u64,
    first_at: Option<UnixMillis>,
    dice: Seed,
}

/// An active rule, and how far it got.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FaultCount {
    /// The rule.
    pub rule: FaultRule,
    /// How many calls of its operations there were since it was added.
    pub calls: u64,
    /// How many of them it struck.
    pub struck: u64,
}

impl FaultPlan {
    /// Adds a rule after the active ones.
    pub fn add(&mut self, rule: FaultRule) {
        let seed = rule.seed();
        let alike = self.seeds.entry(seed).or_default();
        let dice = match *alike {
            0 => Seed::new(seed),
            nth => Seed::new(seed ^ Seed::new(nth).bits()),
        };
        *alike += 1;
        self.rules.push(Active {
            rule,
            calls: 0,
            struck: 0,
            first_at: None,
            dice,
        });
    }

    /// The active rules, in the order in which they were added, with their counts.
    pub fn counts(&self) -> Vec<FaultCount> {
        let count = |active: &Active| FaultCount {
            rule: active.rule.clone(),
            calls: active.calls,
            struck: active.struck,
        };
        self.rules.iter().map(count).collect()
    }

    /// Removes the first rule that is the same as this one, and returns whether there was one.
    pub fn remove(&mut self, rule: &FaultRule) -> bool {
        let place = self.rules.iter().position(|active| active.rule == *rule);
        place.map(|place| self.rules.remove(place)).is_some()
    }

    /// Removes all rules.
    pub fn clear(&mut self) {
        self.rules.clear();
        self.seeds.clear();
    }

    /// The fault for this call, from the first rule that applies. Every rule for the operation counts the call.
    pub fn strike(&mut self, now: UnixMillis, operation: Operation) -> Option<Fault> {
        let mut struck = None;
        for active in &mut self.rules {
            let concerned = active.rule.operations.is_empty() || active.rule.operations.contains(&operation);
            if concerned && active.strikes(now) && struck.is_none() {
                active.struck += 1;
                struck = Some(active.rule.fault.clone());
            }
        }
        struck
    }
}

impl Active {
    fn strikes(&mut self, now: UnixMillis) -> bool {
        self.calls = self.calls.saturating_add(1);
        let first_at = *self.first_at.get_or_insert(now);
        match &self.rule.when {
            When::Always => true,
            When::Calls(numbers) => numbers.contains(&self.calls),
            When::First(count) => self.calls <= *count,
            When::For(time) => now.saturating_since(first_at) < *time,
            When::Randomly { probability, .. } => self.dice.chance(*probability),
        }
    }
}

/// An error answer in the protocol's form.
fn status_response(status: u16, retry_after_s: Option<u64>) -> Response<Bytes> {
    error_response(status, "Injected fault", retry_after_s)
}

/// The answer with this status to a request that the ledger executed.
fn after(status: u16, mut done: Response<Bytes>) -> Response<Bytes> {
    match StatusCode::from_u16(status) {
        Ok(code) if code.is_success() => {
            *done.status_mut() = code;
            done
        }
        Ok(_) | Err(_) => status_response(status, None),
    }
}

/// The answer of a server that has lost its store.
fn outage() -> Response<Bytes> {
    error_response(401, "INTERNAL_ERROR", None)
}

fn error_response(status: u16, message: &str, retry_after_s: Option<u64>) -> Response<Bytes> {
    const TRACE_ID: &str = "000000000000000000000000000fa017";
    let code = code_of(status);
    let body = format!(
        r#"{{"error":"{code}","message":"{message}","request_id":"injected-fault","trace_id":"{TRACE_ID}"}}"#
    );
    let mut response = respond(status, "application/json", body.into());
    let headers = response.headers_mut();
    headers.insert("x-request-id", HeaderValue::from_static("injected-fault"));
    headers.insert("x-cycles-trace-id", HeaderValue::from_static(TRACE_ID));
    if let Some(seconds) = retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The answer of a gateway that does not speak the protocol.
fn foreign_page(status: u16, request: &Request<Bytes>) -> Response<Bytes> {
    let page =
        format!("<html><body><h1>{status}</h1><p>The gateway could not serve this page.</p></body></html>");
    let mut response = respond(status, "text/html", page.into());
    let elsewhere = format!("https://elsewhere.example{}", request.uri().path());
    if let (300..400, Ok(location)) = (status, HeaderValue::try_from(elsewhere)) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// An error in the protocol's form from a gateway that wrongly repeats the API key.
fn foreign_error(status: u16, request: &Request<Bytes>) -> Response<Bytes> {
    let key = request.headers().get("x-cycles-api-key");
    let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
    let key = key.replace(['"', '\\'], "");
    let body = format!(
        r#"{{"error":"{}","message":"refused for {key}","hint":null}}"#,
        code_of(status)
    );
    respond(status, "application/json", body.into())
}

fn code_of(status: u16) -> &'static str {
    match status {
        400 => "INVALID_REQUEST",
        401 => "UNAUTHORIZED",
        403 => "FORBIDDEN",
        404 => "NOT_FOUND",
        409 => "RESERVATION_FINALIZED",
        410 => "RESERVATION_EXPIRED",
        429 => "LIMIT_EXCEEDED",
        _ => "INTERNAL_ERROR",
    }
}

/// An answer with an unreadable body and a success status: the operation's own, if it succeeded.
fn garbage(status: StatusCode) -> Response<Bytes> {
    let status = if status.is_success() {
        status
    } else {
        StatusCode::OK
    };
    respond(
        status.as_u16(),
        "application/json",
        Bytes::from_static(b"{\"status\":\"COMM"),
    )
}

fn respond(status: u16, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests;
