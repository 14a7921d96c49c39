//! A reply that is not a success.

use super::failure::{Failure, FailureKind};
use crate::models::{ErrorCode, ErrorResponse, ResponseInfo, shown_without_the_key};

/// A reply that does not say that the operation was done.
#[derive(Clone, PartialEq, Eq)]
pub struct Unsuccessful {
    /// Status, headers and body.
    pub info: ResponseInfo,
    /// The error that the body describes, if it is one of the protocol's.
    pub error: Option<ErrorResponse>,
    /// Why the reply could not be read, if it is a success.
    pub unreadable: Option<String>,
}

shown_without_the_key!(Unsuccessful {
    info,
    error,
    unreadable
});

impl Unsuccessful {
    /// The error code, whether this version knows it or not.
    pub fn code(&self) -> Option<&ErrorCode> {
        self.error.as_ref().map(|error| &error.error)
    }

    /// Whether the reply is the ledger's own and this version knows its code.
    pub fn is_understood(&self) -> bool {
        self.code()
            .is_some_and(|code| code.is_known() && *code != ErrorCode::InternalError)
    }

    /// Whether the server could not look up the API key because its own store is down. It then answers 401.
    pub(crate) fn is_outage(&self) -> bool {
        let decides = self.error.as_ref().is_some_and(|error| error.message == OUTAGE);
        self.info.status() == 401 && decides
    }

    /// Whether the reply proves that the operation was not done, either by this attempt or by an earlier one
    /// (`may_be_done`: an earlier attempt may have done it).
    ///
    /// Only a refusal by the ledger itself, with a known code, proves that. If an earlier attempt may have been acted
    /// on, the refusal must also name the request, and must be one that the ledger gives after it has looked up that
    /// attempt's key: it checks the API key and the rate before that.
    pub(crate) fn closes_the_outcome(&self, may_be_done: bool) -> bool {
        let (status, code) = (self.info.status(), self.code());
        let is_throttled = status == 429 || code.is_some_and(ErrorCode::is_throttling);
        let is_refusal = ((400..500).contains(&status) && !is_open(status)) || is_throttled;
        let is_checked_first = matches!(status, 401 | 403) || is_throttled;
        let is_its_word = !self.is_nameless() || self.code() != Some(&ErrorCode::ReservationExpired);
        let is_last_word = !may_be_done || !(is_checked_first || self.is_nameless());
        self.is_understood() && is_refusal && is_its_word && is_last_word
    }

    /// The failure, if the reply says that the request was not passed on.
    pub(crate) fn not_sent(&self) -> Option<Failure> {
        const ADVICE: &str = "407: it asks for a user name and a password; put them into its address: \
                              http://USER:PASSWORD@HOST:PORT";
        let failure = Failure::new(FailureKind::Proxy);
        (self.info.status() == PROXY_WANTS_CREDENTIALS).then(|| failure.with_detail(ADVICE.to_owned()))
    }

    /// Whether the server asks for a pause before the next attempt.
    pub(crate) fn asks_for_a_pause(&self) -> bool {
        self.info.retry_after().is_some_and(|wait| !wait.is_zero())
    }

    /// Whether the error does not name the request. All of the ledger's own errors do, so this one may come from
    /// an intermediary that imitates the ledger's errors.
    pub(crate) fn is_nameless(&self) -> bool {
        let error = self.error.as_ref();
        error.is_some_and(|error| error.request_id.is_none())
    }
}

/// The message of a server whose own store is down, in place of a reason.
pub(crate) const OUTAGE: &str = "INTERNAL_ERROR";

/// Only a proxy answers with this status.
pub(crate) const PROXY_WANTS_CREDENTIALS: u16 = 407;

/// Whether a status says that something went wrong on the way or in the server, but not what happened to the request:
/// a load balancer gave up or closed (408, 444, 460, 494, 499), the connection was the wrong one or was used too early
/// (421, 425), a redirect, or a failed server.
pub(crate) fn is_open(status: u16) -> bool {
    matches!(
        status,
        100..200 | 300..400 | 408 | 421 | 425 | 444 | 460 | 494 | 499 | 500..
    )
}
