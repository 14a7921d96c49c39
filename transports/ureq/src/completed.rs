//! An action that ended well.

use core::fmt;
use core::time::Duration;

use cycles_proto::guarded::HeartbeatPolicy;
use cycles_proto::{InvalidCommit, Receipt};

use crate::guard::Settling;

/// An action that ended well, and what became of its cost.
#[non_exhaustive]
pub struct Completed<T> {
    /// What the action returned.
    pub value: T,
    /// What became of its cost by now; an error if the action returned one that cannot be charged to its
    /// reservation.
    pub receipt: Result<Receipt, InvalidCommit>,
    /// Whether the lease was lost while it ran.
    pub lease_was_lost: bool,
    policy: HeartbeatPolicy,
    settling: Result<Settling, InvalidCommit>,
}

impl<T> Completed<T> {
    /// Waits for the first that can be said of the cost.
    pub(crate) fn new(
        value: T,
        settling: Result<Settling, InvalidCommit>,
        lease_was_lost: bool,
        policy: HeartbeatPolicy,
    ) -> Self {
        let receipt = settling.as_ref().map(Settling::receipt).map_err(Clone::clone);
        Self {
            value,
            receipt: receipt.map(|receipt| policy.receipt(receipt, lease_was_lost)),
            lease_was_lost,
            policy,
            settling,
        }
    }

    /// Waits until the cost is settled or nothing more is tried before the journal is replayed the next time, or
    /// for `timeout`, whichever comes first. A receipt that is [pending](Receipt::Pending) even then is not the
    /// end, which is told by [`Event::SettledLate`](crate::Event::SettledLate).
    ///
    /// # Errors
    /// As [`receipt`](Self::receipt).
    pub fn wait_settled(&self, timeout: Duration) -> Result<Receipt, InvalidCommit> {
        let settling = self.settling.as_ref().map_err(Clone::clone)?;
        let receipt = settling.wait_settled(timeout)?;
        Ok(self.policy.receipt(receipt, self.lease_was_lost))
    }
}

impl<T: fmt::Debug> fmt::Debug for Completed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completed")
            .field("value", &self.value)
            .field("receipt", &self.receipt)
            .field("lease_was_lost", &self.lease_was_lost)
            .finish_non_exhaustive()
    }
}
