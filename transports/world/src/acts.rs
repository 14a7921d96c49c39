//! What callers do.

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

/// What callers do. An act about a life whose process has crashed does nothing, and nobody acts in a process that
/// sleeps: it wakes up first.
impl World {
    /// Asks for a reservation, by the first caller of a process.
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

    /// Asks for a reservation, and blocks until there is one, or not.
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
        let now = self.wakes_up(index).unwrap_or_else(|| self.time_of(index));
        let session = &mut self.sessions[index];
        let watch = Watch::fresh(session.callers[who].config().journal_enabled());
        // Each life has an observer of its own, so that its events are known.
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

    /// Asks for the balances, which is one request and one answer.
    ///
    /// # Panics
    /// If the caller is not of this world.
    pub fn ask(&mut self, caller: CallerId, is_blocking: bool) -> Option<CallId> {
        let CallerId { session: index, who } = caller;
        let now = self.wakes_up(index)?;
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

    /// Whoever asked for the balances waits no more.
    pub fn forget_ask(&mut self, caller: CallerId, call: CallId) {
        let index = caller.session;
        let Some(now) = self.wakes_up(index) else { return };
        self.note(|| format!("session {index}: nobody waits for the balances any more"));
        self.sessions[index].calls.remove(&call);
        self.sessions[index].machine.forget_call(now, call);
        self.drive(index);
    }

    /// Nobody asks for a reservation any more; its caller goes away, if it did not say how the action ended.
    pub fn forget(&mut self, life: LifeId) {
        let Some(seat) = self.home(life) else { return };
        self.wakes_up(self.seats[seat].session);
        self.note(|| format!("{life}: its caller forgets it"));
        self.seats[seat].is_forgotten = true;
        self.let_go(life);
        self.act(life, |machine, now, key| machine.forget(now, key));
    }

    /// A defect ends the work on a reservation.
    pub fn panic_in(&mut self, life: LifeId) {
        let Some(at) = self.home(life).filter(|seat| !self.seats[*seat].is_done) else {
            return;
        };
        self.wakes_up(self.seats[at].session);
        self.note(|| format!("{life}: a defect ends it"));
        let seat = &mut self.seats[at];
        (seat.was_lost, seat.owes_panic) = (true, true);
        seat.watch.is_lost();
        self.lives[life.0].book.is_running = false;
        self.lives[life.0].book.was_left = true;
        self.act(life, |machine, _, key| {
            let panics = || machine.panic_in(key);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics));
        });
    }

    /// The action has spent at least this much.
    ///
    /// # Errors
    /// What the machine says.
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

    /// The action has cost this much.
    ///
    /// # Errors
    /// What the machine says.
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

    /// Nothing was spent; if something was nevertheless, that is committed.
    pub fn release(&mut self, life: LifeId, reason: ReleaseReason) {
        self.note(|| format!("{life}: its caller releases"));
        self.leave(life, |machine, now, key| machine.release(now, key, reason));
    }

    /// The caller went away.
    pub fn abandon(&mut self, life: LifeId) {
        self.note(|| format!("{life}: its caller goes away"));
        self.leave(life, |machine, now, key| machine.abandon(now, key));
    }

    /// Prolongs the lease by hand.
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

    /// What is known to be spent.
    fn known_cost(&self, life: LifeId) -> Option<Amount> {
        let spent = self.lives[life.0].book.spent;
        let grant = self.grant_of(self.home(life)?)?;
        let unit = grant.reserved.as_ref()?.unit.clone();
        (spent > 0).then(|| Amount::new(unit, spent))
    }

    /// The caller is done with the action, at this cost if it has one.
    fn hand_over(
        &mut self,
        life: LifeId,
        cost: Option<Amount>,
        act: impl FnOnce(&mut dyn Machine, Now, ReservationKey) -> Result<(), InvalidCommit>,
    ) -> Option<Result<(), InvalidCommit>> {
        let seat = self.home(life)?;
        let (index, key) = (self.seats[seat].session, self.seats[seat].key?);
        let before = self.lives[life.0].book.is_running;
        let now = self.wakes_up(index)?;
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

    /// Its caller is about to go away, in whatever way.
    pub(super) fn let_go(&mut self, life: LifeId) {
        if self.home(life).is_some() {
            let cost = self.known_cost(life);
            self.note_left(life, self.lives[life.0].book.is_running, cost);
        }
    }

    /// Lets the process of a session wake up, if it sleeps, and gives its time; nothing if it ends meanwhile.
    pub(super) fn wakes_up(&mut self, index: usize) -> Option<Now> {
        let process = self.sessions[index].process;
        let until = self.processes[process.0].asleep_until;
        // A violation on the way is kept, and told by whatever runs next.
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
        let now = self.wakes_up(index)?;
        let done = act(self.sessions[index].machine.as_mut(), now, key);
        self.drive(index);
        Some(done)
    }

    pub(super) fn seed(&mut self) -> Seed {
        let (high, low) = (self.dice.bits(), self.dice.bits());
        Seed((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }
}
