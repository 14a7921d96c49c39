//! Raw operations, whose answers are returned unchanged.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::Operation;
use crate::config::CyclesConfig;
use crate::idempotency::Seed;
use crate::models::{
    BalanceParams, CommitRequest, DecisionRequest, EventCreateRequest, EvidenceId, JsonObject,
    ListReservationsParams, ReleaseRequest, ReservationCreateRequest, ReservationExtendRequest,
    ReservationId, ResponseInfo,
};
use crate::outcome::{CallContext, Error, OperationKind};
use crate::wire::reply::{Reply, Verdict, judged, parse, parse_value};

/// A request that is answered with a [`RawResponse`]. Requests that consist of one value can be converted from it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RawRequest<'a> {
    /// Asks whether an action would be allowed.
    Decide(&'a DecisionRequest),
    /// Holds budget for an action.
    CreateReservation(&'a ReservationCreateRequest),
    /// Charges the actual cost of an action to its reservation.
    CommitReservation(&'a ReservationId, &'a CommitRequest),
    /// Gives back the budget of a reservation.
    ReleaseReservation(&'a ReservationId, &'a ReleaseRequest),
    /// Extends a reservation's lease.
    ExtendReservation(&'a ReservationId, &'a ReservationExtendRequest),
    /// Fetches one reservation.
    GetReservation(&'a ReservationId),
    /// Lists reservations, one page at a time.
    ListReservations(&'a ListReservationsParams),
    /// Charges an action that has no reservation.
    CreateEvent(&'a EventCreateRequest),
    /// Fetches balances, one page at a time.
    GetBalances(&'a BalanceParams),
    /// Fetches a signed evidence envelope.
    GetEvidence(&'a EvidenceId),
    /// Fetches the keys that verify evidence.
    GetEvidenceJwks,
    /// Asks whether the server is ready.
    Health,
}

/// The server's answer, unchanged, even if it is an error.
///
/// `Debug` shows the status, the size of the body and, like an error, only the start of the body. It never shows the
/// API key.
#[derive(Clone, Debug)]
pub struct RawResponse {
    info: ResponseInfo,
    error: Option<Box<Error>>,
}

impl RawResponse {
    /// Whether the operation was done and answered as the protocol defines. A denial counts as a success of its
    /// operation.
    pub fn is_success(&self) -> bool {
        self.error.is_none()
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.info.status()
    }

    /// The server's error message, or the start of the body if the body is not an error as the protocol defines it.
    pub fn error_message(&self) -> Option<&str> {
        match self.error.as_deref()? {
            Error::BudgetExceeded { message, .. }
            | Error::BudgetNotFound { message, .. }
            | Error::Denied { message, .. }
            | Error::Api { message, .. } => Some(message),
            Error::Deserialization(unreadable) => Some(&unreadable.problem),
            Error::Transport(error) => Some(error.failure.detail()),
            // These do not come from an answer.
            Error::Config(_)
            | Error::Closed
            | Error::Stopped(_)
            | Error::Validation(_)
            | Error::DryRun(_)
            | Error::Action(_)
            | Error::LeaseLost(_)
            | Error::RunExhausted(_)
            | Error::RunOver(_)
            | Error::Unrecorded(_)
            | Error::Defect
            | Error::InvalidCommit(_)
            | Error::NotMarked(_)
            | Error::StaleReplay { .. } => None,
        }
    }

    /// The error that the operation itself would have returned, with its code, its details, and whether the outcome is
    /// open.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_deref()
    }

    /// Status, headers and body.
    pub fn info(&self) -> &ResponseInfo {
        &self.info
    }

    /// The body as received.
    pub fn body(&self) -> &Bytes {
        self.info.body()
    }

    /// The body for display: without the API key, and with invalid UTF-8 replaced.
    pub fn text(&self) -> Cow<'_, str> {
        match String::from_utf8_lossy(self.info.body()) {
            Cow::Borrowed(text) => self.info.shown(text),
            Cow::Owned(text) => Cow::Owned(self.info.shown(&text).into_owned()),
        }
    }

    /// Returns a member of the body, if the body is a JSON object with this member and it decodes as `T`.
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
    /// Starts any operation, with the usual retry rule. Its result is an error only if there is no answer.
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

/// Returns the operation's own verdict, with the raw response in place of the parsed one.
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
