//! Facts about tenants, keys and budgets that only the admin plane uses. Objects that were set up by method calls have
//! empty records.

use crate::ledger::json::Json;
use crate::ledger::wire_enums::OveragePolicy;

/// Facts about a tenant. Times are milliseconds since 1970, as everywhere inside the ledger.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct TenantRecord {
    pub(super) name: Option<String>,
    pub(super) parent: Option<String>,
    pub(super) expiry_policy: Option<&'static str>,
    pub(super) metadata: Option<Json>,
    pub(super) created_at: Option<i64>,
    pub(super) updated_at: Option<i64>,
    pub(super) suspended_at: Option<i64>,
    pub(super) closed_at: Option<i64>,
}

/// Facts about an API key.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct KeyRecord {
    pub(in crate::ledger) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) scope_filter: Option<Vec<Option<String>>>,
    pub(super) metadata: Option<Json>,
    pub(super) created_at: Option<i64>,
    pub(super) revoked_at: Option<i64>,
    pub(super) revoked_reason: Option<String>,
}

/// Facts about a budget. The policies are stored and shown, but have no effect.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct BudgetRecord {
    pub(super) id: Option<String>,
    pub(super) overage_policy: Option<OveragePolicy>,
    pub(super) rollover_policy: Option<&'static str>,
    pub(super) period_start: Option<i64>,
    pub(super) period_end: Option<i64>,
    pub(super) created_at: Option<i64>,
    pub(super) updated_at: Option<i64>,
}
