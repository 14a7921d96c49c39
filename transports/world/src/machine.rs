//! What a world drives: the two sides of a session as a trait, so that a wrapper can spoil what passes.

use core::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::Operation;
use cycles_proto::Reader;
use cycles_proto::models::{Amount, BalanceResponse, CommitRequest, ReservationCreateRequest};
use cycles_proto::outcome::StoreFailure;
use cycles_proto::outcome::{Grant, ReleaseReason};
use cycles_proto::session::{
    CallId, CallKey, Caller, Close, ExtendKey, FlushKey, Key, ReservationKey, Scanned, Session, Step,
};
use cycles_proto::{CyclesConfig, Error, Failure, Flushed, Now, Receipt, Seed, Ticket};
use cycles_proto::{InvalidCommit, Outcome};
use http::Response;

/// A session, as its driver and its callers see it. [`Session`] is one; a wrapper around it that misbehaves is one too,
/// and a world should find it out.
///
/// Each method is that of [`Session`] by the same name, and does what that does unless a wrapper does something else.
/// `Debug` shows all of the state: a needless poll is held to change none of it.
pub trait Machine: fmt::Debug {
    /// The session behind it.
    fn session(&self) -> &Session;
    /// The session behind it, to change it.
    fn session_mut(&mut self) -> &mut Session;

    /// The next thing to do.
    fn poll(&mut self, now: Now) -> Step {
        self.session_mut().poll(now)
    }
    /// The first byte of a call is about to leave.
    fn begun(&mut self, now: Now, ticket: Ticket) -> bool {
        self.session_mut().begun(now, ticket)
    }
    /// What came of a call, and what reads it.
    fn handle(
        &mut self,
        now: Now,
        ticket: Ticket,
        reader: &Reader,
        result: Result<&Response<Bytes>, Failure>,
    ) {
        self.session_mut().handle(now, ticket, reader.read(result));
    }
    /// A change of a journal was made, or could not be.
    fn handle_stored(&mut self, now: Now, ticket: Ticket, stored: Result<(), StoreFailure>) {
        self.session_mut().handle_stored(now, ticket, stored);
    }
    /// A journal was read.
    fn handle_scanned(&mut self, now: Now, ticket: Ticket, scanned: Option<Scanned>) -> bool {
        self.session_mut().handle_scanned(now, ticket, scanned)
    }
    /// Whose ticket it is.
    fn whose(&self, ticket: Ticket) -> Option<Key> {
        self.session().whose(ticket)
    }
    /// What somebody may wait for and has changed.
    fn pop_changed(&mut self) -> Option<Key> {
        self.session_mut().pop_changed()
    }
    /// As many exchanges go on at once.
    fn set_places(&mut self, places: usize) {
        self.session_mut().set_places(places);
    }
    /// Who asks in the name of a configuration.
    ///
    /// # Panics
    /// If that is for another server than the world's.
    fn caller(&mut self, config: Arc<CyclesConfig>) -> Caller {
        match self.session_mut().caller(config) {
            Ok(caller) => caller,
            // All configurations of a world are for its one server.
            Err(error) => panic!("{error}"),
        }
    }

    /// Asks for a reservation.
    ///
    /// # Errors
    /// As [`Session::reserve`].
    fn reserve(
        &mut self,
        now: Now,
        caller: &Caller,
        request: ReservationCreateRequest,
        seed: Seed,
    ) -> Result<ReservationKey, Error> {
        self.session_mut().reserve(now, caller, request, seed)
    }
    /// The action has spent at least this much.
    ///
    /// # Errors
    /// As [`Session::spent`].
    fn spent(&mut self, key: ReservationKey, amount: &Amount) -> Result<(), InvalidCommit> {
        self.session_mut().spent(key, amount)
    }
    /// The action has cost this much.
    ///
    /// # Errors
    /// As [`Session::commit`].
    fn commit(&mut self, now: Now, key: ReservationKey, request: CommitRequest) -> Result<(), InvalidCommit> {
        self.session_mut().commit(now, key, request)
    }
    /// Nothing was spent.
    fn release(&mut self, now: Now, key: ReservationKey, reason: ReleaseReason) {
        self.session_mut().release(now, key, reason);
    }
    /// The caller went away.
    fn abandon(&mut self, now: Now, key: ReservationKey) {
        self.session_mut().abandon(now, key);
    }
    /// Nobody will ask for the reservation any more.
    fn forget(&mut self, now: Now, key: ReservationKey) {
        self.session_mut().forget(now, key);
    }
    /// Prolongs the lease by hand.
    fn extend(&mut self, now: Now, key: ReservationKey, by: Duration) -> Option<ExtendKey> {
        self.session_mut().extend(now, key, by)
    }
    /// Begins to make a call.
    ///
    /// # Errors
    /// As [`Session::call`].
    fn call(
        &mut self,
        now: Now,
        caller: &Caller,
        operation: Operation<BalanceResponse>,
    ) -> Result<CallKey<BalanceResponse>, Error> {
        self.session_mut().call(now, caller, operation)
    }
    /// Nobody waits for a call any more.
    fn forget_call(&mut self, now: Now, key: CallId) {
        self.session_mut().forget_call(now, key);
    }
    /// Settles what can be settled.
    fn flush(&mut self, now: Now, caller: &Caller, until: Duration) -> FlushKey {
        self.session_mut().flush(now, caller, until, false)
    }
    /// Nobody waits for a flush any more.
    fn forget_flush(&mut self, key: FlushKey) {
        self.session_mut().forget_flush(key);
    }
    /// Ends the session.
    fn close(&mut self, now: Now, how: Close) {
        self.session_mut().close(now, how);
    }
    /// Has the machine of a reservation panic.
    ///
    /// # Panics
    /// If the reservation has a machine: that is what it is for.
    fn panic_in(&mut self, key: ReservationKey) {
        self.session_mut().panic_in(key);
    }

    /// What is held.
    fn grant(&self, key: ReservationKey) -> Option<&Grant> {
        self.session().grant(key)
    }
    /// How the reservation ended.
    fn outcome(&self, key: ReservationKey) -> Option<&Outcome> {
        self.session().outcome(key)
    }
    /// What a caller that waits for its cost is told by now.
    fn receipt(&self, key: ReservationKey) -> Option<Receipt> {
        self.session().receipt(key)
    }
    /// Whether nothing more will come of the reservation.
    fn is_over(&self, key: ReservationKey) -> bool {
        self.session().is_over(key)
    }
    /// The answer to a call, once.
    fn answer(&mut self, key: CallKey<BalanceResponse>) -> Option<Result<BalanceResponse, Error>> {
        self.session_mut().answer(key)
    }
    /// What a flush left, once it is over.
    fn flushed(&self, key: FlushKey) -> Option<Flushed> {
        self.session().flushed(key)
    }
    /// What is not settled by now.
    fn left(&mut self, now: Now, caller: &Caller) -> Flushed {
        self.session_mut().left(now, caller)
    }
    /// Whether no change of a journal is outside.
    fn is_written(&self) -> bool {
        self.session().is_written()
    }
    /// Whether nothing is under way.
    fn is_idle(&self) -> bool {
        self.session().is_idle()
    }
}

impl Machine for Session {
    fn session(&self) -> &Session {
        self
    }

    fn session_mut(&mut self) -> &mut Session {
        self
    }
}
