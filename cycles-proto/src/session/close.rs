//! The end of a session.

use super::outside::{Of, State};
use super::slab::SlabKey;
use super::{ReservationKey, Session};
use crate::outcome::{Failure, FailureKind};
use crate::time::Now;

/// How a session ends. Nothing new is begun in any of these ways: neither reservations nor calls, and no journal is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Close {
    /// What is under way goes on to its end: leases are kept, costs are taken and settled.
    WhenDone,
    /// The same, but whoever holds a reservation has left it: what it spent is committed, else its budget is given back.
    Leaving,
    /// Nothing is sent any more. What has to be on disk is written, and settled by a later run. Costs are taken as before,
    /// and budgets that are given back are free when their leases end.
    WritingOnly,
}

impl Session {
    /// Ends the session. A way that leaves less to be done may follow.
    pub fn close(&mut self, now: Now, how: Close) {
        let now = self.at(now);
        if self.closed.is_some_and(|before| before >= how) {
            return;
        }
        self.closed = Some(how);
        if how == Close::Leaving {
            for key in self.reservation_keys() {
                // What was told before stands, and nobody holds what an earlier run left.
                if self.reservation(key).is_some_and(|it| !it.is_resumed) {
                    self.abandon(now, key);
                }
            }
        }
        if how == Close::WritingOnly {
            self.fail_all(now);
        }
        self.principals.schedule_all();
    }

    /// How it was closed, if it was.
    pub fn closed(&self) -> Option<Close> {
        self.closed
    }

    /// Whether every change of a journal that was asked for was reported. A disk that hangs keeps this false.
    pub fn is_written(&self) -> bool {
        self.outside.is_written()
    }

    /// Whether a change of a journal is waited for: one that was asked for, is not reported, and is not too late.
    pub fn awaits_writes(&self) -> bool {
        self.outside.awaits_writes()
    }

    /// Whether one of this reservation is.
    pub fn awaits_write_of(&self, key: ReservationKey) -> bool {
        self.outside.awaits_write_of(key.0)
    }

    /// Whether nothing is under way: it was closed, and all has come to its end.
    pub fn is_idle(&self) -> bool {
        let is_over = |key: &ReservationKey| self.reservation(*key).is_none_or(|it| it.is_over);
        self.outside.is_empty()
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

    /// What is sent is withdrawn, and what waits for a place is not sent.
    fn fail_all(&mut self, now: Now) {
        let open: Vec<(SlabKey, Of)> = self.outside.exchanges().map(|(key, it)| (key, it.of)).collect();
        for (key, of) in open {
            self.fail(now, key, of);
        }
    }

    /// Nobody will answer this exchange.
    fn fail(&mut self, now: Now, key: SlabKey, of: Of) {
        let Some(exchange) = self.outside.exchange(key) else {
            return;
        };
        let kind = match (&exchange.state, exchange.begun) {
            (State::Withdrawn | State::WrittenOff, _) => return,
            (State::Placed, Some(_)) => FailureKind::Lost,
            (State::Queued(_) | State::Placed, _) => FailureKind::Withdrawn,
        };
        self.unanswered(now, key, of, Failure::new(kind));
        self.withdraw(now, key);
    }

    /// Whether new exchanges are refused.
    pub(super) fn sends_nothing(&self) -> bool {
        self.closed == Some(Close::WritingOnly)
    }
}
