//! Refusals of the admin plane. One code can have several statuses here, unlike on the client-facing server.

use http::StatusCode;

use crate::ledger::error::Refusal;
use crate::ledger::wire_enums::Unit;

/// The error that an operator's request gets.
#[derive(Clone, Debug)]
pub(super) struct AdminRefusal {
    pub(super) status: StatusCode,
    pub(super) error: &'static str,
    pub(super) message: String,
    /// The methods that the path accepts, if the request used another.
    pub(super) only_by: Option<&'static str>,
}

impl AdminRefusal {
    pub(super) fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            error,
            message: message.into(),
            only_by: None,
        }
    }

    pub(super) fn internal() -> Self {
        Refusal::internal().into()
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Refusal::invalid(message).into()
    }

    /// 409 for a well-formed request that the current state does not allow.
    pub(super) fn conflict(error: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error, message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }

    pub(super) fn method(only_by: &'static str) -> Self {
        let message = format!("This path accepts {only_by} only");
        let mut refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, "INVALID_REQUEST", message);
        refusal.only_by = Some(only_by);
        refusal
    }

    pub(super) fn no_tenant(id: &str) -> Self {
        let message = format!("There is no tenant {id}");
        Self::new(StatusCode::NOT_FOUND, "TENANT_NOT_FOUND", message)
    }

    pub(super) fn no_key(id: &str) -> Self {
        let message = format!("There is no API key {id}");
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    pub(super) fn no_budget(scope: &str, unit: Unit) -> Self {
        let message = format!("There is no budget of {} on {scope}", unit.name());
        Self::new(StatusCode::NOT_FOUND, "BUDGET_NOT_FOUND", message)
    }

    /// The refusal of a change to a closed tenant's objects, which are read-only.
    pub(super) fn tenant_closed(id: &str) -> Self {
        Refusal::tenant_closed(id).into()
    }

    pub(super) fn budget_closed(scope: &str) -> Self {
        Self::conflict("BUDGET_CLOSED", format!("The budget on {scope} is closed"))
    }

    pub(super) fn other_unit(expected: Unit, sent: Unit) -> Self {
        let message = format!("Amounts must be in {}, not in {}", expected.name(), sent.name());
        Self::new(StatusCode::BAD_REQUEST, "UNIT_MISMATCH", message)
    }
}

/// Refusals that both planes share.
impl From<Refusal> for AdminRefusal {
    fn from(refusal: Refusal) -> Self {
        // Every status of the catalogue is valid; the fallback is unreachable.
        let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, refusal.code.name(), refusal.message)
    }
}
