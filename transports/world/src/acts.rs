//! The acts of callers.

use std::collections::BTreeSet;
use std::time::Duration;

use cycles_proto::InvalidCommit;
use cycles_proto::models::{Amount, BalanceParams, CommitRequest, ReservationCreateRequest};
use cycles_proto::outcome::ReleaseReason;
use cycles_proto::session::{CallId, ExtendKey, ObserverId, ReservationKey};
use cycles_proto::{Error, Now, Operation, Seed};

use super::World;
use super::audit::Watch;
use super::life::{Life, LifeId, ProcessId};
use super::machine::Machine;
use super::session::{Asked, CallerId};

/// The acts of callers. An act on a life whose process has crashed does nothing. If the process sleeps, an act first
/// lets time pass until it wakes up.
impl World {
    /// Asks for a reservation, as the first caller of a process.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    ///
    /// # Panics
    /// If the process is not of this world.
    pub fn reserve(
        &mut self,
        process: ProcessId,
        request: ReservationCreateRequest,
    ) -> Result<LifeId, Error> {
        self.reserve_as(self.caller(process), request, false)
    }

    /// Asks for a reservation. If `is_blocking`, the caller's thread makes the calls and waits for the grant.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit; [`Error::Config`] if the session is closed.
    ///
    /// # Panics
    /// If the caller is not of this world.
    pub fn reserve_as(
        &mut self,
        caller: CallerId,
        request: ReservationCreateRequest,
        is_blocking: bool,
    ) -> Result<LifeId, Error> {
        let CallerId { session: index, who } = caller;
        let seed = self.seed();
        let now = self.wake_up(index).unwrap_or_else(|| self.time_of(index));
        let session = &mut self.sessions[index];
        let watch = Watch::fresh(session.callers[who].config().journal_enabled);
        // Each life has its own observer, so that its events can be told apart.
        let observer = ObserverId(self.seats.len() as u64 + 1);
        let mut caller = session.callers[who].caller.clone().with_observer(observer);
        if is_blocking {
            caller = caller.blocking();
        }
        let key = session.machine.reserve(now, &caller, request, seed)?;
        let id = LifeId(self.lives.len());
        let mut life = Life::default();
        life.book.tenant = caller.config().subject().tenant.clone();
        self.lives.push(life);
        let at = self.sit(id, index, who, watch);
        let seat = &mut self.seats[at];
        (seat.key, seat.is_blocking) = (Some(key), is_blocking);
        self.sessions[index].seats.insert(key, at);
        self.lives[id.0].book.home = Some(at);
        self.note(|| format!("{id} begins in session {index}, as seat {at}"));
        self.drive(index);
        Ok(id)
    }

    /// Asks for the balances, with one request and one answer.
    ///
    /// # Panics
    /// If the caller is not of this world.
    pub fn ask(&mut self, caller: CallerId, is_blocking: bool) -> Option<CallId> {
        let CallerId { session: index, who } = caller;
        let now = self.wake_up(index)?;
        let seed = self.seed();
        let session = &mut self.sessions[index];
        let mut caller = session.callers[who].caller.clone();
        if is_blocking {
            caller = caller.blocking();
        }
        let params = BalanceParams {
            tenant: caller.config().subject().tenant.clone(),
            ..BalanceParams::default()
        };
        let operation = Operation::get_balances(caller.config(), &params, seed).ok()?;
        let key = session.machine.call(now, &caller, operation).ok()?;
        let asked = Asked {
            key,
            who,
            is_blocking,
            attempts: BTreeSet::new(),
            is_over: false,
        };
        session.calls.insert(key.id(), asked);
        self.note(|| format!("session {index} asks for the balances"));
        self.drive(index);
        Some(key.id())
    }

    /// Stops waiting for the balances.
    pub fn forget_ask(&mut self, caller: CallerId, call: CallId) {
        let index = caller.session;
        let Some(now) = self.wake_up(index) else { return };
        self.note(|| format!("session {index}: its caller stops waiting for the balances"));
        self.sessions[index].calls.remove(&call);
        self.sessions[index].machine.forget_call(now, call);
        self.drive(index);
    }

    /// Forgets a reservation. If its caller has not reported how the action ended, it is abandoned.
    pub fn forget(&mut self, life: LifeId) {
        let Some(seat) = self.home(life) else { return };
        self.wake_up(self.seats[seat].session);
        self.note(|| format!("{life}: its caller forgets it"));
        self.seats[seat].is_forgotten = true;
        self.let_go(life);
        self.act(life, |machine, now, key| machine.forget(now, key));
    }

    /// Makes the state machine of a reservation panic.
    pub fn panic_in(&mut self, life: LifeId) {
        let Some(at) = self.home(life).filter(|seat| !self.seats[*seat].is_done) else {
            return;
        };
        self.wake_up(self.seats[at].session);
        self.note(|| format!("{life}: its state machine panics"));
        let seat = &mut self.seats[at];
        (seat.was_lost, seat.owes_panic) = (true, true);
        seat.watch.mark_lost();
        self.lives[life.0].book.is_running = false;
        self.lives[life.0].book.was_left = true;
        self.act(life, |machine, _, key| {
            let panics = || machine.panic_in(key);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics));
        });
    }

    /// Reports that the action has spent at least this much.
    ///
    /// # Errors
    /// The machine's error.
    pub fn spent(&mut self, life: LifeId, amount: &Amount) -> Result<(), InvalidCommit> {
        let told = self
            .act(life, |machine, _, key| machine.spent(key, amount))
            .unwrap_or(Ok(()));
        if told.is_ok() {
            let book = &mut self.lives[life.0].book;
            book.spent = book.spent.max(amount.amount);
        }
        told
    }

    /// Commits the cost of the action.
    ///
    /// # Errors
    /// The machine's error.
    pub fn commit(&mut self, life: LifeId, request: CommitRequest) -> Result<(), InvalidCommit> {
        let cost = request.actual.clone();
        self.note(|| format!("{life}: its caller commits {cost}"));
        let taken = self.hand_over(life, Some(cost), |machine, now, key| {
            machine.commit(now, key, request)
        });
        let taken = taken.unwrap_or(Ok(()));
        let is_untaken = matches!(
            taken,
            Err(InvalidCommit::WrongUnit { .. } | InvalidCommit::Invalid(_))
        );
        let book = &mut self.lives[life.0].book;
        book.untaken = is_untaken || (book.untaken && taken.is_err());
        taken
    }

    /// Releases the reservation; if spending was reported, commits that instead.
    pub fn release(&mut self, life: LifeId, reason: ReleaseReason) {
        self.note(|| format!("{life}: its caller releases"));
        self.leave(life, |machine, now, key| machine.release(now, key, reason));
    }

    /// Abandons the reservation, as if its guard had been dropped.
    pub fn abandon(&mut self, life: LifeId) {
        self.note(|| format!("{life}: its caller goes away"));
        self.leave(life, |machine, now, key| machine.abandon(now, key));
    }

    /// Extends the lease by hand.
    pub fn extend(&mut self, life: LifeId, by: Duration) -> Option<ExtendKey> {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.note(|| format!("{life}: its caller asks for {by:?} more"));
        self.lives[life.0].book.by_hand.push(by_ms);
        self.act(life, |machine, now, key| machine.extend(now, key, by))
            .flatten()
    }

    fn leave(&mut self, life: LifeId, act: impl FnOnce(&mut dyn Machine, Now, ReservationKey)) {
        let cost = self.known_cost(life);
        self.hand_over(life, cost, |machine, now, key| {
            act(machine, now, key);
            Ok::<_, InvalidCommit>(())
        });
    }

    /// The spending that was reported, if any.
    fn known_cost(&self, life: LifeId) -> Option<Amount> {
        let spent = self.lives[life.0].book.spent;
        let grant = self.grant_of(self.home(life)?)?;
        let unit = grant.reserved.as_ref()?.unit.clone();
        (spent > 0).then(|| Amount::new(unit, spent))
    }

    /// Ends the action, with this cost if it has one.
    fn hand_over(
        &mut self,
        life: LifeId,
        cost: Option<Amount>,
        act: impl FnOnce(&mut dyn Machine, Now, ReservationKey) -> Result<(), InvalidCommit>,
    ) -> Option<Result<(), InvalidCommit>> {
        let seat = self.home(life)?;
        let (index, key) = (self.seats[seat].session, self.seats[seat].key?);
        let before = self.lives[life.0].book.is_running;
        let now = self.wake_up(index)?;
        let done = act(self.sessions[index].machine.as_mut(), now, key);
        if done.is_ok() {
            self.note_left(life, before, cost);
        }
        self.drive(index);
        Some(done)
    }

    fn note_left(&mut self, life: LifeId, was_running: bool, cost: Option<Amount>) {
        let life = &mut self.lives[life.0];
        life.book.is_running = false;
        life.book.was_left = true;
        if was_running && life.cost.is_none() {
            life.cost = cost;
        }
    }

    /// Notes that the caller is about to leave the reservation.
    pub(super) fn let_go(&mut self, life: LifeId) {
        if self.home(life).is_some() {
            let cost = self.known_cost(life);
            self.note_left(life, self.lives[life.0].book.is_running, cost);
        }
    }

    /// Lets time pass until the session's process is awake, and returns its time; `None` if the process ends meanwhile.
    pub(super) fn wake_up(&mut self, index: usize) -> Option<Now> {
        let process = self.sessions[index].process;
        let until = self.processes[process.0].asleep_until;
        // A violation on the way is kept, and the next run returns it.
        let _ = self.run_for(until.saturating_sub(self.now));
        self.is_alive(process).then(|| self.time_of(index))
    }

    fn act<T>(
        &mut self,
        life: LifeId,
        act: impl FnOnce(&mut dyn Machine, Now, ReservationKey) -> T,
    ) -> Option<T> {
        let seat = self.home(life)?;
        let (index, key) = (self.seats[seat].session, self.seats[seat].key?);
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
