//! The end of a world: the faults stop, and everything has to come to rest.

use std::time::Duration;

use super::audit::{books, broken};
use super::journal::JournalHealth;
use super::life::{LifeId, ProcessId};
use super::process::Process;
use super::{Rule, Violation, World};

impl World {
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
        self.busy_seats().all(|(_, seat)| is_done(seat)) && self.journal.is_quiet()
    }

    /// For every directory with records a process that looks at it.
    fn start_missing_processes(&mut self) {
        for index in (0..self.processes.len()).rev() {
            let directory = &self.processes[index].journal.directory;
            let is_served = |process: &Process| process.is_alive && process.journal.directory == *directory;
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
}

/// The longest that a world takes to come to rest once the faults are over: the longest pause that a server can
/// ask for, several times over.
const REST: Duration = Duration::from_secs(8 * 3_600);
