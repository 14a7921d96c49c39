//! The driver's side: what is to be done next, and what came of it.

use core::time::Duration;

use super::caller::{ObserverId, Principal};
use super::outside::{self, Exchange, Of, Outside, State, Write};
use super::places::Kind;
use super::plain::{CallId, Next};
use super::reservation::{Reservation, ReservationKey};
use super::slab::SlabKey;
use super::step::{Scanned, Step};
use super::timers::Timed;
use super::{Key, Session};
use crate::answer::Answer;
use crate::call::{Call, Failure, FailureKind, Ticket};
use crate::journal::record::Mode;
use crate::journal::{JournalWrite, STORE_DEADLINE, StoreFailure};
use crate::replayer::Replay;
use crate::step::{Event, Step as Asked};
use crate::time::Now;

/// How long a place that is asked back is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

impl Session {
    /// The next thing to do. A needless call changes nothing. Any thread that has the session may ask.
    pub fn poll(&mut self, now: Now) -> Step {
        let now = self.at(now);
        self.lost.extend(self.acting.take());
        while let Some(key) = self.lost.pop() {
            self.recover(now, key);
        }
        loop {
            if let Some(step) = self.steps.pop_front() {
                if self.hands_out(now, &step) {
                    return step;
                }
                continue;
            }
            if let Some(timed) = self.timers.pop_due(now.mono) {
                self.time_has_come(now, timed);
            } else if let Some(key) = self.due.pop_front() {
                self.poll_reservation(now, key);
            } else if let Some((kind, key)) = self.places.next() {
                self.place(now, kind, key);
            } else if let Some(principal) = self.principals.pop_due() {
                self.poll_principal(now, principal);
            } else {
                self.poll_flushes(now);
                if self.is_at_rest() {
                    return Step::Wait(self.timers.next());
                }
            }
        }
    }

    /// The first byte of a call is about to leave. If it must not, because nobody waits for it any more, that is told, and
    /// the call is [handled](Self::handle) as one that was not sent.
    pub fn begun(&mut self, now: Now, ticket: Ticket) -> bool {
        let now = self.at(now);
        let Some(exchange) = self.outside.exchange(outside::key(ticket)) else {
            return false;
        };
        let may_begin = matches!(exchange.state, State::Placed);
        if may_begin {
            exchange.begun.get_or_insert(now.mono);
        }
        may_begin
    }

    /// What came of a call, as its [reader](Call::reader) read it.
    pub fn handle(&mut self, now: Now, ticket: Ticket, answer: Answer) {
        let now = self.at(now);
        let key = outside::key(ticket);
        let Some(mut exchange) = self.outside.take_exchange(key) else {
            return;
        };
        self.timers.change(Timed::Outside(key), &mut exchange.armed, None);
        if matches!(exchange.state, State::Placed | State::Withdrawn) {
            self.places.leave(exchange.kind);
        }
        // Of an attempt whose beginning was not told it is known when it was handed out.
        let sent = match answer.is_failure() {
            true => exchange.begun,
            false => exchange.begun.or(exchange.handed_out),
        };
        self.deliver(now, exchange.of, exchange.inner, sent, answer);
        self.is_not_outside(key, exchange.of);
    }

    /// A change of a journal was made, or could not be.
    pub fn handle_stored(&mut self, now: Now, ticket: Ticket, stored: Result<(), StoreFailure>) {
        let now = self.at(now);
        let key = outside::key(ticket);
        let Some(mut write) = self.outside.take_write(key) else {
            return;
        };
        self.timers.change(Timed::Outside(key), &mut write.armed, None);
        if let (Ok(()), Some(principal)) = (&stored, self.principals.get_mut(write.principal)) {
            principal.is_journal_late = false;
        }
        match write.is_late {
            false => {
                self.act(write.reservation, |machine| {
                    machine.handle_stored(now, write.inner, stored)
                });
            }
            true if stored.is_ok() => self.stored_late(now, &write),
            true => {}
        }
        self.is_due(write.reservation);
    }

    /// A journal was read; `None` if it could not be. Tells whether the claim that came with it is to be kept, until it is
    /// [given back](Step::Unclaim).
    pub fn handle_scanned(&mut self, now: Now, ticket: Ticket, scanned: Option<Scanned>) -> bool {
        let now = self.at(now);
        let Some((principal, inner)) = self.outside.take_reading(outside::key(ticket)) else {
            return false;
        };
        self.principals.is_due(principal);
        let Some(state) = self.principals.get_mut(principal) else {
            return false;
        };
        let Some(replayer) = &mut state.replayer else {
            return false;
        };
        let Some(scanned) = scanned else {
            replayer.handle_unreadable(now, inner);
            return false;
        };
        state.tally.note_scan(scanned.set_aside, scanned.unread);
        match scanned.has_claim {
            true => replayer.handle_scanned(now, inner, scanned.records),
            false => replayer.handle_claimed(now, inner, scanned.records),
        }
        state.has_claim = scanned.has_claim && self.closed.is_none();
        let is_kept = state.has_claim;
        for event in scanned.events {
            self.steps.push_back(Step::Notify(ObserverId::default(), event));
        }
        is_kept
    }

    /// Whether polling it again would change nothing.
    fn is_at_rest(&self) -> bool {
        self.steps.is_empty() && self.due.is_empty() && !self.principals.is_any_due()
    }

    fn time_has_come(&mut self, now: Now, timed: Timed) {
        match timed {
            Timed::Outside(key) => self.is_overdue(now, key),
            Timed::Reservation(key) => {
                if let Some(reservation) = self.reservations.get_mut(key) {
                    reservation.armed = None;
                }
                self.is_due(key);
            }
            Timed::Principal(principal) => {
                if let Some(state) = self.principals.get_mut(principal) {
                    state.armed = None;
                }
                self.principals.is_due(principal);
            }
            Timed::Flush(key) => self.flush_is_due(now, key),
        }
    }

    /// It is polled as soon as the session is.
    pub(super) fn is_due(&mut self, key: SlabKey) {
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
                self.ask(now, Of::Reservation(key), Kind::of(call.urgency), call);
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
            Some(Asked::Wait(at)) => self.rests(key, at),
            Some(Asked::Done) => {
                self.ends(now, key);
                self.rests(key, None)
            }
            None => self.rests(key, None),
        };
        self.withdraw_what_is_not_awaited(now, key);
        if goes_on && let Some(reservation) = self.reservations.get_mut(key) {
            // Before others: what one act leads to stays together.
            reservation.is_due = true;
            self.due.push_front(key);
        }
        self.remove_if_done_with(key);
    }

    fn rests(&mut self, key: SlabKey, until: Option<Duration>) -> bool {
        if let Some(reservation) = self.reservations.get_mut(key) {
            self.timers
                .change(Timed::Reservation(key), &mut reservation.armed, until);
            if !reservation.is_forgotten {
                self.changed.push_back(Key::Reservation(ReservationKey(key)));
            }
        }
        false
    }

    fn tell(&mut self, now: Now, key: SlabKey, event: Event) {
        let Some(reservation) = self.reservations.get_mut(key) else {
            return;
        };
        reservation.told.note(&event);
        let observer = reservation.observer;
        let principal = reservation.principal;
        if let Some(state) = self.principals.get_mut(principal) {
            state.tally.note(&event);
        }
        if let Event::SettlementFailed { error, .. } | Event::BeatFailed { error, .. } = &event {
            self.principals.observe(now, principal, Some(error));
        } else if let Event::Granted { .. } | Event::LeaseExtended { .. } | Event::SettledLate { .. } = &event
        {
            self.principals.observe(now, principal, None);
        }
        self.steps.push_back(Step::Notify(observer, event));
    }

    fn ends(&mut self, now: Now, key: SlabKey) {
        let Some(reservation) = self.reservations.get_mut(key) else {
            return;
        };
        reservation.is_over = true;
        let principal = reservation.principal;
        let was_ending = core::mem::take(&mut reservation.is_ending);
        let record = reservation.record.take();
        let machine = reservation.machine();
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

    /// A panic took the machine of a reservation along: nothing else is concerned.
    fn recover(&mut self, now: Now, key: SlabKey) {
        let Some(reservation) = self.reservations.get_mut(key) else {
            return;
        };
        reservation.is_over = true;
        reservation.is_due = false;
        let was_ending = core::mem::take(&mut reservation.is_ending);
        let record = reservation.record.take();
        let (observer, principal) = (reservation.observer, reservation.principal);
        match &record {
            Some(id) if reservation.is_resumed => self.principals.replayed(now, principal, id, None),
            _ => {
                self.principals
                    .ended(now, principal, was_ending, record.as_deref(), None);
            }
        }
        if let (true, None, Some(state)) = (was_ending, &record, self.principals.get_mut(principal)) {
            state.tally.note_lost();
        }
        let reservation_id = record.map(|id| id.reservation);
        self.steps
            .push_back(Step::Notify(observer, Event::Panicked { reservation_id }));
        self.withdraw_what_is_not_awaited(now, key);
        self.rests(key, None);
        self.remove_if_done_with(key);
    }
}

/// Exchanges.
impl Session {
    /// Has a call made as soon as there is a place for it.
    pub(super) fn ask(&mut self, now: Now, of: Of, mut kind: Kind, call: Call) {
        let deadline = now.mono.saturating_add(call.timeout);
        let inner = call.ticket;
        let key = self.outside.insert(Outside::Exchange(Exchange {
            of,
            inner,
            kind,
            asks_for_a_reservation: call.reader.asks_for_a_reservation(),
            asked: now.mono,
            timeout: call.timeout,
            state: State::Queued(Box::new(Call {
                ticket: Ticket(0),
                ..call
            })),
            handed_out: None,
            begun: None,
            armed: None,
        }));
        match of {
            Of::Reservation(reservation) => {
                if let Some(reservation) = self.reservations.get_mut(reservation) {
                    reservation.exchanges.push(key);
                    if reservation.is_helped && !matches!(kind, Kind::Lease(_)) {
                        kind = Kind::Own;
                    }
                }
            }
            Of::Call(call) => {
                if let Some(plain) = self.calls.get_mut(call) {
                    plain.attempt = Some(key);
                }
            }
        }
        if self.sends_nothing() {
            return self.is_not_sent(now, key, FailureKind::NoRuntime);
        }
        if let Some(exchange) = self.outside.exchange(key) {
            exchange.kind = kind;
        }
        self.arm_exchange(key, Some(deadline));
        self.places.wait(kind, key);
    }

    /// Its turn has come.
    fn place(&mut self, now: Now, kind: Kind, key: SlabKey) {
        let Some(exchange) = self.outside.exchange(key) else {
            return self.places.leave(kind);
        };
        let State::Queued(call) = core::mem::replace(&mut exchange.state, State::Placed) else {
            return self.places.leave(kind);
        };
        let (of, inner, asked) = (exchange.of, exchange.inner, exchange.asked);
        let deadline = now.mono.saturating_add(exchange.timeout);
        match of {
            // It keeps the time itself.
            Of::Reservation(reservation) => {
                self.arm_exchange(key, None);
                if asked != now.mono {
                    self.act(reservation, |machine| machine.placed(now, inner));
                    self.is_due(reservation);
                }
            }
            Of::Call(call) => {
                self.arm_exchange(key, Some(deadline));
                if let Some(plain) = self.calls.get_mut(call) {
                    plain.began.get_or_insert(now.mono);
                }
            }
        }
        let ticket = outside::ticket(key);
        self.steps.push_back(Step::Send(Call { ticket, ..*call }));
    }

    /// Whether there is still something to do: what is withdrawn may have been answered by now.
    fn hands_out(&mut self, now: Now, step: &Step) -> bool {
        match step {
            Step::Send(call) => {
                let exchange = self.outside.exchange(outside::key(call.ticket));
                exchange
                    .map(|exchange| exchange.handed_out = Some(now.mono))
                    .is_some()
            }
            Step::Withdraw(ticket) => self.outside.exchange(outside::key(*ticket)).is_some(),
            Step::Store(..) | Step::Scan { .. } | Step::Unclaim(_) | Step::Notify(..) | Step::Wait(_) => true,
        }
    }

    /// The time of something outside is over.
    fn is_overdue(&mut self, now: Now, key: SlabKey) {
        if let Some(exchange) = self.outside.exchange(key) {
            exchange.armed = None;
            let of = exchange.of;
            match exchange.state {
                State::Queued(_) => self.is_not_sent(now, key, FailureKind::Queued),
                State::Placed => {
                    self.unanswered(now, key, of, Failure::new(FailureKind::Timeout));
                    self.withdraw(now, key);
                }
                State::Withdrawn => self.write_off(key),
                State::WrittenOff => {}
            }
        } else if let Some(write) = self.outside.write(key) {
            write.armed = None;
            self.is_late(now, key);
        }
    }

    /// It had no place, or none that is of use.
    fn is_not_sent(&mut self, now: Now, key: SlabKey, why: FailureKind) {
        self.arm_exchange(key, None);
        if let Some(exchange) = self.outside.take_exchange(key) {
            let answer = Answer::none(Failure::new(why));
            self.deliver(now, exchange.of, exchange.inner, None, answer);
            self.is_not_outside(key, exchange.of);
        }
    }

    /// Whoever waits for its answer gets none.
    pub(super) fn unanswered(&mut self, now: Now, key: SlabKey, of: Of, failure: Failure) {
        let Some(exchange) = self.outside.exchange(key) else {
            return;
        };
        let (inner, sent) = (exchange.inner, exchange.begun);
        self.deliver(now, of, inner, sent, Answer::none(failure));
    }

    fn deliver(&mut self, now: Now, of: Of, inner: Ticket, sent: Option<Duration>, answer: Answer) {
        match of {
            Of::Reservation(key) => {
                if !self.is_somebody_elses(key, inner, &answer) {
                    self.act(key, |machine| machine.handle(now, inner, sent, answer));
                }
                if let Some(reservation) = self.reservations.get_mut(key) {
                    // A grant that comes too late is given back.
                    reservation.is_over &= reservation.machine().is_none_or(crate::Lifecycle::is_done);
                }
                self.is_due(key);
            }
            Of::Call(key) => self.call_is_answered(now, key, inner, answer),
        }
    }

    /// Whether a grant that nobody waits for any more is another's of this session: the callers gave both the same key.
    fn is_somebody_elses(&self, key: SlabKey, inner: Ticket, answer: &Answer) -> bool {
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

    fn call_is_answered(&mut self, now: Now, key: SlabKey, inner: Ticket, answer: Answer) {
        let Some(plain) = self.calls.get_mut(key).filter(|plain| plain.awaits(inner)) else {
            return;
        };
        plain.attempt = None;
        let (principal, kind) = (plain.principal, plain.kind);
        match plain.answered(now.mono, answer) {
            Some(Next::Attempt(call)) => self.ask(now, Of::Call(key), kind, *call),
            Some(Next::Over(error)) => {
                self.principals.observe(now, principal, error.as_ref());
                self.changed.push_back(Key::Call(CallId(key)));
            }
            None => {}
        }
    }

    /// Nobody waits for it any more.
    pub(super) fn withdraw(&mut self, now: Now, key: SlabKey) {
        let Some(exchange) = self.outside.exchange(key) else {
            return;
        };
        let (of, kind, is_handed_out) = (exchange.of, exchange.kind, exchange.handed_out.is_some());
        match exchange.state {
            State::Placed if is_handed_out => {
                exchange.state = State::Withdrawn;
                self.arm_exchange(key, Some(now.mono.saturating_add(PATIENCE)));
                self.steps.push_back(Step::Withdraw(outside::ticket(key)));
            }
            State::Placed => {
                let ticket = outside::ticket(key);
                self.steps
                    .retain(|step| !matches!(step, Step::Send(call) if call.ticket == ticket));
                self.places.leave(kind);
                self.is_gone(key, of);
            }
            State::Queued(_) => self.is_gone(key, of),
            State::Withdrawn | State::WrittenOff => {}
        }
    }

    fn withdraw_what_is_not_awaited(&mut self, now: Now, key: SlabKey) {
        let mut at = 0;
        while let Some((exchange, is_awaited)) = self.nth_exchange(key, at) {
            if !is_awaited {
                self.withdraw(now, exchange);
            }
            // One that went makes room for the next.
            let is_still_there = self.nth_exchange(key, at).is_some_and(|(now, _)| now == exchange);
            at += usize::from(is_still_there);
        }
    }

    fn nth_exchange(&mut self, key: SlabKey, at: usize) -> Option<(SlabKey, bool)> {
        let reservation = self.reservations.get(key)?;
        let exchange = *reservation.exchanges.get(at)?;
        let machine = reservation.machine();
        let inner = self.outside.exchange(exchange)?.inner;
        Some((exchange, machine.is_some_and(|machine| machine.awaits(inner))))
    }

    /// It did not give its place back in time.
    fn write_off(&mut self, key: SlabKey) {
        let Some(exchange) = self.outside.exchange(key) else {
            return;
        };
        exchange.state = State::WrittenOff;
        let (of, kind, may_bring_a_grant) = (exchange.of, exchange.kind, exchange.asks_for_a_reservation);
        self.places.leave(kind);
        let (observer, reservation_id) = self.observer_of(of);
        let event = Event::PlaceWrittenOff { reservation_id };
        self.steps.push_back(Step::Notify(observer, event));
        if !may_bring_a_grant {
            self.is_gone(key, of);
        } else if let Some((oldest, exchange)) = self.outside.is_written_off(key) {
            self.is_not_outside(oldest, exchange.of);
        }
    }

    fn observer_of(&self, of: Of) -> (ObserverId, Option<crate::models::ReservationId>) {
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

    /// It is outside no more, and nothing came of it.
    fn is_gone(&mut self, key: SlabKey, of: Of) {
        self.arm_exchange(key, None);
        self.outside.take_exchange(key);
        self.is_not_outside(key, of);
    }

    fn is_not_outside(&mut self, key: SlabKey, of: Of) {
        if let Of::Reservation(reservation) = of {
            if let Some(reservation) = self.reservations.get_mut(reservation) {
                reservation.exchanges.retain(|exchange| *exchange != key);
            }
            self.remove_if_done_with(reservation);
        }
    }

    fn arm_exchange(&mut self, key: SlabKey, at: Option<Duration>) {
        if let Some(exchange) = self.outside.exchange(key) {
            self.timers.change(Timed::Outside(key), &mut exchange.armed, at);
        }
    }
}

/// The journal.
impl Session {
    fn store(&mut self, now: Now, key: SlabKey, inner: Ticket, write: JournalWrite) {
        let Some(reservation) = self.reservations.get_mut(key) else {
            return;
        };
        let principal = reservation.principal;
        let is_recorded = reservation.machine().is_some_and(crate::Lifecycle::is_recorded);
        let puts = matches!(write, JournalWrite::Put(_));
        let mut may_wait = false;
        if let JournalWrite::Put(record) = &write {
            // The record that is there keeps the cost safe, and is not to be contradicted by an event.
            may_wait = is_recorded && record.mode() == Mode::Event;
            if reservation.record.is_none() {
                reservation.record = Some(Box::new(record.id().clone()));
                self.principals
                    .replay(principal, |replayer| replayer.live(record.id().clone()));
            }
        }
        let outside = self.outside.insert(Outside::Write(Write {
            reservation: key,
            principal,
            inner,
            puts,
            is_late: false,
            armed: None,
        }));
        self.steps
            .push_back(Step::Store(outside::ticket(outside), principal, write));
        let is_hanging = self
            .principals
            .get(principal)
            .is_some_and(|it| it.is_journal_late);
        if may_wait {
            return;
        }
        if is_hanging {
            return self.is_late(now, outside);
        }
        let deadline = now.mono.saturating_add(STORE_DEADLINE);
        if let Some(write) = self.outside.write(outside) {
            self.timers
                .change(Timed::Outside(outside), &mut write.armed, Some(deadline));
        }
    }

    /// A change of the journal takes too long: what waits for it goes on.
    fn is_late(&mut self, now: Now, key: SlabKey) {
        let Some(write) = self.outside.write(key) else {
            return;
        };
        write.is_late = true;
        let (reservation, inner, principal) = (write.reservation, write.inner, write.principal);
        let was_late = match self.principals.get_mut(principal) {
            Some(principal) => core::mem::replace(&mut principal.is_journal_late, true),
            None => false,
        };
        let message = match was_late {
            false => format!("the journal has not answered for {STORE_DEADLINE:?}: the disk may hang"),
            true => {
                "the journal did not answer in time before, and has not since: the disk may hang".to_owned()
            }
        };
        self.act(reservation, |machine| {
            machine.handle_stored(now, inner, Err(StoreFailure::new(message)))
        });
        self.is_due(reservation);
    }

    /// A record was made after all.
    fn stored_late(&mut self, now: Now, write: &Write) {
        if !write.puts {
            return;
        }
        let is_over = self
            .reservations
            .get(write.reservation)
            .is_none_or(|reservation| reservation.is_over);
        if !is_over {
            self.act(write.reservation, |machine| machine.is_recorded_late(write.inner));
        } else {
            // Whoever had the cost is gone: what there is of it by now is seen to.
            self.principals
                .replay(write.principal, |replayer| replayer.wake(now));
        }
    }

    fn poll_principal(&mut self, now: Now, principal: Principal) {
        let Some(state) = self.principals.get_mut(principal) else {
            return;
        };
        let next = match (&mut state.replayer, self.closed) {
            (Some(replayer), None) => replayer.poll(now),
            (Some(_), Some(_)) | (None, _) => Replay::Wait(None),
        };
        match next {
            Replay::Scan { ticket, with_stale } => {
                self.unclaim(principal);
                let key = self.outside.insert(Outside::Reading(principal, ticket));
                let ticket = outside::ticket(key);
                self.steps.push_back(Step::Scan {
                    ticket,
                    principal,
                    with_stale,
                });
            }
            Replay::Settle(id, life) => {
                self.principals.is_due(principal);
                let mut reservation = Reservation::new(*life, principal, ObserverId::default());
                reservation.record = Some(Box::new(id));
                reservation.is_resumed = true;
                reservation.is_forgotten = true;
                let key = self.reservations.insert(reservation);
                self.is_due(key);
            }
            Replay::Wait(until) => {
                self.timers
                    .change(Timed::Principal(principal), &mut state.armed, until);
                let is_at_work = state
                    .replayer
                    .as_ref()
                    .is_some_and(|replayer| replayer.is_at_work());
                if !is_at_work || self.closed.is_some() {
                    self.unclaim(principal);
                }
            }
        }
    }

    fn unclaim(&mut self, principal: Principal) {
        if let Some(state) = self.principals.get_mut(principal)
            && core::mem::take(&mut state.has_claim)
        {
            self.steps.push_back(Step::Unclaim(principal));
        }
    }
}
