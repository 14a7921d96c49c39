//! Any operation with its answer as it came, whatever that says.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::Operation;
use crate::config::CyclesConfig;
use crate::keys::Seed;
use crate::models::{
    BalanceParams, CommitRequest, DecisionRequest, EventCreateRequest, EvidenceId, JsonObject,
    ListReservationsParams, ReleaseRequest, ReservationCreateRequest, ReservationExtendRequest,
    ReservationId, ResponseInfo,
};
use crate::outcome::{CallContext, Error, OperationKind};
use crate::wire::reply::{Reply, Verdict, judged, parse, parse_value};

/// What to ask for a [`RawResponse`]. What is asked with one value can be given as that.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RawRequest<'a> {
    /// Whether an action would be allowed.
    Decide(&'a DecisionRequest),
    /// To hold budget for an action.
    CreateReservation(&'a ReservationCreateRequest),
    /// To charge the actual cost of an action to its reservation.
    CommitReservation(&'a ReservationId, &'a CommitRequest),
    /// To give back what a reservation holds.
    ReleaseReservation(&'a ReservationId, &'a ReleaseRequest),
    /// To prolong a reservation's lease.
    ExtendReservation(&'a ReservationId, &'a ReservationExtendRequest),
    /// One reservation.
    GetReservation(&'a ReservationId),
    /// Reservations, a page at a time.
    ListReservations(&'a ListReservationsParams),
    /// To charge an action that was not reserved.
    CreateEvent(&'a EventCreateRequest),
    /// Balances, a page at a time.
    GetBalances(&'a BalanceParams),
    /// A signed evidence envelope.
    GetEvidence(&'a EvidenceId),
    /// The keys that verify evidence.
    GetEvidenceJwks,
    /// Whether the server is ready.
    Health,
}

/// An answer of the server as it came, also where it is an error.
///
/// `Debug` shows the status and the size of the body, and of the body no more than an error does: its start. The API
/// key is in neither.
#[derive(Clone, Debug)]
pub struct RawResponse {
    info: ResponseInfo,
    error: Option<Box<Error>>,
}

impl RawResponse {
    /// Whether the operation was done: the answer is what the protocol says it is. A decision that denies is a
    /// success of its operation.
    pub fn is_success(&self) -> bool {
        self.error.is_none()
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.info.status()
    }

    /// What is wrong, in the server's words; the start of the body if it is no error of the protocol.
    pub fn error_message(&self) -> Option<&str> {
        match self.error.as_deref()? {
            Error::BudgetExceeded { message, .. }
            | Error::BudgetNotFound { message, .. }
            | Error::Denied { message, .. }
            | Error::Api { message, .. } => Some(message),
            Error::Deserialization(unreadable) => Some(&unreadable.problem),
            Error::Transport(error) => Some(error.failure.detail()),
            // None of these is made of an answer.
            Error::Config(_)
            | Error::Validation(_)
            | Error::DryRun(_)
            | Error::Action(_)
            | Error::LeaseLost(_)
            | Error::Unrecorded(_)
            | Error::Defect
            | Error::InvalidCommit(_)
            | Error::StaleReplay { .. } => None,
        }
    }

    /// The error that the operation itself would have returned: its code, its details, whether the outcome is
    /// open.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_deref()
    }

    /// Status, headers and body.
    pub fn info(&self) -> &ResponseInfo {
        &self.info
    }

    /// The body as it came.
    pub fn body(&self) -> &Bytes {
        self.info.body()
    }

    /// The body to be printed: without the API key, and what is not UTF-8 is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        match String::from_utf8_lossy(self.info.body()) {
            Cow::Borrowed(text) => self.info.shown(text),
            Cow::Owned(text) => Cow::Owned(self.info.shown(&text).into_owned()),
        }
    }

    /// A member of the body, if the body is a JSON object that has it and it decodes as `T`.
    ///
    /// ```
    /// # use cycles_proto::{RawResponse, models::ReservationId};
    /// # fn look(response: RawResponse) {
    /// let id: Option<ReservationId> = response.body_attribute("reservation_id");
    /// # }
    /// ```
    pub fn body_attribute<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let object: JsonObject = parse(self.info.body()).ok()?;
        parse_value(object.get_raw(name)?).ok()
    }
}

impl Operation<RawResponse> {
    /// Any operation. Its result is an error only if there is no answer. The retry rule is that of all
    /// operations.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    pub fn raw(config: &Arc<CyclesConfig>, request: RawRequest<'_>, seed: Seed) -> Result<Self, Error> {
        use Operation as O;
        match request {
            RawRequest::Decide(request) => O::decide(config, request, seed).map(O::into_raw),
            RawRequest::CreateReservation(request) => {
                O::create_reservation(config, request, seed).map(O::into_raw)
            }
            RawRequest::CommitReservation(id, request) => {
                O::commit_reservation(config, id, request, seed).map(O::into_raw)
            }
            RawRequest::ReleaseReservation(id, request) => {
                O::release_reservation(config, id, request, seed).map(O::into_raw)
            }
            RawRequest::ExtendReservation(id, request) => {
                O::extend_reservation(config, id, request, seed).map(O::into_raw)
            }
            RawRequest::GetReservation(id) => O::get_reservation(config, id, seed).map(O::into_raw),
            RawRequest::ListReservations(params) => {
                O::list_reservations(config, params, seed).map(O::into_raw)
            }
            RawRequest::CreateEvent(request) => O::create_event(config, request, seed).map(O::into_raw),
            RawRequest::GetBalances(params) => O::get_balances(config, params, seed).map(O::into_raw),
            RawRequest::GetEvidence(id) => O::get_evidence(config, id, seed).map(O::into_raw),
            RawRequest::GetEvidenceJwks => O::get_evidence_jwks(config, seed).map(O::into_raw),
            RawRequest::Health => O::health(config, seed).map(O::into_raw),
        }
    }
}

impl<T: Reply> Operation<T> {
    fn into_raw(self) -> Operation<RawResponse> {
        Operation {
            config: self.config,
            context: self.context,
            encoded: self.encoded.read_as_it_came::<T>(),
            attempt: self.attempt,
            may_be_done: self.may_be_done,
            timeout: self.timeout,
            result: conclude,
            trouble: |result| result.as_ref().map_or_else(Some, RawResponse::error),
        }
    }
}

/// As the operation itself judges it, with what came in place of what was read.
pub(crate) fn as_it_came<T: Reply>(kind: OperationKind, info: ResponseInfo) -> Verdict<RawResponse> {
    judged::<T>(kind, info.clone()).map(|_| RawResponse { info, error: None })
}

fn conclude(
    call: CallContext,
    verdict: Verdict<RawResponse>,
    may_be_done: bool,
) -> Result<RawResponse, Error> {
    Ok(verdict.into_result().unwrap_or_else(|reply| RawResponse {
        info: reply.info.clone(),
        error: Some(Box::new(Error::of_reply(call, reply, may_be_done))),
    }))
}

macro_rules! asked_with_one_value {
    ($($operation:ident($type:ty))+) => {
        $(
            impl<'a> From<&'a $type> for RawRequest<'a> {
                fn from(value: &'a $type) -> Self {
                    Self::$operation(value)
                }
            }
        )+
    };
}

asked_with_one_value! {
    Decide(DecisionRequest)
    CreateReservation(ReservationCreateRequest)
    GetReservation(ReservationId)
    ListReservations(ListReservationsParams)
    CreateEvent(EventCreateRequest)
    GetBalances(BalanceParams)
    GetEvidence(EvidenceId)
}

#[cfg(test)]
mod tests;
