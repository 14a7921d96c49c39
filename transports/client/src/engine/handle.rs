//! The handle of a reservation, shared by its guard, its futures and its context.

use core::fmt;
use core::future::Future;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

#[cfg(any(feature = "async", feature = "blocking"))]
use cycles_proto::meter::{End, Meter, Settle};
use cycles_proto::models::{Amount, CommitRequest, ReservationCreateRequest};
use cycles_proto::outcome::{NotMarked, ReleaseReason};
use cycles_proto::run::{RunBudget, RunOptions, Step};
use cycles_proto::session::{EndedStep, KeepKey, Key, MarkedStep, ReservationKey, Session, StepKey};
use cycles_proto::with_cycles_config::OnError;
use cycles_proto::{Error, InvalidCommit, Mode, Now, Seed, UnixMillis};

use super::{HeldTime, Shared};
use crate::client::Ready;

/// A reservation of the session. When it is dropped, the session forgets the reservation.
pub(crate) struct Handle {
    ready: Arc<Ready>,
    key: ReservationKey,
}

impl Handle {
    /// Starts a reservation, in the client's mode unless another one is given.
    pub(crate) fn new(
        ready: &Arc<Ready>,
        request: ReservationCreateRequest,
        mode: Option<Mode>,
        seed: Seed,
    ) -> Result<Self, Error> {
        let shared = ready.engine.shared();
        let key = shared.change(|state, now| {
            let caller = ready.caller_here().in_mode(mode);
            let key = state.session.reserve(now, &caller, request, seed)?;
            state.help_here(shared, Key::Reservation(key));
            Ok::<_, Error>(key)
        })?;
        Ok(Self {
            ready: Arc::clone(ready),
            key,
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.ready.engine.shared()
    }

    /// Fails in a forked child. Must be called before any lock is taken.
    pub(crate) fn check(&self) -> Result<(), InvalidCommit> {
        self.shared().check().map_err(|_| InvalidCommit::Forked)
    }

    pub(crate) fn now(&self) -> Now {
        self.shared().now()
    }

    pub(crate) fn spent(&self, amount: &Amount) -> Result<(), InvalidCommit> {
        self.check()?;
        self.shared().with(|session, _| session.spent(self.key, amount))
    }

    pub(crate) fn dispatched(&self) {
        if self.check().is_ok() {
            self.shared().with(|session, _| session.dispatched(self.key));
        }
    }

    pub(crate) fn dispatched_durably(&self) -> Result<(), NotMarked> {
        self.check().map_err(|_| NotMarked::Forked)?;
        self.shared()
            .with(|session, now| session.dispatched_durably(now, self.key))
    }

    pub(crate) fn not_charged(&self) {
        if self.check().is_ok() {
            self.shared().with(|session, _| session.not_charged(self.key));
        }
    }

    pub(crate) fn set_on_error(&self, on_error: OnError) {
        if self.check().is_ok() {
            self.shared()
                .with(|session, _| session.set_on_error(self.key, on_error));
        }
    }

    /// Hands the cost to the session, which starts to settle it.
    pub(crate) fn commit(&self, request: CommitRequest) -> Result<(), InvalidCommit> {
        self.check()?;
        let taken = self.shared().change(|state, now| {
            state.help_here(self.shared(), Key::Reservation(self.key));
            state.session.commit(now, self.key, request)
        });
        // The guard or future that waits for it may be leaked, or end with another thread.
        self.shared().await_costs_at_thread_end();
        taken
    }

    /// Starts to give the budget back.
    pub(crate) fn release(&self, reason: ReleaseReason) {
        self.shared().change(|state, now| {
            state.help_here(self.shared(), Key::Reservation(self.key));
            state.session.release(now, self.key, reason);
        });
    }

    /// Extends the lease.
    pub(crate) async fn extend(&self, by: Duration) -> Result<UnixMillis, Error> {
        self.check()?;
        let extending = self.shared().change(|state, now| {
            state.help_here(self.shared(), Key::Reservation(self.key));
            state.session.extend(now, self.key, by)
        });
        let extending = extending.ok_or(InvalidCommit::NotHeld)?;
        self.wait_for(|session, _| session.extended(extending)).await
    }

    #[cfg(shuttle)]
    pub(crate) fn panic_in(&self) {
        self.shared().with(|session, _| session.panic_in(self.key));
    }

    pub(crate) fn is_lost(&self) -> bool {
        let is_lost = |session: &mut Session, now| session.lease_is_lost(now, self.key);
        self.check().is_err() || self.shared().look(is_lost)
    }

    /// Whether the action is asked to stop. In a forked child, the reservation belongs to the parent.
    pub(crate) fn is_stopping(&self) -> bool {
        self.shared().is_stopping()
    }

    /// Waits until the action is asked to stop.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> {
        self.shared().stopping(self.key)
    }

    pub(crate) fn set_max_lease_age(&self, age: Duration) {
        if self.check().is_ok() {
            self.shared()
                .with(|session, now| session.set_max_lease_age(now, self.key, age));
        }
    }

    /// Ready when `look` finds something; until then, `cx` is woken whenever that may have changed, and `held` holds the
    /// time.
    pub(crate) fn poll_for<T>(
        &self,
        cx: &Context<'_>,
        held: Option<&mut HeldTime>,
        look: impl FnOnce(&mut Session, ReservationKey) -> Option<T>,
    ) -> Poll<T> {
        let look = |session: &mut Session| look(session, self.key);
        self.shared().poll_for(Key::Reservation(self.key), cx, held, look)
    }

    /// Waits until the session has noticed that the lease is lost.
    pub(crate) fn watch_for_loss(&self) -> impl Future<Output = ()> {
        let look = |session: &mut Session| session.has_noticed_loss(self.key).then_some(());
        self.shared().watch_for(Key::Reservation(self.key), look)
    }

    pub(crate) fn wait_for<T>(
        &self,
        mut look: impl FnMut(&mut Session, ReservationKey) -> Option<T>,
    ) -> impl Future<Output = T> {
        let look = move |session: &mut Session| look(session, self.key);
        self.shared().wait_for(Key::Reservation(self.key), look)
    }

    /// Ends a reservation whose guard was dropped. The core decides what is charged; see [`Session::abandon`].
    pub(crate) fn abandon(&self) {
        if self.check().is_ok() {
            self.end_unattended(|| self.release(ReleaseReason::ABANDONED));
        }
    }

    /// Leaves the rest to the background, because the future of a commit or release was dropped before it was ready.
    pub(crate) fn detach(&self) {
        if self.check().is_ok() {
            self.end_unattended(|| {});
        }
    }

    /// Runs `end` for a reservation that nobody awaits, and makes sure that its record is on disk before this thread
    /// ends.
    fn end_unattended(&self, end: impl FnOnce()) {
        #[cfg(feature = "blocking")]
        if std::thread::panicking() && self.shared().may_wait_here() {
            // Wait for the first attempt: the panic may end the process.
            let ended = async {
                end();
                self.wait_for(|session, key| session.released(key)).await
            };
            let _ = super::block_on(self.shared(), ended);
            return;
        }
        end();
        self.shared().await_writes(self.key);
    }
}

/// Runs.
impl Handle {
    pub(crate) fn begin_run(&self, options: RunOptions) -> Result<(), InvalidCommit> {
        self.check()?;
        self.shared()
            .with(|session, now| session.begin_run(now, self.key, options))
    }

    pub(crate) fn draw(&self, step: &Step, keep: Option<KeepKey>) -> Result<StepKey, Error> {
        self.shared().check()?;
        self.shared()
            .with(|session, now| session.draw(now, self.key, step, keep))
    }

    pub(crate) fn keep(&self, amount: &Amount) -> Result<KeepKey, Error> {
        self.shared().check()?;
        self.shared()
            .with(|session, now| session.keep(now, self.key, amount))
    }

    pub(crate) fn give_back(&self, keep: KeepKey) {
        if self.check().is_ok() {
            self.shared().with(|session, _| session.give_back(keep));
        }
    }

    pub(crate) fn step_spent(&self, step: StepKey, amount: &Amount) -> Result<(), InvalidCommit> {
        self.check()?;
        self.shared().with(|session, _| session.step_spent(step, amount))
    }

    pub(crate) fn step_dispatched(&self, step: StepKey) {
        if self.check().is_ok() {
            self.shared().with(|session, _| session.step_dispatched(step));
        }
    }

    pub(crate) fn step_dispatched_durably(&self, step: StepKey) -> Result<MarkedStep, NotMarked> {
        self.check().map_err(|_| NotMarked::Forked)?;
        self.shared()
            .with(|session, now| session.step_dispatched_durably(now, step))
    }

    pub(crate) fn step_not_charged(&self, step: StepKey) {
        if self.check().is_ok() {
            self.shared().with(|session, _| session.step_not_charged(step));
        }
    }

    pub(crate) fn end_step(&self, step: StepKey, actual: &Amount) -> Result<EndedStep, InvalidCommit> {
        self.check()?;
        let ended = self.shared().change(|state, now| {
            state.help_here(self.shared(), Key::Reservation(self.key));
            state.session.end_step(now, step, actual)
        });
        self.shared().await_costs_at_thread_end();
        ended
    }

    /// Ends a step that failed.
    pub(crate) fn fail_step(&self, step: StepKey) -> Option<EndedStep> {
        self.check().ok()?;
        Some(self.shared().with(|session, now| session.abandon_step(now, step)))
    }

    /// Ends a step that was dropped, and makes sure that what it has spent is on disk before this thread ends.
    pub(crate) fn drop_step(&self, step: StepKey) {
        if self.fail_step(step).is_some() {
            self.shared().await_writes(self.key);
        }
    }

    pub(crate) async fn step_is_stored(&self, step: EndedStep) {
        self.wait_for(|session, _| session.is_step_stored(step).then_some(()))
            .await;
    }

    pub(crate) fn finish_run(&self) {
        self.shared().change(|state, now| {
            state.help_here(self.shared(), Key::Reservation(self.key));
            state.session.finish_run(now, self.key);
        });
        self.shared().await_costs_at_thread_end();
    }

    pub(crate) fn run_budget(&self) -> Option<RunBudget> {
        self.check().ok()?;
        self.shared().look(|session, _| session.run_budget(self.key))
    }

    pub(crate) fn left_of_keep(&self, keep: KeepKey) -> Option<Amount> {
        self.check().ok()?;
        self.shared().look(|session, _| session.left_of_keep(keep))
    }
}

#[cfg(any(feature = "async", feature = "blocking"))]
impl Handle {
    pub(crate) fn meter(&self) -> Meter {
        match self.check() {
            Ok(()) => self.shared().look(|session, now| session.meter(now, self.key)),
            // Nothing will be charged, so the unit does not matter.
            Err(_) => Meter::new(Amount::tokens(0), self.now()),
        }
    }

    /// Reports the amount that a meter has counted so far. If the amount is refused, the refusal is reported at the
    /// end.
    pub(crate) fn count(&self, amount: &Amount) {
        if self.check().is_ok() {
            let _ = self.shared().with(|session, _| session.counted(self.key, amount));
        }
    }

    /// Ends a meter and returns how to settle what it counted.
    pub(crate) fn end_meter(&self, meter: Meter, end: End) -> Settle {
        self.shared().with(|session, now| {
            if let Some(why) = meter.uncounted() {
                session.not_counted(self.key, why.clone());
            }
            session.end_meter(now, self.key, meter, end)
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared().forget(Key::Reservation(self.key));
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.key).finish()
    }
}
