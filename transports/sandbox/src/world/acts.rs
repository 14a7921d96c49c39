//! What can be done in a world: by callers, by operators, and by fate.

use std::sync::Arc;
use std::time::Duration;

use cycles_proto::lifecycle::{InvalidCommit, Lifecycle, ReleaseReason};
use cycles_proto::models::{Amount, CommitRequest, ReservationCreateRequest};
use cycles_proto::record::file_name;
use cycles_proto::{CyclesConfig, Error, Now, Seed, Ticket, UnixMillis};

use super::audit::{Watch, books, broken};
use super::journal::{JournalHealth, Remains};
use super::life::{Life, LifeId, ProcessId};
use super::machine::Machine;
use super::process::Process;
use super::{Rule, Violation, World};

/// The longest that a world takes to come to rest once the faults are over: the longest pause that a server can
/// ask for, several times over.
const REST: Duration = Duration::from_secs(8 * 3_600);

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
        taken.unwrap_or(Ok(()))
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
}

/// What becomes of processes.
impl World {
    /// Starts a process of the default tenant, which first takes up what the journal has for it.
    pub fn start_process(&mut self) -> ProcessId {
        self.start_process_with(Self::config())
    }

    /// Starts a process with this configuration; [`World::config`] is where to begin. Its address has to be that
    /// of the world, which it has from there.
    pub fn start_process_with(&mut self, config: CyclesConfig) -> ProcessId {
        let id = ProcessId(self.processes.len());
        let seed = self.seed();
        self.processes.push(Process::new(config, self.now, seed));
        self.note(|| format!("{id} starts"));
        self.replay(id);
        id
    }

    /// Starts a process like this one was. Its wall clock is wrong by as much.
    ///
    /// # Panics
    /// If the process is not of this world.
    pub fn restart(&mut self, process: ProcessId) -> ProcessId {
        let old = &self.processes[process.0];
        let (config, ahead_ms) = (CyclesConfig::clone(&old.config), old.ahead_ms);
        let id = ProcessId(self.processes.len());
        let seed = self.seed();
        let mut fresh = Process::new(config, self.now, seed);
        fresh.ahead_ms = ahead_ms;
        self.processes.push(fresh);
        self.note(|| format!("{id} starts, as {process} did"));
        self.replay(id);
        id
    }

    /// Ends a process at once. Requests that are on their way arrive all the same; of the changes of the journal
    /// that are under way remains what chance leaves.
    ///
    /// # Panics
    /// If the process is not of this world.
    pub fn crash(&mut self, process: ProcessId) {
        let remains = match self.dice.below(3) {
            0 => Remains::Nothing,
            1 => Remains::All,
            _ => Remains::Torn,
        };
        self.crash_leaving(process, remains);
    }

    /// Ends a process at once, and decides what remains of the changes of the journal that are under way.
    ///
    /// # Panics
    /// If the process is not of this world.
    pub fn crash_leaving(&mut self, process: ProcessId, remains: Remains) {
        if !core::mem::replace(&mut self.processes[process.0].is_alive, false) {
            return;
        }
        self.note(|| format!("{process} crashes"));
        for seat in self.seats.iter().filter(|seat| seat.process == process) {
            self.lives[seat.life.0].book.is_running = false;
        }
        self.crash_stores(process, remains);
    }

    /// Ends a process after its machines handed out this many more steps: before or after the last is done.
    ///
    /// # Panics
    /// If the process is not of this world.
    pub fn crash_after(&mut self, process: ProcessId, steps: u64) {
        self.processes[process.0].steps_left = Some(steps.max(1));
    }

    /// Lets a process sleep, as a suspended computer does: its clocks go on, and nothing runs.
    ///
    /// # Panics
    /// If the process is not of this world.
    pub fn suspend(&mut self, process: ProcessId, time: Duration) {
        self.note(|| format!("{process} sleeps for {time:?}"));
        let until = self.now.saturating_add(time);
        let process = &mut self.processes[process.0];
        process.asleep_until = process.asleep_until.max(until);
    }

    /// Puts the record of a life back as it was stored first, as a process does that knows no better, or a backup
    /// of the disk. Whatever became of the cost meanwhile, it must not count again.
    pub fn restore_first_record(&mut self, life: LifeId) {
        if let Some((directory, record)) = self.lives[life.0].book.first_record.clone() {
            self.note(|| format!("{life}: its first record is put back"));
            self.journal
                .put_file(&directory, &file_name(record.reservation_id()), record.to_json());
        }
    }

    /// Whether a process has not crashed.
    pub fn is_alive(&self, process: ProcessId) -> bool {
        self.processes[process.0].is_alive
    }

    /// Makes a process look at the journal now.
    pub fn flush(&mut self, process: ProcessId) {
        let process_of = &mut self.processes[process.0];
        if process_of.is_alive {
            let now = process_of.now(self.now);
            process_of.replayer.wake(now);
            self.replay(process);
        }
    }
}

/// What becomes of clocks and the server.
impl World {
    /// Sets the wall clock of a process forward by this many milliseconds, or back.
    ///
    /// # Panics
    /// If the process is not of this world.
    pub fn jump_clock(&mut self, process: ProcessId, by_ms: i64) {
        self.note(|| format!("the clock of {process} jumps by {by_ms} ms"));
        let ahead_ms = &mut self.processes[process.0].ahead_ms;
        *ahead_ms = ahead_ms.saturating_add(by_ms);
    }

    /// Sets the server's clock forward by this many milliseconds, or back. What had expired by then has been
    /// swept.
    pub fn jump_server_clock(&mut self, by_ms: i64) {
        self.note(|| format!("the server's clock jumps by {by_ms} ms"));
        let time: UnixMillis = self.server_time();
        self.ledger.tick(time);
        self.ledger.sweep(time);
        self.server_ahead_ms = self.server_ahead_ms.saturating_add(by_ms);
    }

    /// Takes the server down, so that nothing connects to it, or brings it back with all that it knew.
    pub fn set_server_down(&mut self, is_down: bool) {
        self.note(|| format!("the server is {}", if is_down { "down" } else { "up" }));
        self.is_server_down = is_down;
    }

    /// Ends it: callers of actions that still run go away, all faults stop, some process looks at the journal,
    /// and time passes until everything has come to rest. Then every known cost has to be in the ledger exactly
    /// once, or told as lost.
    ///
    /// What an operator did (a frozen budget, a revoked key) stays as it is.
    ///
    /// # Errors
    /// What did not hold.
    pub fn finish(&mut self) -> Result<(), Violation> {
        let asleep = self.processes.iter().filter(|process| process.is_alive);
        if let Some(until) = asleep.map(|process| process.asleep_until).max() {
            self.run_for(until.saturating_sub(self.now))?;
        }
        self.note(|| "the faults stop".to_owned());
        self.clear_faults();
        self.set_server_down(false);
        self.journal.set_health(JournalHealth::Works);
        for process in &mut self.processes {
            process.steps_left = None;
        }
        for life in 0..self.lives.len() {
            if !self.is_over(LifeId(life)) && !self.lives[life].book.was_left {
                self.abandon(LifeId(life));
            }
        }
        self.start_missing_processes();
        self.run_until_or(REST, Self::has_come_to_rest)?;
        self.run_for(Duration::from_secs(120))?;
        let time = self.server_time();
        self.ledger.tick(time);
        self.check_end();
        self.verdict()
    }

    fn has_come_to_rest(&self) -> bool {
        let is_done = |seat: &super::Seat| seat.is_done || !self.processes[seat.process.0].is_alive;
        self.seats.iter().all(is_done) && self.journal.is_quiet()
    }

    /// For every directory with records a process that looks at it.
    fn start_missing_processes(&mut self) {
        for index in (0..self.processes.len()).rev() {
            let directory = &self.processes[index].directory;
            let is_served = |process: &Process| process.is_alive && process.directory == *directory;
            if self.processes.iter().any(is_served) {
                continue;
            }
            self.restart(ProcessId(index));
        }
        for index in 0..self.processes.len() {
            self.flush(ProcessId(index));
        }
    }

    fn check_end(&mut self) {
        for index in 0..self.seats.len() {
            let seat = &self.seats[index];
            if !seat.is_done && self.processes[seat.process.0].is_alive {
                let held = broken(
                    Rule::Ends,
                    format!("machine {index} has not ended: {:?}", seat.machine),
                );
                self.check(Some(seat.life), held);
            }
        }
        for index in 0..self.lives.len() {
            let is_lost = self.home(LifeId(index)).is_none();
            let held = self.lives[index].is_kept(is_lost);
            self.check(Some(LifeId(index)), held);
        }
        let held = books(&self.ledger, self.lives.iter());
        self.check(None, held);
    }

    pub(super) fn seed(&mut self) -> Seed {
        let (high, low) = (self.dice.next(), self.dice.next());
        Seed((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }
}
