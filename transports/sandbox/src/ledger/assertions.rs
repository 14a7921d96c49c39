//! Assertions about the books, for tests. If one fails, its message shows what the ledger has.

use core::fmt;

use super::Ledger;
use super::operator::Funding;
use super::wire_enums::{ReservationStatus, Unit};

/// The number of reservations that a message lists.
const LISTED: usize = 20;

impl Ledger {
    /// Takes out of every budget what is left of it, so that everything is denied with `BUDGET_EXCEEDED` from now on.
    /// What is held already can still be settled. [`assert_nothing_ran`](Self::assert_nothing_ran) counts from here.
    pub fn deny_everything(&mut self) {
        let budgets: Vec<_> = self
            .budgets()
            .map(|(scope, unit, state)| (scope.to_owned(), unit, state.remaining))
            .collect();
        for (scope, unit, remaining) in budgets {
            // Without anything left, or frozen, it denies anyway.
            let _ = self.fund(&scope, unit, Funding::Debit(remaining));
        }
        self.denied_at = (self.reservations.made(), self.events_applied);
    }

    /// Asserts that this is what the budget has spent. `scope` is a path such as `tenant:acme-corp`.
    ///
    /// # Panics
    /// If it has spent something else, or does not exist.
    #[track_caller]
    pub fn assert_spent(&self, scope: &str, unit: Unit, amount: i64) {
        let spent = self.known_budget(scope, unit).spent;
        assert!(
            spent == amount,
            "{scope} has spent {spent} and not {amount} {}. {self:#}",
            unit.name()
        );
    }

    /// Asserts that this is what reservations hold of the budget. `scope` is a path such as `tenant:acme-corp`.
    ///
    /// # Panics
    /// If they hold something else, or there is no such budget.
    #[track_caller]
    pub fn assert_reserved(&self, scope: &str, unit: Unit, amount: i64) {
        let reserved = self.known_budget(scope, unit).reserved;
        assert!(
            reserved == amount,
            "{reserved} and not {amount} {} of {scope} are reserved. {self:#}",
            unit.name()
        );
    }

    /// Asserts that no budget has spent anything.
    ///
    /// # Panics
    /// If one has.
    #[track_caller]
    pub fn assert_nothing_spent(&self) {
        let is_nothing = self
            .budgets()
            .all(|(_, _, state)| state.spent == 0 && state.debt == 0);
        assert!(is_nothing, "something was spent. {self:#}");
    }

    /// Asserts that no reservation holds anything.
    ///
    /// # Panics
    /// If one does.
    #[track_caller]
    pub fn assert_nothing_reserved(&self) {
        assert!(!self.holds_anything(), "something is still reserved. {self:#}");
    }

    /// Asserts that budget is held. For a fake of a provider, which calls it whenever it is called itself: so no call
    /// is made outside of a reservation.
    ///
    /// # Panics
    /// If nothing is held.
    #[track_caller]
    pub fn assert_something_reserved(&self) {
        assert!(self.holds_anything(), "nothing is reserved. {self:#}");
    }

    /// Asserts that the cost of the reservation was charged, and only once: by its commit, or by an event in its place.
    ///
    /// # Panics
    /// If it was not charged, or more than once.
    #[track_caller]
    pub fn assert_charged_once(&self, reservation_id: &str) {
        let status = self.reservations.get(reservation_id).map(|it| it.status);
        let status = status.or_else(|| Some(self.reservations.ended(reservation_id)?.reply.status));
        let commits = usize::from(status == Some(ReservationStatus::Committed));
        let events = self.recorded.requests();
        let events = events.filter(|event| event.recovered_reservation() == Some(reservation_id));
        let forgotten = self.recovered.get(reservation_id).copied().unwrap_or(0);
        let times = commits + events.count() + forgotten;
        assert!(
            times == 1,
            "{reservation_id} was charged {times} times and not once. {self:#}"
        );
    }

    /// Asserts that nothing was granted and nothing charged by an event since [`deny_everything`](Self::deny_everything)
    /// or, without that, ever. So nothing ran that asks for its budget first.
    ///
    /// # Panics
    /// If something was.
    #[track_caller]
    pub fn assert_nothing_ran(&self) {
        let now = (self.reservations.made(), self.events_applied);
        assert!(now == self.denied_at, "something ran. {self:#}");
    }

    pub(crate) fn holds_anything(&self) -> bool {
        self.reservations.counts().0 > 0
    }

    #[track_caller]
    fn known_budget(&self, scope: &str, unit: Unit) -> super::BudgetState {
        let budget = self.budget(&scope.to_ascii_lowercase(), unit);
        budget.unwrap_or_else(|| panic!("{scope} has no budget of {}. {self:#}", unit.name()))
    }
}

/// The books, as messages show them: every budget that something was taken from, and the reservations. With `{:#}` also
/// the budgets that nothing was taken from.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("The ledger has:")?;
        for (scope, unit, state) in self.budgets() {
            let is_untouched = state.spent == 0 && state.reserved == 0 && state.debt == 0;
            if is_untouched && !f.alternate() {
                continue;
            }
            write!(
                f,
                "\n  {scope} {}: spent {}, reserved {}, remaining {}",
                unit.name(),
                state.spent,
                state.reserved,
                state.remaining
            )?;
            if state.debt != 0 {
                write!(f, ", debt {}", state.debt)?;
            }
        }
        for reservation in self.reservations.iter().take(LISTED) {
            let super::shared_types::Amount { unit, amount } = reservation.estimate;
            let status = reservation.status.name();
            write!(
                f,
                "\n  reservation {} {status}: estimate {amount}",
                reservation.id
            )?;
            if let Some(charged) = reservation.committed() {
                write!(f, ", charged {}", charged.amount)?;
            }
            write!(f, " {}", unit.name())?;
        }
        let unlisted = self.reservations.iter().skip(LISTED).count();
        if unlisted > 0 {
            write!(f, "\n  {unlisted} more reservations")?;
        }
        let forgotten = self.reservations.forgotten();
        if forgotten > 0 {
            write!(f, "\n  {forgotten} ended reservations that are forgotten")?;
        }
        for event in self.recorded.requests().take(LISTED) {
            let super::shared_types::Amount { unit, amount } = event.actual;
            write!(f, "\n  event: {amount} {}", unit.name())?;
            if let Some(id) = event.recovered_reservation() {
                write!(f, " for reservation {id}")?;
            }
        }
        Ok(())
    }
}
