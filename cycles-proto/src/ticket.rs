//! Names of attempts.

/// Names one attempt; a machine takes an answer only for the attempt it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) u64);

impl Ticket {
    /// Whether a settlement handed it out, and not the machine around it.
    pub(crate) fn is_of_a_settlement(self) -> bool {
        self.0 & SETTLEMENT != 0
    }
}

const SETTLEMENT: u64 = 1 << 63;

/// Hands out tickets, each once.
#[derive(Debug, Default)]
pub(crate) struct Tickets(u64);

impl Tickets {
    /// Tickets that no machine around a settlement hands out.
    pub(crate) fn of_a_settlement() -> Self {
        Self(SETTLEMENT)
    }

    pub(crate) fn take(&mut self) -> Ticket {
        self.0 += 1;
        Ticket(self.0)
    }
}
