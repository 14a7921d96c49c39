//! The operator's methods: setting the ledger up, funding and freezing budgets, and reading the books. The admin plane
//! offers some of them over HTTP.

use core::fmt;

use bytes::Bytes;
use cycles_proto::time::UnixMillis;

use super::Ledger;
use super::admin::BudgetRecord;
use super::books::{Account, BudgetState};
use super::config::{ApiKey, Budget, Tenant};
use super::wire_enums::{BudgetStatus, KeyStatus, OveragePolicy, ReservationStatus, TenantStatus, Unit};

/// A change of a budget's funds. Each kind also updates the over-limit flag: set if the debt is above the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Funding {
    /// Adds to allocated and remaining.
    Credit(i64),
    /// Subtracts from allocated and remaining; remaining must be sufficient.
    Debit(i64),
    /// Sets allocated; remaining changes with it.
    Reset(i64),
    /// Begins a new period: sets allocated and spent; remaining changes with them. Holds and debt stay.
    ResetSpent {
        /// The new allocation.
        allocated: i64,
        /// The amount that counts as already spent.
        spent: i64,
    },
    /// Pays debt; any surplus is a credit.
    RepayDebt(i64),
}

/// The reason why an operator's change was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperatorError {
    /// There is no such budget, tenant or key.
    NotFound,
    /// The budget is frozen or closed.
    NotActive,
    /// The amount is negative, exceeds the available funds, or overflows 64 bits.
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

/// The state of a reservation, including parts that the protocol does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReservationState {
    /// The stored status: active until the sweep, even past the expiry.
    pub status: ReservationStatus,
    /// The unit of the amounts.
    pub unit: Unit,
    /// The held amount.
    pub estimate: i64,
    /// The charged amount, once the reservation is committed.
    pub charged: Option<i64>,
    /// The expiry, in milliseconds since 1970.
    pub expires_at_ms: i64,
    /// How long after the expiry the reservation can still be settled, in milliseconds.
    pub grace_period_ms: i64,
    /// The number of extensions so far.
    pub extensions: i64,
    /// The policy for a cost above the estimate.
    pub overage_policy: OveragePolicy,
}

impl Ledger {
    /// Becomes what `before` was. Its next ids remain new.
    pub(crate) fn reset_to(&mut self, before: &Self) {
        let seed = self.seed.clone();
        self.clone_from(before);
        self.seed = seed;
    }

    /// Adds a tenant record, or replaces the one with the same id. Settings other than the status can take a minute to
    /// take effect, because the server caches them.
    pub fn add_tenant(&mut self, tenant: Tenant) {
        self.tenants.insert(tenant);
    }

    /// Adds an API key, or replaces the one with the same first 14 characters.
    pub fn add_api_key(&mut self, key: ApiKey) {
        self.keys.insert(key);
    }

    /// Adds a budget, or replaces the one with the same scope and unit; it starts with nothing spent.
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
        let account = Account {
            state,
            caps_json: budget.caps_json,
            record: BudgetRecord::of(&budget.scope, budget.unit),
        };
        self.books.insert(budget.scope, budget.unit, account);
    }

    /// The keys of all tenants and of the admin, which nothing may show.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.keys.secrets()
    }

    /// Sets the admin key, which may list, get and release across tenants.
    pub fn set_admin_key(&mut self, key: impl Into<String>) {
        self.keys.admin = Some(key.into());
    }

    /// Sets how long tenant settings are cached, in milliseconds. Default: 60 000; 0 turns the cache off.
    pub fn set_tenant_cache_ms(&mut self, cache_ms: u64) {
        self.tenants.cache_ms = i64::try_from(cache_ms).unwrap_or(i64::MAX);
    }

    /// Sets how many requests per minute the public paths accept. Default: 300; `None` means unlimited.
    pub fn set_public_rate_limit(&mut self, requests_per_minute: Option<u32>) {
        self.throttle.limit = requests_per_minute;
    }

    /// Sets how many ended reservations, and how many events and other answers, are kept whole. Default: 5 000, which takes
    /// some 25 MB. Lists, look-ups and the dump know nothing of earlier ones; but every key lives as long as the protocol says,
    /// so that a repeated request gets its first answer, which takes 50 to 150 bytes for each. What is active is never
    /// forgotten.
    pub const fn set_retained(&mut self, ended_reservations: usize) {
        self.reservations.retained = ended_reservations;
    }

    /// How many ended reservations were forgotten because [more ended](Self::set_retained) after them.
    pub const fn forgotten_reservations(&self) -> u64 {
        self.reservations.forgotten()
    }

    /// How many events are not listed any more, because [more](Self::set_retained) came after them.
    pub const fn forgotten_events(&self) -> u64 {
        self.recorded.packed()
    }

    /// Publishes an evidence envelope under its id (64 lower-case hex digits), byte for byte.
    pub fn publish_evidence(&mut self, id: impl Into<String>, envelope: impl Into<Bytes>) {
        self.published.envelopes.insert(id.into(), envelope.into());
    }

    /// Publishes the signer's key set, as JSON.
    pub fn publish_jwks(&mut self, jwks: impl Into<Bytes>) {
        self.published.jwks = Some(jwks.into());
    }

    /// Changes the funds of a budget and returns its new state.
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

    /// Suspends, closes or reopens a tenant, with effect from the next request.
    pub fn set_tenant_status(&mut self, id: &str, status: TenantStatus) -> Result<(), OperatorError> {
        self.tenants.record_mut(id).ok_or(OperatorError::NotFound)?.status = Some(status);
        Ok(())
    }

    /// Revokes, expires or reactivates an API key.
    pub fn set_key_status(&mut self, secret: &str, status: KeyStatus) -> Result<(), OperatorError> {
        *self.keys.status_mut(secret).ok_or(OperatorError::NotFound)? = status;
        Ok(())
    }

    /// The state of a budget. `scope` is a path in lower case.
    pub fn budget(&self, scope: &str, unit: Unit) -> Option<BudgetState> {
        self.books.account(scope, unit).map(|account| account.state)
    }

    /// Scope, unit and state of every budget.
    pub fn budgets(&self) -> impl Iterator<Item = (&str, Unit, BudgetState)> {
        self.books
            .iter()
            .map(|(scope, unit, account)| (scope, unit, account.state))
    }

    /// The state of a reservation, until it is forgotten: 30 days after its end, or when
    /// [so many](Self::set_retained) others have ended.
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

    /// The ids of all reservations that are still remembered.
    pub fn reservation_ids(&self) -> impl Iterator<Item = &str> {
        self.reservations
            .iter()
            .map(|reservation| reservation.id.as_str())
    }

    /// The number of applied events, not counting replays.
    pub const fn events_applied(&self) -> u64 {
        self.events_applied
    }

    /// The end of the grace period of the active reservation that expires next, if there is one.
    pub fn next_expiry(&self) -> Option<UnixMillis> {
        self.reservations
            .next_due()
            .map(|due| UnixMillis(u64::try_from(due).unwrap_or(0)))
    }
}

/// The budget after `funding`, or `None` if the amount is out of range.
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
