//! What became of actions in shadow mode.

use super::{Amounts, Denials};

/// The numbers of the actions of one tenant that ran in [shadow mode](crate::Mode::Shadow): what the ledger would have
/// decided, and what they cost. All are counters, and count an action when it has ended and its decision is known or
/// given up.
///
/// Nothing is held in that mode, so each decision is independent of all others: that all were allowed does not mean that
/// the budget had enough for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShadowStats {
    /// Actions that would have been allowed without limits.
    pub allowed: u64,
    /// Actions that would have been allowed within limits.
    pub allowed_with_caps: u64,
    /// Actions that would have been denied, by reason.
    pub denied: Denials,
    /// Actions for which there is no decision, as in an outage.
    pub unknown: u64,
    /// Steps of runs, and amounts to keep, that would have been refused because the run had less left.
    pub exhausted: u64,
    /// The sum of the estimates of all these actions, by unit. Nothing was held.
    pub estimates: Amounts,
    /// The sum of what these actions cost, by unit. Nothing was charged.
    pub actuals: Amounts,
}

impl ShadowStats {
    /// How many actions ended in shadow mode.
    pub fn actions(&self) -> u64 {
        self.allowed + self.allowed_with_caps + self.denied.total() + self.unknown
    }

    pub(super) fn add(&mut self, other: &Self) {
        // Names all members, so that a new one cannot be forgotten.
        let Self {
            allowed,
            allowed_with_caps,
            denied,
            unknown,
            exhausted,
            estimates,
            actuals,
        } = other;
        self.allowed += allowed;
        self.allowed_with_caps += allowed_with_caps;
        self.denied.add(denied);
        self.unknown += unknown;
        self.exhausted += exhausted;
        self.estimates.add(estimates);
        self.actuals.add(actuals);
    }
}
