//! The checks at the end of a world, once the faults are over and nothing is in progress.

use std::collections::BTreeMap;

use cycles_sandbox::{DEFAULT_TENANT, Ledger, ReservationStatus, Unit};

use super::{CheckResult, broken};
use crate::job::Job;
use crate::rule::Rule;

impl Job {
    /// Checks that the cost is in the ledger or reported as lost. `is_lost` is whether the only process that knew the
    /// cost is gone.
    pub(crate) fn check_kept(&self, is_lost: bool) -> CheckResult {
        let charged = self.notes.run.as_ref().map_or(0, |run| run.charged);
        if self.cost.as_ref().map_or(0, |cost| cost.amount) < charged && !self.notes.was_surfaced {
            return broken(
                Rule::StepStored,
                format!(
                    "steps count as charged up to {charged}, but the cost is {:?}",
                    self.cost
                ),
            );
        }
        let Some(cost) = &self.cost else { return Ok(()) };
        if !self.charges.is_empty() || self.notes.was_surfaced || (is_lost && !self.notes.was_durable) {
            return Ok(());
        }
        broken(
            Rule::CostKept,
            format!("{cost} are neither in the ledger nor reported as lost"),
        )
    }
}

/// Checks that the books of `ledger` add up, and that they match the costs of each tenant's jobs. `payer` returns the
/// tenant of a reservation.
pub(crate) fn check_books<'a>(
    ledger: &Ledger,
    jobs: impl Iterator<Item = &'a Job>,
    payer: impl Fn(&str) -> Option<&'a str>,
) -> CheckResult {
    let mut held: BTreeMap<(&str, Unit), i64> = BTreeMap::new();
    for id in ledger.reservation_ids() {
        if let Some(reservation) = ledger.reservation(id)
            && reservation.status == ReservationStatus::Active
        {
            let tenant = payer(id).unwrap_or(DEFAULT_TENANT);
            *held.entry((tenant, reservation.unit)).or_default() += reservation.estimate;
        }
    }
    let mut costs: BTreeMap<(&str, String), i64> = BTreeMap::new();
    for job in jobs {
        if let Some(cost) = &job.cost {
            let tenant = job.notes.tenant.as_deref().unwrap_or(DEFAULT_TENANT);
            *costs.entry((tenant, cost.unit.to_string())).or_default() +=
                job.charges.iter().map(|charge| charge.amount).sum::<i64>();
        }
    }
    for (scope, unit, state) in ledger.budgets() {
        let remaining = state.allocated - state.spent - state.reserved - state.debt;
        if state.remaining != remaining {
            return broken(Rule::BooksBalance, format!("{scope} does not add up: {state:?}"));
        }
        // A subject may omit scopes below the tenant.
        let Some(tenant) = scope
            .strip_prefix("tenant:")
            .filter(|tenant| !tenant.contains('/'))
        else {
            continue;
        };
        let (held, cost) = (
            held.get(&(tenant, unit)).copied().unwrap_or_default(),
            costs
                .get(&(tenant, unit.name().to_owned()))
                .copied()
                .unwrap_or_default(),
        );
        if (state.reserved, state.spent + state.debt) != (held, cost) {
            return broken(
                Rule::BooksBalance,
                format!("{scope} holds {held} and was charged {cost}, but its books have {state:?}"),
            );
        }
    }
    Ok(())
}
