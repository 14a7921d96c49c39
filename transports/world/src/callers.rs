//! The actions of callers: reserve, extend, commit, release, abandon, forget, and ask for balances.

use std::collections::BTreeSet;
use std::time::Duration;

use cycles_proto::InvalidCommit;
use cycles_proto::models::{Amount, BalanceParams, CommitRequest, ReservationCreateRequest};
use cycles_proto::outcome::ReleaseReason;
use cycles_proto::session::{CallId, ExtendKey, ObserverId, ReservationKey};
use cycles_proto::{Error, Now, Operation, Seed};

use super::World;
use super::audit::ReservationWatch;
use super::job::{Job, JobId, ProcessId};
use super::machine::Machine;
use super::provider::Due;
use super::runs::RunNotes;
use super::session::{BalanceCall, CallerId};

/// The actions of callers. A method on a job whose process has crashed does nothing. If the process sleeps, the method
/// first lets time pass until the process wakes up.
impl World {
    /// Asks for a reservation, as the first caller of a process.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    ///
    /// # Panics
    /// If the process does not belong to this world.
    pub fn reserve(&mut self, process: ProcessId, request: ReservationCreateRequest) -> Result<JobId, Error> {
        self.reserve_as(self.caller(process), request, false)
    }

    /// Asks for a reservation. If `is_blocking`, the caller's thread makes the calls and waits for the grant.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit; [`Error::Config`] if the session is closed.
    ///
    /// # Panics
    /// If the caller does not belong to this world.
    pub fn reserve_as(
        &mut self,
        caller: CallerId,
        request: ReservationCreateRequest,
        is_blocking: bool,
    ) -> Result<JobId, Error> {
        let CallerId {
            session: index,
            caller_index,
        } = caller;
        let seed = self.seed();
        let now = self.wake_up(index).unwrap_or_else(|| self.time_of(index));
        let session = &mut self.sessions[index];
        let watch = ReservationWatch::fresh(session.callers[caller_index].config().journal_enabled);
        // Each job has its own observer, so that its events can be distinguished.
        let observer = ObserverId(self.reservations.len() as u64 + 1);
        let mut caller = session.callers[caller_index]
            .caller
            .clone()
            .with_observer(observer);
        if is_blocking {
            caller = caller.blocking();
        }
        let estimate = request.estimate.amount;
        let key = session.machine.reserve(now, &caller, request, seed)?;
        let id = JobId(self.jobs.len());
        let mut job = Job::default();
        job.notes.provider.estimate = estimate;
        job.notes.tenant = caller.config().subject().tenant.clone();
        self.jobs.push(job);
        let at = self.add_reservation(id, index, caller_index, watch);
        let reservation = &mut self.reservations[at];
        (reservation.key, reservation.is_blocking) = (Some(key), is_blocking);
        self.sessions[index].reservations.insert(key, at);
        self.jobs[id.0].notes.origin = Some(at);
        self.log(|| format!("{id} begins in session {index}, as reservation {at}"));
        self.drive(index);
        Ok(id)
    }

    /// Asks for the balances, with one request and one answer.
    ///
    /// # Panics
    /// If the caller does not belong to this world.
    pub fn get_balances(&mut self, caller: CallerId, is_blocking: bool) -> Option<CallId> {
        let CallerId {
            session: index,
            caller_index,
        } = caller;
        let now = self.wake_up(index)?;
        let seed = self.seed();
        let session = &mut self.sessions[index];
        let mut caller = session.callers[caller_index].caller.clone();
        if is_blocking {
            caller = caller.blocking();
        }
        let params = BalanceParams {
            tenant: caller.config().subject().tenant.clone(),
            ..BalanceParams::default()
        };
        let operation = Operation::get_balances(caller.config(), &params, seed).ok()?;
        let key = session.machine.call(now, &caller, operation).ok()?;
        let call = BalanceCall {
            key,
            caller_index,
            is_blocking,
            attempts: BTreeSet::new(),
            is_over: false,
        };
        session.calls.insert(key.id(), call);
        self.log(|| format!("session {index} asks for the balances"));
        self.drive(index);
        Some(key.id())
    }

    /// Stops waiting for the balances.
    pub fn forget_get_balances(&mut self, caller: CallerId, call: CallId) {
        let index = caller.session;
        let Some(now) = self.wake_up(index) else { return };
        self.log(|| format!("session {index}: its caller stops waiting for the balances"));
        self.sessions[index].calls.remove(&call);
        self.sessions[index].machine.forget_call(now, call);
        self.drive(index);
    }

    /// Forgets a reservation. If its caller has not reported how the action ended, it is abandoned.
    pub fn forget(&mut self, job: JobId) {
        let Some(at) = self.live_origin(job) else { return };
        self.wake_up(self.reservations[at].session);
        self.log(|| format!("{job}: its caller forgets it"));
        self.reservations[at].is_forgotten = true;
        self.note_leaving(job);
        self.act(job, |machine, now, key| machine.forget(now, key));
    }

    /// Makes the state machine of a reservation panic.
    pub fn panic_in(&mut self, job: JobId) {
        let Some(at) = self.live_origin(job).filter(|at| !self.reservations[*at].is_done) else {
            return;
        };
        self.wake_up(self.reservations[at].session);
        self.log(|| format!("{job}: its state machine panics"));
        let reservation = &mut self.reservations[at];
        (reservation.was_lost, reservation.owes_panic) = (true, true);
        reservation.watch.mark_lost();
        self.jobs[job.0].notes.is_running = false;
        self.jobs[job.0].notes.was_left = true;
        self.act(job, |machine, _, key| {
            let panics = || machine.panic_in(key);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics));
        });
    }

    /// Reports that the action has spent at least this much.
    ///
    /// # Errors
    /// The machine's error.
    pub fn spent(&mut self, job: JobId, amount: &Amount) -> Result<(), InvalidCommit> {
        self.wake_if_running(job);
        // It is noted first, because the session may be about to end the action.
        let before = self.jobs[job.0].notes.spent;
        self.jobs[job.0].notes.spent = before.max(amount.amount);
        let accepted = self
            .act(job, |machine, _, key| machine.spent(key, amount))
            .unwrap_or(Ok(()));
        if accepted.is_err() {
            self.jobs[job.0].notes.spent = before;
        }
        accepted
    }

    /// Commits the cost of the action.
    ///
    /// # Errors
    /// The machine's error.
    pub fn commit(&mut self, job: JobId, request: CommitRequest) -> Result<(), InvalidCommit> {
        let cost = request.actual.clone();
        self.log(|| format!("{job}: its caller commits {cost}"));
        let taken = self.hand_over(job, Ending::with(cost), |machine, now, key| {
            machine.commit(now, key, request)
        });
        taken.unwrap_or(Ok(()))
    }

    /// Releases the reservation. If spending was reported, commits that instead; if a request was dispatched, its policy
    /// decides.
    pub fn release(&mut self, job: JobId, reason: ReleaseReason) {
        self.log(|| format!("{job}: its caller releases"));
        self.leave(job, |machine, now, key| machine.release(now, key, reason));
    }

    /// Abandons the reservation, as if its guard had been dropped.
    pub fn abandon(&mut self, job: JobId) {
        self.log(|| format!("{job}: its caller goes away"));
        self.leave(job, |machine, now, key| machine.abandon(now, key));
    }

    /// Extends the lease manually.
    pub fn extend(&mut self, job: JobId, by: Duration) -> Option<ExtendKey> {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.log(|| format!("{job}: its caller asks for {by:?} more"));
        self.jobs[job.0].notes.by_hand.push(by_ms);
        self.act(job, |machine, now, key| machine.extend(now, key, by))
            .flatten()
    }

    fn leave(&mut self, job: JobId, act: impl FnOnce(&mut dyn Machine, Now, ReservationKey)) {
        self.wake_if_running(job);
        let ending = self.ending(job);
        self.hand_over(job, ending, |machine, now, key| {
            act(machine, now, key);
            Ok::<_, InvalidCommit>(())
        });
    }

    /// What follows if the action ends now, without a cost.
    fn ending(&self, job: JobId) -> Ending {
        let notes = &self.jobs[job.0].notes;
        let due = self.due(job);
        let charge = notes.run.as_ref().map_or(due.charge(), RunNotes::cost_at_once);
        let grant = self.live_origin(job).and_then(|at| self.grant_of(at));
        let unit = grant.and_then(|grant| Some(grant.reserved.as_ref()?.unit.clone()));
        Ending {
            cost: unit.filter(|_| charge > 0).map(|unit| Amount::new(unit, charge)),
            is_estimated: matches!(due, Due::Estimate(_)),
            owes_report: match due {
                // A cost that could not be accepted is reported instead.
                Due::Report(estimate) if !notes.untaken => Some(estimate),
                Due::Report(_) | Due::Nothing | Due::Spent(_) | Due::Estimate(_) => None,
            },
        }
    }

    /// What has to be done about the action if it ends now, without a cost. The steps of a run have their own.
    pub(super) fn due(&self, job: JobId) -> Due {
        let notes = &self.jobs[job.0].notes;
        match notes.run {
            Some(_) => Due::Nothing,
            None => notes.provider.requests.due(notes.spent, notes.provider.estimate),
        }
    }

    /// Ends the action.
    fn hand_over(
        &mut self,
        job: JobId,
        ending: Ending,
        act: impl FnOnce(&mut dyn Machine, Now, ReservationKey) -> Result<(), InvalidCommit>,
    ) -> Option<Result<(), InvalidCommit>> {
        let at = self.live_origin(job)?;
        let (index, key) = (self.reservations[at].session, self.reservations[at].key?);
        let before = self.jobs[job.0].notes.is_running;
        let now = self.wake_up(index)?;
        let done = act(self.sessions[index].machine.as_mut(), now, key);
        // The session may be about to end the action.
        self.jobs[job.0].notes.untaken = match &done {
            Ok(()) => false,
            Err(InvalidCommit::WrongUnit { .. } | InvalidCommit::Invalid(_)) => true,
            Err(_) => self.jobs[job.0].notes.untaken,
        };
        if done.is_ok() {
            self.note_left(job, before, ending);
        }
        self.drive(index);
        Some(done)
    }

    fn note_left(&mut self, job: JobId, was_running: bool, ending: Ending) {
        let job = &mut self.jobs[job.0];
        job.notes.is_running = false;
        job.notes.was_left = true;
        let mut ending = ending;
        if let Some(run) = &mut job.notes.run {
            run.end();
            ending.is_estimated = run.estimated > 0;
            ending.owes_report = run.unknown;
        }
        if was_running && job.cost.is_none() {
            job.cost = ending.cost;
            job.notes.provider.is_estimated = ending.is_estimated;
            job.notes.provider.owes_report = ending.owes_report;
        }
    }

    /// Notes that the caller is about to leave the reservation.
    pub(super) fn note_leaving(&mut self, job: JobId) {
        if self.live_origin(job).is_some() {
            let ending = self.ending(job);
            self.note_left(job, self.jobs[job.0].notes.is_running, ending);
        }
    }

    /// Lets time pass until the session's process is awake, and returns its time; `None` if the process ends first.
    pub(super) fn wake_up(&mut self, index: usize) -> Option<Now> {
        let process = self.sessions[index].process;
        let until = self.processes[process.0].asleep_until;
        // A violation during this time is kept, and the next run returns it.
        let _ = self.run_for(until.saturating_sub(self.now));
        self.is_alive(process).then(|| self.time_of(index))
    }

    pub(super) fn act<T>(
        &mut self,
        job: JobId,
        act: impl FnOnce(&mut dyn Machine, Now, ReservationKey) -> T,
    ) -> Option<T> {
        let at = self.live_origin(job)?;
        let (index, key) = (self.reservations[at].session, self.reservations[at].key?);
        let now = self.wake_up(index)?;
        let done = act(self.sessions[index].machine.as_mut(), now, key);
        self.drive(index);
        Some(done)
    }

    pub(super) fn seed(&mut self) -> Seed {
        let (high, low) = (self.dice.bits(), self.dice.bits());
        Seed((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }
}

/// What follows from the end of an action.
#[derive(Debug)]
struct Ending {
    cost: Option<Amount>,
    /// Whether the cost is the estimate.
    is_estimated: bool,
    /// The estimate up to which it may have cost something that is not charged.
    owes_report: Option<i64>,
}

impl Ending {
    /// The end of an action that knows its cost.
    const fn with(cost: Amount) -> Self {
        Self {
            cost: Some(cost),
            is_estimated: false,
            owes_report: None,
        }
    }
}
