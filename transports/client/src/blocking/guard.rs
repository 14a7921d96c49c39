//! The guard of a reservation, for callers that block.

use core::future::Future;
use core::ops::Deref;
use std::sync::Arc;

use cycles_proto::models::{CommitRequest, ReservationCreateRequest};
use cycles_proto::outcome::ReleaseReason;
use cycles_proto::{Error, Receipt, UnixMillis};

use super::Client;
use crate::engine::block_on;

/// A reservation whose lease is kept alive until it is committed, released or dropped.
///
/// [`commit`](Self::commit) and [`release`](Self::release) consume it, so that it cannot be settled twice. A dropped
/// guard commits what was [spent](crate::ReservationGuard::spent) so far, or the estimate if a request was
/// [dispatched](crate::ReservationGuard::dispatched), or gives the budget back, all in the background. The drop blocks until a cost is on disk, for at most five seconds. If its thread is panicking, it blocks
/// until the first attempt has ended, because the process may be about to end.
///
/// A guard may be moved to another thread, and [extended](Self::extend) from several.
#[derive(Debug)]
#[must_use = "a reservation is released when it is dropped"]
pub struct ReservationGuard(crate::ReservationGuard);

impl Client {
    /// Reserves budget for an action and keeps the lease alive. Subject fields that the request leaves out come from
    /// the configuration. Blocks until the ledger has decided; in [shadow mode](cycles_proto::Mode::Shadow) it does not
    /// block, and the made-up id begins with `shadow-`.
    ///
    /// # Errors
    /// Any [`Error`]; the action must not run then. [`Error::BudgetExceeded`] or [`Error::Denied`] if the ledger denies
    /// the reservation, [`Error::DryRun`] if the request was a dry run.
    pub fn reserve(&self, request: ReservationCreateRequest) -> Result<ReservationGuard, Error> {
        self.wait(self.0.reserve(request)).map(ReservationGuard)
    }
}

impl ReservationGuard {
    pub(crate) fn new(guard: crate::ReservationGuard) -> Self {
        Self(guard)
    }

    pub(super) fn into_inner(self) -> crate::ReservationGuard {
        self.0
    }

    /// Extends the lease by this many milliseconds (1 ms to a day), in addition to the heartbeat, and returns its new
    /// end on the server's clock. Blocks until the ledger has answered.
    ///
    /// # Errors
    /// Any [`Error`]. The reservation and its heartbeat continue as before.
    pub fn extend(&self, ms: u64) -> Result<UnixMillis, Error> {
        block_on(self.0.held.handle.shared(), self.0.extend(ms))
    }

    /// Commits the cost of the action. Blocks until the cost is settled, or is on disk after a first attempt; retries
    /// then continue in the background. Without a journal, it blocks until all attempts have been made.
    ///
    /// # Errors
    /// Any [`Error`] if the cost was not accepted, was refused, or is neither settled nor recorded.
    pub fn commit(self, request: CommitRequest) -> Result<Receipt, Error> {
        self.wait(|guard| guard.commit(request))
    }

    /// Gives the budget back, because nothing was spent. Blocks for the first attempt, and returns whether the ledger
    /// has confirmed the release. If it has not, the release is retried in the background until the lease ends, which
    /// frees the budget too. If something was [spent](crate::ReservationGuard::spent) after all, that amount is
    /// committed instead; if a request was [dispatched](crate::ReservationGuard::dispatched), so is the estimate.
    ///
    /// # Errors
    /// If an amount that was spent could not be committed.
    pub fn release(self, reason: impl Into<ReleaseReason>) -> Result<bool, Error> {
        self.wait(|guard| guard.release(reason))
    }

    /// Ends the reservation and blocks until that is done. `end` is called inside `block_on`, so that this thread makes
    /// the calls.
    fn wait<T, F: Future<Output = T>>(self, end: impl FnOnce(crate::ReservationGuard) -> F) -> T {
        let handle = Arc::clone(&self.0.held.handle);
        block_on(handle.shared(), async move { end(self.0).await })
    }
}

/// The methods that do not block.
impl Deref for ReservationGuard {
    type Target = crate::ReservationGuard;

    fn deref(&self) -> &crate::ReservationGuard {
        &self.0
    }
}
