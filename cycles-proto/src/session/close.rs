//! The end of a session.

use super::outstanding_work::{Of, State};
use super::slab::SlabKey;
use super::{Entry, ReservationKey, Session};
use crate::outcome::{Failure, FailureKind};
use crate::reservation::Reservation;
use crate::time::Now;

/// How a session ends. In every case, no new reservation or call is started. [`Session::close`] does it at once, and no
/// journal is read any more; [`Session::shut_down`] first waits for the actions and settles what it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Close {
    /// Everything under way continues to its end: leases are extended, and costs are accepted and settled.
    WhenDone,
    /// Like [`WhenDone`](Self::WhenDone), but reservations are [abandoned](Session::abandon): reported spending is
    /// committed, or the estimate if a request was dispatched; if there is neither, the budget is given back. A
    /// [`shut_down`](Session::shut_down) first asks the actions to stop, and abandons only those that still run when its
    /// time is up.
    Leaving,
    /// Nothing is sent any more. Costs are still accepted and written to disk, and a later run settles them. Released
    /// budgets are free when their leases end.
    WritingOnly,
}

impl Session {
    /// Closes the session. Calling it again can only make the close stricter, in the order of [`Close`]. From
    /// [`Close::Leaving`] on, what the ledger would have decided about an action in shadow mode that has ended is not waited
    /// for any more, and is reported as unknown.
    pub fn close(&mut self, now: Now, how: Close) {
        let now = self.at(now);
        if self.closed.is_some_and(|before| before >= how) {
            return;
        }
        self.closed = Some(how);
        if how == Close::Leaving {
            for key in self.reservation_keys() {
                // This does not change an end that is already decided. Reservations of earlier runs have no caller.
                if self.reservation(key).is_some_and(|it| !it.is_resumed) {
                    self.abandon(now, key);
                }
            }
        }
        if how == Close::WritingOnly {
            self.fail_all(now);
        }
        if how >= Close::Leaving {
            self.give_up_checks();
        }
        self.principals.schedule_all();
    }

    /// How the session was closed, if it was.
    pub fn closed(&self) -> Option<Close> {
        self.closed
    }

    /// Whether all requested changes to journals have been reported. This stays `false` while a disk hangs.
    pub fn is_written(&self) -> bool {
        self.outstanding.is_written()
    }

    /// Whether the session waits for a change to a journal that is requested, not reported and not overdue.
    pub fn awaits_writes(&self) -> bool {
        self.outstanding.awaits_writes()
    }

    /// Whether a cost could be lost if the process ended now: a change to a journal is awaited, or a known cost is
    /// neither settled nor in a record.
    pub fn has_costs_at_risk(&self) -> bool {
        let is_at_risk = |entry: &Entry| entry.machine().is_some_and(Reservation::has_cost_in_memory);
        self.awaits_writes() || self.reservations.iter().any(|(_, entry)| is_at_risk(entry))
    }

    /// Whether the session waits for a change to this reservation's record.
    pub fn awaits_write_of(&self, key: ReservationKey) -> bool {
        self.outstanding.awaits_write_of(key.0)
    }

    /// Whether nothing is under way, so that a closed session is finished.
    pub fn is_idle(&self) -> bool {
        let is_over = |key: &ReservationKey| self.reservation(*key).is_none_or(|it| it.is_over);
        self.outstanding.is_empty()
            && self.steps.is_empty()
            && self.due.is_empty()
            && self.reservation_keys().iter().all(is_over)
    }

    fn reservation_keys(&self) -> Vec<ReservationKey> {
        self.reservations
            .iter()
            .map(|(key, _)| ReservationKey(key))
            .collect()
    }

    /// Withdraws all attempts that have been sent, and drops those that wait for a place.
    fn fail_all(&mut self, now: Now) {
        let open: Vec<(SlabKey, Of)> = self
            .outstanding
            .attempts()
            .map(|(key, it)| (key, it.of))
            .collect();
        for (key, of) in open {
            self.fail(now, key, of);
        }
    }

    /// Fails an attempt that will get no answer.
    fn fail(&mut self, now: Now, key: SlabKey, of: Of) {
        let Some(attempt) = self.outstanding.attempt(key) else {
            return;
        };
        let kind = match (&attempt.state, attempt.begun) {
            (State::Withdrawn | State::WrittenOff, _) => return,
            (State::Placed, Some(_)) => FailureKind::Lost,
            (State::Queued(_) | State::Placed, _) => FailureKind::Withdrawn,
        };
        self.unanswered(now, key, of, Failure::new(kind));
        self.withdraw(now, key);
    }

    /// Whether new attempts are refused.
    pub(super) fn sends_nothing(&self) -> bool {
        self.closed == Some(Close::WritingOnly)
    }
}
