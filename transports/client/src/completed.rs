//! An action that ended well.

use cycles_proto::guarded::HeartbeatPolicy;
use cycles_proto::{InvalidCommit, Receipt};

use crate::guard::Committing;

/// An action that ended well, and what became of its cost.
#[derive(Debug)]
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
    committing: Committing,
}

impl<T> Completed<T> {
    /// Waits for the first that can be said of the cost.
    pub(crate) async fn new(
        value: T,
        mut committing: Committing,
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

    /// Blocks until the cost is settled or nothing more is tried before the journal is replayed the next time, or
    /// for `timeout`, whichever comes first. A receipt that is [pending](Receipt::Pending) even then is not the
    /// end, which is told by [`Event::SettledLate`](crate::Event::SettledLate).
    ///
    /// # Errors
    /// As [`receipt`](Self::receipt).
    #[cfg(feature = "blocking")]
    pub fn wait_settled(&self, timeout: core::time::Duration) -> Result<Receipt, InvalidCommit> {
        let shared = self.committing.shared();
        let settled = crate::engine::block_until(shared, timeout, self.until_settled());
        settled.unwrap_or_else(|| self.receipt.clone())
    }
}
