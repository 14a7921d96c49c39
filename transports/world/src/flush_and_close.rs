//! Flushes, the end of sessions, and checks of what both report.

use std::time::Duration;

use cycles_proto::session::Close;
use cycles_proto::{Flushed, Now};

use super::audit::broken;
use super::job::JobId;
use super::journal::Remains;
use super::provider::Due;
use super::session::{CallerId, PendingFlush, PendingShutDown};
use super::{ProcessId, Rule, World};

/// How long after its deadline a flush may end, for a last look at the journal.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// The duration of a flush that the world itself starts.
const A_WHILE: Duration = Duration::from_secs(20);

impl World {
    /// Flushes all callers of a process.
    pub fn flush(&mut self, process: ProcessId) {
        for session in self.sessions_of(process) {
            for caller_index in 0..self.sessions[session].callers.len() {
                self.flush_for(
                    CallerId {
                        session,
                        caller_index,
                    },
                    A_WHILE,
                );
            }
        }
    }

    /// Flushes a caller for this long, and checks the result.
    pub fn flush_for(&mut self, caller: CallerId, time: Duration) {
        let CallerId {
            session: index,
            caller_index,
        } = caller;
        let Some(now) = self.wake_up(index) else { return };
        self.log(|| format!("{caller} flushes for {time:?}"));
        let until = now.mono.saturating_add(time);
        let session = &mut self.sessions[index];
        let key = session
            .machine
            .flush(now, &session.callers[caller_index].caller, until);
        let since = self.now;
        session.flushes.push(PendingFlush {
            key,
            caller_index,
            since,
            until,
            was_due: None,
        });
        self.drive(index);
    }

    /// Closes the sessions of a process. Depending on `how`, the process ends once nothing is in progress or everything
    /// is written.
    pub fn close(&mut self, process: ProcessId, how: Close) {
        for index in self.sessions_of(process) {
            let Some(now) = self.wake_up(index) else { return };
            self.log(|| format!("{process} closes session {index}: {how:?}"));
            let session = &mut self.sessions[index];
            session.closed = session.closed.max(Some(how));
            session.watch.note_close(how);
            if how >= Close::Leaving {
                self.note_all_leaving(index, |_, _| true);
            }
            if how >= Close::Leaving {
                // A session that only writes is first closed as `Leaving`: its callers end with the process.
                self.sessions[index].machine.close(now, Close::Leaving);
                self.abandon_all(index, now);
            }
            self.sessions[index].machine.close(now, how);
            self.drive(index);
        }
    }

    /// Drops the guards of a session. It may have been closed before, in a way that left them alone.
    fn abandon_all(&mut self, index: usize, now: Now) {
        let session = &mut self.sessions[index];
        let ours = self.reservations.iter().filter(|of| of.session == index);
        for key in ours.filter_map(|reservation| reservation.key) {
            session.machine.abandon(now, key);
        }
    }

    /// Ends the sessions of a process in steps that take this long at most. The process ends like after
    /// [`close`](Self::close).
    pub fn shut_down(&mut self, process: ProcessId, how: Close, time: Duration) {
        for index in self.sessions_of(process) {
            let Some(now) = self.wake_up(index) else { return };
            self.log(|| format!("{process} shuts session {index} down within {time:?}: {how:?}"));
            if how >= Close::Leaving {
                // Callers that wait for a grant get none any more.
                self.note_all_leaving(index, |world, at| world.grant_of(at).is_none());
                self.note_all_finishing(index);
            }
            let session = &mut self.sessions[index];
            let until = now.mono.saturating_add(time);
            session.shut_down = Some(PendingShutDown {
                how,
                since: self.now,
                until,
                is_noted: false,
                was_due: None,
            });
            session.machine.shut_down(now, how, until);
            if how == Close::WritingOnly {
                self.sessions[index].watch.note_close(how);
            }
            self.drive(index);
        }
    }

    /// Before a poll: when the time of a session that ends in steps is up, it ends the actions that still run, as far as
    /// that loses no cost.
    pub(super) fn note_end_of_actions(&mut self, index: usize, now: Now) {
        let Some(ending) = &mut self.sessions[index].shut_down else {
            return;
        };
        if ending.until > now.mono || core::mem::replace(&mut ending.is_noted, true) {
            return;
        }
        let is_stopped = ending.how >= Close::Leaving;
        self.note_all_leaving(index, |world, at| {
            let job = world.reservations[at].job;
            // The cost of a dispatched action may still come.
            is_stopped || matches!(world.due(job), Due::Spent(_))
        });
        self.note_all_finishing(index);
    }

    /// Notes that the runs of a session are finished.
    fn note_all_finishing(&mut self, index: usize) {
        for job in 0..self.jobs.len() {
            let origin = self.jobs[job].notes.origin;
            if origin.is_some_and(|at| self.reservations[at].session == index) {
                self.note_finishing(JobId(job));
            }
        }
    }

    fn note_all_leaving(&mut self, index: usize, leaves: impl Fn(&Self, usize) -> bool) {
        for job in 0..self.jobs.len() {
            let origin = self.jobs[job].notes.origin;
            if origin.is_some_and(|at| self.reservations[at].session == index && leaves(self, at)) {
                self.note_leaving(JobId(job));
            }
        }
    }

    /// Checks that a session that ends in steps is over in time, and that its report is true.
    pub(super) fn check_shut_down_at_rest(&mut self, index: usize, now: Now) {
        let Some(mut ending) = self.sessions[index].shut_down.take() else {
            return;
        };
        if let Some(left) = self.sessions[index].machine.left_at_end() {
            self.log(|| format!("session {index} is shut down: {left:?}"));
            self.counts.shut_down += 1;
            let session = &mut self.sessions[index];
            session.closed = session.closed.max(Some(ending.how));
            session.watch.note_close(ending.how);
            let callers = if left.is_complete() {
                session.callers.len()
            } else {
                0
            };
            for caller in 0..callers {
                self.check_flushed(index, caller, &left, Some(ending.since));
            }
            return;
        }
        if ending.until <= now.mono {
            ending.was_due.get_or_insert(now.mono);
        }
        let end = ending.was_due.unwrap_or(ending.until).saturating_add(LAST_LOOK);
        if now.mono >= end {
            let what = format!("session {index} had to be shut down at {:?}", ending.until);
            self.keep_violation(None, broken(Rule::FlushEnds, what));
        }
        self.sessions[index].shut_down = Some(ending);
    }

    /// Checks that every flush past its deadline has ended, and that its report is true.
    pub(super) fn check_flushes_at_rest(&mut self, index: usize, now: Now, until: Option<Duration>) {
        let open = core::mem::take(&mut self.sessions[index].flushes);
        for mut flush in open {
            if let Some(flushed) = self.sessions[index].machine.flushed(flush.key) {
                self.log(|| format!("session {index} has flushed: {flushed:?}"));
                self.check_flushed(index, flush.caller_index, &flushed, Some(flush.since));
                self.sessions[index].machine.forget_flush(flush.key);
                continue;
            }
            if flush.until <= now.mono {
                flush.was_due.get_or_insert(now.mono);
            }
            let end = flush.was_due.unwrap_or(flush.until).saturating_add(LAST_LOOK);
            if now.mono >= end || until.is_none_or(|until| until > end) {
                let what = format!(
                    "the session waits until {until:?}, but a flush had to end at {:?}",
                    flush.until
                );
                self.keep_violation(None, broken(Rule::FlushEnds, what));
            }
            self.sessions[index].flushes.push(flush);
        }
    }

    /// Ends the process of a closed session, once all its sessions are done.
    pub(super) fn end_closed_process(&mut self, index: usize) {
        let process = self.sessions[index].process;
        let is_over = |index: &usize| {
            let session = &self.sessions[*index];
            match session.closed {
                Some(Close::WhenDone | Close::Leaving) => session.machine.is_idle(),
                Some(Close::WritingOnly) => session.machine.is_written(),
                None => false,
            }
        };
        let sessions = self.sessions_of(process);
        if !sessions.iter().all(is_over) {
            return;
        }
        for index in sessions {
            self.check_costs_kept(index);
        }
        self.counts.closed += 1;
        self.log(|| format!("{process} ends"));
        self.crash_leaving(process, Remains::Nothing);
    }

    /// Checks that a finished session has left no cost that only it knows, except those that it reports.
    fn check_costs_kept(&mut self, index: usize) {
        for caller_index in 0..self.sessions[index].callers.len() {
            let left = self.costs_left(index, caller_index);
            let only_here = self.only_here(index, caller_index);
            if only_here > left.unrecorded + left.ending {
                let what = format!("{only_here} costs end with the session, but it reports {left:?}");
                self.keep_violation(None, broken(Rule::ClosedWithCosts, what));
            }
        }
    }

    pub(super) fn costs_left(&mut self, index: usize, caller_index: usize) -> Flushed {
        let now = self.time_of(index);
        let session = &mut self.sessions[index];
        session.machine.left(now, &session.callers[caller_index].caller)
    }
}
