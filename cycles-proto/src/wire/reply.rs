//! What a response means for the money: a table from (operation, status, error code, body) to a verdict.
//!
//! | response | verdict |
//! |---|---|
//! | the operation's own status with every required member present and valid | [`Verdict::Success`] |
//! | any other 2xx, a success that cannot be read, 5xx; 408, 421, 425, 444, 460, 494, 499, 1xx and 3xx, which a server of the protocol never sends | [`Verdict::Ambiguous`] |
//! | 429, or an error with code `LIMIT_EXCEEDED` | [`Verdict::Throttled`] |
//! | 401, 403 | [`Verdict::Unauthorized`] |
//! | 410 or code `RESERVATION_EXPIRED`, on an operation that names a reservation | [`Verdict::Expired`] |
//! | 407, which only a proxy sends | [`Verdict::NotSent`] |
//! | any other 4xx | [`Verdict::Rejected`] |
//!
//! Unknown members, nulls for optional members, and unknown values of open enums never invalidate a success, because
//! the protocol grows by addition. A known member of the wrong type does: only a schema-valid success ends a
//! settlement.

mod json_text;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::outcome::{
    CallContext, Error, OUTAGE, OperationKind, PROXY_WANTS_CREDENTIALS, Unsuccessful, is_open,
};

use crate::models::{
    BalanceResponse, CommitResponse, CyclesEvidenceEnvelope, CyclesEvidenceJwks, DecisionResponse, ErrorCode,
    ErrorResponse, EventCreateResponse, EventStatus, HealthResponse, ReleaseResponse,
    ReservationCreateResponse, ReservationDetail, ReservationExtendResponse, ReservationListResponse,
    ReservationStatus, ResponseInfo,
};
use crate::text::shortened;

/// What a response means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    /// The operation was done.
    Success(T),
    /// The operation was not done, and repeating it unchanged will not help. The ledger itself says so only if the
    /// reply was [understood](Unsuccessful::is_understood); otherwise an intermediary may have answered.
    Rejected(Unsuccessful),
    /// The operation was not done because of the API key; another key may work.
    Unauthorized(Unsuccessful),
    /// The operation was not done because the reservation has ended.
    Expired {
        /// Whether the ledger itself says so, with its error code, in an error that names the request, like all its
        /// errors. A bare 410 may come from a proxy.
        confirmed: bool,
        /// The reply.
        reply: Unsuccessful,
    },
    /// The operation was not done because of too many requests: wait for [`ResponseInfo::retry_after`].
    Throttled(Unsuccessful),
    /// The operation was not done: a proxy asks for a user name and a password before it sends anything on.
    NotSent(Unsuccessful),
    /// The operation may have been done: only a repetition under the same key can tell.
    Ambiguous(Unsuccessful),
}

impl<T> Verdict<T> {
    /// Converts the value of a success.
    pub(crate) fn map<U>(self, success: impl FnOnce(T) -> U) -> Verdict<U> {
        match self {
            Self::Success(reply) => Verdict::Success(success(reply)),
            Self::Rejected(reply) => Verdict::Rejected(reply),
            Self::Unauthorized(reply) => Verdict::Unauthorized(reply),
            Self::Expired { confirmed, reply } => Verdict::Expired { confirmed, reply },
            Self::Throttled(reply) => Verdict::Throttled(reply),
            Self::NotSent(reply) => Verdict::NotSent(reply),
            Self::Ambiguous(reply) => Verdict::Ambiguous(reply),
        }
    }

    /// Returns the success, or the unsuccessful reply.
    #[expect(clippy::result_large_err, reason = "it is taken apart at once")]
    pub(crate) fn into_result(self) -> Result<T, Unsuccessful> {
        match self {
            Self::Success(reply) => Ok(reply),
            Self::Rejected(reply)
            | Self::Expired { reply, .. }
            | Self::Unauthorized(reply)
            | Self::Throttled(reply)
            | Self::NotSent(reply)
            | Self::Ambiguous(reply) => Err(reply),
        }
    }
}

/// Returns what `response` means for an operation.
pub fn verdict<T: Reply>(kind: OperationKind, response: &http::Response<Bytes>) -> Verdict<T> {
    judged(kind, ResponseInfo::of(response))
}

/// Returns what a response with this status, headers and body means.
pub(crate) fn judged<T: Reply>(kind: OperationKind, info: ResponseInfo) -> Verdict<T> {
    let status = info.status();
    if kind.succeeds_with(status) {
        return match read::<T>(kind, info.body()) {
            Ok(mut reply) => {
                reply.set_info(info);
                Verdict::Success(reply)
            }
            Err(problem) => Verdict::Ambiguous(Unsuccessful {
                unreadable: Some(info.shown(&problem).into_owned()),
                info: info.without_key(),
                error: None,
            }),
        };
    }
    if (200..300).contains(&status) {
        let unreadable = Some("its status is not the one that the operation succeeds with".to_owned());
        return Verdict::Ambiguous(Unsuccessful {
            info: info.without_key(),
            error: None,
            unreadable,
        });
    }
    let error = parse::<ErrorResponse>(info.body())
        .ok()
        .map(|error| shown(error, &info));
    let reply = Unsuccessful {
        info: info.without_key(),
        error,
        unreadable: None,
    };
    let code = reply.code();
    if status == 429 || (status >= 400 && code.is_some_and(ErrorCode::is_throttling)) {
        return Verdict::Throttled(reply);
    }
    match status {
        401 | 403 => Verdict::Unauthorized(reply),
        PROXY_WANTS_CREDENTIALS => Verdict::NotSent(reply),
        _ if is_open(status) => Verdict::Ambiguous(reply),
        400..500 if kind.names_a_reservation() => match (status, code) {
            (_, Some(ErrorCode::ReservationExpired)) => {
                let confirmed = !reply.is_nameless();
                Verdict::Expired { confirmed, reply }
            }
            (410, _) => Verdict::Expired {
                confirmed: false,
                reply,
            },
            _ => Verdict::Rejected(reply),
        },
        _ => Verdict::Rejected(reply),
    }
}

/// Removes the API key from the texts for people; texts that a decision depends on stay unchanged.
fn shown(mut error: ErrorResponse, info: &ResponseInfo) -> ErrorResponse {
    let decides = error.message == OUTAGE;
    let ids = [&mut error.request_id, &mut error.trace_id];
    let texts = ids.into_iter().flatten().chain([&mut error.message]);
    for text in texts.filter(|_| !decides) {
        *text = info.shown(text).into_owned();
    }
    // An unknown code decides nothing, unless it is the reason for a decision.
    if !error.error.is_known() && error.error.denial().is_none() {
        error.error = ErrorCode::from(&*info.shown(error.error.as_str()));
    }
    let details = error.details.map(|details| details.to_string());
    error.details = details.and_then(|details| serde_json::from_str(&info.shown(&details)).ok());
    error
}

/// A response of the protocol, with the checks beyond its JSON types that make it a success.
pub trait Reply: DeserializeOwned + Send + sealed::Sealed + 'static {
    /// Stores status, headers and body.
    #[doc(hidden)]
    fn set_info(&mut self, info: ResponseInfo);

    /// What in the reply, if anything, contradicts the claim that the operation was done.
    #[doc(hidden)]
    fn contradiction(&self, kind: OperationKind) -> Option<&'static str>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! reply {
    ($type:ty) => {
        reply!($type, |_reply, _kind| None);
    };
    ($type:ty, |$reply:ident, $kind:ident| $contradiction:expr) => {
        impl sealed::Sealed for $type {}
        impl Reply for $type {
            fn set_info(&mut self, info: ResponseInfo) {
                self.info = info;
            }
            fn contradiction(&self, $kind: OperationKind) -> Option<&'static str> {
                let $reply = self;
                $contradiction
            }
        }
    };
}

reply!(DecisionResponse);
reply!(ReservationCreateResponse, |reply, kind| {
    let live = kind == OperationKind::CreateReservation { dry_run: false };
    let named = reply
        .reservation_id
        .as_ref()
        .is_some_and(|id| !id.as_str().is_empty());
    (live && reply.decision.is_allowed() && !named).then_some("it allows the action but names no reservation")
});
reply!(CommitResponse, |reply, _kind| (reply.status
    != ReservationStatus::Committed)
    .then_some("its status is not COMMITTED"));
reply!(ReleaseResponse, |reply, _kind| (reply.status
    != ReservationStatus::Released)
    .then_some("its status is not RELEASED"));
reply!(ReservationExtendResponse, |reply, _kind| (reply.status
    != ReservationStatus::Active)
    .then_some("its status is not ACTIVE"));
reply!(EventCreateResponse, |reply, _kind| (reply.status
    != EventStatus::Applied)
    .then_some("its status is not APPLIED"));
reply!(ReservationDetail);
reply!(ReservationListResponse);
reply!(BalanceResponse);
reply!(CyclesEvidenceEnvelope);
reply!(CyclesEvidenceJwks);
reply!(HealthResponse);

fn read<T: Reply>(kind: OperationKind, body: &Bytes) -> Result<T, String> {
    let reply: T = parse(body)?;
    match reply.contradiction(kind) {
        Some(contradiction) => Err(contradiction.to_owned()),
        None => Ok(reply),
    }
}

/// Parses a JSON object. Checking UTF-8 first and then parsing the text is a fifth less work than parsing bytes.
pub(crate) fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, String> {
    let text = core::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // By default, serde also accepts a list of the members' values in place of a struct.
    if !text.trim_start().starts_with('{') {
        return Err("it is not a JSON object".to_owned());
    }
    parse_value(text).map_err(|error| describe(text, &error))
}

/// Parses a value whose integers may be written as floats, because an intermediary may have rewritten them.
pub(crate) fn parse_value<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| {
        let plain = json_text::with_plain_integers(text).filter(|_| error.is_data());
        let parsed = plain.and_then(|plain| serde_json::from_str(&plain).ok());
        parsed.ok_or(error)
    })
}

/// Describes what is wrong with a body, without quoting it: a parser's message may repeat values.
fn describe(text: &str, error: &serde_json::Error) -> String {
    let message = error.to_string();
    if message.starts_with("missing field") {
        return message;
    }
    let (line, column) = (error.line(), error.column());
    let member = json_text::member_at(text, json_text::offset(text, line, column));
    let what = match (error.is_data(), member) {
        (true, Some(member)) => format!("`{}` has an invalid value", shortened(&member)),
        (true, None) => "it has an invalid value".to_owned(),
        (false, _) => "it is not valid JSON".to_owned(),
    };
    format!("{what} at line {line} column {column}")
}

impl Error {
    /// Returns the success, or else the error for the caller. `may_be_done` says whether an earlier attempt may have
    /// been acted on.
    pub(crate) fn of<T>(call: CallContext, verdict: Verdict<T>, may_be_done: bool) -> Result<T, Self> {
        let result = verdict.into_result();
        result.map_err(|reply| Self::of_reply(call, reply, may_be_done))
    }
}

#[cfg(test)]
mod tests;
