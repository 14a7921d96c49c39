//! The end of a world: the faults stop, and all work must end.

use std::time::Duration;

use cycles_proto::models::ReservationId;

use super::audit::{broken, check_books};
use super::job::{JobId, ProcessId};
use super::journal::JournalHealth;
use super::session::CallerState;
use super::{Rule, Violation, World};

impl World {
    /// Ends the world: callers of running actions go away, all faults stop, a process reads each journal, and time
    /// passes until nothing is in progress. Then every known cost must be in the ledger exactly once, or reported as
    /// lost.
    ///
    /// An operator's changes (a frozen budget, a revoked key) stay.
    ///
    /// # Errors
    /// The first invariant that was violated.
    pub fn finish(&mut self) -> Result<(), Violation> {
        let asleep = self.processes.iter().filter(|process| process.is_alive);
        if let Some(until) = asleep.map(|process| process.asleep_until).max() {
            self.run_for(until.saturating_sub(self.now))?;
        }
        self.log(|| "the faults stop".to_owned());
        self.clear_faults();
        self.set_server_down(false);
        self.journal.set_health(JournalHealth::Works);
        self.driver.slow_stores = 0.0;
        self.unhang_stores();
        for process in &mut self.processes {
            process.steps_left = None;
        }
        for job in 0..self.jobs.len() {
            if !self.is_over(JobId(job)) && !self.jobs[job].notes.was_left {
                self.abandon(JobId(job));
            }
        }
        // A run whose machine was lost in a panic keeps its file until its process ends.
        for at in 0..self.reservations.len() {
            let reservation = &self.reservations[at];
            let is_run = self.jobs[reservation.job.0].notes.run.is_some();
            if is_run && reservation.was_lost && self.is_alive(reservation.process) {
                self.restart(reservation.process);
            }
        }
        // Twice, because closed sessions may leave records to others until they end.
        for _ in 0..2 {
            self.start_missing_processes();
            self.run_until_or(REST, Self::has_come_to_rest)?;
        }
        self.run_for(Duration::from_secs(120))?;
        // A change that hung until now may have brought a record back, which must be settled as well.
        self.run_until_or(REST, Self::has_come_to_rest)?;
        let time = self.server_time();
        self.ledger.tick(time);
        self.check_end();
        self.verdict()
    }

    fn has_come_to_rest(&self) -> bool {
        self.busy_reservations()
            .all(|(_, reservation)| reservation.is_done)
            && self
                .living_sessions()
                .all(|(_, session)| session.calls.is_empty())
            && self.journal.is_quiet()
    }

    /// Starts a process for every directory that has records but no process.
    fn start_missing_processes(&mut self) {
        for index in (0..self.sessions.len()).rev() {
            let is_served = |caller: &CallerState| {
                let others = self.living_sessions().filter(|(_, it)| it.closed.is_none());
                let mut others = others.flat_map(|(_, session)| &session.callers);
                others.any(|other| other.journal.directory == caller.journal.directory)
            };
            if !self.sessions[index].callers.iter().all(is_served) {
                self.restart(self.sessions[index].process);
            }
        }
        for index in 0..self.processes.len() {
            if self.is_alive(ProcessId(index)) {
                self.flush(ProcessId(index));
            }
        }
    }

    fn check_end(&mut self) {
        for index in 0..self.reservations.len() {
            let reservation = &self.reservations[index];
            if !reservation.is_done && self.processes[reservation.process.0].is_alive {
                let checked = broken(
                    Rule::Ends,
                    format!(
                        "reservation {index} has not ended: {:?}",
                        self.sessions[reservation.session].machine
                    ),
                );
                self.keep_violation(Some(reservation.job), checked);
            }
        }
        for (index, process) in self.processes.iter().enumerate() {
            let is_closed = |session: &usize| self.sessions[*session].closed.is_some();
            if process.is_alive && process.sessions.iter().all(is_closed) {
                let checked = broken(
                    Rule::Ends,
                    format!("process {index} was closed but has not ended"),
                );
                return self.keep_violation(None, checked);
            }
        }
        let is_open = |(_, session): &(usize, &super::DrivenSession)| !session.calls.is_empty();
        let open = self.living_sessions().find(is_open).map(|(index, _)| index);
        if let Some(index) = open {
            let checked = broken(Rule::Ends, format!("a call of session {index} has no answer"));
            self.keep_violation(None, checked);
        }
        for index in 0..self.jobs.len() {
            let is_lost = self.live_origin(JobId(index)).is_none();
            let job = &self.jobs[index];
            let checked = job.check_known_to_someone(is_lost);
            let checked = checked.and_then(|()| job.check_kept(is_lost));
            self.keep_violation(Some(JobId(index)), checked);
        }
        self.check_marks_at_end();
        let payer = |id: &str| {
            let job = self.by_reservation.get(&ReservationId::from(id))?;
            self.jobs[job.0].notes.tenant.as_deref()
        };
        let checked = check_books(&self.ledger, self.jobs.iter(), payer);
        self.keep_violation(None, checked);
    }
}

/// The longest time that a world takes to come to rest after the faults: several times the longest pause that a server
/// can request.
const REST: Duration = Duration::from_secs(8 * 3_600);
