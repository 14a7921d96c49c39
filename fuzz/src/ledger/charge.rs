//! A second implementation of the overage policies.

use cycles_sandbox::BudgetState;

/// One charge on scopes in their current state.
pub(super) struct Charge<'a> {
    pub(super) before: &'a [BudgetState],
    pub(super) hold: i64,
    pub(super) actual: i64,
    pub(super) policy: &'a str,
}

impl Charge<'_> {
    /// The amount that the policy charges, or `None` if it refuses.
    pub(super) fn expected(&self) -> Option<i64> {
        let more = self.actual - self.hold;
        if more <= 0 && self.hold > 0 || more == 0 {
            return Some(self.actual);
        }
        let available = |state: &BudgetState| state.remaining.max(0);
        match self.policy {
            "REJECT" => None,
            "ALLOW_IF_AVAILABLE" => {
                let most = self.before.iter().map(available).min().unwrap_or(0);
                Some(self.hold + more.min(most))
            }
            _ => {
                // A scope without overdraft caps the charge; one with overdraft takes debt up to its limit.
                let capped = self.before.iter().filter(|state| state.overdraft_limit == 0);
                let taken = capped.map(available).fold(more, i64::min);
                let is_beyond = |state: &BudgetState| {
                    state.overdraft_limit > 0
                        && state.remaining < taken
                        && state.debt + (taken - available(state)) > state.overdraft_limit
                };
                (!self.before.iter().any(is_beyond)).then_some(self.hold + taken)
            }
        }
    }
}
