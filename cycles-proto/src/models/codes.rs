//! Decisions, states and error codes.

use serde::Deserialize;

use super::decode::{if_valid, text, text_or_empty};
use super::evidence::CyclesEvidenceRef;
use super::json_object::JsonObject;
use super::open_enum::open_enum;

open_enum! {
    /// Whether an action may run (schema `DecisionEnum`). An unknown decision allows nothing.
    pub enum Decision {
        /// The action may run.
        Allow = "ALLOW",
        /// The action may run within [`Caps`](super::Caps).
        AllowWithCaps = "ALLOW_WITH_CAPS",
        /// The action must not run.
        Deny = "DENY",
    }
}

impl Decision {
    /// Whether the action may run. An unknown decision fails closed.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow | Self::AllowWithCaps)
    }

    /// Whether the ledger denies the action. An unknown decision is neither allowed nor denied, and the action does
    /// not run either.
    pub fn is_denied(&self) -> bool {
        *self == Self::Deny
    }
}

open_enum! {
    /// Why a decision is `DENY` (schema `DecisionReasonCode`).
    pub enum DecisionReasonCode {
        /// Too little remains on a scope.
        BudgetExceeded = "BUDGET_EXCEEDED",
        /// An operator froze a budget.
        BudgetFrozen = "BUDGET_FROZEN",
        /// A budget was closed.
        BudgetClosed = "BUDGET_CLOSED",
        /// No scope of the subject has a budget in any unit.
        BudgetNotFound = "BUDGET_NOT_FOUND",
        /// A scope is over its limit until an operator reconciles it.
        OverdraftLimitExceeded = "OVERDRAFT_LIMIT_EXCEEDED",
        /// A scope has debt and no overdraft.
        DebtOutstanding = "DEBT_OUTSTANDING",
        /// The tenant is closed.
        TenantClosed = "TENANT_CLOSED",
        /// A quota on actions is used up.
        ActionQuotaExceeded = "ACTION_QUOTA_EXCEEDED",
        /// A policy denies this kind of action.
        ActionKindDenied = "ACTION_KIND_DENIED",
        /// A policy allows only other kinds of action.
        ActionKindNotAllowed = "ACTION_KIND_NOT_ALLOWED",
    }
}

impl DecisionReasonCode {
    /// Whether a budget exists but does not allow the spending.
    pub(crate) fn is_about_the_budget(&self) -> bool {
        match self {
            Self::BudgetExceeded
            | Self::BudgetFrozen
            | Self::BudgetClosed
            | Self::OverdraftLimitExceeded
            | Self::DebtOutstanding => true,
            Self::BudgetNotFound
            | Self::TenantClosed
            | Self::ActionQuotaExceeded
            | Self::ActionKindDenied
            | Self::ActionKindNotAllowed
            | Self::Unknown(_) => false,
        }
    }
}

open_enum! {
    /// Why the server refused a request (schema `ErrorCode`).
    pub enum ErrorCode {
        /// The request is malformed or breaks a limit.
        InvalidRequest = "INVALID_REQUEST",
        /// The API key is missing, unknown, revoked or expired.
        Unauthorized = "UNAUTHORIZED",
        /// The key has no access to this tenant's resources.
        Forbidden = "FORBIDDEN",
        /// No such reservation, evidence, or budget.
        NotFound = "NOT_FOUND",
        /// Too little remains on a scope.
        BudgetExceeded = "BUDGET_EXCEEDED",
        /// An operator froze a budget.
        BudgetFrozen = "BUDGET_FROZEN",
        /// A budget was closed.
        BudgetClosed = "BUDGET_CLOSED",
        /// The reservation's lease and grace period are over.
        ReservationExpired = "RESERVATION_EXPIRED",
        /// The reservation has already been committed or released.
        ReservationFinalized = "RESERVATION_FINALIZED",
        /// The key was used before with a different payload.
        IdempotencyMismatch = "IDEMPOTENCY_MISMATCH",
        /// The budget or the reservation is in another unit.
        UnitMismatch = "UNIT_MISMATCH",
        /// A scope is over its limit, or would be.
        OverdraftLimitExceeded = "OVERDRAFT_LIMIT_EXCEEDED",
        /// A scope has debt and no overdraft.
        DebtOutstanding = "DEBT_OUTSTANDING",
        /// The reservation was extended as often as allowed.
        MaxExtensionsExceeded = "MAX_EXTENSIONS_EXCEEDED",
        /// Too many requests.
        LimitExceeded = "LIMIT_EXCEEDED",
        /// The tenant is closed.
        TenantClosed = "TENANT_CLOSED",
        /// The server failed.
        InternalError = "INTERNAL_ERROR",
    }
}

impl ErrorCode {
    /// Whether the code says that the budget does not allow the spending: exceeded, frozen, closed,
    /// over its limit, or in debt.
    pub fn is_budget_denial(&self) -> bool {
        self.denial().is_some_and(|reason| reason.is_about_the_budget())
    }

    /// Whether the code means the same as a 429, whatever the status is: nothing was done, and the same request may
    /// succeed later.
    pub(crate) fn is_throttling(&self) -> bool {
        match self {
            Self::LimitExceeded => true,
            Self::InvalidRequest
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NotFound
            | Self::BudgetExceeded
            | Self::BudgetFrozen
            | Self::BudgetClosed
            | Self::OverdraftLimitExceeded
            | Self::DebtOutstanding
            | Self::TenantClosed
            | Self::ReservationExpired
            | Self::ReservationFinalized
            | Self::IdempotencyMismatch
            | Self::UnitMismatch
            | Self::MaxExtensionsExceeded
            | Self::InternalError
            | Self::Unknown(_) => false,
        }
    }

    /// The decision reason with the same meaning, if the code says that the action is denied.
    pub(crate) fn denial(&self) -> Option<DecisionReasonCode> {
        match self {
            Self::BudgetExceeded => Some(DecisionReasonCode::BudgetExceeded),
            Self::BudgetFrozen => Some(DecisionReasonCode::BudgetFrozen),
            Self::BudgetClosed => Some(DecisionReasonCode::BudgetClosed),
            Self::OverdraftLimitExceeded => Some(DecisionReasonCode::OverdraftLimitExceeded),
            Self::DebtOutstanding => Some(DecisionReasonCode::DebtOutstanding),
            Self::TenantClosed => Some(DecisionReasonCode::TenantClosed),
            // A server may use the reason of a decision as the code of a refusal.
            Self::Unknown(text) => Some(DecisionReasonCode::from(&**text)).filter(|reason| reason.is_known()),
            Self::InvalidRequest
            | Self::Unauthorized
            | Self::Forbidden
            // It is not clear what was not found.
            | Self::NotFound
            | Self::ReservationExpired
            | Self::ReservationFinalized
            | Self::IdempotencyMismatch
            | Self::UnitMismatch
            | Self::MaxExtensionsExceeded
            | Self::LimitExceeded
            | Self::InternalError => None,
        }
    }
}

open_enum! {
    /// A reservation's state (schema `ReservationStatus`).
    pub enum ReservationStatus {
        /// The amount is held.
        Active = "ACTIVE",
        /// The actual amount was charged.
        Committed = "COMMITTED",
        /// The amount was given back.
        Released = "RELEASED",
        /// The lease ran out and the amount was given back.
        Expired = "EXPIRED",
    }
}

open_enum! {
    /// An event's state.
    pub enum EventStatus {
        /// The amount was charged.
        Applied = "APPLIED",
    }
}

open_enum! {
    /// The health that a server reports.
    pub enum HealthStatus {
        /// Ready for requests.
        Up = "UP",
        /// Not ready.
        Down = "DOWN",
        /// Taken out of service.
        OutOfService = "OUT_OF_SERVICE",
    }
}

open_enum! {
    /// What happens when more is spent than was reserved (schema `CommitOveragePolicy`).
    pub enum CommitOveragePolicy {
        /// The commit or event is refused.
        Reject = "REJECT",
        /// The rest of the budget is charged, and the scope is closed for new reservations. The server's default.
        AllowIfAvailable = "ALLOW_IF_AVAILABLE",
        /// Everything is charged, as debt up to the scope's overdraft limit.
        AllowWithOverdraft = "ALLOW_WITH_OVERDRAFT",
    }
}

/// Why the server refused a request (schema `ErrorResponse`).
///
/// Only the code is required, so a body is invalid only without a code. Texts are cut at 1,000 characters; the
/// original body is in [`ResponseInfo::body`](super::ResponseInfo::body).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ErrorResponse {
    /// The error code.
    pub error: ErrorCode,
    /// The server's message; empty if there is none.
    #[serde(default, deserialize_with = "text_or_empty")]
    pub message: String,
    /// The server's id for the request.
    #[serde(default, deserialize_with = "text")]
    pub request_id: Option<String>,
    /// The trace that the request belongs to: 32 hex digits.
    #[serde(default, deserialize_with = "text")]
    pub trace_id: Option<String>,
    /// Details of some errors; a `UNIT_MISMATCH` has `scope`, `requested_unit` and `expected_units`.
    #[serde(default, deserialize_with = "if_valid")]
    pub details: Option<JsonObject>,
    /// The evidence that the server recorded for the refusal.
    #[serde(default, deserialize_with = "if_valid")]
    pub cycles_evidence: Option<CyclesEvidenceRef>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_decision_fails_closed_and_keeps_its_text() {
        let decision: Decision = serde_json::from_str(r#""MAYBE""#).unwrap();
        assert!(!decision.is_allowed() && !decision.is_denied());
        assert!(Decision::Deny.is_denied() && !Decision::Allow.is_denied());
        assert_eq!(decision.to_string(), "MAYBE");
        assert_eq!(serde_json::to_string(&decision).unwrap(), r#""MAYBE""#);
    }

    #[test]
    fn a_code_compares_and_derefs_to_the_text_on_the_wire() {
        let reason = Some(DecisionReasonCode::from("POLICY_OF_TOMORROW"));
        assert_eq!(reason.as_deref(), Some("POLICY_OF_TOMORROW"));
        assert_eq!(ErrorCode::BudgetExceeded, "BUDGET_EXCEEDED");
        assert_eq!(Decision::Allow, *"ALLOW");
        let id = Some(crate::models::ReservationId::new("r-1"));
        assert_eq!(id.as_deref(), Some("r-1"));
    }

    #[test]
    fn error_bodies_keep_what_is_usable() {
        let text = r#"{"error":"ACTION_QUOTA_EXCEEDED","message":"m","request_id":"r","trace_id":null,
            "details":"none","cycles_evidence":{"evidence_id":1},"new":[]}"#;
        let body: ErrorResponse = serde_json::from_str(text).unwrap();
        assert_eq!(body.error.as_str(), "ACTION_QUOTA_EXCEEDED");
        assert!(!body.error.is_known());
        assert_eq!(body.message, "m");
        assert_eq!(
            (body.trace_id, body.details, body.cycles_evidence),
            (None, None, None)
        );
    }
}
