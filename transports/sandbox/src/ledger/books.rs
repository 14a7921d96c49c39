//! The budgets and the arithmetic of holds, charges and releases on each scope.
//!
//! Every change is computed for all scopes first and applied afterwards, so a refusal changes nothing.

use std::collections::BTreeMap;

use super::admin::BudgetRecord;
use super::error::{Code, Refusal, UnitDetails};
use super::replies::BalanceRow;
use super::wire_enums::{BudgetStatus, Named, OveragePolicy, Unit};

/// The numbers of one budget, all in its unit. `remaining = allocated - spent - reserved - debt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetState {
    /// Granted by the operator.
    pub allocated: i64,
    /// Available to new reservations; negative while debt exceeds it.
    pub remaining: i64,
    /// Held by active reservations.
    pub reserved: i64,
    /// Charged and paid.
    pub spent: i64,
    /// Charged beyond the available funds.
    pub debt: i64,
    /// The limit of `debt`.
    pub overdraft_limit: i64,
    /// Set when a charge was capped; blocks new reservations until the operator funds the budget.
    pub is_over_limit: bool,
    /// Whether the budget accepts new reservations and events.
    pub status: BudgetStatus,
}

/// A budget, as stored by the ledger.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) state: BudgetState,
    /// The JSON text of the `caps` that decisions contain.
    pub(super) caps_json: Option<String>,
    pub(super) record: BudgetRecord,
}

/// All budgets, by scope path and unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Books(BTreeMap<String, BTreeMap<Unit, Account>>);

/// The cost to charge, and how.
#[derive(Clone, Copy)]
pub(super) struct Charge {
    /// The amount that the reservation holds; `None` for an event.
    pub(super) hold: Option<i64>,
    /// The actual cost.
    pub(super) actual: i64,
    pub(super) policy: OveragePolicy,
}

impl Books {
    pub(super) fn account(&self, scope: &str, unit: Unit) -> Option<&Account> {
        self.0.get(scope)?.get(&unit)
    }

    pub(super) fn account_mut(&mut self, scope: &str, unit: Unit) -> Option<&mut Account> {
        self.0.get_mut(scope)?.get_mut(&unit)
    }

    pub(super) fn insert(&mut self, scope: String, unit: Unit, account: Account) {
        self.0.entry(scope).or_default().insert(unit, account);
    }

    /// The budgets, in every unit, on the scopes for which `concerned` returns true.
    pub(super) fn on_scopes_mut(
        &mut self,
        concerned: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = &mut Account> {
        self.0
            .iter_mut()
            .filter(move |(scope, _)| concerned(scope))
            .flat_map(|(_, units)| units.values_mut())
    }

    /// Every budget, in the order of scope and unit.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Unit, &Account)> {
        self.0.iter().flat_map(|(scope, units)| {
            units
                .iter()
                .map(move |(unit, account)| (scope.as_str(), *unit, account))
        })
    }

    /// The members of `scopes` that have a budget in `unit`, in the same order.
    pub(super) fn budgeted(&self, scopes: &[String], unit: Unit) -> Vec<String> {
        scopes
            .iter()
            .filter(|scope| self.account(scope, unit).is_some())
            .cloned()
            .collect()
    }

    /// The first scope that refuses a new hold of `amount`, and why. Each scope is checked completely before the next.
    pub(super) fn first_block<'a>(
        &self,
        scopes: &'a [String],
        unit: Unit,
        amount: i64,
    ) -> Option<(Code, &'a str)> {
        scopes.iter().find_map(|scope| {
            let state = &self.account(scope, unit)?.state;
            let code = status_block(state).or_else(|| {
                if state.is_over_limit {
                    Some(Code::OverdraftLimitExceeded)
                } else if state.debt > 0 && state.overdraft_limit == 0 {
                    Some(Code::DebtOutstanding)
                } else {
                    (state.remaining < amount).then_some(Code::BudgetExceeded)
                }
            })?;
            Some((code, scope.as_str()))
        })
    }

    /// The first scope that refuses an event; debt and the over-limit flag are no reasons here.
    pub(super) fn first_event_block<'a>(
        &self,
        scopes: &'a [String],
        unit: Unit,
        charge: Charge,
    ) -> Option<(Code, &'a str)> {
        scopes.iter().find_map(|scope| {
            let state = &self.account(scope, unit)?.state;
            let short = charge.policy == OveragePolicy::Reject && state.remaining < charge.actual;
            let code = status_block(state).or(short.then_some(Code::BudgetExceeded))?;
            Some((code, scope.as_str()))
        })
    }

    /// If no scope has a budget in `unit`: the broadest scope with a budget in another unit.
    pub(super) fn other_unit(&self, scopes: &[String], unit: Unit) -> Option<UnitDetails> {
        scopes.iter().find_map(|scope| {
            let units = self.0.get(scope)?;
            let expected_units = Unit::ALL
                .iter()
                .copied()
                .filter(|other| *other != unit && units.contains_key(other));
            let expected_units: Vec<Unit> = expected_units.collect();
            let details = UnitDetails {
                scope: scope.clone(),
                requested_unit: unit,
                expected_units,
            };
            (!details.expected_units.is_empty()).then_some(details)
        })
    }

    /// Moves `amount` from remaining to reserved on every scope.
    pub(super) fn hold(&mut self, scopes: &[String], unit: Unit, amount: i64) -> Result<(), Refusal> {
        let amount = i128::from(amount);
        self.change(scopes, unit, |_| Change {
            remaining: -amount,
            reserved: amount,
            ..Change::NONE
        })
    }

    /// Moves `amount` from reserved back to remaining on every scope.
    pub(super) fn give_back(&mut self, scopes: &[String], unit: Unit, amount: i64) -> Result<(), Refusal> {
        let amount = i128::from(amount);
        self.change(scopes, unit, |_| Change {
            remaining: amount,
            reserved: -amount,
            ..Change::NONE
        })
    }

    /// Turns a hold into a charge and returns the charged amount: less than requested if the charge was capped.
    pub(super) fn charge(&mut self, scopes: &[String], unit: Unit, charge: Charge) -> Result<i64, Refusal> {
        let (hold, actual) = (i128::from(charge.hold.unwrap_or(0)), i128::from(charge.actual));
        if charge.hold.is_some() && actual <= hold {
            self.change(scopes, unit, |_| Change {
                remaining: hold - actual,
                reserved: -hold,
                spent: actual,
                ..Change::NONE
            })?;
            return Ok(charge.actual);
        }
        let asked = actual - hold;
        let taken = match charge.policy {
            OveragePolicy::Reject if charge.hold.is_some() => return Err(Refusal::reject_policy()),
            OveragePolicy::Reject => asked,
            OveragePolicy::AllowIfAvailable => self.affordable(scopes, unit, asked, |_| true),
            OveragePolicy::AllowWithOverdraft => {
                let taken = self.affordable(scopes, unit, asked, |state| state.overdraft_limit == 0);
                self.check_overdraft(scopes, unit, taken)?;
                taken
            }
        };
        let overdraft = charge.policy == OveragePolicy::AllowWithOverdraft;
        self.change(scopes, unit, |state| {
            let available = i128::from(state.remaining);
            let funded = if overdraft {
                taken.min(available.max(0))
            } else {
                taken
            };
            Change {
                remaining: -taken,
                reserved: -hold,
                spent: hold + funded,
                debt: taken - funded,
                over_limit: taken < asked && available < asked && !(overdraft && state.overdraft_limit > 0),
            }
        })?;
        i64::try_from(hold + taken).map_err(|_| Refusal::internal())
    }

    /// One row per scope that has a budget.
    pub(super) fn rows(&self, scopes: &[String], unit: Unit) -> Vec<BalanceRow> {
        let budgeted = scopes.iter().filter_map(|scope| {
            let account = self.account(scope, unit)?;
            Some(BalanceRow::new(scope, unit, &account.state))
        });
        budgeted.collect()
    }

    /// Returns `asked`, or less if one of the `capped` scopes cannot afford it.
    fn affordable(
        &self,
        scopes: &[String],
        unit: Unit,
        asked: i128,
        capped: impl Fn(&BudgetState) -> bool,
    ) -> i128 {
        let states = scopes
            .iter()
            .filter_map(|scope| self.account(scope, unit))
            .map(|account| &account.state);
        states
            .filter(|state| capped(state))
            .map(|state| i128::from(state.remaining.max(0)))
            .fold(asked, i128::min)
    }

    fn check_overdraft(&self, scopes: &[String], unit: Unit, taken: i128) -> Result<(), Refusal> {
        let states = scopes
            .iter()
            .filter_map(|scope| self.account(scope, unit))
            .map(|account| &account.state);
        for state in states.filter(|state| state.overdraft_limit > 0) {
            // A scope with a negative balance falls short even for a charge of 0; then its current debt is compared to
            // the limit.
            let is_short = i128::from(state.remaining) < taken;
            let shortfall = taken - i128::from(state.remaining.max(0));
            if is_short && i128::from(state.debt) + shortfall > i128::from(state.overdraft_limit) {
                return Err(Refusal::overdraft());
            }
        }
        Ok(())
    }

    fn change(
        &mut self,
        scopes: &[String],
        unit: Unit,
        change: impl Fn(&BudgetState) -> Change,
    ) -> Result<(), Refusal> {
        let mut changed = Vec::with_capacity(scopes.len());
        for scope in scopes {
            if let Some(account) = self.account(scope, unit) {
                let state = change(&account.state)
                    .applied_to(account.state)
                    .ok_or_else(Refusal::internal)?;
                changed.push((scope, state));
            }
        }
        for (scope, state) in changed {
            if let Some(account) = self.account_mut(scope, unit) {
                account.state = state;
            }
        }
        Ok(())
    }
}

struct Change {
    remaining: i128,
    reserved: i128,
    spent: i128,
    debt: i128,
    over_limit: bool,
}

impl Change {
    const NONE: Self = Self {
        remaining: 0,
        reserved: 0,
        spent: 0,
        debt: 0,
        over_limit: false,
    };

    /// The new state, or `None` if a number would exceed 64 bits.
    fn applied_to(self, state: BudgetState) -> Option<BudgetState> {
        let sum = |value: i64, change: i128| i64::try_from(i128::from(value) + change).ok();
        Some(BudgetState {
            remaining: sum(state.remaining, self.remaining)?,
            reserved: sum(state.reserved, self.reserved)?,
            spent: sum(state.spent, self.spent)?,
            debt: sum(state.debt, self.debt)?,
            is_over_limit: state.is_over_limit || self.over_limit,
            ..state
        })
    }
}

fn status_block(state: &BudgetState) -> Option<Code> {
    match state.status {
        BudgetStatus::Active => None,
        BudgetStatus::Frozen => Some(Code::BudgetFrozen),
        BudgetStatus::Closed => Some(Code::BudgetClosed),
    }
}
