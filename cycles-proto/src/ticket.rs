//! Tickets: the names of attempts and writes.

/// Names one attempt, write or scan. A report under a ticket that nothing waits for is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) u64);

impl Ticket {
    /// Whether a settlement handed it out, rather than the machine around it.
    pub(crate) fn is_of_a_settlement(self) -> bool {
        self.0 & SETTLEMENT != 0
    }
}

const SETTLEMENT: u64 = 1 << 63;

/// Hands out tickets, each once.
#[derive(Debug, Default)]
pub(crate) struct Tickets(u64);

impl Tickets {
    /// Starts the tickets of a settlement, which differ from all those of the machine around it.
    pub(crate) fn of_a_settlement() -> Self {
        Self(SETTLEMENT)
    }

    pub(crate) fn take(&mut self) -> Ticket {
        self.0 += 1;
        Ticket(self.0)
    }
}
