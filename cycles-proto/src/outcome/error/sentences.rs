//! The sentences of the errors: the call, the reply, what it means for the money, and what to do next.

use core::fmt;

use super::{CallContext, Error, ErrorReply, TransportError};
use crate::models::{ErrorCode, ReservationCreateResponse, ReservationStatus, ResponseInfo};
use crate::outcome::{Failure, FailureKind, OperationKind, is_open};
use crate::text::{EXCERPT, shortened, shortened_to};

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = match self {
            Self::Config(_) => "Config",
            Self::Closed => "Closed",
            Self::Stopped(_) => "Stopped",
            Self::Validation(_) => "Validation",
            Self::BudgetExceeded { .. } => "BudgetExceeded",
            Self::BudgetNotFound { .. } => "BudgetNotFound",
            Self::Denied { .. } => "Denied",
            Self::Api { .. } => "Api",
            Self::Deserialization(_) => "Deserialization",
            Self::Transport(_) => "Transport",
            Self::DryRun(_) => "DryRun",
            Self::Action(_) => "Action",
            Self::LeaseLost(_) => "LeaseLost",
            Self::RunExhausted(_) => "RunExhausted",
            Self::RunOver(_) => "RunOver",
            Self::Unrecorded(_) => "Unrecorded",
            Self::InvalidCommit(_) => "InvalidCommit",
            Self::NotMarked(_) => "NotMarked",
            Self::StaleReplay { .. } => "StaleReplay",
            Self::Defect => "Defect",
        };
        if !f.alternate() {
            return write!(f, "{variant}: {self}");
        }
        f.debug_struct(variant)
            .field("says", &format_args!("{self}"))
            .field("call", &self.call())
            .field("reply", &self.reply().map(|reply| &reply.reply))
            .finish()
    }
}

impl std::error::Error for TransportError {}

/// Advice on what to change, where the TLS or HTTP message does not say it.
fn advice(failure: &Failure) -> Option<&'static str> {
    let says = |words: &str| failure.detail().contains(words);
    if failure.kind() == FailureKind::Tls && says("InvalidContentType") {
        Some("does the server speak plain http there? If so, the base URL must begin with http://")
    // `BadSignature`: an issuer with the same name but another key is trusted.
    } else if failure.kind() == FailureKind::Tls && (says("UnknownIssuer") || says("BadSignature")) {
        Some(
            "its certificate is not trusted here. Put the issuer's certificate into a file and set SSL_CERT_FILE to \
             its path, or pass it to HttpOptions::trust_pem",
        )
    } else if failure.kind() == FailureKind::Lost && says("invalid HTTP version") {
        Some("does the server speak https there? If so, the base URL must begin with https://")
    } else {
        None
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.failure)?;
        match advice(&self.failure) {
            Some(advice) => write!(f, ": {advice}. ")?,
            None => f.write_str(". ")?,
        }
        if self.may_have_been_sent() {
            let unknown = self.outcome_is_unknown().then_some(MAY_BE_DONE);
            self.call.write_advice(f, unknown)
        } else {
            f.write_str("Nothing was sent")
        }
    }
}

/// `commitReservation of 26c5a266 (POST http://ledger/v1/reservations/26c5a266/commit) for 500 TOKENS, llm.completion
/// gpt-4o, tenant:acme`.
impl fmt::Display for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operation.operation_id())?;
        if let Some(id) = &self.reservation_id {
            write!(f, " of {}", shortened(id.as_str()))?;
        }
        write!(f, " ({} {})", self.method(), shortened(&self.address()))?;
        match &self.info {
            Some(info) => write!(f, " for {}", shortened(&info.to_string())),
            None => Ok(()),
        }
    }
}

impl CallContext {
    /// Writes what the error means for the money and what to do next; `unknown` says why, if the outcome is not known.
    fn write_advice(&self, f: &mut fmt::Formatter<'_>, unknown: Option<&str>) -> fmt::Result {
        match (&self.idempotency_key, unknown) {
            (Some(key), Some(unknown)) => {
                let key = shortened(key.as_str());
                let who = if self.is_recorded {
                    "the client repeats it from its record"
                } else {
                    "repeat it"
                };
                write!(f, "{unknown}; {who} under the key {key}, and it counts only once")?;
                // The server remembers the key of an extension no longer than the lease.
                let is_extension = self.operation == OperationKind::ExtendReservation;
                f.write_str(if is_extension {
                    " while the lease lasts"
                } else {
                    ""
                })
            }
            _ if !self.operation.changes_the_ledger() => {
                f.write_str("It may have reached the server, but it makes no changes there")
            }
            _ => f.write_str("The ledger is unchanged"),
        }
    }
}

const MAY_BE_DONE: &str = "The server may have acted on it";

/// For a refusal that did not come from the ledger.
const MAY_HAVE_ARRIVED: &str = "Something between the client and the server answered, and it is not known whether the server saw the request";

/// The sentence about a reply: the call, the answer, what it means, and the id to find it by.
pub(super) struct Sentence<'a>(pub(super) &'a ErrorReply, pub(super) &'a str);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(
            ErrorReply {
                call,
                reply,
                decision,
                ..
            },
            message,
        ) = self;
        let status = reply.info.status();
        let redirect = call.redirect(&reply.info);
        let shown = |text: &str| shortened(&reply.info.shown(text));
        match (reply.code(), &reply.unreadable) {
            _ if decision.is_some() => write!(f, "{call}: denied")?,
            (Some(code), _) => write!(f, "{call}: {status} {}", shown(code.as_str()))?,
            (None, Some(_)) => write!(f, "{call}: the answer ({status}) cannot be read")?,
            (None, None) if redirect.is_none() => {
                write!(f, "{call}: {status}, not an answer from a Cycles server")?;
            }
            (None, None) => write!(f, "{call}: {status}")?,
        }
        if let Some(redirect) = &redirect {
            write!(f, ", {}", shown(redirect))?;
        } else if !message.is_empty() {
            write!(f, ": {}", shown(message).trim_end_matches('.'))?;
        }
        // Go, nginx and Apache all use this word in that case.
        let wants_https = reply.code().is_none() && status == 400 && message.contains("HTTPS");
        if wants_https && call.server.starts_with("http://") {
            f.write_str(" (the base URL must begin with https://)")?;
        }
        if reply.unreadable.is_some() {
            write!(f, ". {}", shown(&body_of(&reply.info)))?;
        }
        if reply.is_outage() {
            f.write_str(" (the server's own store is down; the API key is not at fault)")?;
        } else if status == 401 && reply.code().is_some() {
            write!(f, " ({} does not accept the API key)", call.server)?;
        }
        // The server answers this in no other case.
        if reply.code() == Some(&ErrorCode::Forbidden) {
            f.write_str(
                " (one API key belongs to one tenant: `with_credentials` makes a client for another one)",
            )?;
        }
        if reply.code() == Some(&ErrorCode::IdempotencyMismatch) {
            f.write_str(
                " (the ledger has already answered a request with a different body under this key: compare the two ",
            )?;
            f.write_str("before anything is charged under another key)")?;
        }
        let pause = decision.as_ref().and_then(|response| response.retry_after());
        if let Some(wait) = pause.or(reply.info.retry_after()) {
            let seconds = wait.as_millis().div_ceil(1_000);
            write!(f, " (the server asks you to wait {seconds} s)")?;
        }
        if call.operation.changes_the_ledger() {
            f.write_str(". ")?;
            let is_page = reply.code().is_none() && (400..500).contains(&status) && !is_open(status);
            let why = if is_page { MAY_HAVE_ARRIVED } else { MAY_BE_DONE };
            call.write_advice(f, self.0.outcome_is_unknown().then_some(why))?;
        }
        match self.0.request_id() {
            Some(id) => write!(f, ". Request {}.", shown(id)),
            None => f.write_str("."),
        }
    }
}

/// The message for a decision that does not allow the action.
pub(super) fn denial(response: &ReservationCreateResponse) -> String {
    let shown = |text: &str| shortened(&response.info.shown(text));
    let why = match &response.reason_code {
        Some(reason) => shown(reason.as_str()),
        None => format!("the decision is {}", shown(response.decision.as_str())),
    };
    let deepest = response.scope_path.as_ref().or(response.affected_scopes.last());
    match deepest {
        Some(scope) => format!("{why} for {}", shown(scope)),
        None => why,
    }
}

/// The sentence about a reservation that belongs to another caller, or that had ended before it was asked for.
pub(super) fn stale(call: &CallContext, status: &Option<ReservationStatus>) -> String {
    let key = call.idempotency_key.as_ref().map_or("", |key| key.as_str());
    let found = match status {
        Some(status) => format!(
            "that reservation is now {}. Nothing is held",
            shortened(status.as_str())
        ),
        None => "the state of that reservation could not be determined. Nothing was released".to_owned(),
    };
    format!(
        "{call}: the grant under the key {} had no time left, which is typical of a key that was used before: {found}, \
         and the action was not run; reserve under a fresh key.",
        shortened(key)
    )
}

/// The sentence about a cost that the client has given up on.
pub(super) fn unrecorded(last: &Error) -> String {
    let what = last.to_string();
    let what = what.trim_end_matches('.');
    let key = shortened(last.idempotency_key().map_or("", |key| key.as_str()));
    let is_event = last.call().map(|call| call.operation) == Some(OperationKind::CreateEvent);
    let again = if is_event {
        format!("send its event again under the key {key}. Under another key it may count twice.")
    } else {
        format!(
            "commit it again under the key {key}. An event in its place counts a second time if a commit got through."
        )
    };
    format!("{what}. There is no record of the cost, and the client has stopped trying: {again}")
}

/// Describes a body that cannot be read: `The body is text/html and starts with <!DOCTYPE html>`.
fn body_of(info: &ResponseInfo) -> String {
    const SHOWN: usize = 100;
    if info.body().is_empty() {
        return "The body is empty".to_owned();
    }
    let mut what: Vec<String> = Vec::new();
    what.extend(
        info.content_type()
            .map(|kind| format!("is {}", shortened_to(SHOWN, kind))),
    );
    what.extend(
        info.content_encoding()
            .map(|coding| format!("is encoded as {}", shortened_to(SHOWN, coding))),
    );
    what.push(format!("starts with {}", shortened_to(SHOWN, &excerpt(info))));
    format!("The body {}", what.join(" and "))
}

/// The start of a body that is not an error of the protocol. If it is not text, its bytes are escaped.
pub(super) fn excerpt(info: &ResponseInfo) -> String {
    let start = &info.body()[..info.body().len().min(EXCERPT)];
    // The cut may split the last character.
    let is_text = core::str::from_utf8(start).map_or_else(|error| error.error_len().is_none(), |_| true);
    if is_text {
        String::from_utf8_lossy(start).trim().to_owned()
    } else {
        start[..start.len().min(EXCERPT / 4)].escape_ascii().to_string()
    }
}
