//! Attempts: from the request for a call to its result.

use core::time::Duration;

use super::caller::{ObserverId, Principal};
use super::calls::{CallId, Next};
use super::idle_connections::Since;
use super::outstanding_work::{self, Attempt, Of, Outstanding, State};
use super::places::Priority;
use super::slab::SlabKey;
use super::step::Step;
use super::timers::Timed;
use super::{Key, Session};
use crate::models::ReservationId;
use crate::outcome::{Event, Failure, FailureKind};
use crate::reservation::Reservation;
use crate::stats::Count;
use crate::ticket::Ticket;
use crate::time::Now;
use crate::wire::{Answer, Call};

/// How long a withdrawn attempt may keep its place.
const PATIENCE: Duration = Duration::from_secs(1);

impl Session {
    /// Reports that the first byte of a call is about to be sent. If this returns `false`, nobody waits for the call
    /// any more: do not send it, and [report](Self::handle) it as not sent.
    pub fn begun(&mut self, now: Now, ticket: Ticket) -> bool {
        let now = self.at(now);
        let Some(attempt) = self.outstanding.attempt(outstanding_work::key(ticket)) else {
            return false;
        };
        let may_begin = matches!(attempt.state, State::Placed);
        if may_begin {
            attempt.begun.get_or_insert(now.mono);
        }
        may_begin
    }

    /// Reports the result of a call, as its [reader](Call::reader) read it.
    pub fn handle(&mut self, now: Now, ticket: Ticket, answer: Answer) {
        let now = self.at(now);
        let key = outstanding_work::key(ticket);
        // An attempt that was not handed out cannot have a result.
        let is_known = |attempt: &mut Attempt| attempt.handed_out.is_some();
        if !self.outstanding.attempt(key).is_some_and(is_known) {
            return;
        }
        let Some(mut attempt) = self.outstanding.take_attempt(key) else {
            return;
        };
        self.timers
            .change(Timed::Outstanding(key), &mut attempt.timer, None);
        if matches!(attempt.state, State::Placed | State::Withdrawn) {
            self.places.leave(attempt.priority);
        }
        // If the beginning was not reported, the time at which it was handed out is the best guess.
        let sent = match answer.failure() {
            Some(_) => attempt.begun,
            None => attempt.begun.or(attempt.handed_out),
        };
        // If it was withdrawn, its failure is already noted.
        if let (State::Placed, Some(failure)) = (&attempt.state, answer.failure()) {
            self.idle_connections.note_failure(attempt.since, failure.kind());
        }
        self.deliver(now, attempt.of, attempt.inner, sent, answer);
        self.unlink(key, attempt.of);
    }

    /// Queues a call, to be made as soon as there is a place for it.
    pub(super) fn ask(&mut self, now: Now, of: Of, priority: Priority, call: Call) {
        let priority = self.priority_for(of, priority);
        let key = self.outstanding.insert(Outstanding::Attempt(Attempt {
            of,
            inner: call.ticket,
            priority,
            asks_for_a_reservation: call.reader.asks_for_a_reservation(),
            timeout: call.timeout,
            end: Duration::MAX,
            since: Since::default(),
            state: State::Placed,
            handed_out: None,
            begun: None,
            timer: None,
        }));
        self.link(key, of);
        if self.sends_nothing() {
            self.fail_unsent(now, key, FailureKind::Withdrawn);
        } else if self.places.take(priority) {
            self.send_out(now, key, call);
        } else {
            let inner = call.ticket;
            let mut deadline = now.mono.saturating_add(call.timeout);
            // An extension waits for a place until its lease ends: giving up earlier would lose the lease.
            if let (Priority::Lease(ends), Of::Reservation(reservation)) = (priority, of) {
                deadline = deadline.max(ends);
                self.act(reservation, |machine| machine.queued(now, inner, deadline));
            }
            if let Some(attempt) = self.outstanding.attempt(key) {
                attempt.state = State::Queued(Box::new(call));
            }
            self.set_attempt_timer(key, Some(deadline));
            self.places.wait(priority, self.principal_of(of), key);
        }
    }

    /// Gives a place to an attempt whose turn has come.
    pub(super) fn place(&mut self, now: Now, priority: Priority, key: SlabKey) {
        let attempt = self.outstanding.attempt(key);
        let state = attempt.map(|attempt| core::mem::replace(&mut attempt.state, State::Placed));
        match state {
            Some(State::Queued(call)) => {
                if self.end_wait(now, key) {
                    self.send_out(now, key, *call);
                } else {
                    self.places.leave(priority);
                    self.fail_unsent(now, key, FailureKind::Withdrawn);
                }
            }
            // The attempt does not wait any more.
            Some(State::Placed | State::Withdrawn | State::WrittenOff) | None => self.places.leave(priority),
        }
    }

    /// Notifies a reservation that its call has a place. The reservation times its calls itself, and the time starts
    /// now, however short the wait was. Returns whether the call may still be sent.
    fn end_wait(&mut self, now: Now, key: SlabKey) -> bool {
        if let Some(Attempt {
            of: Of::Reservation(reservation),
            inner,
            ..
        }) = self.outstanding.attempt(key)
        {
            let (reservation, inner) = (*reservation, *inner);
            let may_be_sent = self.act(reservation, |machine| machine.placed(now, inner));
            self.schedule(reservation);
            return may_be_sent.unwrap_or(true);
        }
        true
    }

    /// Sends an attempt that has a place; its time starts now.
    fn send_out(&mut self, now: Now, key: SlabKey, call: Call) {
        let Some(attempt) = self.outstanding.attempt(key) else {
            return;
        };
        let (fresh, since) = self.idle_connections.note_call();
        let end = now.mono.saturating_add(attempt.timeout);
        (attempt.since, attempt.end) = (since, end);
        match attempt.of {
            // A reservation times its calls itself.
            Of::Reservation(_) => self.set_attempt_timer(key, None),
            Of::Call(call) => {
                self.set_attempt_timer(key, Some(end));
                if let Some(plain) = self.calls.get_mut(call) {
                    plain.began.get_or_insert(now.mono);
                }
            }
        }
        let ticket = outstanding_work::ticket(key);
        self.steps.push_back(Step::Send(Call {
            ticket,
            fresh,
            ..call
        }));
    }

    /// Adjusts the priority of a call: one that a blocked caller makes for its reservation takes no place.
    fn priority_for(&self, of: Of, priority: Priority) -> Priority {
        let is_helped = match of {
            Of::Reservation(key) => self.reservations.get(key).is_some_and(|it| it.is_helped),
            Of::Call(_) => false,
        };
        match priority {
            // An extension must not wait for a caller, and a caller does not wait for a check.
            Priority::Lease(_) | Priority::Check => priority,
            Priority::Settlement | Priority::Reservation | Priority::Plain | Priority::Own if is_helped => {
                Priority::Own
            }
            Priority::Settlement | Priority::Reservation | Priority::Plain | Priority::Own => priority,
        }
    }

    fn principal_of(&self, of: Of) -> Principal {
        let principal = match of {
            Of::Reservation(key) => self.reservations.get(key).map(|it| it.principal),
            Of::Call(key) => self.calls.get(key).map(|it| it.principal),
        };
        principal.unwrap_or(Principal(0))
    }

    fn link(&mut self, key: SlabKey, of: Of) {
        match of {
            Of::Reservation(reservation) => {
                if let Some(reservation) = self.reservations.get_mut(reservation) {
                    reservation.attempts.push(key);
                }
            }
            Of::Call(call) => {
                if let Some(plain) = self.calls.get_mut(call) {
                    plain.attempt = Some(key);
                }
            }
        }
    }

    /// Marks a step as handed out. Returns `false` if it is obsolete: the call has been withdrawn, or the withdrawn
    /// call has been answered.
    pub(super) fn hand_out(&mut self, now: Now, step: &Step) -> bool {
        match step {
            Step::Send(call) => self
                .outstanding
                .hand_out(outstanding_work::key(call.ticket), now.mono),
            Step::Withdraw(ticket) => self.outstanding.attempt(outstanding_work::key(*ticket)).is_some(),
            Step::Scan { ticket, .. } => self.begin_reading(now, outstanding_work::key(*ticket)),
            Step::Store(..) | Step::Unclaim(_) | Step::Notify(..) | Step::Wait(_) => true,
        }
    }

    /// Handles the deadline of an attempt, a write or a scan.
    pub(super) fn run_out_of_time(&mut self, now: Now, key: SlabKey) {
        if let Some(attempt) = self.outstanding.attempt(key) {
            attempt.timer = None;
            let of = attempt.of;
            match attempt.state {
                State::Queued(_) => self.fail_unsent(now, key, FailureKind::Queued),
                State::Placed => {
                    self.unanswered(now, key, of, Failure::new(FailureKind::Timeout));
                    self.withdraw(now, key);
                }
                State::Withdrawn => self.write_off(key),
                State::WrittenOff => {}
            }
        } else if let Some(write) = self.outstanding.write(key) {
            write.timer = None;
            self.give_up_write(now, key);
        } else if let Some(reading) = self.outstanding.reading(key) {
            reading.timer = None;
            self.give_up_reading(now, key);
        }
    }

    /// Fails an attempt that was not sent.
    fn fail_unsent(&mut self, now: Now, key: SlabKey, why: FailureKind) {
        self.set_attempt_timer(key, None);
        if let Some(attempt) = self.outstanding.take_attempt(key) {
            let answer = Answer::none(Failure::new(why));
            self.deliver(now, attempt.of, attempt.inner, None, answer);
            self.unlink(key, attempt.of);
        }
    }

    /// Delivers a failure to the reservation or call that waits for an answer.
    pub(super) fn unanswered(&mut self, now: Now, key: SlabKey, of: Of, failure: Failure) {
        let Some(attempt) = self.outstanding.attempt(key) else {
            return;
        };
        let (inner, sent) = (attempt.inner, attempt.begun);
        self.deliver(now, of, inner, sent, Answer::none(failure));
    }

    fn deliver(&mut self, now: Now, of: Of, inner: Ticket, sent: Option<Duration>, answer: Answer) {
        match of {
            Of::Reservation(key) => {
                if !self.belongs_to_another(key, inner, &answer) {
                    self.act(key, |machine| machine.handle(now, inner, sent, answer));
                }
                if let Some(reservation) = self.reservations.get_mut(key) {
                    // A grant that arrives too late is given back.
                    reservation.is_over &= reservation.machine().is_none_or(Reservation::is_done);
                }
                self.schedule(key);
            }
            Of::Call(key) => self.answer_call(now, key, answer),
        }
    }

    /// Whether a grant that nobody waits for belongs to another reservation of this session, because the callers used
    /// the same key for both.
    fn belongs_to_another(&self, key: SlabKey, inner: Ticket, answer: &Answer) -> bool {
        let Some((reservation, id)) = self.reservations.get(key).zip(answer.grants()) else {
            return false;
        };
        let is_awaited = reservation.machine().is_some_and(|machine| machine.awaits(inner));
        let Some(own_key) = reservation.own_key.as_ref().filter(|_| !is_awaited) else {
            return false;
        };
        self.reservations.iter().any(|(other, it)| {
            let grant = it.machine().and_then(|machine| machine.grant());
            let holds_it = grant.is_some_and(|grant| grant.reservation_id == *id);
            let asks_for_it = !it.is_over && it.own_key.as_ref() == Some(own_key);
            other != key && (holds_it || asks_for_it)
        })
    }

    fn answer_call(&mut self, now: Now, key: SlabKey, answer: Answer) {
        let Some(plain) = self.calls.get_mut(key) else {
            return;
        };
        plain.attempt = None;
        let (principal, priority) = (plain.principal, plain.priority);
        match plain.answered(now.mono, answer) {
            Some(Next::Attempt(call)) => self.ask(now, Of::Call(key), priority, *call),
            Some(Next::Over(error)) => {
                let charged = plain.charged();
                if let (Some((amount, is_event)), Some(state)) = (charged, self.principals.get_mut(principal))
                {
                    if is_event {
                        state.counters().add(Count::Events);
                    }
                    if let Some(amount) = amount {
                        state.counters().charge(&amount);
                    }
                }
                self.principals.observe(now, principal, error.as_ref());
                self.changed.push_back(Key::Call(CallId(key)));
            }
            None => {}
        }
    }

    /// Withdraws attempts that have not begun, because the caller left. If the reservation may have been made anyway,
    /// they are still sent, so that it can be given back.
    pub(super) fn withdraw_what_did_not_begin(&mut self, now: Now, key: SlabKey) {
        let is_sure = |machine: &Reservation| !machine.may_be_reserved();
        let reservation = self.reservations.get(key);
        let Some(reservation) = reservation.filter(|it| it.machine().is_some_and(is_sure)) else {
            return;
        };
        for attempt in reservation.attempts.clone() {
            let did_not_begin = |it: &mut Attempt| it.begun.is_none();
            if self.outstanding.attempt(attempt).is_some_and(did_not_begin) {
                let withdrawn = Failure::new(FailureKind::Withdrawn);
                self.unanswered(now, attempt, Of::Reservation(key), withdrawn);
                self.withdraw(now, attempt);
            }
        }
    }

    /// Withdraws an attempt that nobody waits for any more.
    pub(super) fn withdraw(&mut self, now: Now, key: SlabKey) {
        let Some(attempt) = self.outstanding.attempt(key) else {
            return;
        };
        let (of, priority, is_handed_out) = (attempt.of, attempt.priority, attempt.handed_out.is_some());
        match attempt.state {
            State::Placed if is_handed_out => {
                attempt.state = State::Withdrawn;
                if now.mono >= attempt.end {
                    self.idle_connections
                        .note_failure(attempt.since, FailureKind::Timeout);
                }
                self.set_attempt_timer(key, Some(now.mono.saturating_add(PATIENCE)));
                self.steps
                    .push_back(Step::Withdraw(outstanding_work::ticket(key)));
            }
            State::Placed => {
                self.places.leave(priority);
                self.drop_attempt(key, of);
            }
            State::Queued(_) => self.drop_attempt(key, of),
            State::Withdrawn | State::WrittenOff => {}
        }
    }

    pub(super) fn withdraw_what_is_not_awaited(&mut self, now: Now, key: SlabKey) {
        let mut at = 0;
        while let Some((attempt, is_awaited)) = self.nth_attempt(key, at) {
            if !is_awaited {
                self.withdraw(now, attempt);
            }
            // If the attempt was removed, the next one is now at this index.
            let is_still_there = self.nth_attempt(key, at).is_some_and(|(now, _)| now == attempt);
            at += usize::from(is_still_there);
        }
    }

    fn nth_attempt(&mut self, key: SlabKey, at: usize) -> Option<(SlabKey, bool)> {
        let reservation = self.reservations.get(key)?;
        let attempt = *reservation.attempts.get(at)?;
        let machine = reservation.machine();
        let inner = self.outstanding.attempt(attempt)?.inner;
        Some((attempt, machine.is_some_and(|machine| machine.awaits(inner))))
    }

    /// Writes off the place of an attempt that did not give it back in time.
    fn write_off(&mut self, key: SlabKey) {
        let Some(attempt) = self.outstanding.attempt(key) else {
            return;
        };
        attempt.state = State::WrittenOff;
        let (of, priority, may_bring_a_grant) =
            (attempt.of, attempt.priority, attempt.asks_for_a_reservation);
        self.places.leave(priority);
        let (observer, reservation_id) = self.observer_of(of);
        let event = Event::PlaceWrittenOff { reservation_id };
        self.steps.push_back(Step::Notify(observer, event));
        if !may_bring_a_grant {
            self.drop_attempt(key, of);
        } else if let Some((oldest, attempt)) = self.outstanding.remember_written_off(key) {
            self.unlink(oldest, attempt.of);
        }
    }

    fn observer_of(&self, of: Of) -> (ObserverId, Option<ReservationId>) {
        match of {
            Of::Reservation(key) => self.reservations.get(key).map_or_else(Default::default, |it| {
                let grant = it.machine().and_then(|machine| machine.grant());
                (it.observer, grant.map(|grant| grant.reservation_id.clone()))
            }),
            Of::Call(key) => {
                let observer = self.calls.get(key).map(|plain| plain.observer);
                (observer.unwrap_or_default(), None)
            }
        }
    }

    /// Removes an attempt without a result.
    fn drop_attempt(&mut self, key: SlabKey, of: Of) {
        self.set_attempt_timer(key, None);
        self.outstanding.take_attempt(key);
        self.unlink(key, of);
    }

    fn unlink(&mut self, key: SlabKey, of: Of) {
        if let Of::Reservation(reservation) = of {
            if let Some(reservation) = self.reservations.get_mut(reservation) {
                reservation.attempts.retain(|attempt| *attempt != key);
                if reservation.attempts.is_empty() {
                    // Frees the memory of the empty list.
                    reservation.attempts = Vec::new();
                }
            }
            self.remove_if_done_with(reservation);
        }
    }

    fn set_attempt_timer(&mut self, key: SlabKey, at: Option<Duration>) {
        if let Some(attempt) = self.outstanding.attempt(key) {
            self.timers
                .change(Timed::Outstanding(key), &mut attempt.timer, at);
        }
    }
}
