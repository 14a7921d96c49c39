//! One attempt: what is sent for a cost, and when it has failed.

use core::time::Duration;
use std::borrow::Cow;

use bytes::Bytes;

use super::judge::{Move, Why};
use super::{Settlement, Stage};
use crate::journal::record::Mode;
use crate::models::{CommitResponse, EventCreateResponse, ReservationDetail};
use crate::outcome::{CallContext, Error, Failure, OperationKind};
use crate::path::reservation_path;
use crate::step::Step;
use crate::ticket::Ticket;
use crate::time::Now;
use crate::wire::{Call, Encoded, Reads, Urgency};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The commit or the event, whichever the record is for.
    Settle,
    /// A look at the reservation, to see whether it is committed already.
    Look,
    /// A look at what the ledger has in place of the cost.
    Compare(Why),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) ticket: Ticket,
    pub(super) deadline: Duration,
}

impl Settlement {
    pub(super) fn send(&mut self, now: Now, attempt: Attempt) -> Step {
        let ticket = self.tickets.take();
        let encoded = match self.encode(attempt) {
            Ok(encoded) => encoded,
            Err(error) => {
                // An id that no path can carry came from elsewhere: no attempt will ever fare better.
                self.last_error = Some(Box::new(error));
                self.apply(now, attempt, Move::Reject);
                return self.poll(now);
            }
        };
        let timeout = self.config.attempt_timeout();
        let deadline = now.mono.saturating_add(timeout);
        self.stage = Stage::InFlight(attempt, Flight { ticket, deadline });
        Step::Send(Call {
            urgency: Urgency::Settlement,
            ..encoded.into_call(&self.config, ticket, timeout)
        })
    }

    fn encode(&self, attempt: Attempt) -> Result<Encoded, Error> {
        let id = self.record.reservation_id();
        let path = match (attempt, self.record.mode()) {
            (Attempt::Look | Attempt::Compare(_), _) => reservation_path(id, "").map(Cow::from),
            (Attempt::Settle, Mode::Commit) => reservation_path(id, "/commit").map(Cow::from),
            (Attempt::Settle, Mode::Event) => Ok("/v1/events".into()),
        };
        let reads = self.reads_of(attempt);
        let encoded = path.and_then(|path| match attempt {
            Attempt::Look | Attempt::Compare(_) => Encoded::get(&self.config, reads, path, &self.seed),
            Attempt::Settle => {
                let body = Bytes::copy_from_slice(self.record.body().as_bytes());
                let key = self
                    .record
                    .idempotency_key()
                    .cloned()
                    .unwrap_or_else(|| "".into());
                Encoded::verbatim(&self.config, reads, path, &self.seed, body, key)
            }
        });
        encoded.map_err(|problem| Error::invalid(reads.kind, problem))
    }

    pub(super) fn reads_of(&self, attempt: Attempt) -> Reads {
        let kind = self.kind(attempt);
        match (attempt, self.record.mode()) {
            (Attempt::Look | Attempt::Compare(_), _) => Reads::of::<ReservationDetail>(kind),
            (Attempt::Settle, Mode::Commit) => Reads::of::<CommitResponse>(kind),
            (Attempt::Settle, Mode::Event) => Reads::of::<EventCreateResponse>(kind),
        }
    }

    fn kind(&self, attempt: Attempt) -> OperationKind {
        match (attempt, self.record.mode()) {
            (Attempt::Look | Attempt::Compare(_), _) => OperationKind::GetReservation,
            (Attempt::Settle, Mode::Commit) => OperationKind::CommitReservation,
            (Attempt::Settle, Mode::Event) => OperationKind::CreateEvent,
        }
    }

    pub(super) fn context(&self, attempt: Attempt) -> CallContext {
        CallContext {
            is_recorded: false,
            server: self.config.server(),
            operation: self.kind(attempt),
            reservation_id: Some(self.record.reservation_id().clone()),
            idempotency_key: self.record.idempotency_key().cloned(),
            trace_id: self.seed.trace_id(),
            unit: None,
        }
    }

    /// The attempt that `ticket` is the answer to, if it is waited for.
    pub(super) fn landed(&self, ticket: Ticket) -> Option<Attempt> {
        match &self.stage {
            Stage::InFlight(attempt, flight) if flight.ticket == ticket => Some(*attempt),
            Stage::Write(..)
            | Stage::Writing(..)
            | Stage::Attempt(..)
            | Stage::InFlight(..)
            | Stage::Done(_) => None,
        }
    }

    pub(super) fn attempt_failed(&mut self, now: Now, attempt: Attempt, failure: Failure) {
        if attempt == Attempt::Compare(Why::Finalized) {
            // One look, and no more: what the ledger said of the commit is what counts.
            return self.apply(now, attempt, Move::Reject);
        }
        let may_be_done = failure.kind().may_have_been_sent();
        let error = Error::transport(self.context(attempt), failure, self.may_have_counted);
        self.last_error = Some(Box::new(error));
        self.apply(
            now,
            attempt,
            Move::TryAgain {
                may_be_done,
                pause: None,
            },
        );
    }
}
