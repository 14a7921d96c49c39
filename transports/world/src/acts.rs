//! What callers do.

use std::sync::Arc;
use std::time::Duration;

use cycles_proto::lifecycle::{InvalidCommit, Lifecycle, ReleaseReason};
use cycles_proto::models::{Amount, CommitRequest, ReservationCreateRequest};
use cycles_proto::{Error, Now, Seed, Ticket};

use super::World;
use super::audit::Watch;
use super::life::{Life, LifeId, ProcessId};
use super::machine::Machine;

/// What callers do. An act about a life whose process has crashed does nothing, and nobody acts in a process that
/// sleeps: it wakes up first.
impl World {
    /// Asks for a reservation.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the request breaks a limit.
    ///
    /// # Panics
    /// If the process is not of this world.
    pub fn reserve(
        &mut self,
        process: ProcessId,
        request: ReservationCreateRequest,
    ) -> Result<LifeId, Error> {
        let config = Arc::clone(&self.processes[process.0].config);
        let watch = Watch::fresh(config.journal_enabled());
        let seed = self.seed();
        let machine = (self.make)(Lifecycle::new(config, request, seed)?);
        let id = LifeId(self.lives.len());
        self.lives.push(Life::default());
        let seat = self.sit(id, process, machine, watch);
        self.lives[id.0].book.home = Some(seat);
        self.note(|| format!("{id} begins in {process}"));
        self.drive(seat);
        Ok(id)
    }

    /// The action has spent at least this much.
    ///
    /// # Errors
    /// What the machine says.
    pub fn spent(&mut self, life: LifeId, amount: &Amount) -> Result<(), InvalidCommit> {
        let told = self
            .act(life, |machine, _| machine.spent(amount))
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
        let taken = self.hand_over(life, Some(cost), |machine, now| machine.commit(now, request));
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
        self.leave(life, |machine, now| machine.release(now, reason));
    }

    /// The caller went away.
    pub fn abandon(&mut self, life: LifeId) {
        self.note(|| format!("{life}: its caller goes away"));
        self.leave(life, |machine, now| machine.abandon(now));
    }

    /// Prolongs the lease by hand.
    pub fn extend(&mut self, life: LifeId, by: Duration) -> Option<Ticket> {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.note(|| format!("{life}: its caller asks for {by:?} more"));
        self.lives[life.0].book.by_hand.push(by_ms);
        self.act(life, |machine, _| machine.extend(by)).flatten()
    }

    fn leave(&mut self, life: LifeId, act: impl FnOnce(&mut dyn Machine, Now)) {
        let book = &self.lives[life.0].book;
        let unit = self.home(life).and_then(|seat| {
            let grant = self.seats[seat].machine.grant()?;
            Some(grant.reserved.as_ref()?.unit.clone())
        });
        let cost = unit
            .filter(|_| book.spent > 0)
            .map(|unit| Amount::new(unit, book.spent));
        self.hand_over(life, cost, |machine, now| {
            act(machine, now);
            Ok::<_, InvalidCommit>(())
        });
    }

    /// The caller is done with the action, at this cost if it has one.
    fn hand_over(
        &mut self,
        life: LifeId,
        cost: Option<Amount>,
        act: impl FnOnce(&mut dyn Machine, Now) -> Result<(), InvalidCommit>,
    ) -> Option<Result<(), InvalidCommit>> {
        let seat = self.home(life)?;
        let before = self.lives[life.0].book.is_running;
        let now = self.awake(seat);
        let done = act(self.seats[seat].machine.as_mut(), now);
        if done.is_ok() {
            let life = &mut self.lives[life.0];
            life.book.is_running = false;
            life.book.was_left = true;
            if before && life.cost.is_none() {
                life.cost = cost;
            }
            let seat = &mut self.seats[seat];
            if !seat.is_done && !core::mem::replace(&mut seat.is_ending, true) {
                self.processes[seat.process.0].tally.begin_ending();
            }
        }
        self.drive(seat);
        Some(done)
    }

    /// Lets the process of a seat wake up, if it sleeps, and gives its time.
    fn awake(&mut self, seat: usize) -> Now {
        let process = self.seats[seat].process;
        let until = self.processes[process.0].asleep_until;
        // A violation on the way is kept, and told by whatever runs next.
        let _ = self.run_for(until.saturating_sub(self.now));
        self.processes[process.0].now(self.now)
    }

    fn act<T>(&mut self, life: LifeId, act: impl FnOnce(&mut dyn Machine, Now) -> T) -> Option<T> {
        let seat = self.home(life)?;
        let now = self.awake(seat);
        let done = act(self.seats[seat].machine.as_mut(), now);
        self.drive(seat);
        Some(done)
    }

    pub(super) fn seed(&mut self) -> Seed {
        let (high, low) = (self.dice.bits(), self.dice.bits());
        Seed((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }
}
