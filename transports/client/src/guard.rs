//! A reservation in the hands of a caller.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::sync::Arc;

use cycles_proto::Outcome;
use cycles_proto::journal::record::Purpose;
use cycles_proto::models::{
    Action, Amount, Caps, CommitRequest, Decision, ReservationCreateRequest, ReservationCreateResponse,
    ReservationId, Subject,
};
use cycles_proto::outcome::ReleaseReason;
use cycles_proto::session::{ReservationKey, Session};
use cycles_proto::{Error, InvalidCommit, Receipt, UnixMillis};

use crate::client::Client;
use crate::context::Lease;
use crate::engine::Life;

/// A reservation whose lease is kept alive until it is committed, released or dropped.
///
/// [`commit`](Self::commit) and [`release`](Self::release) take it, so that it cannot be settled twice. They
/// take effect in the call; the future that they return only waits. Dropped, it commits what was
/// [spent](Self::spent) so far, or gives the budget back, in the background.
///
/// ```compile_fail,E0382
/// # use cycles_client::{ReservationGuard, models::CommitRequest};
/// fn twice(guard: ReservationGuard, cost: CommitRequest) {
///     let _ = guard.commit(cost.clone());
///     let _ = guard.commit(cost); // use of moved value
/// }
/// ```
#[must_use = "dropped, a reservation is released"]
pub struct ReservationGuard {
    pub(crate) held: Held,
    response: Arc<ReservationCreateResponse>,
    purpose: Arc<Purpose>,
    id: ReservationId,
}

/// A reservation, and who has to end it.
pub(crate) struct Held {
    pub(crate) life: Arc<Life>,
    has_ended: bool,
}

impl Client {
    /// Reserves budget for an action and keeps the lease alive. What the request's subject leaves out is taken
    /// from the configuration. The future may be dropped at any time: what was reserved is given back.
    ///
    /// # Errors
    /// Any [`Error`]; the action must not run. [`Error::BudgetExceeded`] or [`Error::Denied`] if the ledger denies it,
    /// [`Error::DryRun`] if the request was for one.
    pub async fn reserve(&self, request: ReservationCreateRequest) -> Result<ReservationGuard, Error> {
        let life = Life::new(self.ready()?, request, crate::sync::seed()?)?;
        let mut held = Held {
            life: Arc::new(life),
            has_ended: false,
        };
        let granted = |session: &mut Session, key| {
            let granted = session.granted(key)?;
            Some((granted, session.purpose(key).cloned()))
        };
        let (granted, purpose) = held.life.wait_for(granted).await;
        // Without a grant there is nothing to end.
        held.has_ended = granted.is_err();
        let (id, response) = granted?;
        let purpose = purpose.ok_or(Error::Defect)?;
        Ok(ReservationGuard {
            held,
            response,
            purpose,
            id,
        })
    }
}

impl ReservationGuard {
    /// The reservation.
    pub fn reservation_id(&self) -> &ReservationId {
        &self.id
    }

    /// `ALLOW` or `ALLOW_WITH_CAPS`.
    pub fn decision(&self) -> &Decision {
        &self.response.decision
    }

    /// What the action has to keep to.
    pub fn caps(&self) -> Option<&Caps> {
        self.response.caps.as_ref()
    }

    /// Whether the action has to keep to something.
    pub fn is_capped(&self) -> bool {
        self.decision() == Decision::AllowWithCaps
    }

    /// When the lease that was granted ends, on the server's clock. Extensions move it; each returns the new end.
    pub fn expires_at_ms(&self) -> Option<UnixMillis> {
        self.response.expires_at_ms
    }

    /// The scopes that the budget is held on, broadest first.
    pub fn affected_scopes(&self) -> &[String] {
        &self.response.affected_scopes
    }

    /// Whose budget is held: the request's subject, with what the configuration adds.
    pub fn subject(&self) -> &Subject {
        &self.purpose.subject
    }

    /// What it is held for.
    pub fn action(&self) -> &Action {
        &self.purpose.action
    }

    /// The ledger's answer, with everything else that it says.
    pub fn response(&self) -> &ReservationCreateResponse {
        &self.response
    }

    /// The lease, to be asked whether it is lost.
    pub fn lease(&self) -> Lease {
        Lease::new(Arc::clone(&self.held.life))
    }

    /// The action has spent at least this much by now. It is what is committed if the guard is dropped.
    ///
    /// # Errors
    /// [`InvalidCommit`] if the amount could not be committed.
    pub fn spent(&self, amount: &Amount) -> Result<(), InvalidCommit> {
        self.held.life.spent(amount)
    }

    /// Prolongs the lease by this many milliseconds, beside the heartbeat, and returns when it ends now, on the
    /// server's clock.
    ///
    /// # Errors
    /// Any [`Error`]. The reservation and its heartbeat are not concerned.
    pub async fn extend(&self, ms: u64) -> Result<UnixMillis, Error> {
        self.held.life.extend(Duration::from_millis(ms)).await
    }

    /// The action has cost this much. The cost is taken in the call, whether or not the future is polled; the
    /// future waits until it is settled, or safe in its record after a first attempt, so that retries go on in
    /// the background.
    pub fn commit(self, request: CommitRequest) -> Committing {
        let mut held = self.held;
        // What is not taken is not known, so nothing is settled; the end of what held it is the reservation's.
        let taken = held.life.commit(request);
        held.has_ended = taken.is_ok();
        Committing {
            life: Arc::clone(&held.life),
            invalid: taken.err(),
            is_left: true,
        }
    }

    /// Nothing was spent: the budget is given back. This is done in the call, whether or not the future is
    /// polled; the future waits for the first attempt. What was [spent](Self::spent) nevertheless is committed.
    pub fn release(self, reason: impl Into<ReleaseReason>) -> Releasing {
        let mut held = self.held;
        if held.life.check().is_ok() {
            held.life.release(reason.into());
            held.has_ended = true;
        }
        Releasing {
            life: Arc::clone(&held.life),
            is_left: true,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.has_ended {
            self.life.abandon();
        }
    }
}

/// Waits for a cost that was taken already; see [`ReservationGuard::commit`].
#[derive(Debug)]
#[must_use = "the cost is taken; await this to learn what became of it"]
pub struct Committing {
    life: Arc<Life>,
    invalid: Option<InvalidCommit>,
    /// Whether nobody was told yet what became of it.
    is_left: bool,
}

impl Committing {
    /// Waits until nothing more is tried, where awaiting this returns as soon as the cost is safe.
    ///
    /// # Errors
    /// As the future.
    pub async fn until_settled(mut self) -> Result<Receipt, Error> {
        let settled = self.settled().await;
        self.is_left = false;
        settled?.into_result()
    }

    /// What came of it when nothing more is tried, or why it was not taken.
    pub(crate) async fn settled(&self) -> Result<Receipt, InvalidCommit> {
        core::future::poll_fn(|cx| {
            self.poll_taken(cx, |session, key| match session.outcome(key) {
                Some(Outcome::Settled(receipt)) => Some(receipt.clone()),
                _ => None,
            })
        })
        .await
    }

    /// What came of it by now, or why it was not taken, without the judgement whether that is an error.
    pub(crate) async fn receipt(&mut self) -> Result<Receipt, InvalidCommit> {
        core::future::poll_fn(|cx| self.poll_receipt(cx)).await
    }

    #[cfg(feature = "blocking")]
    pub(crate) fn shared(&self) -> &Arc<crate::engine::Shared> {
        self.life.shared()
    }

    fn poll_receipt(&mut self, cx: &Context<'_>) -> Poll<Result<Receipt, InvalidCommit>> {
        let receipt = ready!(self.poll_taken(cx, |session, key| session.receipt(key)));
        self.is_left = false;
        Poll::Ready(receipt)
    }

    fn poll_taken(
        &self,
        cx: &Context<'_>,
        look: impl FnOnce(&mut Session, ReservationKey) -> Option<Receipt>,
    ) -> Poll<Result<Receipt, InvalidCommit>> {
        let forked = self.life.check().err();
        match self.invalid.as_ref().or(forked.as_ref()) {
            Some(invalid) => Poll::Ready(Err(invalid.clone())),
            None => self.life.poll_for(cx, |session, key| look(session, key)).map(Ok),
        }
    }
}

impl Future for Committing {
    /// An error if the cost was not taken, was refused, or is not settled and in no record either.
    type Output = Result<Receipt, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let receipt = ready!(self.poll_receipt(cx));
        Poll::Ready(receipt.map_err(Error::from).and_then(Receipt::into_result))
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        if self.is_left && self.invalid.is_none() {
            self.life.leave();
        }
    }
}

/// Waits for a release that was begun already; see [`ReservationGuard::release`].
#[derive(Debug)]
#[must_use = "the release is under way; await this to learn whether it was confirmed"]
pub struct Releasing {
    life: Arc<Life>,
    /// Whether nobody was told yet what became of it.
    is_left: bool,
}

impl Drop for Releasing {
    fn drop(&mut self) {
        // What was spent nevertheless is a cost.
        if self.is_left {
            self.life.leave();
        }
    }
}

impl Future for Releasing {
    /// Whether the ledger confirmed it by now. Otherwise it is tried in the background until the lease ends,
    /// which frees the budget too.
    type Output = Result<bool, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.life.check()?;
        let released = ready!(self.life.poll_for(cx, |session, key| session.released(key)));
        self.is_left = false;
        Poll::Ready(released)
    }
}

impl fmt::Debug for ReservationGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReservationGuard")
            .field("reservation_id", &self.id)
            .finish_non_exhaustive()
    }
}
