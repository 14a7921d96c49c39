//! The interface of a session as a trait, so that a wrapper can misbehave on purpose.

use core::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::Operation;
use cycles_proto::Reader;
use cycles_proto::models::{Amount, BalanceResponse, CommitRequest, ReservationCreateRequest};
use cycles_proto::outcome::StoreFailure;
use cycles_proto::outcome::{Grant, NotMarked, ReleaseReason};
use cycles_proto::run::{RunOptions, Step as RunStep};
use cycles_proto::session::{
    CallId, CallKey, Caller, Close, EndedStep, ExtendKey, FlushKey, Key, MarkedStep, ReservationKey, Scanned,
    Session, Step, StepKey,
};
use cycles_proto::with_cycles_config::OnError;
use cycles_proto::{CyclesConfig, Error, Failure, Flushed, Now, Receipt, Seed, Ticket};
use cycles_proto::{InvalidCommit, Outcome};
use http::Response;

/// A session, from the point of view of its driver and callers. [`Session`] implements this trait, and so can a wrapper
/// whose misbehaviour a world should detect.
///
/// Unless a wrapper overrides it, each method does the same as the method of [`Session`] with that name. `Debug` must
/// show the whole state: the world checks that a needless poll does not change it.
pub trait Machine: fmt::Debug {
    /// The wrapped session.
    fn session(&self) -> &Session;
    /// The wrapped session, mutable.
    fn session_mut(&mut self) -> &mut Session;

    /// Returns the next step.
    fn poll(&mut self, now: Now) -> Step {
        self.session_mut().poll(now)
    }
    /// Reports that a call is about to begin. Returns whether it may.
    fn begun(&mut self, now: Now, ticket: Ticket) -> bool {
        self.session_mut().begun(now, ticket)
    }
    /// Reports the result of a call.
    fn handle(
        &mut self,
        now: Now,
        ticket: Ticket,
        reader: &Reader,
        result: Result<&Response<Bytes>, Failure>,
    ) {
        self.session_mut().handle(now, ticket, reader.read(result));
    }
    /// Reports that a change to a journal was made or failed.
    fn handle_stored(&mut self, now: Now, ticket: Ticket, stored: Result<(), StoreFailure>) {
        self.session_mut().handle_stored(now, ticket, stored);
    }
    /// Reports the records of a journal.
    fn handle_scanned(&mut self, now: Now, ticket: Ticket, scanned: Option<Scanned>) -> bool {
        self.session_mut().handle_scanned(now, ticket, scanned)
    }
    /// The owner of a ticket.
    fn whose(&self, ticket: Ticket) -> Option<Key> {
        self.session().whose(ticket)
    }
    /// The next changed item that a caller may be waiting for.
    fn pop_changed(&mut self) -> Option<Key> {
        self.session_mut().pop_changed()
    }
    /// Sets how many exchanges may run at once.
    fn set_places(&mut self, places: usize) {
        self.session_mut().set_places(places);
    }
    /// The caller for a configuration.
    ///
    /// # Panics
    /// If the configuration is for a different server than the world's.
    fn caller(&mut self, config: Arc<CyclesConfig>) -> Caller {
        match self.session_mut().caller(config) {
            Ok(caller) => caller,
            // All configurations of a world are for its only server.
            Err(error) => panic!("{error}"),
        }
    }

    /// Asks for a reservation.
    ///
    /// # Errors
    /// Those of [`Session::reserve`].
    fn reserve(
        &mut self,
        now: Now,
        caller: &Caller,
        request: ReservationCreateRequest,
        seed: Seed,
    ) -> Result<ReservationKey, Error> {
        self.session_mut().reserve(now, caller, request, seed)
    }
    /// Reports that the action has spent at least this much.
    ///
    /// # Errors
    /// Those of [`Session::spent`].
    fn spent(&mut self, key: ReservationKey, amount: &Amount) -> Result<(), InvalidCommit> {
        self.session_mut().spent(key, amount)
    }
    /// Commits the cost of the action.
    ///
    /// # Errors
    /// Those of [`Session::commit`].
    fn commit(&mut self, now: Now, key: ReservationKey, request: CommitRequest) -> Result<(), InvalidCommit> {
        self.session_mut().commit(now, key, request)
    }
    /// Notes that the action sends a request that may have to be paid for.
    fn dispatched(&mut self, key: ReservationKey) {
        self.session_mut().dispatched(key);
    }
    /// Notes that the action sends such a request once that is marked on disk.
    ///
    /// # Errors
    /// Those of [`Session::dispatched_durably`].
    fn dispatched_durably(&mut self, now: Now, key: ReservationKey) -> Result<(), NotMarked> {
        self.session_mut().dispatched_durably(now, key)
    }
    /// Whether that is marked on disk.
    fn marked(&self, key: ReservationKey) -> Option<Result<(), NotMarked>> {
        self.session().marked(key)
    }
    /// Notes that the latest request costs nothing.
    fn not_charged(&mut self, key: ReservationKey) {
        self.session_mut().not_charged(key);
    }
    /// Sets what is charged if the action was dispatched and ends without a cost.
    fn set_on_error(&mut self, key: ReservationKey, on_error: OnError) {
        self.session_mut().set_on_error(key, on_error);
    }
    /// Makes a reservation a run.
    ///
    /// # Errors
    /// Those of [`Session::begin_run`].
    fn begin_run(&mut self, now: Now, key: ReservationKey, options: RunOptions) -> Result<(), InvalidCommit> {
        self.session_mut().begin_run(now, key, options)
    }
    /// Begins a step of a run.
    ///
    /// # Errors
    /// Those of [`Session::draw`].
    fn draw(&mut self, now: Now, key: ReservationKey, step: &RunStep) -> Result<StepKey, Error> {
        self.session_mut().draw(now, key, step, None)
    }
    /// Reports that a step has spent at least this much.
    ///
    /// # Errors
    /// Those of [`Session::step_spent`].
    fn step_spent(&mut self, step: StepKey, amount: &Amount) -> Result<(), InvalidCommit> {
        self.session_mut().step_spent(step, amount)
    }
    /// Notes that a step sends a request that may have to be paid for.
    fn step_dispatched(&mut self, step: StepKey) {
        self.session_mut().step_dispatched(step);
    }
    /// Notes that a step sends such a request once that is marked on disk.
    ///
    /// # Errors
    /// Those of [`Session::step_dispatched_durably`].
    fn step_dispatched_durably(&mut self, now: Now, step: StepKey) -> Result<MarkedStep, NotMarked> {
        self.session_mut().step_dispatched_durably(now, step)
    }
    /// Whether that is marked on disk.
    fn step_marked(&self, step: MarkedStep) -> Option<Result<(), NotMarked>> {
        self.session().step_marked(step)
    }
    /// Notes that the latest request of a step costs nothing.
    fn step_not_charged(&mut self, step: StepKey) {
        self.session_mut().step_not_charged(step);
    }
    /// Ends a step.
    ///
    /// # Errors
    /// Those of [`Session::end_step`].
    fn end_step(&mut self, now: Now, step: StepKey, actual: &Amount) -> Result<EndedStep, InvalidCommit> {
        self.session_mut().end_step(now, step, actual)
    }
    /// Ends a step that failed.
    fn abandon_step(&mut self, now: Now, step: StepKey) -> EndedStep {
        self.session_mut().abandon_step(now, step)
    }
    /// Whether a step counts as charged.
    fn is_step_stored(&self, step: EndedStep) -> bool {
        self.session().is_step_stored(step)
    }
    /// Finishes a run.
    fn finish_run(&mut self, now: Now, key: ReservationKey) {
        self.session_mut().finish_run(now, key);
    }
    /// Releases the reservation: nothing was spent.
    fn release(&mut self, now: Now, key: ReservationKey, reason: ReleaseReason) {
        self.session_mut().release(now, key, reason);
    }
    /// Abandons the reservation: the caller is gone. See [`Session::abandon`].
    fn abandon(&mut self, now: Now, key: ReservationKey) {
        self.session_mut().abandon(now, key);
    }
    /// Forgets the reservation: no caller will ask for it again.
    fn forget(&mut self, now: Now, key: ReservationKey) {
        self.session_mut().forget(now, key);
    }
    /// Extends the lease manually.
    fn extend(&mut self, now: Now, key: ReservationKey, by: Duration) -> Option<ExtendKey> {
        self.session_mut().extend(now, key, by)
    }
    /// Begins a call.
    ///
    /// # Errors
    /// Those of [`Session::call`].
    fn call(
        &mut self,
        now: Now,
        caller: &Caller,
        operation: Operation<BalanceResponse>,
    ) -> Result<CallKey<BalanceResponse>, Error> {
        self.session_mut().call(now, caller, operation)
    }
    /// Forgets a call: no caller waits for it any more.
    fn forget_call(&mut self, now: Now, key: CallId) {
        self.session_mut().forget_call(now, key);
    }
    /// Begins a flush: settles as many costs as possible until `until`.
    fn flush(&mut self, now: Now, caller: &Caller, until: Duration) -> FlushKey {
        self.session_mut().flush(now, caller, until, false)
    }
    /// Forgets a flush: no caller waits for it any more.
    fn forget_flush(&mut self, key: FlushKey) {
        self.session_mut().forget_flush(key);
    }
    /// Closes the session.
    fn close(&mut self, now: Now, how: Close) {
        self.session_mut().close(now, how);
    }
    /// Begins to end the session in steps.
    fn shut_down(&mut self, now: Now, how: Close, until: Duration) {
        self.session_mut().shut_down(now, how, until);
    }
    /// What is left, once a session that ends in steps is over.
    fn left_at_end(&self) -> Option<Flushed> {
        self.session().left_at_end()
    }
    /// Makes the state machine of a reservation panic.
    ///
    /// # Panics
    /// If the reservation still has a state machine; that is its purpose.
    fn panic_in(&mut self, key: ReservationKey) {
        self.session_mut().panic_in(key);
    }

    /// The grant of a reservation, if it is held.
    fn grant(&self, key: ReservationKey) -> Option<&Grant> {
        self.session().grant(key)
    }
    /// The outcome of the reservation, once it has ended.
    fn outcome(&self, key: ReservationKey) -> Option<&Outcome> {
        self.session().outcome(key)
    }
    /// The receipt that a caller waiting for the cost would get now.
    fn receipt(&self, key: ReservationKey) -> Option<Receipt> {
        self.session().receipt(key)
    }
    /// Whether the reservation is completely finished.
    fn is_over(&self, key: ReservationKey) -> bool {
        self.session().is_over(key)
    }
    /// Takes the answer to a call.
    fn answer(&mut self, key: CallKey<BalanceResponse>) -> Option<Result<BalanceResponse, Error>> {
        self.session_mut().answer(key)
    }
    /// The result of a flush, once it is over.
    fn flushed(&self, key: FlushKey) -> Option<Flushed> {
        self.session().flushed(key)
    }
    /// The costs that are currently not settled.
    fn left(&mut self, now: Now, caller: &Caller) -> Flushed {
        self.session_mut().left(now, caller)
    }
    /// Whether no change to a journal is pending.
    fn is_written(&self) -> bool {
        self.session().is_written()
    }
    /// Whether nothing is in progress.
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
