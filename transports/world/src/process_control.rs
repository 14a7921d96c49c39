//! Controls processes (start, crash, sleep), their clocks, and the server.

use std::sync::Arc;
use std::time::Duration;

use cycles_proto::CyclesConfig;
use cycles_proto::record::{JournalRecord, file_name};
use cycles_proto::session::Session;

use super::World;
use super::job::{JobId, ProcessId};
use super::journal::Remains;
use super::process::Process;
use super::session::{CallerId, CallerState, DrivenSession};

/// Control of processes.
impl World {
    /// Starts a process of the default tenant, which first replays its journal.
    pub fn start_process(&mut self) -> ProcessId {
        self.start_process_with(Self::config())
    }

    /// Starts a process with this configuration, which must have the world's URL: derive it from [`World::config`].
    pub fn start_process_with(&mut self, config: CyclesConfig) -> ProcessId {
        let id = ProcessId(self.processes.len());
        self.processes.push(Process::new(self.now));
        self.log(|| format!("{id} starts"));
        self.add_session(id, Arc::new(config));
        id
    }

    /// Starts a process with the same sessions and callers, and the same wall-clock error.
    ///
    /// # Panics
    /// If the process does not belong to this world.
    pub fn restart(&mut self, process: ProcessId) -> ProcessId {
        let id = ProcessId(self.processes.len());
        let mut fresh = Process::new(self.now);
        fresh.ahead_ms = self.processes[process.0].ahead_ms;
        self.processes.push(fresh);
        self.log(|| format!("{id} starts, as {process} did"));
        for session in self.sessions_of(process) {
            let callers = self.sessions[session].callers.iter();
            let mut configs = callers
                .map(|caller| Arc::clone(caller.config()))
                .collect::<Vec<_>>();
            let caller = self.add_session(id, configs.remove(0));
            for config in configs {
                self.add_caller_to(caller.session, config);
            }
        }
        id
    }

    /// Adds another client to a process: a separate session, which first replays its journal.
    ///
    /// # Panics
    /// If the process does not belong to this world.
    pub fn add_session(&mut self, process: ProcessId, config: Arc<CyclesConfig>) -> CallerId {
        let index = self.sessions.len();
        let seed = self.seed();
        let mut machine = (self.make)(Session::new(Arc::clone(&config), seed));
        machine.set_places(self.places);
        self.sessions
            .push(DrivenSession::new(process, machine, self.places));
        self.processes[process.0].sessions.push(index);
        self.add_caller_to(index, config)
    }

    /// Adds another key or tenant to the session of a caller.
    ///
    /// # Panics
    /// If the caller does not belong to this world.
    pub fn add_caller(&mut self, beside: CallerId, config: Arc<CyclesConfig>) -> CallerId {
        self.add_caller_to(beside.session, config)
    }

    /// The first caller of a process.
    ///
    /// # Panics
    /// If the process does not belong to this world.
    pub fn caller(&self, process: ProcessId) -> CallerId {
        let session = self.processes[process.0].sessions[0];
        CallerId {
            session,
            caller_index: 0,
        }
    }

    /// All callers of a process.
    ///
    /// # Panics
    /// If the process does not belong to this world.
    pub fn callers(&self, process: ProcessId) -> Vec<CallerId> {
        let sessions = self.processes[process.0].sessions.iter();
        let callers = sessions.flat_map(|&session| {
            let callers = 0..self.sessions[session].callers.len();
            callers.map(move |caller_index| CallerId {
                session,
                caller_index,
            })
        });
        callers.collect()
    }

    fn add_caller_to(&mut self, index: usize, config: Arc<CyclesConfig>) -> CallerId {
        let caller = self.sessions[index].machine.caller(config);
        let callers = &mut self.sessions[index].callers;
        let id = CallerId {
            session: index,
            caller_index: callers.len(),
        };
        callers.push(CallerState::new(caller, index));
        self.flush_for(id, Duration::ZERO);
        id
    }

    /// Crashes a process. Requests that were sent still arrive; chance decides what remains of unfinished changes to
    /// the journal.
    ///
    /// # Panics
    /// If the process does not belong to this world.
    pub fn crash(&mut self, process: ProcessId) {
        let remains = match self.dice.below(4) {
            0 => Remains::Torn,
            // More operations than most changes have.
            _ => Remains::After(self.dice.below(12) as u32),
        };
        self.crash_leaving(process, remains);
    }

    /// Crashes a process; `remains` decides what remains of unfinished changes to the journal.
    ///
    /// # Panics
    /// If the process does not belong to this world.
    pub fn crash_leaving(&mut self, process: ProcessId, remains: Remains) {
        if !core::mem::replace(&mut self.processes[process.0].is_alive, false) {
            return;
        }
        self.log(|| format!("{process} crashes"));
        let mut ended = Vec::new();
        for (at, reservation) in self.reservations.iter().enumerate() {
            let notes = &self.jobs[reservation.job.0].notes;
            if reservation.process == process && notes.origin == Some(at) {
                ended.push((reservation.job, self.jobs[reservation.job.0].check_marked()));
                let notes = &mut self.jobs[reservation.job.0].notes;
                notes.is_running = false;
                notes.ended = Some(self.now);
            }
        }
        self.crash_stores(process, remains);
        for (job, checked) in ended {
            self.keep_violation(Some(job), checked);
            self.note_orphaned(job);
        }
        for session in self.sessions_of(process) {
            self.claims.retain(|_, holder| *holder != session);
            for caller in &self.sessions[session].callers {
                self.journal.end(&caller.journal);
            }
        }
    }

    /// Crashes a process once its sessions have handed out this many more steps. The last step may or may not be
    /// executed.
    ///
    /// # Panics
    /// If the process does not belong to this world.
    pub fn crash_after(&mut self, process: ProcessId, steps: u64) {
        self.processes[process.0].steps_left = Some(steps.max(1));
    }

    /// Lets a process sleep, like a suspended computer: its clocks continue, and nothing runs.
    ///
    /// # Panics
    /// If the process does not belong to this world.
    pub fn suspend(&mut self, process: ProcessId, time: Duration) {
        self.log(|| format!("{process} sleeps for {time:?}"));
        let until = self.now.saturating_add(time);
        let process = &mut self.processes[process.0];
        process.asleep_until = process.asleep_until.max(until);
    }

    /// Restores the record of a job as it was first stored, as an outdated process or a disk backup might. Whatever has
    /// happened to the cost since, it must not be charged again.
    pub fn restore_first_record(&mut self, job: JobId) {
        let Some((directory, record)) = self.jobs[job.0].notes.first_record.clone() else {
            return;
        };
        let name = file_name(record.reservation_id());
        // The record of another cost of the same reservation is not overwritten.
        let is_anothers = |(of, at, bytes): (&str, &str, &bytes::Bytes)| {
            let there = JournalRecord::parse(bytes);
            (of, at) == (directory.as_str(), name.as_str())
                && there.is_ok_and(|there| there.id() != record.id())
        };
        if !self.journal.files().any(is_anothers) {
            self.log(|| format!("{job}: its first record is put back"));
            self.jobs[job.0].notes.was_put_back = true;
            self.journal.put_file(&directory, &name, record.to_json());
        }
    }

    /// Whether a process has not crashed.
    pub fn is_alive(&self, process: ProcessId) -> bool {
        self.processes[process.0].is_alive
    }
}

/// Control of the clocks and the server.
impl World {
    /// Sets the wall clock of a process forward by this many milliseconds, or back.
    ///
    /// # Panics
    /// If the process does not belong to this world.
    pub fn jump_clock(&mut self, process: ProcessId, by_ms: i64) {
        self.log(|| format!("the clock of {process} jumps by {by_ms} ms"));
        let ahead_ms = &mut self.processes[process.0].ahead_ms;
        *ahead_ms = ahead_ms.saturating_add(by_ms);
    }

    /// Sets the server's clock forward by this many milliseconds, or back. Reservations that had expired by then are
    /// swept first.
    pub fn jump_server_clock(&mut self, by_ms: i64) {
        self.log(|| format!("the server's clock jumps by {by_ms} ms"));
        let time = self.server_time();
        self.ledger.tick(time);
        self.ledger.sweep(time);
        self.server_ahead_ms = self.server_ahead_ms.saturating_add(by_ms);
    }

    /// Takes the server down, so that nothing can connect to it, or brings it back with its state.
    pub fn set_server_down(&mut self, is_down: bool) {
        self.log(|| format!("the server is {}", if is_down { "down" } else { "up" }));
        self.is_server_down = is_down;
    }
}
