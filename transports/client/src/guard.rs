//! The guard of a reservation.

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
use cycles_proto::with_cycles_config::{OnError, WithCyclesConfig};
use cycles_proto::{Error, InvalidCommit, Mode, Receipt, UnixMillis};

use crate::client::Client;
use crate::context::Lease;
use crate::engine::{Handle, HeldTime};
use crate::marking::Marking;

/// A reservation whose lease is kept alive until it is committed, released or dropped.
///
/// [`commit`](Self::commit) and [`release`](Self::release) consume it, so that it cannot be settled twice. They take
/// effect when they are called; the future that they return only waits. A dropped guard commits what was
/// [spent](Self::spent) so far, or the estimate if a request was [dispatched](Self::dispatched), or gives the budget
/// back, in the background. Where the transport [lets this thread
/// wait](crate::Transport::may_wait_here), dropping a guard blocks until a cost is on disk, for at most five seconds.
///
/// ```compile_fail,E0382
/// # use cycles_client::{ReservationGuard, models::CommitRequest};
/// fn twice(guard: ReservationGuard, cost: CommitRequest) {
///     let _ = guard.commit(cost.clone());
///     let _ = guard.commit(cost); // use of moved value
/// }
/// ```
#[must_use = "a reservation is released when it is dropped"]
pub struct ReservationGuard {
    pub(crate) held: AbandonOnDrop,
    response: Arc<ReservationCreateResponse>,
    purpose: Arc<Purpose>,
    id: ReservationId,
}

/// A reservation that is abandoned when this is dropped, unless it has ended.
pub(crate) struct AbandonOnDrop {
    pub(crate) handle: Arc<Handle>,
    has_ended: bool,
}

impl Client {
    /// Reserves budget for an action and keeps the lease alive. Subject fields that the request leaves out come from
    /// the configuration. The future may be dropped at any time: the reserved budget is then given back.
    ///
    /// In [shadow mode](cycles_proto::Mode::Shadow), which [`with_mode`](Self::with_mode) can pin for guards, this returns
    /// at once, whatever the ledger says, with a made-up id that begins with `shadow-`.
    ///
    /// # Errors
    /// Any [`Error`]; the action must not run then. [`Error::BudgetExceeded`] or [`Error::Denied`] if the ledger denies
    /// the reservation, [`Error::DryRun`] if the request was a dry run.
    pub async fn reserve(&self, request: ReservationCreateRequest) -> Result<ReservationGuard, Error> {
        self.reserve_in(None, request).await
    }

    /// Reserves budget in this mode, or in the client's if it is `None`.
    pub(crate) async fn reserve_in(
        &self,
        mode: Option<Mode>,
        request: ReservationCreateRequest,
    ) -> Result<ReservationGuard, Error> {
        let handle = Handle::new(self.ready()?, request, mode, crate::sync::seed()?)?;
        let mut held = AbandonOnDrop {
            handle: Arc::new(handle),
            has_ended: false,
        };
        let granted = |session: &mut Session, key| {
            let granted = session.granted(key)?;
            Some((granted, session.purpose(key).cloned()))
        };
        let (granted, purpose) = held.handle.wait_for(granted).await;
        // Without a grant there is no reservation to end.
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
    /// Returns the reservation's id.
    pub fn reservation_id(&self) -> &ReservationId {
        &self.id
    }

    /// Returns the ledger's decision: `ALLOW` or `ALLOW_WITH_CAPS`.
    pub fn decision(&self) -> &Decision {
        &self.response.decision
    }

    /// Returns the limits that the action must respect, if there are any.
    pub fn caps(&self) -> Option<&Caps> {
        self.response.caps.as_ref()
    }

    /// Whether the decision is `ALLOW_WITH_CAPS`.
    pub fn is_capped(&self) -> bool {
        self.decision() == Decision::AllowWithCaps
    }

    /// Returns the end of the lease as granted, in Unix milliseconds on the server's clock. Extensions do not change
    /// this value; [`extend`](Self::extend) returns the new end.
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.response.expires_at_ms
    }

    /// Returns the scopes whose budget is held, broadest first.
    pub fn affected_scopes(&self) -> &[String] {
        &self.response.affected_scopes
    }

    /// Returns whose budget is held: the request's subject, completed from the configuration.
    pub fn subject(&self) -> &Subject {
        &self.purpose.subject
    }

    /// Returns the action that the budget is held for.
    pub fn action(&self) -> &Action {
        &self.purpose.action
    }

    /// Returns the ledger's whole response.
    pub fn response(&self) -> &ReservationCreateResponse {
        &self.response
    }

    /// Returns a handle that shows whether the lease is lost.
    pub fn lease(&self) -> Lease {
        Lease::new(Arc::clone(&self.held.handle))
    }

    /// Raises the reported spend to at least this amount, in total. The spend is committed if the guard is dropped.
    ///
    /// # Errors
    /// [`InvalidCommit`] if the amount could not be committed.
    pub fn spent(&self, amount: &Amount) -> Result<(), InvalidCommit> {
        self.held.handle.spent(amount)
    }

    /// Says that a request to a provider leaves that may have to be paid for. Call it right before each such request;
    /// nothing calls it for you.
    ///
    /// From here on, a guard without a cost is not free: if it is dropped or [released](Self::release), also as a part
    /// of a metered stream, it is charged what was [spent](Self::spent) or counted, or else the estimate, marked
    /// `actual_source: "estimate"` in the commit's metadata. [`set_on_error`](Self::set_on_error) changes that. A spend
    /// of 0 does not; only [`not_charged`](Self::not_charged) does.
    ///
    /// Does not block. Another call, for another request, changes nothing about the charge.
    pub fn dispatched(&self) {
        self.held.handle.dispatched();
    }

    /// Like [`dispatched`](Self::dispatched), and also writes that to disk, so that it is not forgotten if this process
    /// dies. Takes effect at once; await the future, or [wait](Marking::wait) for it, before the request leaves. See
    /// [`GuardContext::dispatched_durably`](crate::GuardContext::dispatched_durably).
    ///
    /// # Errors
    /// The future resolves to [`NotMarked`](crate::NotMarked) if the mark could not be written, or if there is no journal.
    pub fn dispatched_durably(&self) -> Marking {
        Marking::of_action(&self.held.handle)
    }

    /// Takes the latest [`dispatched`](Self::dispatched) back: the provider refused the request, so it costs nothing. If
    /// nothing else was dispatched or [spent](Self::spent), a dropped guard gives its budget back. An earlier request
    /// that was not taken back may still have to be paid for.
    ///
    /// Does not block. Has no effect without a `dispatched` before it.
    pub fn not_charged(&self) {
        self.held.handle.not_charged();
    }

    /// Sets what is charged if a request was [dispatched](Self::dispatched) and the guard is then dropped or released.
    /// Default: [`OnError::Estimate`], the estimate unless something was spent. Does not block.
    pub fn set_on_error(&self, on_error: OnError) {
        self.held.handle.set_on_error(on_error);
    }

    /// Sets the age at which the heartbeat of this reservation stops, counted from its grant, in place of
    /// [`max_lease_age`](crate::Settings::max_lease_age). A cost is accepted at any age. Does not block.
    pub fn set_max_lease_age(&self, age: Duration) {
        self.held.handle.set_max_lease_age(age);
    }

    /// Extends the lease by this many milliseconds (1 ms to a day), in addition to the heartbeat, and returns its new
    /// end on the server's clock. If the future is dropped after it was polled, the extension is still sent. In shadow
    /// mode there is nothing to extend: nothing is sent, and the new end is this far from now on this machine's clock.
    ///
    /// # Errors
    /// Any [`Error`]. The reservation and its heartbeat continue as before.
    pub async fn extend(&self, ms: u64) -> Result<UnixMillis, Error> {
        self.held.handle.extend(Duration::from_millis(ms)).await
    }

    /// Applies the settings of a guarded action that are not part of its request.
    pub(crate) fn follow(&self, config: &WithCyclesConfig) {
        if let Some(age) = config.lease_age() {
            self.set_max_lease_age(age);
        }
        if let Some(on_error) = config.error_policy() {
            self.set_on_error(on_error);
        }
    }

    /// Commits the cost of the action. The cost is handed over when this is called, whether or not the future is
    /// polled. The future waits until the cost is settled, or is on disk after a first attempt; retries then continue
    /// in the background. Without a journal, it waits until all attempts have been made. Dropping the future changes
    /// nothing about the cost.
    pub fn commit(self, request: CommitRequest) -> Committing {
        let mut held = self.held;
        // A cost that was not accepted counts as unknown: dropping `held` then ends the reservation.
        let taken = held.handle.commit(request);
        held.has_ended = taken.is_ok();
        Committing {
            handle: Arc::clone(&held.handle),
            invalid: taken.err(),
            is_unreported: true,
            held: HeldTime::default(),
        }
    }

    /// Gives the budget back, because nothing was spent. This takes effect when it is called, whether or not the future
    /// is polled; the future waits for the first attempt, and may be dropped. If something was [spent](Self::spent)
    /// after all, that amount is committed instead; if a request was [dispatched](Self::dispatched), so is the estimate.
    pub fn release(self, reason: impl Into<ReleaseReason>) -> Releasing {
        let mut held = self.held;
        if held.handle.check().is_ok() {
            held.handle.release(reason.into());
            held.has_ended = true;
        }
        Releasing {
            handle: Arc::clone(&held.handle),
            is_unreported: true,
            held: HeldTime::default(),
        }
    }
}

impl Drop for AbandonOnDrop {
    /// The core decides what is charged: see `end_without_a_commit` in `cycles-proto/src/reservation/held.rs`.
    fn drop(&mut self) {
        if !self.has_ended {
            self.handle.abandon();
        }
    }
}

/// Waits for a cost that was already handed over; see [`ReservationGuard::commit`]. May be dropped at any time: the
/// cost is settled in the background.
#[derive(Debug)]
#[must_use = "the cost has been accepted; await this to learn what became of it"]
pub struct Committing {
    handle: Arc<Handle>,
    invalid: Option<InvalidCommit>,
    /// Whether the caller has not seen the outcome yet.
    is_unreported: bool,
    held: HeldTime,
}

impl Committing {
    /// Waits until all attempts have been made, whereas awaiting this future itself returns as soon as the cost is
    /// safe. This future may be dropped too.
    ///
    /// # Errors
    /// The same errors as from awaiting the future itself.
    pub async fn until_settled(mut self) -> Result<Receipt, Error> {
        let settled = self.settled().await;
        self.is_unreported = false;
        settled?.into_result()
    }

    /// The receipt once all attempts have been made, or why the cost was not accepted.
    pub(crate) async fn settled(&self) -> Result<Receipt, InvalidCommit> {
        let mut held = HeldTime::default();
        core::future::poll_fn(|cx| {
            self.poll_taken(cx, &mut held, |session, key| match session.outcome(key) {
                Some(Outcome::Settled(receipt)) => Some(receipt.clone()),
                _ => None,
            })
        })
        .await
    }

    /// The receipt once the cost is safe, or why it was not accepted. A refusal is not turned into an error here.
    pub(crate) async fn receipt(&mut self) -> Result<Receipt, InvalidCommit> {
        core::future::poll_fn(|cx| self.poll_receipt(cx)).await
    }

    #[cfg(feature = "blocking")]
    pub(crate) fn shared(&self) -> &Arc<crate::engine::Shared> {
        self.handle.shared()
    }

    fn poll_receipt(&mut self, cx: &Context<'_>) -> Poll<Result<Receipt, InvalidCommit>> {
        let mut held = core::mem::take(&mut self.held);
        let receipt = self.poll_taken(cx, &mut held, |session, key| session.receipt(key));
        self.held = held;
        let receipt = ready!(receipt);
        self.is_unreported = false;
        Poll::Ready(receipt)
    }

    fn poll_taken(
        &self,
        cx: &Context<'_>,
        held: &mut HeldTime,
        look: impl FnOnce(&mut Session, ReservationKey) -> Option<Receipt>,
    ) -> Poll<Result<Receipt, InvalidCommit>> {
        let forked = self.handle.check().err();
        match self.invalid.as_ref().or(forked.as_ref()) {
            Some(invalid) => Poll::Ready(Err(invalid.clone())),
            None => self
                .handle
                .poll_for(cx, Some(held), |session, key| look(session, key))
                .map(Ok),
        }
    }
}

impl Future for Committing {
    /// An error if the cost was not accepted, was refused, or is neither settled nor recorded.
    type Output = Result<Receipt, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let receipt = ready!(self.poll_receipt(cx));
        Poll::Ready(receipt.map_err(Error::from).and_then(Receipt::into_result))
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        if self.is_unreported && self.invalid.is_none() {
            self.handle.detach();
        }
    }
}

/// Waits for a release that has already begun; see [`ReservationGuard::release`]. May be dropped at any time: the
/// release continues in the background.
#[derive(Debug)]
#[must_use = "the release is under way; await this to learn whether it was confirmed"]
pub struct Releasing {
    handle: Arc<Handle>,
    /// Whether the caller has not seen the outcome yet.
    is_unreported: bool,
    held: HeldTime,
}

impl Drop for Releasing {
    fn drop(&mut self) {
        // If something was spent, this release is a commit, whose record may still be on its way to the disk.
        if self.is_unreported {
            self.handle.detach();
        }
    }
}

impl Future for Releasing {
    /// Whether the ledger has confirmed the release. If it has not, the release is retried in the background until the
    /// lease ends, which frees the budget too. An error if an amount that was spent could not be committed.
    type Output = Result<bool, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.handle.check()?;
        let this = &mut *self;
        let held = Some(&mut this.held);
        let released = ready!(
            this.handle
                .poll_for(cx, held, |session, key| session.released(key))
        );
        self.is_unreported = false;
        Poll::Ready(released)
    }
}

impl fmt::Debug for ReservationGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReservationGuard")
            .field("reservation_id", &self.id)
            .field("decision", self.decision())
            .finish_non_exhaustive()
    }
}
