//! Facts about tenants, keys and budgets that only the admin plane uses. Of objects that were set up by method calls, it
//! knows the ids of keys and budgets, and nothing else.

use crate::ledger::cursor;
use crate::ledger::json::Json;
use crate::ledger::wire_enums::{OveragePolicy, Unit};
use crate::seed::Seed;

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
    /// Empty until the ledger has the key.
    pub(in crate::ledger) id: String,
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
    pub(super) id: String,
    pub(super) overage_policy: Option<OveragePolicy>,
    pub(super) rollover_policy: Option<&'static str>,
    pub(super) period_start: Option<i64>,
    pub(super) period_end: Option<i64>,
    pub(super) created_at: Option<i64>,
    pub(super) updated_at: Option<i64>,
}

impl BudgetRecord {
    /// The record of a budget that is set up by a method call. Its id depends on what it is a budget of, so that the same
    /// set-up has the same ids.
    pub(in crate::ledger) fn of(scope: &str, unit: Unit) -> Self {
        Self {
            id: Seed::new(cursor::hash(&format!("{scope} {}", unit.name()))).uuid(),
            ..Self::default()
        }
    }
}
