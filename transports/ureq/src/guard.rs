//! A reservation in the hands of a caller.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::thread;

use cycles_proto::meter::Settle;
use cycles_proto::models::{
    Amount, Caps, CommitRequest, Decision, ReservationCreateRequest, ReservationCreateResponse, ReservationId,
};
use cycles_proto::outcome::ReleaseReason;
use cycles_proto::parts::Lifecycle;
use cycles_proto::{Error, InvalidCommit, Receipt, UnixMillis};

use crate::client::{CyclesClient, Ready};
use crate::context::Lease;
use crate::life::Life;

/// A reservation whose lease is kept alive until it is committed, released or dropped.
///
/// [`commit`](Self::commit) and [`release`](Self::release) take it, so that it cannot be settled twice. Dropped,
/// it commits what was [spent](Self::spent) so far, as soon as that is on disk, or gives the budget back, both in the
/// background. It waits for the disk, for five seconds at most.
/// While its thread panics it waits for the first attempt, because the process may be about to end.
///
/// It may be moved to another thread, and [extended](Self::extend) from several.
#[must_use = "dropped, a reservation is released"]
pub struct ReservationGuard {
    held: Held,
    response: Arc<ReservationCreateResponse>,
    id: ReservationId,
}

/// A life that has to be ended.
struct Held {
    life: Arc<Life>,
    /// Keeps the threads that keep it alive.
    ready: Ready,
    has_ended: bool,
}

impl CyclesClient {
    /// Reserves budget for an action and keeps the lease alive. What the request's subject leaves out is taken
    /// from the configuration.
    ///
    /// # Errors
    /// Any [`Error`]; the action must not run. [`Error::BudgetExceeded`] or [`Error::Denied`] if the ledger denies it,
    /// [`Error::DryRun`] if the request was for one.
    pub fn reserve(&self, request: ReservationCreateRequest) -> Result<ReservationGuard, Error> {
        let ready = self.ready()?;
        let machine = Lifecycle::new(Arc::clone(&ready.config), request, cycles_host::seed()?)?;
        ready.engine.start()?;
        ready.engine.start_replay(&ready.observers);
        let life = Life::new(&ready.engine, &ready.observers, machine);
        let (id, response) = life.wait_for(|shared| shared.told.granted(&shared.machine))?;
        let held = Held {
            life,
            ready: ready.clone(),
            has_ended: false,
        };
        Ok(ReservationGuard { held, response, id })
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
        self.decision() == &Decision::AllowWithCaps
    }

    /// The ledger's answer, with everything else that it says.
    pub fn response(&self) -> &ReservationCreateResponse {
        &self.response
    }

    /// The lease, to be asked whether it is lost.
    pub fn lease(&self) -> Lease {
        Lease::new(Arc::clone(self.life()))
    }

    /// The action has spent at least this much by now. It is what is committed if the guard is dropped.
    ///
    /// # Errors
    /// [`InvalidCommit`] if the amount could not be committed.
    pub fn spent(&self, amount: &Amount) -> Result<(), InvalidCommit> {
        self.life().check()?;
        self.life().lock().machine.spent(amount)
    }

    /// Prolongs the lease by this many milliseconds, beside the heartbeat, and returns when it ends now, on the
    /// server's clock.
    ///
    /// # Errors
    /// Any [`Error`]. The reservation and its heartbeat are not concerned.
    pub fn extend(&self, ms: u64) -> Result<UnixMillis, Error> {
        self.life().check()?;
        let ticket = self.life().lock().machine.extend(Duration::from_millis(ms));
        let ticket = ticket.ok_or(InvalidCommit::NotHeld)?;
        self.life().wait_for(|shared| shared.told.extended(ticket))
    }

    /// The action has cost this much. Waits until that is settled, or safe in its record after a first attempt,
    /// so that retries go on in the background.
    ///
    /// # Errors
    /// Any [`Error`] if the cost was not taken, was refused, or is not settled and in no record either.
    pub fn commit(self, request: CommitRequest) -> Result<Receipt, Error> {
        self.settle(request)?.receipt().into_result()
    }

    /// Nothing was spent: the budget is given back. Waits for the first attempt and says whether the ledger
    /// confirmed it; otherwise it is tried in the background until the lease ends, which frees the budget too.
    /// What was [spent](Self::spent) nevertheless is committed.
    ///
    /// # Errors
    /// If what was spent could not be committed.
    pub fn release(mut self, reason: impl Into<ReleaseReason>) -> Result<bool, Error> {
        self.life().check()?;
        self.held.end(reason.into());
        self.life()
            .wait_for(|shared| shared.told.released(&shared.machine))
    }

    /// Takes the cost; what comes of it is to be waited for.
    pub(crate) fn settle(mut self, request: CommitRequest) -> Result<Settling, InvalidCommit> {
        // A cost that is not taken leaves the guard as it was, and its end is the life's.
        self.held.commit(request)?;
        Ok(Settling { held: self.held })
    }

    /// Settles it as if it were dropped.
    pub(crate) fn leave(mut self, settle: Settle) {
        self.held.leave(settle);
    }

    pub(crate) fn ready(&self) -> &Ready {
        &self.held.ready
    }

    pub(crate) fn life(&self) -> &Arc<Life> {
        &self.held.life
    }
}

/// A cost that was taken, and whose settlement goes on.
pub(crate) struct Settling {
    held: Held,
}

impl Settling {
    /// What came of it by the time that a caller waits for, without the judgement whether that is an error.
    pub(crate) fn receipt(&self) -> Receipt {
        self.held.life.wait_for(|shared| shared.machine.receipt())
    }

    /// What came of it when nothing more is tried, or by then.
    pub(crate) fn wait_settled(&self, timeout: Duration) -> Result<Receipt, InvalidCommit> {
        self.held.life.check()?;
        self.held.life.wait_ended(timeout);
        Ok(self.receipt())
    }
}

impl Held {
    fn commit(&mut self, request: CommitRequest) -> Result<(), InvalidCommit> {
        self.life.check()?;
        self.life.lock().machine.commit(self.life.engine.now(), request)?;
        self.has_ended = true;
        self.life.ending();
        Ok(())
    }

    fn end(&mut self, reason: ReleaseReason) {
        self.has_ended = true;
        self.life.lock().machine.release(self.life.engine.now(), reason);
        self.life.ending();
    }

    fn leave(&mut self, settle: Settle) {
        match settle {
            // A cost that is not taken leaves all as it was, and its end is the drop's.
            Settle::Commit(request) => drop(self.commit(request)),
            Settle::Release(reason) => self.end(reason),
        }
        if thread::panicking() {
            let _ = self.life.wait_for(|shared| shared.told.released(&shared.machine));
        } else {
            self.life.wait_for_writes();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.has_ended && self.life.check().is_ok() {
            self.leave(Settle::Release(ReleaseReason::ABANDONED));
        }
    }
}

impl fmt::Debug for ReservationGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReservationGuard")
            .field("reservation_id", &self.id)
            .finish_non_exhaustive()
    }
}
