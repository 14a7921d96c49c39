//! Faults: what goes wrong between a client and the ledger, on purpose and repeatably.
//!
//! A [`FaultRule`] says what happens to which operations and when. As a value it drives the running sandbox
//! and any in-process transport alike; as a text it is what `cycles-sandbox --fault` takes.

mod parse;
mod spoilt;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Request, Response, StatusCode};

use crate::operation::Operation;
use crate::seed::Seed;

pub use parse::FaultSyntax;
pub use spoilt::Spoilt;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The request reaches the ledger this much later.
    Delay(Duration),
    /// The server answers with this status and an error of the protocol whose code goes with it (401
    /// `UNAUTHORIZED`, 429 `LIMIT_EXCEEDED`, 5xx `INTERNAL_ERROR`), and the ledger sees nothing.
    Status {
        /// 400 to 599.
        status: u16,
        /// `Retry-After` in seconds, if there is one.
        retry_after_s: Option<u64>,
    },
    /// The ledger does what was asked, and the answer is this status all the same: an error of the protocol, or
    /// the answer proper if it is a success.
    StatusAfter(u16),
    /// The server cannot reach its own store, and answers with 401 `UNAUTHORIZED` and the message
    /// `INTERNAL_ERROR`, as the reference server does then.
    Outage,
    /// Something before the server answers with a page of its own, or with a redirect to the same path elsewhere if the
    /// status is one; the ledger sees nothing.
    ForeignPage(u16),
    /// Something before the server answers with an error in the protocol's form, but without a request id, and
    /// repeats the API key in it; the ledger sees nothing.
    ForeignError(u16),
    /// The ledger does what was asked, and the answer is a success that cannot be read.
    Garbage,
    /// The ledger does what was asked, and the answer is a success that the protocol does not have.
    Spoilt(Spoilt),
    /// The request reaches the ledger once more this much later, as when a proxy repeats it. The answer is
    /// the first one.
    Twice(Duration),
    /// The connection is closed before the ledger sees the request.
    LoseRequest,
    /// The ledger does what was asked, and the connection is closed without an answer.
    LoseResponse,
    /// The connection is reset before the ledger sees the request.
    ResetRequest,
    /// The ledger does what was asked, and the connection is reset without an answer.
    ResetResponse,
    /// The ledger does what was asked, and the connection is closed in the middle of the answer.
    Cut,
    /// The ledger does what was asked, and the answer comes byte by byte, each after this time.
    Drip(Duration),
}

impl Fault {
    /// What is answered in the ledger's stead, which then sees nothing of the request. `None` if the ledger sees it, or
    /// if nobody answers.
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

    /// What the ledger's answer becomes. How it gets to the client, if at all, is not said here.
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

/// Which calls of the matching operations a fault strikes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum When {
    /// All of them.
    Always,
    /// Those with these numbers, counted from 1.
    Calls(BTreeSet<u64>),
    /// As many as this, from the first.
    First(u64),
    /// All for as long as this, counted from the first.
    For(Duration),
    /// Each with this probability, decided by a generator with this seed.
    Randomly {
        /// 0 to 1.
        probability: f64,
        /// The same seed strikes the same calls. A further rule with this seed draws on its own, so that neither
        /// hides the other.
        seed: u64,
    },
}

/// A fault, the operations it strikes, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRule {
    fault: Fault,
    /// Empty for all operations.
    operations: BTreeSet<Operation>,
    when: When,
}

impl FaultRule {
    /// `fault` for every call of every operation.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            operations: BTreeSet::new(),
            when: When::Always,
        }
    }

    /// Strikes only this operation, and those named before.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        self.operations.insert(operation);
        self
    }

    /// Strikes only then.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// The seed of one that strikes at random; 0 for another, which draws nothing.
    const fn seed(&self) -> u64 {
        match self.when {
            When::Randomly { seed, .. } => seed,
            When::Always | When::Calls(_) | When::First(_) | When::For(_) => 0,
        }
    }
}

/// The rules in force, and how far each has come: for a transport in the process, as the sandbox has one.
#[derive(Debug, Default)]
pub struct FaultPlan(Vec<Active>);

#[derive(Debug)]
struct Active {
    rule: FaultRule,
    calls: u64,
    first_at: Option<UnixMillis>,
    dice: Seed,
}

impl FaultPlan {
    /// Adds a rule behind those in force.
    pub fn add(&mut self, rule: FaultRule) {
        let seed = rule.seed();
        let alike = self.0.iter().filter(|earlier| earlier.rule.seed() == seed);
        let dice = match alike.count() {
            0 => Seed::new(seed),
            nth => Seed::new(seed ^ Seed::new(nth as u64).bits()),
        };
        self.0.push(Active {
            rule,
            calls: 0,
            first_at: None,
            dice,
        });
    }

    /// Ends all of them.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What strikes this call: the first rule that does. Every matching rule counts the call.
    pub fn strike(&mut self, now: UnixMillis, operation: Operation) -> Option<Fault> {
        let mut struck = None;
        for active in &mut self.0 {
            let concerned = active.rule.operations.is_empty() || active.rule.operations.contains(&operation);
            if concerned && active.strikes(now) && struck.is_none() {
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

/// The answer of a server that refuses or fails, in the protocol's form.
fn status_response(status: u16, retry_after_s: Option<u64>) -> Response<Bytes> {
    error_response(status, "Injected fault", retry_after_s)
}

/// The answer that says so although the ledger did what was asked.
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

/// The answer of something that is no Cycles server.
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

/// An error of something that speaks like a Cycles server and is none, with what it should not repeat.
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

/// A success as far as its status goes; the operation's own, if it was one.
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
