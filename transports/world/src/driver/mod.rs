//! The driver: executes the steps of a session, and checks the session as it goes.

mod calls;
mod journal;

use std::time::Duration;

use cycles_proto::Now;
use cycles_proto::session::{Key, Principal, ReservationKey, Step};

use super::audit::{ReservationWatch, broken};
use super::session::Seen;
use super::{ProcessId, Rule, World};

/// The most steps that a session may hand out at one time: far more than any session needs.
const STEPS_AT_ONCE: usize = 1_000;

impl World {
    /// Polls a session and executes its steps until it waits.
    pub(crate) fn drive(&mut self, index: usize) {
        let process = self.sessions[index].process;
        let now = self.processes[process.0].now(self.now);
        self.sessions[index].wake = None;
        self.note_poll(index, now);
        self.note_end_of_actions(index, now);
        for _ in 0..STEPS_AT_ONCE {
            if self.violation.is_some() || !self.processes[process.0].is_alive {
                return;
            }
            let step = self.sessions[index].machine.poll(now);
            self.steps += 1;
            let steps_left = &mut self.processes[process.0].steps_left;
            let is_last = steps_left.as_mut().is_some_and(|left| {
                *left = left.saturating_sub(1);
                *left == 0
            });
            // A process may end before it executes the step, or after.
            let is_cut = is_last && self.dice.chance(0.5);
            let rests = is_cut || self.execute(index, now, step);
            if is_last {
                return self.crash(process);
            }
            if rests {
                return;
            }
        }
        self.keep_violation(
            None,
            broken(Rule::Ends, format!("session {index} never comes to rest")),
        );
    }

    /// Executes a step. Returns whether it was a wait.
    fn execute(&mut self, index: usize, now: Now, step: Step) -> bool {
        let rests = matches!(step, Step::Wait(_));
        match step {
            Step::Send(call) => self.take_call(index, now, call),
            Step::Withdraw(ticket) => self.withdraw_call(index, now, ticket),
            Step::Store(ticket, principal, write) => {
                self.take_journal_change(index, now, ticket, principal, write);
            }
            Step::Scan {
                ticket, principal, ..
            } => self.take_scan(index, ticket, principal),
            Step::Unclaim(principal) => self.give_claim_back(index, principal),
            Step::Notify(observer, event) => self.deliver_event(index, now, observer, event),
            Step::Wait(until) => self.note_rest(index, now, until),
        }
        rests
    }

    /// Reports a poll to the audits: overdue work counts as answered.
    fn note_poll(&mut self, index: usize, now: Now) {
        for at in self.busy_of(index) {
            let is_held = self.grant_of(at).is_some();
            let reservation = &mut self.reservations[at];
            let is_late = reservation
                .watch
                .note_poll(now, is_held, &self.jobs[reservation.job.0]);
            let principal = self.sessions[index].callers[reservation.caller_index]
                .caller
                .principal();
            if is_late {
                self.counts.hung += 1;
                self.sessions[index].watch.set_journal_late(principal, true);
            }
        }
    }

    fn note_rest(&mut self, index: usize, now: Now, until: Option<Duration>) {
        let checked = ReservationWatch::check_wait_is_ahead(now, until);
        self.keep_violation(None, checked);
        self.sessions[index].watch.note_rest(now);
        for at in self.busy_of(index) {
            self.check_reservation_at_rest(index, at, now, until);
        }
        self.check_marks_told(index);
        self.check_waiters_woken(index);
        self.check_calls_at_rest(index, until);
        self.check_flushes_at_rest(index, now, until);
        self.check_shut_down_at_rest(index, now);
        self.end_closed_process(index);
        if self.dice.chance(self.driver.spurious_polls) {
            self.poll_needlessly(index, now, until);
        }
        let process = &self.processes[self.sessions[index].process.0];
        let mut wake = until.map(|until| process.at(until));
        if self.dice.chance(self.driver.late_polls) {
            let late = Duration::from_millis(self.dice.below(5_000));
            wake = wake.map(|wake| wake.saturating_add(late));
        }
        self.sessions[index].wake = wake;
    }

    fn check_reservation_at_rest(&mut self, index: usize, at: usize, now: Now, until: Option<Duration>) {
        self.note_charged_steps(at);
        let reservation = &self.reservations[at];
        let id = reservation.job;
        let Some(key) = reservation.key else { return };
        let is_over = self.sessions[index].machine.is_over(key);
        if is_over && !reservation.is_done {
            self.end_reservation(at);
        }
        let is_held = self.grant_of(at).is_some();
        let is_full = self.sessions[index].watch.is_full();
        let reservation = &mut self.reservations[at];
        let job = &self.jobs[id.0];
        let checked = match reservation.is_done {
            true => reservation.watch.check_reported(),
            false => {
                let is_origin = job.notes.origin == Some(at);
                let checked = reservation.watch.check_wait(job, now, until, is_held, is_full);
                match is_origin && job.notes.is_running && !is_held {
                    true => checked.and_then(|()| {
                        broken(
                            Rule::ActionGoesOn,
                            "its reservation was given up while the action ran",
                        )
                    }),
                    false => checked,
                }
            }
        };
        if reservation.is_done && reservation.watch.attempts.is_empty() && reservation.watch.stores.is_empty()
        {
            self.sessions[index].busy.remove(&at);
        }
        self.keep_violation(Some(id), checked);
    }

    /// Checks that nothing has changed for any waiting caller that was not woken.
    fn check_waiters_woken(&mut self, index: usize) {
        while let Some(key) = self.sessions[index].machine.pop_changed() {
            if let Key::Reservation(key) = key
                && let Some(at) = self.sessions[index].reservations.get(&key)
            {
                self.reservations[*at].seen = self.sessions[index].seen(key);
            }
        }
        for at in self.busy_of(index) {
            let reservation = &self.reservations[at];
            let job = reservation.job;
            let Some(key) = reservation
                .key
                .filter(|_| !reservation.is_forgotten && !reservation.watch.is_resumed)
            else {
                continue;
            };
            let seen: Seen = self.sessions[index].seen(key);
            if seen != reservation.seen {
                let what = format!(
                    "grant, receipt and outcome were {:?} and are now {seen:?}",
                    reservation.seen
                );
                self.keep_violation(Some(job), broken(Rule::WaiterWoken, what));
            }
        }
    }

    /// Checks that every unanswered call has an attempt in progress, unless the session's wait has a deadline.
    fn check_calls_at_rest(&mut self, index: usize, until: Option<Duration>) {
        let session = &mut self.sessions[index];
        let mut checked = Ok(());
        for call in session.calls.values_mut().filter(|call| !call.is_over) {
            if session.machine.answer(call.key).is_some() {
                call.is_over = true;
                self.counts.answered_calls += 1;
            } else if until.is_none() && call.attempts.is_empty() {
                checked = broken(
                    Rule::WaitsOnOutside,
                    "the session waits forever, but a call is not answered",
                );
            }
        }
        session.calls.retain(|_, call| !call.is_over);
        self.keep_violation(None, checked);
    }

    /// Polls needlessly, at the same time or at an earlier one.
    fn poll_needlessly(&mut self, index: usize, now: Now, until: Option<Duration>) {
        let glitch = Duration::from_millis(self.dice.below(3));
        // The whole state is a long text, so it is compared only now and then.
        let is_thorough = self.dice.chance(0.05);
        let machine = &mut self.sessions[index].machine;
        let before = is_thorough.then(|| format!("{machine:?}"));
        let earlier = Now {
            mono: now.mono.saturating_sub(glitch),
            ..now
        };
        let step = machine.poll(earlier);
        let after = is_thorough.then(|| format!("{machine:?}"));
        let checked = match step {
            Step::Wait(at) if at == until && before == after => Ok(()),
            Step::Wait(at) if at == until => broken(Rule::SpuriousPoll, "it changed the session"),
            other @ (Step::Send(_)
            | Step::Withdraw(_)
            | Step::Store(..)
            | Step::Scan { .. }
            | Step::Unclaim(_)
            | Step::Notify(..)
            | Step::Wait(_)) => broken(
                Rule::SpuriousPoll,
                format!("instead of waiting until {until:?} it returned {other:?}"),
            ),
        };
        self.keep_violation(None, checked);
    }

    /// The indices of a session's busy reservations.
    fn busy_of(&self, index: usize) -> Vec<usize> {
        self.sessions[index].busy.iter().copied().collect()
    }

    pub(crate) fn principal_of(&self, index: usize, caller_index: usize) -> Principal {
        self.sessions[index].callers[caller_index].caller.principal()
    }

    pub(crate) fn reservation_of(&self, index: usize, key: ReservationKey) -> Option<usize> {
        self.sessions[index].reservations.get(&key).copied()
    }

    /// The indices of a process's sessions.
    pub(crate) fn sessions_of(&self, process: ProcessId) -> Vec<usize> {
        self.processes[process.0].sessions.clone()
    }
}
