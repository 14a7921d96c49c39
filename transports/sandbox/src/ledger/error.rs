//! The error catalogue: codes, statuses and messages.

use serde::Serialize;

use super::wire_enums::Unit;

/// Codes of error bodies. Some double as the `reason_code` of a DENY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidRequest,
    UnitMismatch,
    Unauthorized,
    Forbidden,
    NotFound,
    BudgetExceeded,
    BudgetFrozen,
    BudgetClosed,
    OverdraftLimitExceeded,
    DebtOutstanding,
    ReservationFinalized,
    IdempotencyMismatch,
    MaxExtensionsExceeded,
    TenantClosed,
    ReservationExpired,
    LimitExceeded,
    InternalError,
}

impl Code {
    /// The code on the wire.
    pub(super) const fn name(self) -> &'static str {
        self.parts().0
    }

    /// The HTTP status that always goes with the code.
    pub(super) const fn status(self) -> u16 {
        self.parts().1
    }

    const fn parts(self) -> (&'static str, u16) {
        match self {
            Self::InvalidRequest => ("INVALID_REQUEST", 400),
            Self::UnitMismatch => ("UNIT_MISMATCH", 400),
            Self::Unauthorized => ("UNAUTHORIZED", 401),
            Self::Forbidden => ("FORBIDDEN", 403),
            Self::NotFound => ("NOT_FOUND", 404),
            Self::BudgetExceeded => ("BUDGET_EXCEEDED", 409),
            Self::BudgetFrozen => ("BUDGET_FROZEN", 409),
            Self::BudgetClosed => ("BUDGET_CLOSED", 409),
            Self::OverdraftLimitExceeded => ("OVERDRAFT_LIMIT_EXCEEDED", 409),
            Self::DebtOutstanding => ("DEBT_OUTSTANDING", 409),
            Self::ReservationFinalized => ("RESERVATION_FINALIZED", 409),
            Self::IdempotencyMismatch => ("IDEMPOTENCY_MISMATCH", 409),
            Self::MaxExtensionsExceeded => ("MAX_EXTENSIONS_EXCEEDED", 409),
            Self::TenantClosed => ("TENANT_CLOSED", 409),
            Self::ReservationExpired => ("RESERVATION_EXPIRED", 410),
            Self::LimitExceeded => ("LIMIT_EXCEEDED", 429),
            Self::InternalError => ("INTERNAL_ERROR", 500),
        }
    }
}

/// The error that a request gets.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) details: Option<UnitDetails>,
}

/// The only details that the server ever gives: the units in which the scope has budgets.
#[derive(Clone, Debug, Serialize)]
pub(super) struct UnitDetails {
    pub(super) scope: String,
    pub(super) requested_unit: Unit,
    pub(super) expected_units: Vec<Unit>,
}

impl Refusal {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: None,
        }
    }

    /// The error for everything that the reference server does not handle, from unknown paths to 64-bit overflow.
    pub(super) fn internal() -> Self {
        Self::new(Code::InternalError, "Internal error")
    }

    /// The request is a replay, but the original answer was never stored.
    pub(super) fn unavailable_answer() -> Self {
        Self::new(
            Code::InternalError,
            "Original idempotency response is temporarily unavailable; retry with the same idempotency_key",
        )
    }

    pub(super) fn malformed() -> Self {
        Self::new(Code::InvalidRequest, "Malformed request body")
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    pub(super) fn unauthorized(reason: &str) -> Self {
        Self::new(Code::Unauthorized, reason)
    }

    pub(super) fn foreign_tenant() -> Self {
        Self::new(
            Code::Forbidden,
            "Tenant provided in the request body does not match tenant resolved from authorization token",
        )
    }

    pub(super) fn no_resource(id: &str) -> Self {
        Self::new(Code::NotFound, format!("Resource not found: {id}"))
    }

    pub(super) fn no_budget(deepest_scope: &str) -> Self {
        Self::new(
            Code::NotFound,
            format!("Budget not found for provided scope: {deepest_scope}"),
        )
    }

    /// The scope has a budget, but in another unit.
    pub(super) fn other_unit(details: UnitDetails) -> Self {
        let expected: Vec<&str> = details.expected_units.iter().map(|unit| unit.name()).collect();
        let message = format!(
            "Budget at scope '{}' exists but in a different unit (requested: {}, expected: [{}])",
            details.scope,
            details.requested_unit.name(),
            expected.join(", ")
        );
        Self {
            code: Code::UnitMismatch,
            message,
            details: Some(details),
        }
    }

    /// The commit's unit differs from its reservation's; the server gives no details here.
    pub(super) fn commit_unit() -> Self {
        Self::new(
            Code::UnitMismatch,
            "Provided units does not match the stored ones",
        )
    }

    pub(super) fn mismatch() -> Self {
        Self::new(
            Code::IdempotencyMismatch,
            "Provided idempotency does not match the stored one",
        )
    }

    pub(super) fn finalized() -> Self {
        Self::new(
            Code::ReservationFinalized,
            "Reservation finalized: Reservation already finalized",
        )
    }

    pub(super) fn expired() -> Self {
        Self::new(
            Code::ReservationExpired,
            "Provided reservation has already expired",
        )
    }

    pub(super) fn tenant_closed(tenant: &str) -> Self {
        Self::new(
            Code::TenantClosed,
            format!("Tenant {tenant} is closed; owned objects are read-only"),
        )
    }

    pub(super) fn malformed_tenant(tenant: &str) -> Self {
        Self::new(
            Code::InternalError,
            format!("Malformed tenant record: tenant:{tenant}"),
        )
    }

    pub(super) fn reject_policy() -> Self {
        Self::new(
            Code::BudgetExceeded,
            "Budget exceeded for: Actual exceeds estimate and policy is REJECT",
        )
    }

    /// A scope blocks a new reservation or event.
    pub(super) fn blocked(code: Code, scope: &str) -> Self {
        let message = match code {
            Code::BudgetFrozen => format!("Budget is frozen for scope: {scope}"),
            Code::BudgetClosed => format!("Budget is closed for scope: {scope}"),
            Code::OverdraftLimitExceeded => {
                "Overdraft limit exceeded for: Scope is over-limit, no new reservations allowed".to_owned()
            }
            Code::DebtOutstanding => {
                "Outstanding debt blocks new reservation for: DEBT_OUTSTANDING".to_owned()
            }
            Code::BudgetExceeded
            | Code::InvalidRequest
            | Code::UnitMismatch
            | Code::Unauthorized
            | Code::Forbidden
            | Code::NotFound
            | Code::ReservationFinalized
            | Code::IdempotencyMismatch
            | Code::MaxExtensionsExceeded
            | Code::TenantClosed
            | Code::ReservationExpired
            | Code::LimitExceeded
            | Code::InternalError => format!("Budget exceeded for: {}", code.name()),
        };
        Self::new(code, message)
    }

    /// The overage would take the debt of a scope beyond its limit.
    pub(super) fn overdraft() -> Self {
        Self::new(
            Code::OverdraftLimitExceeded,
            "Overdraft limit exceeded for: OVERDRAFT_LIMIT_EXCEEDED",
        )
    }
}
