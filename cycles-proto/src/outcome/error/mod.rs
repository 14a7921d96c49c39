//! Errors, sorted by whose fault they are, with sentences for the person who has to act on them.

mod action_error;
mod address;
mod from_answer;
mod reply;
mod sentences;

use core::time::Duration;
use std::sync::Arc;

pub use self::action_error::ActionError;
use self::sentences::Sentence;
use crate::config::ConfigError;
use crate::models::{
    CyclesEvidenceRef, DecisionReasonCode, ErrorCode, ErrorResponse, IdempotencyKey, InvalidRequest,
    JsonObject, ReservationCreateResponse, ReservationId, ReservationStatus, ResponseInfo, Unit,
};
use crate::outcome::{
    Failure, FailureKind, InvalidCommit, NotMarked, OperationKind, ReservationInfo, RunExhausted, RunOver,
    Unsuccessful, is_open,
};

/// Why an operation did not succeed.
///
/// | variant | who says so | was anything changed? |
/// |---|---|---|
/// | [`Config`](Self::Config), [`Validation`](Self::Validation) | this client, before sending | no |
/// | [`BudgetExceeded`](Self::BudgetExceeded), [`BudgetNotFound`](Self::BudgetNotFound), [`Denied`](Self::Denied) | the ledger | no |
/// | [`Closed`](Self::Closed) | this client, before sending | no |
/// | [`DryRun`](Self::DryRun), [`InvalidCommit`](Self::InvalidCommit) | this client | no |
/// | [`Action`](Self::Action), [`LeaseLost`](Self::LeaseLost), [`Stopped`](Self::Stopped) | the action, the lease, the close | known spending is charged |
/// | [`RunExhausted`](Self::RunExhausted), [`RunOver`](Self::RunOver) | this client | no; the step did not run |
/// | [`Unrecorded`](Self::Unrecorded) | the source of the last error | see that error |
/// | [`StaleReplay`](Self::StaleReplay) | the ledger | no, not by this call |
/// | [`Api`](Self::Api) | the server, or a proxy | see [`outcome_is_unknown`](Self::outcome_is_unknown) |
/// | [`Defect`](Self::Defect) | this client | not known |
/// | [`Deserialization`](Self::Deserialization) | the server, but its answer cannot be read | not known |
/// | [`Transport`](Self::Transport) | the network | see [`outcome_is_unknown`](Self::outcome_is_unknown) |
///
/// `Debug` shows the same sentence as `Display`, because `Debug` is what a failed `main` or `unwrap` prints; `{:#?}`
/// adds the request and the reply.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A bug in this client ended this call or reservation; everything else continues.
    #[error(
        "a bug in the Cycles client ended this call or reservation. It is not known whether the ledger acted on it; a \
         cost that has a record is settled from that record. Please report the bug"
    )]
    Defect,

    /// The client is not configured correctly.
    #[error("the Cycles client cannot be used: {0}. Nothing was sent")]
    Config(#[from] ConfigError),

    /// The client was closed: it makes no new reservations and calls. Costs of reservations that it holds are still
    /// accepted.
    #[error("the Cycles client was closed and starts nothing new. Nothing is held for this call")]
    Closed,

    /// The client was closed in a way that stops actions, and this one was stopped. What it had
    /// [spent](crate::Session::spent) is charged.
    #[error("the Cycles client was closed, and the action of {} was stopped", crate::text::shortened(.0.as_str()))]
    Stopped(ReservationId),

    /// The request breaks a limit of the protocol.
    #[error(transparent)]
    Validation(InvalidCall),

    /// The budget does not allow the spending: exceeded, frozen, closed, over its limit, or in debt.
    #[error("{}", Sentence(.reply, .message))]
    #[non_exhaustive]
    BudgetExceeded {
        /// The server's message; for a decision, its reason and its scope.
        message: String,
        /// Which of these reasons applies.
        reason: DecisionReasonCode,
        /// The scopes that were checked, broadest first, if the server names them.
        affected_scopes: Vec<String>,
        /// How long to wait before another try, if the server says so.
        retry_after: Option<Duration>,
        /// The HTTP status: 200 for a decision, otherwise the status of the refusal.
        status: Option<u16>,
        /// The whole reply.
        reply: Box<ErrorReply>,
    },

    /// The ledger denies the action for a reason other than its budget: the tenant is closed, a policy denies this
    /// kind of action, a quota is used up, or this version does not know the decision.
    #[error("{}", Sentence(.reply, .message))]
    #[non_exhaustive]
    Denied {
        /// The server's message; for a decision, its reason and its scope.
        message: String,
        /// Why, if the server says so.
        reason: Option<DecisionReasonCode>,
        /// The scopes that were checked, broadest first, if the server names them.
        affected_scopes: Vec<String>,
        /// How long to wait before another try, if the server says so.
        retry_after: Option<Duration>,
        /// The HTTP status: 200 for a decision, otherwise the status of the refusal.
        status: Option<u16>,
        /// The whole reply.
        reply: Box<ErrorReply>,
    },

    /// No scope of the subject has a budget in the unit of the request.
    #[error("{} The amount was in {unit}; does the scope have its budget in another unit?", Sentence(.reply, .message))]
    #[non_exhaustive]
    BudgetNotFound {
        /// The server's message, which names the scope.
        message: String,
        /// The unit that was sent.
        unit: Unit,
        /// The whole reply.
        reply: Box<ErrorReply>,
    },

    /// The server, or something in front of it, answered with an error.
    #[error("{}", Sentence(.reply, .message))]
    #[non_exhaustive]
    Api {
        /// The HTTP status.
        status: u16,
        /// The error code, if the body is an error of the protocol.
        code: Option<ErrorCode>,
        /// The server's message, or the start of the body if it is not an error of the protocol.
        message: String,
        /// The server's id for the request.
        request_id: Option<Box<str>>,
        /// How long to wait before another try, if the server says so.
        retry_after: Option<Duration>,
        /// The whole reply.
        reply: Box<ErrorReply>,
    },

    /// The server reported success, but in a form that cannot be read.
    #[error(transparent)]
    Deserialization(Box<UnreadableReply>),

    /// There was no answer.
    #[error(transparent)]
    Transport(Box<TransportError>),

    /// The reservation was a dry run, with this answer. Nothing is held, and the action was not run.
    #[error("this was a dry run with the decision {}: nothing is held, and the action was not run", .0.info.shown(.0.decision.as_str()))]
    DryRun(Box<ReservationCreateResponse>),

    /// The guarded action failed. If it had [spent](crate::Session::spent) something, that is charged; if it was
    /// [dispatched](crate::Session::dispatched), its policy says what is; if neither, its budget is given back.
    #[error("the action failed: {0}")]
    Action(#[source] ActionError),

    /// The lease was lost, and the action was stopped for that reason. What it had [spent](crate::Session::spent) is
    /// charged.
    #[error("the lease of {} was lost, and the action was stopped: its budget was no longer held", crate::text::shortened(.0.as_str()))]
    LeaseLost(ReservationId),

    /// What a run has left is not enough for the step. This is not a denial: the ledger was not asked.
    #[error("{0}")]
    RunExhausted(Box<RunExhausted>),

    /// The run is over, so the step did not run.
    #[error("{0}")]
    RunOver(Box<RunOver>),

    /// A cost is not settled and has no record, and the client has given up on it. The caller has to send it again,
    /// under the [key](Self::idempotency_key) of the last error, which this variant contains.
    #[error("{}", sentences::unrecorded(.0))]
    Unrecorded(#[source] Box<Self>),

    /// The cost was not accepted.
    #[error(transparent)]
    InvalidCommit(#[from] InvalidCommit),

    /// It is not on disk that a request leaves.
    #[error(transparent)]
    NotMarked(#[from] NotMarked),

    /// The key of a reservation was used before, and the reservation that was made with it has ended: nothing is held
    /// now, and the action must not run.
    #[error("{}", sentences::stale(.call, .status))]
    #[non_exhaustive]
    StaleReplay {
        /// The reservation's current status, if the ledger still knows it.
        status: Option<ReservationStatus>,
        /// The call.
        call: Box<CallContext>,
    },
}

/// A call, with enough detail to find it in logs and to make it again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallContext {
    /// The server's address, as it was given.
    pub server: Arc<str>,
    /// The operation.
    pub operation: OperationKind,
    /// The reservation that the call names.
    pub reservation_id: Option<ReservationId>,
    /// The key that the call was made under. Repeat the call under the same key.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The trace that the call belongs to: 32 hex digits.
    pub trace_id: Option<String>,
    /// The unit of the call's amount.
    pub unit: Option<Unit>,
    /// What the call is for, if it belongs to a reservation of this client, a decision or an event.
    pub info: Option<ReservationInfo>,
    /// Whether the call is for a cost in a record. If so, the client repeats it from there, and the caller need not.
    pub is_recorded: bool,
}

/// A request that breaks a limit of the protocol. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {problem}. Nothing was sent", operation = operation.operation_id())]
#[non_exhaustive]
pub struct InvalidCall {
    /// The call.
    pub operation: OperationKind,
    /// Which field is wrong, and how to fix it.
    pub problem: InvalidRequest,
}

/// A successful reply whose body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", Sentence(reply, problem))]
#[non_exhaustive]
pub struct UnreadableReply {
    /// What is wrong with the answer.
    pub problem: String,
    /// The whole reply.
    pub reply: ErrorReply,
}

/// An error reply, and the call that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorReply {
    /// The call.
    pub call: CallContext,
    /// The decision, if the reply is one.
    pub decision: Option<Box<ReservationCreateResponse>>,
    reply: Unsuccessful,
    outcome_is_unknown: bool,
}

/// A call without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportError {
    /// The call.
    pub call: CallContext,
    /// What went wrong with the last attempt.
    pub failure: Failure,
    may_have_been_sent: bool,
}

impl Error {
    /// The reply, if there was one.
    pub fn reply(&self) -> Option<&ErrorReply> {
        match self {
            Self::BudgetExceeded { reply, .. }
            | Self::BudgetNotFound { reply, .. }
            | Self::Denied { reply, .. }
            | Self::Api { reply, .. } => Some(reply),
            Self::Deserialization(unreadable) => Some(&unreadable.reply),
            Self::Unrecorded(last) => last.reply(),
            Self::Config(_)
            | Self::Closed
            | Self::Stopped(_)
            | Self::Validation(_)
            | Self::Transport(_)
            | Self::StaleReplay { .. }
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

    /// The call, if one was made.
    pub fn call(&self) -> Option<&CallContext> {
        match self {
            Self::Transport(error) => Some(&error.call),
            Self::StaleReplay { call, .. } => Some(call),
            Self::Unrecorded(last) => last.call(),
            Self::Config(_)
            | Self::Closed
            | Self::Stopped(_)
            | Self::Validation(_)
            | Self::BudgetExceeded { .. }
            | Self::BudgetNotFound { .. }
            | Self::Denied { .. }
            | Self::Api { .. }
            | Self::Deserialization(_)
            | Self::DryRun(_)
            | Self::Action(_)
            | Self::LeaseLost(_)
            | Self::RunExhausted(_)
            | Self::RunOver(_)
            | Self::Defect
            | Self::InvalidCommit(_)
            | Self::NotMarked(_) => Some(&self.reply()?.call),
        }
    }

    /// Whether the ledger may have been changed. If so, repeat the operation under its
    /// [`idempotency_key`](Self::idempotency_key): it counts once.
    pub fn outcome_is_unknown(&self) -> bool {
        if let Self::Transport(error) = self {
            return error.outcome_is_unknown();
        }
        if let Self::Unrecorded(last) = self {
            return last.outcome_is_unknown();
        }
        matches!(self, Self::Defect) || self.reply().is_some_and(ErrorReply::outcome_is_unknown)
    }

    /// Whether the same request may succeed later: there was no answer, the server was busy or failed, or the outcome
    /// is unknown. A failed TLS handshake does not count, because an untrusted server stays untrusted.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(error) => error.kind() != FailureKind::Tls || error.outcome_is_unknown(),
            Self::Deserialization(_) => true,
            Self::Unrecorded(last) => last.is_retryable(),
            Self::Api { status, code, .. } => {
                let throttled = *status == 429 || code.as_ref().is_some_and(ErrorCode::is_throttling);
                throttled || is_open(*status) || self.is_outage() || self.outcome_is_unknown()
            }
            Self::Config(_)
            | Self::Closed
            | Self::Stopped(_)
            | Self::Validation(_)
            | Self::BudgetExceeded { .. }
            | Self::BudgetNotFound { .. }
            | Self::Denied { .. }
            | Self::StaleReplay { .. }
            | Self::DryRun(_)
            | Self::Action(_)
            | Self::LeaseLost(_)
            | Self::RunExhausted(_)
            | Self::RunOver(_)
            | Self::Defect
            | Self::InvalidCommit(_)
            | Self::NotMarked(_) => false,
        }
    }

    /// The key that the call was made under.
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.call()?.idempotency_key.as_ref()
    }

    /// The HTTP status, if there was a reply.
    pub fn status(&self) -> Option<u16> {
        Some(self.info()?.status())
    }

    /// The error code, if the reply is an error of the protocol.
    pub fn error_code(&self) -> Option<ErrorCode> {
        self.code().cloned()
    }

    pub(crate) fn code(&self) -> Option<&ErrorCode> {
        self.reply()?.reply.code()
    }

    /// The body of the reply, if it is an error of the protocol.
    pub fn response(&self) -> Option<&ErrorResponse> {
        self.reply()?.error()
    }

    /// The server's id for the request.
    pub fn request_id(&self) -> Option<&str> {
        self.reply()?.request_id()
    }

    /// The trace that the call belongs to: as the server named it, or else as it was sent.
    pub fn trace_id(&self) -> Option<&str> {
        let of_the_server = self.reply().and_then(ErrorReply::trace_id);
        of_the_server.or_else(|| self.call()?.trace_id.as_deref())
    }

    /// How long to wait before another try, if the server says so.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::BudgetExceeded { retry_after, .. } | Self::Denied { retry_after, .. } = self {
            return *retry_after;
        }
        self.info()?.retry_after()
    }

    /// Details of the error, if the server gives any.
    pub fn details(&self) -> Option<&JsonObject> {
        self.response()?.details.as_ref()
    }

    /// The evidence that the server recorded for the refusal.
    pub fn evidence(&self) -> Option<&CyclesEvidenceRef> {
        let of_the_error = self.response().and_then(|error| error.cycles_evidence.as_ref());
        of_the_error.or_else(|| self.reply()?.decision.as_ref()?.cycles_evidence.as_ref())
    }

    /// Status, headers and body of the reply, if there was one.
    pub fn info(&self) -> Option<&ResponseInfo> {
        Some(self.reply()?.info())
    }

    /// Whether the server did not answer, failed, or does not know the API key: until that changes, other calls will
    /// fail too.
    pub(crate) fn is_out_of_reach(&self) -> bool {
        let is_shut = self.status().is_some_and(|status| status == 401 || status >= 500);
        matches!(self, Self::Transport(_)) || is_shut
    }

    /// Whether the budget does not allow the spending: exceeded, frozen, closed, over its limit, or in debt.
    pub fn is_budget_exceeded(&self) -> bool {
        matches!(self, Self::BudgetExceeded { .. })
    }

    /// Whether the ledger denies the action, for any reason and in any form.
    pub fn is_denied(&self) -> bool {
        matches!(
            self,
            Self::BudgetExceeded { .. } | Self::BudgetNotFound { .. } | Self::Denied { .. }
        )
    }

    /// The ledger's reason for denying the action, if it gives one.
    pub fn reason(&self) -> Option<&DecisionReasonCode> {
        match self {
            Self::BudgetExceeded { reason, .. } => Some(reason),
            Self::BudgetNotFound { .. } => Some(&DecisionReasonCode::BudgetNotFound),
            Self::Denied { reason, .. } => reason.as_ref(),
            Self::Config(_)
            | Self::Closed
            | Self::Stopped(_)
            | Self::Validation(_)
            | Self::Api { .. }
            | Self::Deserialization(_)
            | Self::Transport(_)
            | Self::StaleReplay { .. }
            | Self::Defect
            | Self::DryRun(_)
            | Self::Action(_)
            | Self::LeaseLost(_)
            | Self::RunExhausted(_)
            | Self::RunOver(_)
            | Self::Unrecorded(_)
            | Self::InvalidCommit(_)
            | Self::NotMarked(_) => None,
        }
    }

    /// Whether the tenant is closed.
    pub fn is_tenant_closed(&self) -> bool {
        self.reason() == Some(&DecisionReasonCode::TenantClosed)
    }

    /// Whether the API key was refused. An [outage](Self::is_outage) does not count.
    pub fn is_auth_error(&self) -> bool {
        matches!(self.status(), Some(401 | 403)) && !self.is_outage()
    }

    /// Whether the server could not look up the API key because its own store is down: it answers 401, but
    /// the key is not at fault.
    pub fn is_outage(&self) -> bool {
        self.reply().is_some_and(|reply| reply.reply.is_outage())
    }
}

#[cfg(test)]
mod tests;
