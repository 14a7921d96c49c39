//! The interface for the driver: polling a session.

use core::time::Duration;

use super::entry::ReservationKey;
use super::outstanding_work::Of;
use super::places::Priority;
use super::slab::SlabKey;
use super::step::Step;
use super::timers::Timed;
use super::{Key, Session};
use crate::outcome::Event;
use crate::stats::Count;
use crate::step::Step as Asked;
use crate::time::Now;

impl Session {
    /// Returns the next thing to do. An unnecessary call changes nothing. Any thread with access to the session may
    /// call it.
    pub fn poll(&mut self, now: Now) -> Step {
        let now = self.at(now);
        self.lost.extend(self.acting.take());
        while let Some(key) = self.lost.pop() {
            self.recover(now, key);
        }
        loop {
            if let Some(step) = self.steps.pop_front() {
                if self.hand_out(now, &step) {
                    return step;
                }
                continue;
            }
            if let Some(timed) = self.timers.pop_due(now.mono) {
                self.fire(now, timed);
            } else if let Some(key) = self.due.pop_front() {
                self.poll_reservation(now, key);
            } else if let Some((priority, key)) = self.places.next() {
                self.place(now, priority, key);
            } else if let Some(principal) = self.principals.pop_due() {
                self.poll_principal(now, principal);
            } else {
                // First: the costs of actions that it ends are in the way of flushes.
                let goes_on = self.poll_shut_down(now);
                self.poll_flushes(now);
                // It may have waited for a flush.
                if !goes_on && !self.poll_shut_down(now) && self.is_at_rest() {
                    self.stats.set_in_flight(self.outstanding.in_flight());
                    return Step::Wait(self.timers.next());
                }
            }
        }
    }

    /// Whether the driver still has something to report: the result of a call, a write or a scan. If not, only the
    /// passing of time or a caller changes the session. For a test that moves the time, which must not overtake them.
    /// Overdue writes and attempts whose places were written off do not count, because they may never be reported.
    pub fn awaits_driver(&self) -> bool {
        self.outstanding.is_with_driver()
    }

    /// Whether polling again would change nothing.
    fn is_at_rest(&self) -> bool {
        self.steps.is_empty() && self.due.is_empty() && !self.principals.is_any_due()
    }

    fn fire(&mut self, now: Now, timed: Timed) {
        match timed {
            Timed::Outstanding(key) => self.run_out_of_time(now, key),
            Timed::Reservation(key) => {
                if let Some(reservation) = self.reservations.get_mut(key) {
                    reservation.timer = None;
                }
                self.schedule(key);
            }
            Timed::Principal(principal) => {
                if let Some(state) = self.principals.get_mut(principal) {
                    state.timer = None;
                }
                self.principals.schedule(principal);
            }
            // All flushes are polled once there is nothing else to do.
            Timed::Flush(key) => {
                if let Some(flush) = self.flushes.get_mut(key) {
                    flush.timer = None;
                }
            }
            Timed::ShutDown => self.shut_down_is_due(),
        }
    }

    /// Schedules a reservation for the next poll of the session.
    pub(super) fn schedule(&mut self, key: SlabKey) {
        if let Some(reservation) = self.reservations.get_mut(key)
            && !core::mem::replace(&mut reservation.is_due, true)
        {
            self.due.push_back(key);
        }
    }

    fn poll_reservation(&mut self, now: Now, key: SlabKey) {
        let Some(reservation) = self.reservations.get_mut(key) else {
            return;
        };
        reservation.is_due = false;
        let goes_on = match self.act(key, |machine| machine.poll(now)) {
            Some(Asked::Send(call)) => {
                self.ask(now, Of::Reservation(key), Priority::of(call.urgency), call);
                true
            }
            Some(Asked::Store(inner, write)) => {
                self.store(now, key, inner, write);
                true
            }
            Some(Asked::Notify(event)) => {
                self.tell(now, key, event);
                true
            }
            Some(Asked::Wait(at)) => self.rest(key, at),
            Some(Asked::Done) => {
                self.end(now, key);
                self.rest(key, None)
            }
            None => self.rest(key, None),
        };
        self.withdraw_what_is_not_awaited(now, key);
        if goes_on && let Some(reservation) = self.reservations.get_mut(key) {
            // To the front, so that the consequences of one action stay together.
            reservation.is_due = true;
            self.due.push_front(key);
        }
        self.remove_if_done_with(key);
    }

    fn rest(&mut self, key: SlabKey, until: Option<Duration>) -> bool {
        if let Some(reservation) = self.reservations.get_mut(key) {
            self.timers
                .change(Timed::Reservation(key), &mut reservation.timer, until);
            if !reservation.is_forgotten && !core::mem::replace(&mut reservation.is_changed, true) {
                self.changed.push_back(Key::Reservation(ReservationKey(key)));
            }
        }
        false
    }

    fn tell(&mut self, now: Now, key: SlabKey, event: Event) {
        let Some(reservation) = self.reservations.get_mut(key) else {
            return;
        };
        reservation.results.note(&event);
        let observer = reservation.observer;
        let principal = reservation.principal;
        if let Some(state) = self.principals.get_mut(principal) {
            state.tally.note(&event);
            state.counters().note(&event);
            if let Event::Granted { .. } = &event {
                let estimate = event.info().and_then(|info| info.estimate.as_ref());
                reservation.held = Some(state.counters().begin(estimate));
            }
            if let (Event::SettlementFailed { error, .. }, Some(id)) = (&event, &reservation.record) {
                state.last_errors.note(id, error);
            }
        }
        if let Event::SettlementFailed { error, .. } | Event::BeatFailed { error, .. } = &event {
            self.principals.observe(now, principal, Some(error));
        } else if let Event::Granted { .. } | Event::LeaseExtended { .. } | Event::SettledLate { .. } = &event
        {
            self.principals.observe(now, principal, None);
        }
        self.steps.push_back(Step::Notify(observer, event));
    }

    fn end(&mut self, now: Now, key: SlabKey) {
        let Some(reservation) = self.reservations.get_mut(key) else {
            return;
        };
        reservation.is_over = true;
        let principal = reservation.principal;
        let was_ending = core::mem::take(&mut reservation.is_ending);
        let record = reservation.record.take();
        let machine = reservation.machine();
        if let (Some(id), Some(state)) = (&record, self.principals.get_mut(principal)) {
            let receipt = machine.and_then(|machine| machine.receipt());
            state.last_errors.note_end(id, receipt.as_ref());
        }
        match record {
            Some(id) if reservation.is_resumed => {
                let outcome = machine.and_then(|machine| machine.outcome());
                self.principals.replayed(now, principal, &id, outcome);
            }
            record => {
                let receipt = machine.and_then(|machine| machine.receipt());
                self.principals
                    .ended(now, principal, was_ending, record.as_deref(), receipt.as_ref());
            }
        }
        self.count_end(key);
    }

    /// Takes a reservation that is over out of the numbers of this moment.
    fn count_end(&mut self, key: SlabKey) {
        let Some(reservation) = self.reservations.get_mut(key) else {
            return;
        };
        let (held, since) = (reservation.held.take(), reservation.settles_since.take());
        let Some(state) = self.principals.get_mut(reservation.principal) else {
            return;
        };
        if let Some(held) = held {
            state.counters().end(held);
        }
        match since {
            Some(since) => state.end_settling(since, key),
            None => state.publish(),
        }
    }

    pub(super) fn remove_if_done_with(&mut self, key: SlabKey) {
        if self
            .reservations
            .get(key)
            .is_some_and(|reservation| reservation.is_done_with())
        {
            self.reservations.remove(key);
        }
    }

    /// Recovers from a panic that destroyed the machine of a reservation; everything else is unaffected.
    fn recover(&mut self, now: Now, key: SlabKey) {
        let Some(reservation) = self.reservations.get_mut(key) else {
            return;
        };
        reservation.is_over = true;
        reservation.is_due = false;
        // The machine may have panicked while it handled an answer.
        reservation
            .attempts
            .retain(|attempt| self.outstanding.attempt(*attempt).is_some());
        let observer = reservation.observer;
        let reservation_id = reservation.record.as_ref().map(|id| id.reservation.clone());
        self.steps
            .push_back(Step::Notify(observer, Event::Panicked { reservation_id }));
        self.account_for_lost(now, key);
        self.withdraw_what_is_not_awaited(now, key);
        self.rest(key, None);
        self.remove_if_done_with(key);
    }

    /// Accounts for the cost of a reservation that was lost in a panic: its record, if it was written, is all that is
    /// left. Until that is known, the reservation counts as ending.
    pub(super) fn account_for_lost(&mut self, now: Now, key: SlabKey) {
        let Some(reservation) = self.reservations.get_mut(key) else {
            return;
        };
        let is_lost = reservation.is_over && reservation.machine().is_none();
        if !is_lost || self.outstanding.has_record_of(key) {
            return;
        }
        let was_ending = core::mem::take(&mut reservation.is_ending);
        let record = reservation.record.take();
        let (principal, has_record) = (reservation.principal, reservation.has_record);
        match &record {
            Some(id) if reservation.is_resumed => self.principals.replayed(now, principal, id, None),
            Some(_) | None => {
                self.principals
                    .ended(now, principal, was_ending, record.as_deref(), None);
            }
        }
        if let (true, false, Some(state)) = (was_ending, has_record, self.principals.get_mut(principal)) {
            state.tally.note_lost();
            state.counters().add(Count::Unrecorded);
        }
        self.count_end(key);
    }
}
