//! A reservation in the hands of a caller.

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

use cycles_proto::Outcome;
use cycles_proto::models::{
    Amount, Caps, CommitRequest, Decision, ReservationCreateRequest, ReservationCreateResponse, ReservationId,
};
use cycles_proto::outcome::ReleaseReason;
use cycles_proto::parts::Lifecycle;
use cycles_proto::{ConfigError, Error, InvalidCommit, Receipt, UnixMillis};

use crate::client::{CyclesClient, Ready};
use crate::context::Lease;
use crate::driver::Driver;
use crate::parked::Parked;
use crate::runtime::Runtime;
use crate::slot::{Shared, Slot};

/// A reservation whose lease is kept alive until it is committed, released or dropped.
///
/// [`commit`](Self::commit) and [`release`](Self::release) take it, so that it cannot be settled twice. They
/// take effect in the call; the future that they return only waits. Dropped, it commits what was
/// [spent](Self::spent) so far, or gives the budget back, in the background.
///
/// ```compile_fail,E0382
/// # use cycles_client::{ReservationGuard, Runtime, models::CommitRequest};
/// fn twice<R: Runtime>(guard: ReservationGuard<R>, cost: CommitRequest) {
///     let _ = guard.commit(cost.clone());
///     let _ = guard.commit(cost); // use of moved value
/// }
/// ```
#[must_use = "dropped, a reservation is released"]
pub struct ReservationGuard<R: Runtime> {
    pub(crate) life: Life<R>,
    response: Arc<ReservationCreateResponse>,
    id: ReservationId,
}

/// A life and who has to end it.
pub(crate) struct Life<R: Runtime> {
    ready: Ready<R>,
    pub(crate) slot: Arc<Slot>,
    /// Its driver, as long as no task has it.
    parked: Option<Arc<Parked<R>>>,
    has_ended: bool,
}

impl<R: Runtime> CyclesClient<R> {
    /// Reserves budget for an action and keeps the lease alive. What the request's subject leaves out is taken
    /// from the configuration. The future may be dropped at any time: what was reserved is given back.
    ///
    /// # Errors
    /// Any [`Error`]; the action must not run. [`Error::BudgetExceeded`] or [`Error::Denied`] if the ledger denies it,
    /// [`Error::DryRun`] if the request was for one.
    pub async fn reserve(&self, request: ReservationCreateRequest) -> Result<ReservationGuard<R>, Error> {
        let ready = self.ready()?;
        let machine = Lifecycle::new(Arc::clone(&ready.config), request, cycles_host::seed()?)?;
        ready.start_replay();
        let slot = Arc::new(Slot::new(machine, &ready.clock, ready.process));
        let (parked, mut stranded) = match Driver::take(ready, &slot).map(|driver| ready.lots.park(driver)) {
            Some(Ok(parked)) => (Some(parked), None),
            // What keeps it from sending anything is known at once.
            Some(Err(driver)) => (None, Some(driver)),
            None => (None, None),
        };
        let life = Life {
            ready: ready.clone(),
            slot,
            parked,
            has_ended: false,
        };
        let granted = poll_fn(|cx| {
            if let Some(driver) = &mut stranded {
                let _ = Pin::new(driver).poll(cx);
            }
            life.poll_granted(cx)
        })
        .await;
        match granted {
            Ok((id, response)) => {
                if let Some(parked) = &life.parked {
                    Parked::rest(parked);
                }
                Ok(ReservationGuard { life, response, id })
            }
            Err(error) => {
                life.forget();
                Err(error)
            }
        }
    }
}

impl<R: Runtime> ReservationGuard<R> {
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
        self.decision() == &Decision::AllowWithCaps
    }

    /// The ledger's answer, with everything else that it says.
    pub fn response(&self) -> &ReservationCreateResponse {
        &self.response
    }

    /// The lease, to be asked whether it is lost.
    pub fn lease(&self) -> Lease {
        Lease::new(Arc::clone(&self.life.slot))
    }

    /// The action has spent at least this much by now. It is what is committed if the guard is dropped.
    ///
    /// # Errors
    /// [`InvalidCommit`] if the amount could not be committed.
    pub fn spent(&self, amount: &Amount) -> Result<(), InvalidCommit> {
        self.life.slot.check()?;
        self.life.slot.lock().machine.spent(amount)
    }

    /// Prolongs the lease by this many milliseconds, beside the heartbeat, and returns when it ends now, on the
    /// server's clock.
    ///
    /// # Errors
    /// Any [`Error`]. The reservation and its heartbeat are not concerned.
    pub async fn extend(&self, ms: u64) -> Result<UnixMillis, Error> {
        let slot = &self.life.slot;
        slot.check()?;
        let ticket = slot.lock().machine.extend(Duration::from_millis(ms));
        let Some(ticket) = ticket else {
            return Err(InvalidCommit::NotHeld.into());
        };
        self.life.ensure_driven();
        slot.wait_for(|shared| shared.told.extended(ticket)).await
    }

    /// The action has cost this much. The cost is taken in the call, whether or not the future is polled; the
    /// future waits until it is settled, or safe in its record after a first attempt, so that retries go on in
    /// the background.
    pub fn commit(self, request: CommitRequest) -> Committing<R> {
        self.life.commit(request)
    }

    /// Nothing was spent: the budget is given back. This is done in the call, whether or not the future is
    /// polled; the future waits for the first attempt. What was [spent](Self::spent) nevertheless is committed.
    pub fn release(mut self, reason: impl Into<ReleaseReason>) -> Releasing<R> {
        if self.life.slot.check().is_ok() {
            self.life.end(reason.into());
            self.life.begin();
        }
        Releasing { life: self.life }
    }
}

impl<R: Runtime> Life<R> {
    /// The grant, or why there is none, once it is known. It is waited for in the runtime that it was asked for in.
    fn poll_granted(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(ReservationId, Arc<ReservationCreateResponse>), Error>> {
        if self.drive(cx) {
            let granted = self.granted(&mut self.slot.lock());
            return granted.map_or(Poll::Pending, Poll::Ready);
        }
        self.slot.poll_for(cx, |shared| self.granted(shared))
    }

    /// A step on behalf of the caller, as long as no task makes them.
    fn drive(&self, cx: &mut Context<'_>) -> bool {
        self.parked.as_ref().is_some_and(|parked| parked.drive(cx))
    }

    /// The grant, or why there is none.
    fn granted(
        &self,
        shared: &mut Shared,
    ) -> Option<Result<(ReservationId, Arc<ReservationCreateResponse>), Error>> {
        let gone = || Err(ConfigError::Adapter("the async runtime ended".to_owned()).into());
        let answer = shared.told.granted(&shared.machine);
        answer.or_else(|| (!shared.is_driven).then(gone))
    }

    /// The same life, to be looked at by somebody who does not end it.
    pub(crate) fn watch(&self) -> Self {
        Self {
            ready: self.ready.clone(),
            slot: Arc::clone(&self.slot),
            parked: None,
            has_ended: true,
        }
    }

    pub(crate) fn now(&self) -> cycles_proto::Now {
        self.ready.runtime.now()
    }

    pub(crate) fn commit(mut self, request: CommitRequest) -> Committing<R> {
        if let Err(forked) = self.slot.check() {
            let invalid = Some(forked);
            return Committing { invalid, life: self };
        }
        let taken = self.slot.lock().machine.commit(self.now(), request);
        match &taken {
            Ok(()) => self.is_ending(),
            // What is to be settled is not known, so nothing is; the guard's end is the life's.
            Err(_) => self.end(ReleaseReason::ABANDONED),
        }
        self.begin();
        Committing {
            invalid: taken.err(),
            life: self,
        }
    }

    fn end(&mut self, reason: ReleaseReason) {
        self.slot.lock().machine.release(self.now(), reason);
        self.is_ending();
    }

    /// The machine knows how it ends, and whoever flushes waits for that.
    fn is_ending(&mut self) {
        if !core::mem::replace(&mut self.has_ended, true) {
            let mut shared = self.slot.lock();
            shared.is_ending = !shared.machine.is_done();
            if shared.is_ending && shared.is_driven {
                self.ready.replay.ending();
            }
        }
    }

    /// The first step to its end, in the call: the rest is seen to, whatever becomes of the caller.
    fn begin(&self) {
        if !self.parked.as_ref().is_some_and(|parked| parked.begin()) {
            self.ensure_driven();
        }
    }

    /// The caller does not wait: a task sees to the rest. Tells whether there was none yet.
    fn leave(&self) -> bool {
        self.parked.as_ref().is_some_and(Parked::leave)
    }

    /// There is nothing to end.
    fn forget(mut self) {
        self.has_ended = true;
    }

    fn ensure_driven(&self) {
        let is_done = self.slot.lock().machine.is_done();
        if !is_done {
            Driver::start(&self.ready, &self.slot);
        }
    }

    /// What `look` finds. A life without a task is driven from here; one whose runtime ended goes on in the one
    /// that runs here.
    pub(crate) fn poll_for<T>(
        &self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&mut Shared) -> Option<T>,
    ) -> Poll<T> {
        if self.drive(cx) {
            let found = look(&mut self.slot.lock());
            if found.is_some() {
                self.leave();
            }
            return found.map_or(Poll::Pending, Poll::Ready);
        }
        let found = self.slot.poll_for(cx, look);
        if found.is_pending() && !self.slot.lock().is_driven {
            self.ensure_driven();
        }
        found
    }
}

impl<R: Runtime> Drop for Life<R> {
    fn drop(&mut self) {
        if self.slot.check().is_err() {
            return;
        }
        let is_abandoned = !self.has_ended;
        if is_abandoned {
            self.end(ReleaseReason::ABANDONED);
        }
        if !self.leave() && is_abandoned {
            self.ensure_driven();
        }
    }
}

/// Waits for a cost that was taken already; see [`ReservationGuard::commit`].
#[must_use = "the cost is taken; await this to learn what became of it"]
pub struct Committing<R: Runtime> {
    life: Life<R>,
    invalid: Option<InvalidCommit>,
}

impl<R: Runtime> Committing<R> {
    /// Waits until nothing more is tried, where awaiting this returns as soon as the cost is safe.
    ///
    /// # Errors
    /// As the future.
    pub async fn until_settled(self) -> Result<Receipt, Error> {
        self.settled().await?.into_result()
    }

    /// What came of it when nothing more is tried, or why it was not taken.
    pub(crate) async fn settled(&self) -> Result<Receipt, InvalidCommit> {
        let settled = |shared: &mut Shared| match shared.machine.outcome() {
            Some(Outcome::Settled(receipt)) => Some(receipt.clone()),
            _ => None,
        };
        poll_fn(|cx| self.poll_taken(cx, settled)).await
    }

    /// What came of it by now, or why it was not taken, without the judgement whether that is an error.
    pub(crate) async fn receipt(&self) -> Result<Receipt, InvalidCommit> {
        poll_fn(|cx| self.poll_taken(cx, |shared| shared.machine.receipt())).await
    }

    fn poll_taken(
        &self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&mut Shared) -> Option<Receipt>,
    ) -> Poll<Result<Receipt, InvalidCommit>> {
        let forked = self.life.slot.check().err();
        match self.invalid.as_ref().or(forked.as_ref()) {
            Some(invalid) => Poll::Ready(Err(invalid.clone())),
            None => self.life.poll_for(cx, look).map(Ok),
        }
    }
}

impl<R: Runtime> Future for Committing<R> {
    /// An error if the cost was not taken, was refused, or is not settled and in no record either.
    type Output = Result<Receipt, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let receipt = core::task::ready!(self.poll_taken(cx, |shared| shared.machine.receipt()));
        Poll::Ready(receipt.map_err(Error::from).and_then(Receipt::into_result))
    }
}

/// Waits for a release that was begun already; see [`ReservationGuard::release`].
#[must_use = "the release is under way; await this to learn whether it was confirmed"]
pub struct Releasing<R: Runtime> {
    life: Life<R>,
}

impl<R: Runtime> Future for Releasing<R> {
    /// Whether the ledger confirmed it by now. Otherwise it is tried in the background until the lease ends,
    /// which frees the budget too.
    type Output = Result<bool, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.life.slot.check()?;
        self.life
            .poll_for(cx, |shared| shared.told.released(&shared.machine))
    }
}

impl<R: Runtime> fmt::Debug for ReservationGuard<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReservationGuard")
            .field("reservation_id", &self.id)
            .finish_non_exhaustive()
    }
}

impl<R: Runtime> fmt::Debug for Committing<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committing").finish_non_exhaustive()
    }
}

impl<R: Runtime> fmt::Debug for Releasing<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Releasing").finish_non_exhaustive()
    }
}
