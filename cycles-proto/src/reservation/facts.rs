//! What a session asks a reservation about itself.

use super::common::Attempt;
use super::held::Held;
use super::shadow::Shadow;
use super::{Phase, Reservation};
use crate::settlement::Settlement;
use crate::ticket::Ticket;

impl Reservation {
    /// Whether the machine waits for the answer to this call. Report a grant even if the machine does not wait for it.
    pub(crate) fn awaits(&self, ticket: Ticket) -> bool {
        if ticket.is_of_a_settlement() {
            return self
                .phase
                .settlement()
                .is_some_and(|settlement| settlement.awaits(ticket));
        }
        Attempt::is(self.phase.attempt(), ticket)
    }

    /// Whether a cost was handed over, and is on its way into the ledger.
    pub(crate) fn has_cost(&self) -> bool {
        self.phase.settlement().is_some()
    }

    /// Whether there is a cost that is neither settled nor in a record.
    pub(crate) fn has_cost_in_memory(&self) -> bool {
        self.phase.settlement().is_some_and(Settlement::is_only_in_memory)
    }

    /// Whether the reservation may exist: it was granted, or an attempt to make it may have been acted on.
    pub(crate) fn may_be_reserved(&self) -> bool {
        match &self.phase {
            Phase::Reserving(reserving) => reserving.may_be_done(),
            Phase::Verifying(_)
            | Phase::Held(_)
            | Phase::Resumed(_)
            | Phase::Releasing(_)
            | Phase::Shadow(_)
            | Phase::Ended(_) => true,
        }
    }

    /// Whether it is or was a run of this process.
    pub(crate) fn was_run(&self) -> bool {
        self.common.run().is_some()
    }

    /// Whether the ledger has not decided about the reservation yet.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(self.phase, Phase::Reserving(_) | Phase::Verifying(_))
    }

    /// Whether there is something to charge that no commit contains yet, even if no cost is handed over.
    pub(crate) fn has_spent(&self) -> bool {
        self.shadow().map_or_else(
            || self.phase.holding().is_some_and(Held::has_spent),
            Shadow::has_spent,
        )
    }
}
