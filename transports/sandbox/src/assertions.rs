//! The assertions of the ledger, on a running sandbox.

#[cfg(doc)]
use crate::ledger::Ledger;
use crate::ledger::Unit;
use crate::sandbox::Sandbox;

impl Sandbox {
    /// Takes out of every budget what is left of it, so that everything is denied from now on: see
    /// [`Ledger::deny_everything`].
    ///
    /// ```
    /// # fn run_the_agent(_: &cycles_sandbox::Sandbox) {}
    /// let sandbox = cycles_sandbox::Sandbox::start()?;
    /// sandbox.deny_everything();
    /// run_the_agent(&sandbox);
    /// sandbox.assert_nothing_ran();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn deny_everything(&self) {
        self.ledger().deny_everything();
    }

    /// Asserts that this is what the budget has spent: see [`Ledger::assert_spent`].
    ///
    /// # Panics
    /// If it has spent something else, or does not exist.
    #[track_caller]
    pub fn assert_spent(&self, scope: &str, unit: Unit, amount: i64) {
        self.ledger().assert_spent(scope, unit, amount);
    }

    /// Asserts that this is what reservations hold of the budget: see [`Ledger::assert_reserved`].
    ///
    /// # Panics
    /// If they hold something else, or there is no such budget.
    #[track_caller]
    pub fn assert_reserved(&self, scope: &str, unit: Unit, amount: i64) {
        self.ledger().assert_reserved(scope, unit, amount);
    }

    /// Asserts that no budget has spent anything.
    ///
    /// # Panics
    /// If one has.
    #[track_caller]
    pub fn assert_nothing_spent(&self) {
        self.ledger().assert_nothing_spent();
    }

    /// Asserts that no reservation holds anything.
    ///
    /// # Panics
    /// If one does.
    #[track_caller]
    pub fn assert_nothing_reserved(&self) {
        self.ledger().assert_nothing_reserved();
    }

    /// Asserts that budget is held, for a fake of a provider: see [`Ledger::assert_something_reserved`].
    ///
    /// # Panics
    /// If nothing is held.
    #[track_caller]
    pub fn assert_something_reserved(&self) {
        self.ledger().assert_something_reserved();
    }

    /// Asserts that the cost of the reservation was charged, and only once: see [`Ledger::assert_charged_once`].
    ///
    /// # Panics
    /// If it was not charged, or more than once.
    #[track_caller]
    pub fn assert_charged_once(&self, reservation_id: &str) {
        self.ledger().assert_charged_once(reservation_id);
    }

    /// Asserts that nothing ran that asks for its budget first: see [`Ledger::assert_nothing_ran`].
    ///
    /// # Panics
    /// If something was granted, or charged by an event.
    #[track_caller]
    pub fn assert_nothing_ran(&self) {
        self.ledger().assert_nothing_ran();
    }
}
