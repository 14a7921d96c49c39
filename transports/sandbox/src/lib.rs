#![doc = include_str!("../README.md")]

mod front;
mod ledger;
mod sandbox;
mod seed;

pub use ledger::{
    ApiKey, Budget, BudgetState, BudgetStatus, Funding, KeyStatus, Ledger, OperatorError, OveragePolicy,
    ReservationState, ReservationStatus, Tenant, TenantStatus, Unit,
};
pub use sandbox::{
    DEFAULT_AGENT_SCOPE, DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Sandbox, SandboxBuilder,
};
