//! Funding a budget.

use bytes::Bytes;
use http::{Request, StatusCode};
use serde::Serialize;

use super::access::Operator;
use super::budgets::check_unit;
use super::refusal::AdminRefusal;
use super::{Done, done, read};
use crate::ledger::books::BudgetState;
use crate::ledger::coerce::utf16_length;
use crate::ledger::json::Json;
use crate::ledger::operator::{Funding, OperatorError};
use crate::ledger::query::Params;
use crate::ledger::shared_types::Amount;
use crate::ledger::wire_enums::{BudgetStatus, TenantStatus, Unit};
use crate::ledger::{Ledger, requests, scope, timestamp};

const KEPT_MS: i64 = 86_400_000;
const OPERATIONS: &[&str] = &["CREDIT", "DEBIT", "RESET", "REPAY_DEBT", "RESET_SPENT"];

/// The body, which is what repeated keys are compared by. The budget is not part of it: a key that is reused for
/// another budget replays the answer for the first one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::ledger) struct FundRequest {
    operation: &'static str,
    amount: Amount,
    spent: Option<Amount>,
    reason: Option<String>,
    idempotency_key: Option<String>,
    metadata: Option<Json>,
}

/// The budget before and after the change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::ledger) struct FundReply {
    operation: &'static str,
    previous_allocated: Amount,
    new_allocated: Amount,
    previous_remaining: Amount,
    new_remaining: Amount,
    previous_debt: Amount,
    new_debt: Amount,
    previous_spent: Amount,
    new_spent: Amount,
    timestamp: String,
}

impl Ledger {
    pub(super) fn fund_budget(&mut self, now: i64, operator: &Operator, request: &Request<Bytes>) -> Done {
        let params = Params::of(request.uri());
        let (path, unit) = read::budget(&params)?;
        let body = FundRequest::read(request)?;
        operator.check_scope(&path)?;
        body.check(unit)?;
        let tenant = match operator {
            Operator::Tenant { id, .. } => id.as_str(),
            Operator::Admin => params.non_blank("tenant_id").ok_or_else(|| {
                AdminRefusal::invalid("With the admin key, the query parameter tenant_id is required")
            })?,
        };
        if self.tenants.status(tenant) == Some(Some(TenantStatus::Closed)) {
            return Err(AdminRefusal::tenant_closed(tenant));
        }
        let idempotency_key = body
            .idempotency_key
            .as_deref()
            .filter(|key| !key.trim().is_empty());
        let key = idempotency_key.map(|key| (String::new(), String::new(), key.to_owned()));
        if let Some(key) = &key
            && let Some(reply) = self.funded.recall(key, &body)?
        {
            let reply = FundReply {
                timestamp: timestamp::format(now),
                ..reply
            };
            return done(StatusCode::OK, &reply);
        }
        let (before, after) = self.apply_funding(now, tenant, &path.to_lowercase(), unit, &body)?;
        let reply = FundReply::new(body.operation, unit, now, &before, &after);
        let done = done(StatusCode::OK, &reply);
        if let Some(key) = key {
            self.funded
                .remember(key, body, reply, now.saturating_add(KEPT_MS));
        }
        done
    }

    fn apply_funding(
        &mut self,
        now: i64,
        tenant: &str,
        path: &str,
        unit: Unit,
        body: &FundRequest,
    ) -> Result<(BudgetState, BudgetState), AdminRefusal> {
        let before = self.account(path, unit)?.state;
        if scope::tenant_of(path) != Some(tenant.to_lowercase().as_str()) {
            return Err(AdminRefusal::forbidden(format!(
                "The budget on {path} belongs to another tenant"
            )));
        }
        let funding = body.funding();
        let after = self.fund(path, unit, funding).map_err(|error| match error {
            OperatorError::NotActive if before.status == BudgetStatus::Closed => {
                AdminRefusal::budget_closed(path)
            }
            OperatorError::NotActive => {
                AdminRefusal::conflict("BUDGET_FROZEN", format!("The budget on {path} is frozen"))
            }
            OperatorError::OutOfRange if matches!(funding, Funding::Debit(_)) => {
                let message = format!("The budget on {path} has less remaining than this amount");
                AdminRefusal::conflict("BUDGET_EXCEEDED", message)
            }
            OperatorError::OutOfRange => AdminRefusal::internal(),
            OperatorError::NotFound => AdminRefusal::no_budget(path, unit),
        })?;
        self.account(path, unit)?.record.updated_at = Some(now);
        Ok((before, after))
    }
}

impl FundRequest {
    fn read(request: &Request<Bytes>) -> Result<Self, AdminRefusal> {
        const KNOWN: &[&str] = &[
            "operation",
            "amount",
            "spent",
            "reason",
            "idempotency_key",
            "metadata",
        ];
        read::body(request, KNOWN, |members, violations| {
            let operation = read::word(members, "operation", OPERATIONS)?;
            if operation.is_none() {
                violations.not_null("operation");
            }
            let idempotency_key = members.text("idempotency_key")?;
            if let Some(key) = &idempotency_key {
                violations.size("idempotencyKey", utf16_length(key), 1, 256);
            }
            Ok(Self {
                // Without an operation the request is refused, so this default is never used.
                operation: operation.unwrap_or_default(),
                amount: requests::amount(members, "amount", violations)?,
                spent: read::optional_amount(members, "spent", violations)?,
                reason: read::limited_text(members, "reason", "reason", 512, violations)?,
                idempotency_key,
                metadata: members.map("metadata")?,
            })
        })
    }

    fn check(&self, unit: Unit) -> Result<(), AdminRefusal> {
        check_unit(unit, self.amount)?;
        match self.spent {
            Some(_) if self.operation != "RESET_SPENT" => {
                Err(AdminRefusal::invalid("spent is allowed with RESET_SPENT only"))
            }
            Some(spent) => check_unit(unit, spent),
            None => Ok(()),
        }
    }

    fn funding(&self) -> Funding {
        let amount = self.amount.amount;
        match self.operation {
            "CREDIT" => Funding::Credit(amount),
            "DEBIT" => Funding::Debit(amount),
            "REPAY_DEBT" => Funding::RepayDebt(amount),
            "RESET" => Funding::Reset(amount),
            _ => Funding::ResetSpent {
                allocated: amount,
                spent: self.spent.map_or(0, |spent| spent.amount),
            },
        }
    }
}

impl FundReply {
    fn new(operation: &'static str, unit: Unit, now: i64, before: &BudgetState, after: &BudgetState) -> Self {
        let amount = |amount| Amount { unit, amount };
        Self {
            operation,
            previous_allocated: amount(before.allocated),
            new_allocated: amount(after.allocated),
            previous_remaining: amount(before.remaining),
            new_remaining: amount(after.remaining),
            previous_debt: amount(before.debt),
            new_debt: amount(after.debt),
            previous_spent: amount(before.spent),
            new_spent: amount(after.spent),
            timestamp: timestamp::format(now),
        }
    }
}
