//! A reservation in the hands of a caller who waits.

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
/// [`commit`](Self::commit) and [`release`](Self::release) take it, so that it cannot be settled twice. Dropped,
/// it commits what was [spent](crate::ReservationGuard::spent) so far, as soon as that is on disk, or gives the budget
/// back, both in the background. It waits for the disk, for five seconds at most.
/// While its thread panics it waits for the first attempt, because the process may be about to end.
///
/// It may be moved to another thread, and [extended](Self::extend) from several.
#[derive(Debug)]
#[must_use = "dropped, a reservation is released"]
pub struct ReservationGuard(crate::ReservationGuard);

impl Client {
    /// Reserves budget for an action and keeps the lease alive. What the request's subject leaves out is taken
    /// from the configuration.
    ///
    /// # Errors
    /// Any [`Error`]; the action must not run. [`Error::BudgetExceeded`] or [`Error::Denied`] if the ledger denies it,
    /// [`Error::DryRun`] if the request was for one.
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

    /// Prolongs the lease by this many milliseconds, beside the heartbeat, and returns when it ends now, on the
    /// server's clock.
    ///
    /// # Errors
    /// Any [`Error`]. The reservation and its heartbeat are not concerned.
    pub fn extend(&self, ms: u64) -> Result<UnixMillis, Error> {
        block_on(self.0.held.life.shared(), self.0.extend(ms))
    }

    /// The action has cost this much. Waits until that is settled, or safe in its record after a first attempt,
    /// so that retries go on in the background.
    ///
    /// # Errors
    /// Any [`Error`] if the cost was not taken, was refused, or is not settled and in no record either.
    pub fn commit(self, request: CommitRequest) -> Result<Receipt, Error> {
        self.wait(|guard| guard.commit(request))
    }

    /// Nothing was spent: the budget is given back. Waits for the first attempt and says whether the ledger
    /// confirmed it; otherwise it is tried in the background until the lease ends, which frees the budget too.
    /// What was [spent](crate::ReservationGuard::spent) nevertheless is committed.
    ///
    /// # Errors
    /// If what was spent could not be committed.
    pub fn release(self, reason: impl Into<ReleaseReason>) -> Result<bool, Error> {
        self.wait(|guard| guard.release(reason))
    }

    /// Ends the reservation and blocks until that is done. It is ended within the wait, so that this thread makes the calls.
    fn wait<T, F: Future<Output = T>>(self, end: impl FnOnce(crate::ReservationGuard) -> F) -> T {
        let life = Arc::clone(&self.0.held.life);
        block_on(life.shared(), async move { end(self.0).await })
    }
}

/// What can be asked of it without waiting.
impl Deref for ReservationGuard {
    type Target = crate::ReservationGuard;

    fn deref(&self) -> &crate::ReservationGuard {
        &self.0
    }
}
