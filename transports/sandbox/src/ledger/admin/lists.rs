//! Reading tenants, API keys and budgets: lists with filters, and look-ups.

use http::{StatusCode, Uri};

use super::access::Operator;
use super::paging::{Paging, Row};
use super::refusal::AdminRefusal;
use super::{Done, budgets, done, keys, read, tenants};
use crate::ledger::books::{Account, BudgetState};
use crate::ledger::config::{ApiKey, Tenant};
use crate::ledger::order::SortValue;
use crate::ledger::query::Params;
use crate::ledger::wire_enums::{BudgetStatus, KeyStatus, Named as _, TenantStatus, Unit};
use crate::ledger::{Ledger, scope};

impl Ledger {
    pub(super) fn list_tenants(&self, uri: &Uri) -> Done {
        let params = Params::of(uri);
        let status: Option<TenantStatus> = read::choice(&params, "status")?;
        let parent = params.get("parent_tenant_id");
        let paging = Paging::read::<&Tenant>(&params, read::limit(&params)?, false)?;
        let rows = self.tenants.iter().filter(|tenant| {
            (status.is_none() || tenant.status == status)
                && (parent.is_none() || tenant.record.parent.as_deref() == parent)
        });
        paging.page(rows)?.answer("tenants", tenants::reply)
    }

    pub(super) fn get_tenant(&self, id: &str) -> Done {
        let tenant = self.tenants.record(id);
        let tenant = tenant.ok_or_else(|| AdminRefusal::no_tenant(id))?;
        done(StatusCode::OK, &tenants::reply(tenant))
    }

    /// Lists the keys of one tenant or of all, without their secrets.
    pub(super) fn list_keys(&self, uri: &Uri) -> Done {
        let params = Params::of(uri);
        let status: Option<KeyStatus> = read::choice(&params, "status")?;
        let tenant = params.non_blank("tenant_id");
        let paging = Paging::read::<&ApiKey>(&params, read::limit(&params)?, tenant.is_none())?;
        let rows = self.keys.iter().filter(|key| {
            status.is_none_or(|status| key.status == status)
                && tenant.is_none_or(|tenant| key.tenant == tenant)
        });
        paging.page(rows)?.answer("keys", keys::reply)
    }

    /// Lists budgets: with an API key those of its tenant, with the admin key those of one tenant or of all. A scope filter
    /// refuses prefixes outside it, but does not narrow a list without a prefix, as on the reference server.
    pub(super) fn list_budgets(&self, operator: &Operator, uri: &Uri) -> Done {
        let params = Params::of(uri);
        let filters = BudgetFilters::read(&params)?;
        let limit = read::limit(&params)?;
        operator.check_scope(filters.prefix)?;
        filters.check_utilization()?;
        let tenant = match operator {
            Operator::Tenant { id, .. } => Some(id.as_str()),
            Operator::Admin => params.non_blank("tenant_id"),
        };
        let paging = Paging::read::<BudgetRow<'_>>(&params, limit, tenant.is_none())?;
        // Scopes are in lower case, even if the tenant's id is not.
        let tenant = tenant.map(str::to_lowercase);
        let rows = self
            .books
            .iter()
            .map(|(path, unit, account)| BudgetRow { path, unit, account });
        let rows = rows.filter(|row| {
            filters.match_row(*row) && tenant.as_ref().is_none_or(|tenant| row.tenant() == tenant)
        });
        let page = paging.page(rows)?;
        page.answer("ledgers", |row| budgets::reply(row.path, row.unit, row.account))
    }

    /// Shows one budget. Only a scope filter stops an API key from looking at the budgets of other tenants, as on the
    /// reference server.
    pub(super) fn look_up_budget(&self, operator: &Operator, uri: &Uri) -> Done {
        let (path, unit) = read::budget(&Params::of(uri))?;
        operator.check_scope(&path)?;
        let path = path.to_lowercase();
        let account = self.books.account(&path, unit);
        let account = account.ok_or_else(|| AdminRefusal::no_budget(&path, unit))?;
        done(StatusCode::OK, &budgets::reply(&path, unit, account))
    }
}

impl<'a> Row<'a> for &'a Tenant {
    const SORTS: &'static [&'static str] = &["tenant_id", "name", "status", "created_at"];
    const DEFAULT_SORT: &'static str = "created_at";
    const IDS_ASCEND: bool = true;

    fn value(self, sort_by: &str) -> SortValue<'a> {
        match sort_by {
            "tenant_id" => SortValue::Text(&self.id),
            "name" => text(self.record.name.as_deref()),
            "status" => text(self.status.map(TenantStatus::name)),
            _ => number(self.record.created_at),
        }
    }

    fn id(self) -> &'a str {
        &self.id
    }

    fn tenant(self) -> &'a str {
        &self.id
    }

    fn texts(self) -> [Option<&'a str>; 2] {
        [Some(&self.id), self.record.name.as_deref()]
    }
}

impl<'a> Row<'a> for &'a ApiKey {
    const SORTS: &'static [&'static str] = &[
        "key_id",
        "name",
        "tenant_id",
        "status",
        "created_at",
        "expires_at",
    ];
    const DEFAULT_SORT: &'static str = "created_at";
    const IDS_ASCEND: bool = false;

    fn value(self, sort_by: &str) -> SortValue<'a> {
        match sort_by {
            "key_id" => SortValue::Text(&self.record.id),
            "name" => text(self.record.name.as_deref()),
            "tenant_id" => SortValue::Text(&self.tenant),
            "status" => SortValue::Text(self.status.name()),
            "expires_at" => number(self.end()),
            _ => number(self.record.created_at),
        }
    }

    fn id(self) -> &'a str {
        &self.record.id
    }

    fn tenant(self) -> &'a str {
        &self.tenant
    }

    fn texts(self) -> [Option<&'a str>; 2] {
        [Some(&self.record.id), self.record.name.as_deref()]
    }
}

/// A budget and what it is a budget of.
#[derive(Clone, Copy)]
struct BudgetRow<'a> {
    path: &'a str,
    unit: Unit,
    account: &'a Account,
}

impl<'a> Row<'a> for BudgetRow<'a> {
    const SORTS: &'static [&'static str] = &[
        "tenant_id",
        "scope",
        "unit",
        "status",
        "commit_overage_policy",
        "utilization",
        "debt",
    ];
    const DEFAULT_SORT: &'static str = "utilization";
    const IDS_ASCEND: bool = false;

    fn value(self, sort_by: &str) -> SortValue<'a> {
        let state = &self.account.state;
        match sort_by {
            "tenant_id" => SortValue::Text(self.tenant()),
            "scope" => SortValue::Text(self.path),
            "unit" => SortValue::Text(self.unit.name()),
            "status" => SortValue::Text(state.status.name()),
            "commit_overage_policy" => text(
                self.account
                    .record
                    .overage_policy
                    .map(|policy| policy.wire_name()),
            ),
            "debt" => SortValue::Number(state.debt),
            // Numbers that are not negative are in the order of their bits.
            _ => SortValue::Number(i64::try_from(utilization(state).to_bits()).unwrap_or(0)),
        }
    }

    fn id(self) -> &'a str {
        &self.account.record.id
    }

    fn tenant(self) -> &'a str {
        scope::tenant_of(self.path).unwrap_or_default()
    }

    fn texts(self) -> [Option<&'a str>; 2] {
        [Some(self.tenant()), Some(self.path)]
    }
}

/// The conditions that only budgets have to meet.
struct BudgetFilters<'a> {
    prefix: &'a str,
    unit: Option<Unit>,
    status: Option<BudgetStatus>,
    is_over_limit: Option<bool>,
    has_debt: Option<bool>,
    utilization: [Option<f64>; 2],
}

impl<'a> BudgetFilters<'a> {
    fn read(params: &'a Params) -> Result<Self, AdminRefusal> {
        Ok(Self {
            prefix: params.get("scope_prefix").unwrap_or(""),
            unit: read::choice(params, "unit")?,
            status: read::choice(params, "status")?,
            is_over_limit: read::flag(params, "over_limit")?,
            has_debt: read::flag(params, "has_debt")?,
            utilization: [
                read::number(params, "utilization_min")?,
                read::number(params, "utilization_max")?,
            ],
        })
    }

    fn check_utilization(&self) -> Result<(), AdminRefusal> {
        let mut bounds = self.utilization.iter().flatten();
        if !bounds.all(|bound| (0.0..=1.0).contains(bound)) {
            return Err(AdminRefusal::invalid(
                "Bounds of the utilization must be from 0 to 1",
            ));
        }
        match self.utilization {
            [Some(min), Some(max)] if min > max => {
                let message = "utilization_min must not be above utilization_max";
                Err(AdminRefusal::invalid(message))
            }
            _ => Ok(()),
        }
    }

    fn match_row(&self, row: BudgetRow<'_>) -> bool {
        let state = &row.account.state;
        let [min, max] = self.utilization;
        row.path.starts_with(self.prefix)
            && self.unit.is_none_or(|unit| unit == row.unit)
            && self.status.is_none_or(|status| status == state.status)
            && self
                .is_over_limit
                .is_none_or(|asked| asked == state.is_over_limit)
            && self.has_debt.is_none_or(|asked| asked == (state.debt > 0))
            && min.is_none_or(|min| utilization(state) >= min)
            && max.is_none_or(|max| utilization(state) <= max)
    }
}

/// The part of a budget that is spent; of an allocation of nothing, that is nothing.
fn utilization(state: &BudgetState) -> f64 {
    if state.allocated == 0 {
        0.0
    } else {
        state.spent as f64 / state.allocated as f64
    }
}

fn text(text: Option<&str>) -> SortValue<'_> {
    text.map_or(SortValue::Null, SortValue::Text)
}

fn number(number: Option<i64>) -> SortValue<'static> {
    number.map_or(SortValue::Null, SortValue::Number)
}
