//! Creating, changing, freezing and unfreezing budgets.

use bytes::Bytes;
use http::{Request, StatusCode};
use serde::Serialize;

use super::access::Operator;
use super::records::BudgetRecord;
use super::refusal::AdminRefusal;
use super::{Done, done, read};
use crate::ledger::books::Account;
use crate::ledger::config::Budget;
use crate::ledger::query::Params;
use crate::ledger::shared_types::Amount;
use crate::ledger::wire_enums::{BudgetStatus, OveragePolicy, TenantStatus, Unit};
use crate::ledger::{Ledger, requests, scope};

#[derive(Debug)]
struct NewBudget {
    tenant: Option<String>,
    scope: String,
    unit: Unit,
    allocated: Amount,
    overdraft_limit: Option<Amount>,
    record: BudgetRecord,
}

#[derive(Debug)]
struct BudgetChange {
    overdraft_limit: Option<Amount>,
    overage_policy: Option<OveragePolicy>,
}

#[derive(Serialize)]
pub(super) struct BudgetReply<'a> {
    ledger_id: &'a str,
    tenant_id: &'a str,
    scope: &'a str,
    unit: Unit,
    allocated: Amount,
    remaining: Amount,
    status: BudgetStatus,
    created_at: Option<String>,
    reserved: Amount,
    spent: Amount,
    debt: Amount,
    overdraft_limit: Amount,
    is_over_limit: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit_overage_policy: Option<OveragePolicy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollover_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period_start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period_end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
}

impl Ledger {
    pub(super) fn create_budget(&mut self, now: i64, operator: &Operator, request: &Request<Bytes>) -> Done {
        let new = NewBudget::read(request)?;
        for amount in [Some(new.allocated), new.overdraft_limit].into_iter().flatten() {
            check_unit(new.unit, amount)?;
        }
        scope::check_path(&new.scope).map_err(AdminRefusal::invalid)?;
        operator.check_scope(&new.scope)?;
        let tenant = match (operator, new.tenant.filter(|tenant| !tenant.trim().is_empty())) {
            (Operator::Admin, Some(tenant)) => tenant,
            (Operator::Admin, None) => {
                return Err(AdminRefusal::invalid("With the admin key, tenant_id is required"));
            }
            (Operator::Tenant { .. }, Some(_)) => {
                return Err(AdminRefusal::invalid(
                    "With an API key, tenant_id must be omitted",
                ));
            }
            (Operator::Tenant { id, .. }, None) => id.clone(),
        };
        if scope::tenant_of(&new.scope) != Some(tenant.as_str()) {
            return Err(AdminRefusal::invalid(format!(
                "The scope must begin with tenant:{tenant}"
            )));
        }
        match self.tenants.status(&tenant) {
            Some(Some(TenantStatus::Closed)) => return Err(AdminRefusal::tenant_closed(&tenant)),
            Some(Some(TenantStatus::Suspended)) => {
                return Err(AdminRefusal::invalid(format!("Tenant {tenant} is suspended")));
            }
            Some(Some(TenantStatus::Active) | None) => {}
            None => return Err(AdminRefusal::no_tenant(&tenant)),
        }
        let path = new.scope.to_lowercase();
        if self.books.account(&path, new.unit).is_some() {
            let message = format!("A budget of {} on {path} already exists", new.unit.name());
            return Err(AdminRefusal::conflict("DUPLICATE_RESOURCE", message));
        }
        let limit = new.overdraft_limit.map_or(0, |limit| limit.amount);
        let id = self.seed.uuid();
        self.add_budget(Budget::new(path.as_str(), new.unit, new.allocated.amount).overdraft_limit(limit));
        let account = self.account(&path, new.unit)?;
        account.record = BudgetRecord {
            id,
            created_at: Some(now),
            ..new.record
        };
        done(StatusCode::CREATED, &reply(&path, new.unit, account))
    }

    /// Changes a budget. A limit above the debt clears the over-limit flag, whatever set the flag.
    pub(super) fn update_budget(&mut self, now: i64, request: &Request<Bytes>) -> Done {
        let (path, unit) = read::budget(&Params::of(request.uri()))?;
        let change = BudgetChange::read(request)?;
        if let Some(limit) = change.overdraft_limit {
            check_unit(unit, limit)?;
        }
        self.check_owner_open(&path)?;
        let path = path.to_lowercase();
        let account = self.account(&path, unit)?;
        let state = &mut account.state;
        if state.status == BudgetStatus::Closed {
            return Err(AdminRefusal::budget_closed(&path));
        }
        if let Some(limit) = change.overdraft_limit {
            state.overdraft_limit = limit.amount;
        }
        state.is_over_limit = state.debt > state.overdraft_limit;
        account.record.overage_policy = change.overage_policy.or(account.record.overage_policy);
        account.record.updated_at = Some(now);
        done(StatusCode::OK, &reply(&path, unit, account))
    }

    pub(super) fn freeze_budget(&mut self, now: i64, request: &Request<Bytes>) -> Done {
        self.turn(now, BudgetStatus::Frozen, "The budget is already frozen", request)
    }

    pub(super) fn unfreeze_budget(&mut self, now: i64, request: &Request<Bytes>) -> Done {
        self.turn(now, BudgetStatus::Active, "The budget is not frozen", request)
    }

    /// Sets the status. The body is optional; its reason is meant for the audit log, which does not exist here.
    fn turn(
        &mut self,
        now: i64,
        status: BudgetStatus,
        already: &'static str,
        request: &Request<Bytes>,
    ) -> Done {
        let (path, unit) = read::budget(&Params::of(request.uri()))?;
        if !request.body().is_empty() {
            read::body(request, &["reason", "metadata"], |members, violations| {
                members.map("metadata")?;
                read::limited_text(members, "reason", "reason", 512, violations)
            })?;
        }
        self.check_owner_open(&path)?;
        let path = path.to_lowercase();
        let account = self.account(&path, unit)?;
        if account.state.status == BudgetStatus::Closed {
            return Err(AdminRefusal::budget_closed(&path));
        }
        if account.state.status == status {
            return Err(AdminRefusal::conflict("INVALID_REQUEST", already));
        }
        account.state.status = status;
        account.record.updated_at = Some(now);
        done(StatusCode::OK, &reply(&path, unit, account))
    }

    /// The budget on a scope path in lower case.
    pub(super) fn account(&mut self, path: &str, unit: Unit) -> Result<&mut Account, AdminRefusal> {
        self.books
            .account_mut(path, unit)
            .ok_or_else(|| AdminRefusal::no_budget(path, unit))
    }

    /// Refuses with 409 if the tenant at the start of the scope is closed.
    fn check_owner_open(&self, path: &str) -> Result<(), AdminRefusal> {
        match scope::tenant_of(path) {
            Some(tenant) if self.tenants.status(tenant) == Some(Some(TenantStatus::Closed)) => {
                Err(AdminRefusal::tenant_closed(tenant))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl NewBudget {
    fn read(request: &Request<Bytes>) -> Result<Self, AdminRefusal> {
        const KNOWN: &[&str] = &[
            "tenant_id",
            "scope",
            "unit",
            "allocated",
            "overdraft_limit",
            "commit_overage_policy",
            "rollover_policy",
            "period_start",
            "period_end",
            "metadata",
        ];
        const ROLLOVER: &[&str] = &["NONE", "CARRY_FORWARD", "CAP_AT_ALLOCATED"];
        read::body(request, KNOWN, |members, violations| {
            let unit = members.choice("unit")?;
            if unit.is_none() {
                violations.not_null("unit");
            }
            members.map("metadata")?;
            Ok(Self {
                tenant: members.text("tenant_id")?,
                scope: read::required_text(members, "scope", "scope", usize::MAX, violations)?,
                // Without a unit the request is refused, so this default is never used.
                unit: unit.unwrap_or(Unit::Tokens),
                allocated: requests::amount(members, "allocated", violations)?,
                overdraft_limit: read::optional_amount(members, "overdraft_limit", violations)?,
                record: BudgetRecord {
                    overage_policy: members.choice("commit_overage_policy")?,
                    rollover_policy: read::word(members, "rollover_policy", ROLLOVER)?,
                    period_start: read::time(members, "period_start")?,
                    period_end: read::time(members, "period_end")?,
                    ..BudgetRecord::default()
                },
            })
        })
    }
}

impl BudgetChange {
    fn read(request: &Request<Bytes>) -> Result<Self, AdminRefusal> {
        const KNOWN: &[&str] = &["overdraft_limit", "commit_overage_policy", "metadata"];
        read::body(request, KNOWN, |members, violations| {
            members.map("metadata")?;
            Ok(Self {
                overdraft_limit: read::optional_amount(members, "overdraft_limit", violations)?,
                overage_policy: members.choice("commit_overage_policy")?,
            })
        })
    }
}

/// Refuses an amount in a unit that is not the budget's.
pub(super) fn check_unit(expected: Unit, amount: Amount) -> Result<(), AdminRefusal> {
    if amount.unit == expected {
        Ok(())
    } else {
        Err(AdminRefusal::other_unit(expected, amount.unit))
    }
}

pub(super) fn reply<'a>(path: &'a str, unit: Unit, account: &'a Account) -> BudgetReply<'a> {
    let amount = |amount| Amount { unit, amount };
    let (state, record) = (&account.state, &account.record);
    BudgetReply {
        ledger_id: &record.id,
        tenant_id: scope::tenant_of(path).unwrap_or_default(),
        scope: path,
        unit,
        allocated: amount(state.allocated),
        remaining: amount(state.remaining),
        status: state.status,
        created_at: read::written(record.created_at),
        reserved: amount(state.reserved),
        spent: amount(state.spent),
        debt: amount(state.debt),
        overdraft_limit: amount(state.overdraft_limit),
        is_over_limit: state.is_over_limit,
        commit_overage_policy: record.overage_policy,
        rollover_policy: record.rollover_policy,
        period_start: read::written(record.period_start),
        period_end: read::written(record.period_end),
        updated_at: read::written(record.updated_at),
    }
}
