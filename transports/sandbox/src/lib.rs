#![doc = include_str!("../README.md")]

mod assertions;
mod clock;
mod control;
mod cors;
mod delivery;
mod exchange;
mod fault;
mod http_server;
mod ledger;
mod masks;
mod operation;
mod page;
mod sandbox;
mod seed;
mod shared;
mod summary;

pub use cors::{CorsOrigin, CorsOriginSyntax};
pub use exchange::{Exchange, Plane};
pub use fault::{Fault, FaultCount, FaultPlan, FaultRule, FaultSyntax, Spoilt, When};
pub use ledger::{
    ApiKey, Budget, BudgetState, BudgetStatus, BudgetSyntax, Funding, KeyStatus, Ledger, OperatorError,
    OveragePolicy, ReservationState, ReservationStatus, Tenant, TenantStatus, Unit,
};
pub use operation::Operation;
pub use sandbox::{
    DEFAULT_AGENT_SCOPE, DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Sandbox, SandboxBuilder,
    default_budgets,
};
#[doc(hidden)]
pub use seed::Seed;
pub use summary::Summary;
