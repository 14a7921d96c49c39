//! What a world drives: the contract between a machine and its driver, as a trait.

use core::fmt;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::lifecycle::{Grant, InvalidCommit, Lifecycle, Outcome, ReleaseReason};
use cycles_proto::models::{Amount, CommitRequest};
use cycles_proto::step::StoreFailure;
use cycles_proto::{Failure, Now, Receipt, Step, Ticket};
use http::Response;

/// One reservation's machine. [`Lifecycle`] is one; a wrapper around it that misbehaves is one too, and a
/// world should find it out.
///
/// Each method is that of [`Lifecycle`] by the same name. `Debug` shows all of the state: a needless poll is
/// held to change none of it.
pub trait Machine: fmt::Debug {
    /// The next thing to do.
    fn poll(&mut self, now: Now) -> Step;
    /// A call was answered.
    fn handle_response(&mut self, now: Now, ticket: Ticket, sent: Duration, response: &Response<Bytes>);
    /// A call has no answer.
    fn handle_failure(&mut self, now: Now, ticket: Ticket, sent: Option<Duration>, failure: Failure);
    /// A change of the journal was made, or could not be.
    fn handle_stored(&mut self, now: Now, ticket: Ticket, stored: Result<(), StoreFailure>);
    /// The action has spent at least this much.
    ///
    /// # Errors
    /// As [`Lifecycle::spent`].
    fn spent(&mut self, amount: &Amount) -> Result<(), InvalidCommit>;
    /// The action has cost this much.
    ///
    /// # Errors
    /// As [`Lifecycle::commit`].
    fn commit(&mut self, now: Now, request: CommitRequest) -> Result<(), InvalidCommit>;
    /// Nothing was spent.
    fn release(&mut self, now: Now, reason: ReleaseReason);
    /// The caller went away.
    fn abandon(&mut self, now: Now);
    /// Prolongs the lease by hand.
    fn extend(&mut self, by: Duration) -> Option<Ticket>;
    /// What is held.
    fn grant(&self) -> Option<&Grant>;
    /// How the life ended.
    fn outcome(&self) -> Option<&Outcome>;
    /// What a caller that waits for its cost is told by now.
    fn receipt(&self) -> Option<Receipt>;
}

impl Machine for Lifecycle {
    fn poll(&mut self, now: Now) -> Step {
        self.poll(now)
    }

    fn handle_response(&mut self, now: Now, ticket: Ticket, sent: Duration, response: &Response<Bytes>) {
        self.handle_response(now, ticket, sent, response);
    }

    fn handle_failure(&mut self, now: Now, ticket: Ticket, sent: Option<Duration>, failure: Failure) {
        self.handle_failure(now, ticket, sent, failure);
    }

    fn handle_stored(&mut self, now: Now, ticket: Ticket, stored: Result<(), StoreFailure>) {
        self.handle_stored(now, ticket, stored);
    }

    fn spent(&mut self, amount: &Amount) -> Result<(), InvalidCommit> {
        self.spent(amount)
    }

    fn commit(&mut self, now: Now, request: CommitRequest) -> Result<(), InvalidCommit> {
        self.commit(now, request)
    }

    fn release(&mut self, now: Now, reason: ReleaseReason) {
        self.release(now, reason);
    }

    fn abandon(&mut self, now: Now) {
        self.abandon(now);
    }

    fn extend(&mut self, by: Duration) -> Option<Ticket> {
        self.extend(by)
    }

    fn grant(&self) -> Option<&Grant> {
        self.grant()
    }

    fn outcome(&self) -> Option<&Outcome> {
        self.outcome()
    }

    fn receipt(&self) -> Option<Receipt> {
        self.receipt()
    }
}
