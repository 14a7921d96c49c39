//! The result of a successful guarded action.

use cycles_proto::with_cycles_config::HeartbeatPolicy;
use cycles_proto::{InvalidCommit, Receipt};

use crate::guard::Committing;

/// The value of a successful action, and the receipt for its cost.
#[derive(Debug)]
#[non_exhaustive]
pub struct Completed<T> {
    /// The value that the action returned.
    pub value: T,
    /// The receipt so far, or an error if the action returned a cost that cannot be charged to its reservation.
    pub receipt: Result<Receipt, InvalidCommit>,
    /// Whether the lease was lost while the action ran.
    pub lease_was_lost: bool,
    policy: HeartbeatPolicy,
    committing: Committing,
}

impl<T> Completed<T> {
    /// Waits until the cost is settled or safe.
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

    /// Waits until the cost is settled, or until all attempts have been made. In the second case the receipt is still
    /// [pending](Receipt::Pending): the next replay of the journal settles the cost, and reports it as
    /// [`Event::SettledLate`](crate::Event::SettledLate). The future may be dropped, and this may be called again.
    ///
    /// # Errors
    /// The same error as in [`receipt`](Self::receipt).
    pub async fn until_settled(&self) -> Result<Receipt, InvalidCommit> {
        let receipt = self.committing.settled().await;
        receipt.map(|receipt| self.policy.receipt(receipt, self.lease_was_lost))
    }

    /// Blocks until the cost is settled, all attempts have been made, or `timeout` has passed, whichever comes first.
    /// If the receipt is still [pending](Receipt::Pending), the client or the next replay of the journal settles the
    /// cost, and reports it as [`Event::SettledLate`](crate::Event::SettledLate).
    ///
    /// # Errors
    /// The same error as in [`receipt`](Self::receipt).
    #[cfg(feature = "blocking")]
    pub fn wait_settled(&self, timeout: core::time::Duration) -> Result<Receipt, InvalidCommit> {
        let shared = self.committing.shared();
        let settled = crate::engine::block_until(shared, timeout, self.until_settled());
        settled.unwrap_or_else(|| self.receipt.clone())
    }
}
