//! Builds errors from answers, or from the lack of an answer.

use core::time::Duration;

use super::sentences::{self, excerpt};
use super::{CallContext, Error, ErrorReply, InvalidCall, TransportError, UnreadableReply};
use crate::models::{DecisionReasonCode, ErrorCode, InvalidRequest, ReservationCreateResponse};
use crate::outcome::{Failure, OperationKind, Unsuccessful, is_open};

impl Error {
    pub(crate) fn invalid(operation: OperationKind, problem: InvalidRequest) -> Self {
        Self::Validation(InvalidCall { operation, problem })
    }

    pub(crate) fn transport(call: CallContext, failure: Failure, may_be_done: bool) -> Self {
        let may_have_been_sent = may_be_done || failure.kind().may_have_been_sent();
        Self::Transport(Box::new(TransportError {
            call,
            failure,
            may_have_been_sent,
        }))
    }

    /// Marks this as the error of a call that the client repeats from its record.
    pub(crate) fn recorded(mut self) -> Self {
        if let Some(call) = self.call_mut() {
            call.is_recorded = true;
        }
        self
    }

    fn call_mut(&mut self) -> Option<&mut CallContext> {
        match self {
            Self::Transport(error) => Some(&mut error.call),
            Self::BudgetExceeded { reply, .. }
            | Self::BudgetNotFound { reply, .. }
            | Self::Denied { reply, .. }
            | Self::Api { reply, .. } => Some(&mut reply.call),
            Self::Deserialization(unreadable) => Some(&mut unreadable.reply.call),
            Self::StaleReplay { call, .. } => Some(call),
            Self::Unrecorded(last) => last.call_mut(),
            Self::Config(_)
            | Self::Closed
            | Self::Stopped(_)
            | Self::Validation(_)
            | Self::DryRun(_)
            | Self::Action(_)
            | Self::LeaseLost(_)
            | Self::RunExhausted(_)
            | Self::RunOver(_)
            | Self::Defect
            | Self::InvalidCommit(_)
            | Self::NotMarked(_) => None,
        }
    }

    /// The error of a reservation (not a dry run) that the ledger answered with a denial.
    pub(crate) fn denied(call: CallContext, response: ReservationCreateResponse) -> Self {
        let reply = Unsuccessful {
            info: response.info.clone(),
            error: None,
            unreadable: None,
        };
        let retry_after = response.retry_after().or(response.info.retry_after());
        let (reason, message) = (response.reason_code.clone(), sentences::denial(&response));
        let reply = Box::new(ErrorReply {
            call,
            reply,
            decision: Some(Box::new(response)),
            outcome_is_unknown: false,
        });
        Self::denial(reason, message, retry_after, reply)
    }

    /// Builds the same error from a decision as from a refusal, because servers may use either.
    fn denial(
        reason: Option<DecisionReasonCode>,
        message: String,
        retry_after: Option<Duration>,
        reply: Box<ErrorReply>,
    ) -> Self {
        let decision = reply.decision.as_deref();
        let affected_scopes = decision.map_or_else(Vec::new, |response| response.affected_scopes.clone());
        let status = Some(reply.info().status());
        match (reason, reply.call.unit.clone()) {
            (Some(DecisionReasonCode::BudgetNotFound), Some(unit)) => {
                Self::BudgetNotFound { message, unit, reply }
            }
            (Some(reason), _) if reason.is_about_the_budget() => Self::BudgetExceeded {
                message,
                reason,
                affected_scopes,
                retry_after,
                status,
                reply,
            },
            (reason, _) => Self::Denied {
                message,
                reason,
                affected_scopes,
                retry_after,
                status,
                reply,
            },
        }
    }

    /// The error of a reply that is not a success.
    pub(crate) fn of_reply(call: CallContext, reply: Unsuccessful, may_be_done: bool) -> Self {
        if let Some(failure) = reply.not_sent() {
            return Self::transport(call, failure, may_be_done);
        }
        let outcome_is_unknown = !reply.closes_the_outcome(may_be_done);
        Self::from_reply(ErrorReply {
            call,
            reply,
            decision: None,
            outcome_is_unknown,
        })
    }

    fn from_reply(reply: ErrorReply) -> Self {
        let (status, retry_after) = (reply.info().status(), reply.info().retry_after());
        if let Some(problem) = reply.reply.unreadable.clone() {
            return Self::Deserialization(Box::new(UnreadableReply { problem, reply }));
        }
        let reply = Box::new(reply);
        let request_id = reply.request_id().map(Box::from);
        let Some(error) = reply.error() else {
            return Self::Api {
                status,
                code: None,
                message: excerpt(reply.info()),
                request_id,
                retry_after,
                reply,
            };
        };
        let (code, message) = (error.error.clone(), error.message.clone());
        if let Some(reason) = code.denial().filter(|_| !is_open(status)) {
            return Self::denial(Some(reason), message, retry_after, reply);
        }
        // If the operation names no reservation, it is the budget that was not found.
        if code == ErrorCode::NotFound && reply.call.unit.is_some() && reply.call.reservation_id.is_none() {
            return Self::denial(
                Some(DecisionReasonCode::BudgetNotFound),
                message,
                retry_after,
                reply,
            );
        }
        Self::Api {
            status,
            code: Some(code),
            message,
            request_id,
            retry_after,
            reply,
        }
    }
}
