//! An action that ended well.

use core::fmt;

use cycles_proto::guarded::HeartbeatPolicy;
use cycles_proto::{InvalidCommit, Receipt};

use crate::guard::Committing;
use crate::runtime::Runtime;

/// An action that ended well, and what became of its cost.
#[non_exhaustive]
pub struct Completed<T, R: Runtime> {
    /// What the action returned.
    pub value: T,
    /// What became of its cost by now; an error if the action returned one that cannot be charged to its
    /// reservation.
    pub receipt: Result<Receipt, InvalidCommit>,
    /// Whether the lease was lost while it ran.
    pub lease_was_lost: bool,
    policy: HeartbeatPolicy,
    committing: Committing<R>,
}

impl<T, R: Runtime> Completed<T, R> {
    /// Waits for the first that can be said of the cost.
    pub(crate) async fn new(
        value: T,
        committing: Committing<R>,
        lease_was_lost: bool,
        policy: HeartbeatPolicy,
    ) -> Self {
        let receipt = committing.receipt().await;
        Self {
            value,
            receipt: receipt.map(|receipt| policy.receipt(receipt, lease_was_lost)),
            lease_was_lost,
            policy,
            committing,
        }
    }

    /// Waits until the cost is settled, or nothing more is tried before the journal is replayed the next time:
    /// then the receipt is [pending](Receipt::Pending) still, and its end is told by
    /// [`Event::SettledLate`](crate::Event::SettledLate). May be dropped, and called again.
    ///
    /// # Errors
    /// As [`receipt`](Self::receipt).
    pub async fn until_settled(&self) -> Result<Receipt, InvalidCommit> {
        let receipt = self.committing.settled().await;
        receipt.map(|receipt| self.policy.receipt(receipt, self.lease_was_lost))
    }
}

impl<T: fmt::Debug, R: Runtime> fmt::Debug for Completed<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completed")
            .field("value", &self.value)
            .field("receipt", &self.receipt)
            .field("lease_was_lost", &self.lease_was_lost)
            .finish_non_exhaustive()
    }
}
