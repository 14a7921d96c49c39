//! The operator's side: setting the ledger up, funding and freezing budgets, and looking at the books.
//! The admin plane does some of it over HTTP.

use core::fmt;

use bytes::Bytes;
use cycles_proto::time::UnixMillis;

use super::Ledger;
use super::admin::BudgetRecord;
use super::budget::{Account, BudgetState};
use super::config::{ApiKey, Budget, Tenant};
use super::names::{BudgetStatus, KeyStatus, OveragePolicy, ReservationStatus, TenantStatus, Unit};

/// A change of a budget's funds. Each recomputes the over-limit flag as "debt is above the limit".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Funding {
    /// Adds to allocated and remaining.
    Credit(i64),
    /// Takes from allocated and remaining, which must have it.
    Debit(i64),
    /// Sets allocated; remaining follows.
    Reset(i64),
    /// Begins a new period: sets allocated and spent; remaining follows. Holds and debt stay.
    ResetSpent {
        /// What is granted from now on.
        allocated: i64,
        /// What counts as spent already.
        spent: i64,
    },
    /// Pays debt; what is left over is a credit.
    RepayDebt(i64),
}

/// Why the operator's change was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperatorError {
    /// There is no such budget, tenant or key.
    NotFound,
    /// The budget is frozen or closed.
    NotActive,
    /// The amount is negative, more than there is, or leads beyond 64 bits.
    OutOfRange,
}

impl fmt::Display for OperatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no such budget, tenant or key",
            Self::NotActive => "the budget is frozen or closed",
            Self::OutOfRange => "the amount is out of range",
        })
    }
}

impl std::error::Error for OperatorError {}

/// What a reservation is like, including what the protocol does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReservationState {
    /// As stored: active until the sweep, even past the expiry.
    pub status: ReservationStatus,
    /// The unit of the amounts.
    pub unit: Unit,
    /// What was held.
    pub estimate: i64,
    /// What was charged, once it is committed.
    pub charged: Option<i64>,
    /// Milliseconds since 1970.
    pub expires_at_ms: i64,
    /// How much longer it can be settled, in milliseconds.
    pub grace_period_ms: i64,
    /// How often it was extended.
    pub extensions: i64,
    /// What applies if it costs more than the estimate.
    pub overage_policy: OveragePolicy,
}

impl Ledger {
    /// Adds a tenant record, or replaces that of the same id. Settings other than the status can take a
    /// minute to be seen, because the server caches them.
    pub fn add_tenant(&mut self, tenant: Tenant) {
        self.tenants.insert(tenant);
    }

    /// Adds an API key, or replaces the one with the same first 14 characters.
    pub fn add_api_key(&mut self, key: ApiKey) {
        self.keys.insert(key);
    }

    /// Adds a budget, or replaces that of the same scope and unit; it starts with nothing spent.
    pub fn add_budget(&mut self, budget: Budget) {
        let state = BudgetState {
            allocated: budget.allocated,
            // Neither is negative, so the difference is in range.
            remaining: budget.allocated - budget.debt,
            reserved: 0,
            spent: 0,
            debt: budget.debt,
            overdraft_limit: budget.overdraft_limit,
            is_over_limit: budget.is_over_limit,
            status: budget.status,
        };
        self.books.insert(
            budget.scope,
            budget.unit,
            Account {
                state,
                caps_json: budget.caps_json,
                record: BudgetRecord::default(),
            },
        );
    }

    /// Sets the admin key, which lists, gets and releases across tenants.
    pub fn set_admin_key(&mut self, key: impl Into<String>) {
        self.keys.admin = Some(key.into());
    }

    /// Sets how long tenant settings may be out of date, 60 000 ms at first; 0 turns the cache off.
    pub fn set_tenant_cache_ms(&mut self, cache_ms: u64) {
        self.tenants.cache_ms = i64::try_from(cache_ms).unwrap_or(i64::MAX);
    }

    /// Sets how many requests per minute the public paths take, 300 at first; `None` is no limit.
    pub fn set_public_rate_limit(&mut self, requests_per_minute: Option<u32>) {
        self.throttle.limit = requests_per_minute;
    }

    /// Publishes an evidence envelope under its id (64 lower-case hex digits), byte for byte.
    pub fn publish_evidence(&mut self, id: impl Into<String>, envelope: impl Into<Bytes>) {
        self.published.envelopes.insert(id.into(), envelope.into());
    }

    /// Publishes the signer's key set, as JSON.
    pub fn publish_jwks(&mut self, jwks: impl Into<Bytes>) {
        self.published.jwks = Some(jwks.into());
    }

    /// Changes the funds of a budget and returns what it is like afterwards.
    pub fn fund(&mut self, scope: &str, unit: Unit, funding: Funding) -> Result<BudgetState, OperatorError> {
        let state = &mut self
            .books
            .account_mut(scope, unit)
            .ok_or(OperatorError::NotFound)?
            .state;
        if state.status != BudgetStatus::Active {
            return Err(OperatorError::NotActive);
        }
        *state = funded(*state, funding).ok_or(OperatorError::OutOfRange)?;
        Ok(*state)
    }

    /// Freezes, closes or reopens a budget.
    pub fn set_budget_status(
        &mut self,
        scope: &str,
        unit: Unit,
        status: BudgetStatus,
    ) -> Result<(), OperatorError> {
        self.books
            .account_mut(scope, unit)
            .ok_or(OperatorError::NotFound)?
            .state
            .status = status;
        Ok(())
    }

    /// Suspends, closes or reopens a tenant; the next request sees it.
    pub fn set_tenant_status(&mut self, id: &str, status: TenantStatus) -> Result<(), OperatorError> {
        self.tenants.record_mut(id).ok_or(OperatorError::NotFound)?.status = Some(status);
        Ok(())
    }

    /// Revokes, expires or reactivates an API key.
    pub fn set_key_status(&mut self, secret: &str, status: KeyStatus) -> Result<(), OperatorError> {
        *self.keys.status_mut(secret).ok_or(OperatorError::NotFound)? = status;
        Ok(())
    }

    /// The numbers of a budget; scope paths are in lower case.
    pub fn budget(&self, scope: &str, unit: Unit) -> Option<BudgetState> {
        self.books.account(scope, unit).map(|account| account.state)
    }

    /// Scope, unit and numbers of every budget.
    pub fn budgets(&self) -> impl Iterator<Item = (&str, Unit, BudgetState)> {
        self.books
            .iter()
            .map(|(scope, unit, account)| (scope, unit, account.state))
    }

    /// What a reservation is like, until it is forgotten 30 days after its end.
    pub fn reservation(&self, id: &str) -> Option<ReservationState> {
        self.reservations.get(id).map(|reservation| ReservationState {
            status: reservation.status,
            unit: reservation.estimate.unit,
            estimate: reservation.estimate.amount,
            charged: reservation.committed().map(|amount| amount.amount),
            expires_at_ms: reservation.expires_at,
            grace_period_ms: reservation.grace_ms,
            extensions: reservation.extensions,
            overage_policy: reservation.policy,
        })
    }

    /// The ids of all reservations that are not forgotten yet.
    pub fn reservation_ids(&self) -> impl Iterator<Item = &str> {
        self.reservations
            .iter()
            .map(|reservation| reservation.id.as_str())
    }

    /// How many events were applied, replays not counted.
    pub const fn events_applied(&self) -> u64 {
        self.events_applied
    }

    /// When the grace period of the next active reservation to expire ends, if there is one.
    pub fn next_expiry(&self) -> Option<UnixMillis> {
        self.reservations
            .next_due()
            .map(|due| UnixMillis(u64::try_from(due).unwrap_or(0)))
    }
}

/// Nothing if the amount is out of range.
fn funded(state: BudgetState, funding: Funding) -> Option<BudgetState> {
    let mut after = state;
    let amount = match funding {
        Funding::Credit(amount)
        | Funding::Debit(amount)
        | Funding::Reset(amount)
        | Funding::ResetSpent {
            allocated: amount, ..
        }
        | Funding::RepayDebt(amount) => Some(amount).filter(|amount| *amount >= 0)?,
    };
    let credit = match funding {
        Funding::Credit(_) => amount,
        Funding::Debit(_) if state.remaining < amount || state.allocated < amount => return None,
        Funding::Debit(_) => -amount,
        Funding::Reset(_) => amount.checked_sub(state.allocated)?,
        Funding::ResetSpent { spent, .. } => {
            after.spent = Some(spent).filter(|spent| *spent >= 0)?;
            after.remaining = after.remaining.checked_add(state.spent)?.checked_sub(spent)?;
            amount.checked_sub(state.allocated)?
        }
        Funding::RepayDebt(_) => {
            let paid = amount.min(state.debt);
            after.debt -= paid;
            after.remaining = after.remaining.checked_add(paid)?;
            amount - paid
        }
    };
    after.allocated = after.allocated.checked_add(credit)?;
    after.remaining = after.remaining.checked_add(credit)?;
    after.is_over_limit = after.debt > after.overdraft_limit;
    Some(after)
}
