//! The interface for callers: their actions on a session, and the results that they wait for.

use core::time::Duration;
use std::fmt;
use std::sync::Arc;

use super::caller::{Caller, ObserverId};
use super::calls::{CallId, CallKey, PlainCall};
use super::entry::{Entry, ReservationKey};
use super::outstanding_work::{self, Of, Outstanding};
use super::places::Priority;
use super::slab::SlabKey;
use super::{Key, Session};
use crate::config::{ConfigError, Mode};
use crate::idempotency::Seed;
use crate::journal::record::Purpose;
use crate::meter::{End, Meter, Settle};
use crate::models::{
    Amount, CommitRequest, ReservationCreateRequest, ReservationCreateResponse, ReservationId,
};
use crate::outcome::{Error, Grant, InvalidCommit, Outcome, Receipt, ReleaseReason};
use crate::reservation::{Reservation, Results};
use crate::ticket::Ticket;
use crate::time::{Now, UnixMillis};
use crate::wire::Operation;

/// The key of a manual extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendKey {
    reservation: ReservationKey,
    ticket: Ticket,
}

/// Actions of callers. Each takes effect at once.
impl Session {
    /// Requests a reservation. Levels that the request's subject leaves out come from the caller's configuration.
    ///
    /// If the caller is in [shadow mode](crate::Mode::Shadow) and the request is not a dry run, it is granted at once,
    /// with a made-up id, and nothing is held.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit, [`Error::Closed`] if the session is closed or shuts down. In
    /// both cases nothing is sent.
    pub fn reserve(
        &mut self,
        now: Now,
        caller: &Caller,
        request: ReservationCreateRequest,
        seed: Seed,
    ) -> Result<ReservationKey, Error> {
        let now = self.at(now);
        self.check(caller)?;
        if caller.mode == Mode::Shadow && !request.dry_run {
            return Ok(self.shadow(now, caller, request, seed));
        }
        let own_key = request.idempotency_key.clone().map(Box::new);
        let machine = Reservation::new(Arc::clone(&caller.config), request, seed)?.spread_beats();
        let mut reservation = Entry::new(machine, caller.principal, caller.observer);
        reservation.own_key = own_key;
        reservation.is_helped = caller.is_blocking;
        self.principals.start_replay(caller.principal);
        let key = self.reservations.insert(reservation);
        self.schedule(key);
        Ok(ReservationKey(key))
    }

    /// Raises the reported spend to at least this amount; a lower amount changes nothing. If no cost is handed over
    /// later, this amount is committed.
    ///
    /// # Errors
    /// [`InvalidCommit`] if the amount could not be committed; [`InvalidCommit::AlreadyCommitted`] once a cost has been
    /// handed over.
    pub fn spent(&mut self, key: ReservationKey, amount: &Amount) -> Result<(), InvalidCommit> {
        self.act(key.0, |machine| machine.spent(amount))
            .unwrap_or(Err(InvalidCommit::NotHeld))
    }

    /// Commits the cost of the action. From now on the cost is known: it is settled in any case, or kept where a person
    /// can find it.
    ///
    /// # Errors
    /// [`InvalidCommit`] if the cost could not be committed; the reservation is then unchanged.
    pub fn commit(
        &mut self,
        now: Now,
        key: ReservationKey,
        request: CommitRequest,
    ) -> Result<(), InvalidCommit> {
        let now = self.at(now);
        let taken = self.act(key.0, |machine| machine.commit(now, request));
        self.schedule(key.0);
        taken.unwrap_or(Err(InvalidCommit::NotHeld))?;
        self.note_ending(now, key.0);
        Ok(())
    }

    /// Gives the budget back, because the action did not run or spent nothing. If [spending](Self::spent) was reported,
    /// that amount is committed instead. If there is none, but a request was [dispatched](Self::dispatched), the
    /// action's [policy](Self::set_on_error) decides.
    pub fn release(&mut self, now: Now, key: ReservationKey, reason: ReleaseReason) {
        let now = self.at(now);
        if self.act(key.0, |machine| machine.release(now, reason)).is_some() {
            self.withdraw_what_did_not_begin(now, key.0);
            self.note_ending(now, key.0);
            self.schedule(key.0);
        }
    }

    /// Ends a reservation whose caller has gone away, like a [release](Self::release). A cost that was handed over
    /// before is settled as usual. The decision is made in `reservation/held.rs`.
    pub fn abandon(&mut self, now: Now, key: ReservationKey) {
        self.release(now, key, ReleaseReason::ABANDONED);
    }

    /// Forgets the reservation: the caller will not ask for it any more. If its end is still open, it is
    /// [abandoned](Self::abandon).
    pub fn forget(&mut self, now: Now, key: ReservationKey) {
        let now = self.at(now);
        // A record that a person sent again is settled by the replay from now on.
        if self.reservation(key).is_some_and(|it| !it.is_resumed) {
            self.abandon(now, key);
        }
        if let Some(reservation) = self.reservations.get_mut(key.0) {
            reservation.is_forgotten = true;
        }
        self.drop_wake(Key::Reservation(key));
        self.remove_if_done_with(key.0);
    }

    /// Sets the age at which the heartbeat of a held reservation stops, counted from its grant, in place of
    /// [`max_lease_age`](crate::config::Settings::max_lease_age).
    pub fn set_max_lease_age(&mut self, now: Now, key: ReservationKey, age: Duration) {
        self.at(now);
        self.act(key.0, |machine| machine.set_max_lease_age(age));
        self.schedule(key.0);
    }

    /// Extends the lease manually, by 1 ms to a day. The heartbeat continues, and a beat that is under way goes first.
    /// Returns `None` if nothing is held. In shadow mode there is nothing to extend: it succeeds at once, without a call
    /// and without an event.
    pub fn extend(&mut self, now: Now, key: ReservationKey, by: Duration) -> Option<ExtendKey> {
        let now = self.at(now);
        let ticket = self.act(key.0, |machine| machine.extend(by))??;
        self.note_shadow_extended(now, key, ticket, by);
        self.schedule(key.0);
        let reservation = key;
        Some(ExtendKey { reservation, ticket })
    }

    /// Returns a meter that counts what the action consumes, for streams.
    pub fn meter(&self, now: Now, key: ReservationKey) -> Meter {
        let machine = self.machine(key);
        machine.map_or_else(
            || Meter::new(Amount::tokens(0), now),
            |machine| machine.meter(now),
        )
    }

    /// Reports the amount that a [meter](Self::meter) has counted so far, which may be more or less than before.
    ///
    /// # Errors
    /// [`InvalidCommit`] if the amount could not be committed.
    pub fn counted(&mut self, key: ReservationKey, amount: &Amount) -> Result<(), InvalidCommit> {
        self.act(key.0, |machine| machine.counted(amount))
            .unwrap_or(Err(InvalidCommit::NotHeld))
    }

    /// Ends the metered stream, and returns what to do with the reservation.
    pub fn end_meter(&mut self, now: Now, key: ReservationKey, meter: Meter, end: End) -> Settle {
        let now = self.at(now);
        let mut meter = Some(meter);
        let settle = self.act(key.0, |machine| {
            meter.take().map(|meter| machine.end_meter(now, meter, end))
        });
        match (settle.flatten(), meter) {
            (Some(settle), _) => settle,
            (None, meter) => meter
                .unwrap_or_else(|| Meter::new(Amount::tokens(0), now))
                .end(end, now),
        }
    }

    /// Reports an item of a metered stream that could not be counted, for the caller that waits for the end.
    pub fn not_counted(&mut self, key: ReservationKey, why: InvalidCommit) {
        if let Some(reservation) = self.reservations.get_mut(key.0) {
            reservation.results.not_counted(why);
        }
    }

    /// Sets whether a blocked caller makes the calls of this reservation on its own thread, so that they take no
    /// place. Extensions still take places.
    pub fn helps(&mut self, key: ReservationKey, is_helped: bool) {
        if let Some(reservation) = self.reservations.get_mut(key.0) {
            reservation.is_helped = is_helped;
        }
    }

    /// Starts a call: decide, events, balances, lists, and any other operation with one request and one answer.
    ///
    /// # Errors
    /// [`Error::Closed`] if the session is closed or shuts down.
    pub fn call<T: fmt::Debug + Send + 'static>(
        &mut self,
        now: Now,
        caller: &Caller,
        operation: Operation<T>,
    ) -> Result<CallKey<T>, Error> {
        let now = self.at(now);
        self.check(caller)?;
        let priority = match caller.is_blocking {
            true => Priority::Own,
            false => Priority::Plain,
        };
        let (plain, call) = PlainCall::new(operation, caller, priority);
        let key = self.calls.insert(plain);
        self.ask(now, Of::Call(key), priority, call);
        Ok(CallKey::new(key))
    }

    /// Forgets a call that nobody waits for any more. If its attempt has not begun, it is not sent.
    pub fn forget_call(&mut self, now: Now, key: CallId) {
        let now = self.at(now);
        let attempt = self.calls.remove(key.0).and_then(|plain| plain.attempt);
        self.drop_wake(Key::Call(key));
        if let Some(attempt) = attempt {
            self.withdraw(now, attempt);
        }
    }

    pub(super) fn check(&self, caller: &Caller) -> Result<(), Error> {
        let state = self.principals.get(caller.principal);
        if state.is_none_or(|state| state.config.base_url != caller.config.base_url) {
            return Err(ConfigError::OtherServer.into());
        }
        match self.refuses() {
            true => Err(Error::Closed),
            false => Ok(()),
        }
    }

    /// Notes that the reservation is ending, so that flushes wait for it.
    pub(super) fn note_ending(&mut self, now: Now, key: SlabKey) {
        let Some(reservation) = self.reservations.get_mut(key) else {
            return;
        };
        // Flushes do not count actions in shadow mode: nothing of them is to be settled.
        if reservation.machine().is_some_and(Reservation::is_shadow) {
            return;
        }
        let is_done = reservation.machine().is_none_or(Reservation::is_done);
        let has_cost = reservation.machine().is_some_and(Reservation::has_cost);
        let Some(principal) = self.principals.get_mut(reservation.principal) else {
            return;
        };
        if !is_done && !core::mem::replace(&mut reservation.is_ending, true) {
            principal.tally.begin_ending();
        }
        // The records of earlier runs are counted by the replay.
        if has_cost && !reservation.is_resumed && reservation.settles_since.is_none() {
            reservation.settles_since = Some(principal.begin_settling(now, key));
        }
    }

    /// Runs the machine of a reservation. If it panics, only this machine is lost.
    pub(super) fn act<T>(&mut self, key: SlabKey, act: impl FnOnce(&mut Reservation) -> T) -> Option<T> {
        let mut machine = self.reservations.get_mut(key)?.take_machine()?;
        self.lost.extend(self.acting.replace(key));
        machine.events().borrow(&mut self.room);
        let done = act(&mut machine);
        machine.events().give_back(&mut self.room);
        self.acting = None;
        self.reservations.get_mut(key)?.put_back(machine);
        Some(done)
    }

    /// Makes the machine of a reservation panic, as a bug in it would, without calling the panic hook. For tests of
    /// what must still hold after such a panic.
    ///
    /// # Panics
    /// If the reservation has a machine.
    #[cfg(any(test, feature = "parts"))]
    #[doc(hidden)]
    pub fn panic_in(&mut self, key: ReservationKey) {
        self.act(key.0, |_| std::panic::resume_unwind(Box::new("a defect")));
    }

    pub(super) fn reservation(&self, key: ReservationKey) -> Option<&Entry> {
        self.reservations.get(key.0).map(|reservation| &**reservation)
    }

    pub(super) fn machine(&self, key: ReservationKey) -> Option<&Reservation> {
        self.reservation(key)?.machine()
    }
}

/// Results for waiting callers. `None` means to keep waiting.
impl Session {
    /// Returns the grant, once, or the reason why there is none; then the action must not run.
    pub fn granted(
        &mut self,
        key: ReservationKey,
    ) -> Option<Result<(ReservationId, Arc<ReservationCreateResponse>), Error>> {
        self.look(key, |results, machine| results.granted(machine))
    }

    /// The current grant. Also `None` after it was released or settled.
    pub fn grant(&self, key: ReservationKey) -> Option<&Grant> {
        self.machine(key)?.grant()
    }

    /// What the reservation is for. Also `None` after it was given back or settled.
    pub fn purpose(&self, key: ReservationKey) -> Option<&Arc<Purpose>> {
        self.machine(key)?.purpose()
    }

    /// The receipt of the cost, available after the first attempt if the cost is safe by then. If a cost is left to its
    /// record, its receipt stays pending here, whatever happens later.
    pub fn receipt(&self, key: ReservationKey) -> Option<Receipt> {
        self.machine(key)?.receipt()
    }

    /// How the reservation ended, once it has.
    pub fn outcome(&self, key: ReservationKey) -> Option<&Outcome> {
        self.machine(key)?.outcome()
    }

    /// Returns the receipt of the cost, however it was handed over, or `Ok(None)` if nothing was spent and the budget
    /// is given back.
    pub fn settled(&mut self, key: ReservationKey) -> Option<Result<Option<Receipt>, Error>> {
        self.look(key, |results, machine| results.settled(machine))
    }

    /// Returns, after the first attempt, whether the ledger confirmed the release.
    pub fn released(&mut self, key: ReservationKey) -> Option<Result<bool, Error>> {
        self.look(key, |results, machine| results.released(machine))
    }

    /// Returns the end of the lease after a manual extension, once.
    pub fn extended(&mut self, key: ExtendKey) -> Option<Result<UnixMillis, Error>> {
        self.look(key.reservation, |results, _| results.extended(key.ticket))
    }

    /// Whether the lease has ended, according to the ledger or to the clock. This does not depend on when the session
    /// was last polled.
    pub fn lease_is_lost(&self, now: Now, key: ReservationKey) -> bool {
        let Some(reservation) = self.reservation(key) else {
            return false;
        };
        let machine = reservation.machine();
        // If the machine was lost in a panic, nothing extends its lease.
        machine.is_none_or(|machine| reservation.results.lease_is_lost(machine, now))
    }

    /// Whether the session has already noticed that the lease has ended. When it notices this, it wakes the callers
    /// that wait for the reservation.
    pub fn has_noticed_loss(&self, key: ReservationKey) -> bool {
        let latest = Now {
            mono: self.latest,
            wall: UnixMillis(0),
        };
        self.lease_is_lost(latest, key)
    }

    /// Whether the reservation is over, with nothing left to do.
    pub fn is_over(&self, key: ReservationKey) -> bool {
        self.reservation(key)
            .is_none_or(|reservation| reservation.is_over)
    }

    /// Returns the answer to a call, once, and forgets the call.
    pub fn answer<T: 'static>(&mut self, key: CallKey<T>) -> Option<Result<T, Error>> {
        let plain = self.calls.get_mut(key.id().0)?;
        if !plain.is_over() {
            return None;
        }
        let answer = plain.take();
        self.calls.remove(key.id().0);
        self.drop_wake(Key::Call(key.id()));
        Some(answer.unwrap_or(Err(Error::Defect)))
    }

    /// Looks at the results and the machine of a reservation. If the machine was lost in a panic, the result is an
    /// error.
    fn look<T>(
        &mut self,
        key: ReservationKey,
        look: impl FnOnce(&mut Results, &Reservation) -> Option<Result<T, Error>>,
    ) -> Option<Result<T, Error>> {
        let (results, machine) = self.reservations.get_mut(key.0)?.results_and_machine();
        match machine {
            Some(machine) => look(results, machine),
            None => Some(Err(Error::Defect)),
        }
    }

    /// The observers that may still get events.
    pub fn observers(&self) -> impl Iterator<Item = ObserverId> {
        let reservations = self.reservations.iter().map(|(_, it)| it.observer);
        reservations.chain(self.calls.iter().map(|(_, it)| it.observer))
    }

    /// What the ticket belongs to, for log messages.
    pub fn whose(&self, ticket: Ticket) -> Option<Key> {
        match self.outstanding.get(outstanding_work::key(ticket))? {
            Outstanding::Attempt(attempt) => Some(match attempt.of {
                Of::Reservation(key) => Key::Reservation(ReservationKey(key)),
                Of::Call(key) => Key::Call(CallId(key)),
            }),
            Outstanding::Write(write) => Some(Key::Reservation(ReservationKey(write.reservation))),
            Outstanding::Reading(..) => None,
        }
    }
}
