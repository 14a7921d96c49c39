//! One attempt to settle: its request, and its failure.

use core::time::Duration;
use std::borrow::Cow;

use bytes::Bytes;

use super::judge::{Move, Why};
use super::{Settlement, Stage};
use crate::journal::record::Mode;
use crate::models::{CommitResponse, EventCreateResponse, ReservationDetail};
use crate::outcome::{CallContext, Error, Failure, OperationKind};
use crate::step::Step;
use crate::ticket::Ticket;
use crate::time::Now;
use crate::url_path::reservation_path;
use crate::wire::{Call, Encoded, Reads, Urgency};

/// The requests of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The commit or the event, depending on the record.
    Settle,
    /// A lookup of the reservation, to see whether it is already committed.
    Look,
    /// A lookup of the reservation, to see what the ledger has instead of the cost.
    Compare(Why),
}

/// An attempt that the settlement waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct SettlementAttempt {
    pub(super) ticket: Ticket,
    pub(super) deadline: Duration,
}

impl Settlement {
    pub(super) fn send(&mut self, now: Now, request: Request) -> Step {
        let ticket = self.tickets.take();
        let encoded = match self.encode(request) {
            Ok(encoded) => encoded,
            Err(error) => {
                // A record written by another program has an id that cannot be part of a path: no attempt can succeed.
                self.last_error = Some(Box::new(error));
                self.apply(now, request, Move::Reject);
                return self.poll(now);
            }
        };
        let timeout = self.config.attempt_timeout();
        let deadline = now.mono.saturating_add(timeout);
        self.stage = Stage::InFlight(request, SettlementAttempt { ticket, deadline });
        Step::Send(Call {
            urgency: Urgency::Settlement,
            ..encoded.into_call(&self.config, ticket, timeout)
        })
    }

    fn encode(&self, request: Request) -> Result<Encoded, Error> {
        let id = self.record.reservation_id();
        let path = match (request, self.record.mode()) {
            (Request::Look | Request::Compare(_), _) => reservation_path(id, "").map(Cow::from),
            (Request::Settle, Mode::Commit) => reservation_path(id, "/commit").map(Cow::from),
            (Request::Settle, Mode::Event) => Ok("/v1/events".into()),
        };
        let reads = self.reads_of(request);
        let encoded = path.and_then(|path| match request {
            Request::Look | Request::Compare(_) => Encoded::get(&self.config, reads, path, &self.seed),
            Request::Settle => {
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

    pub(super) fn reads_of(&self, request: Request) -> Reads {
        let kind = self.kind(request);
        match (request, self.record.mode()) {
            (Request::Look | Request::Compare(_), _) => Reads::of::<ReservationDetail>(kind),
            (Request::Settle, Mode::Commit) => Reads::of::<CommitResponse>(kind),
            (Request::Settle, Mode::Event) => Reads::of::<EventCreateResponse>(kind),
        }
    }

    fn kind(&self, request: Request) -> OperationKind {
        match (request, self.record.mode()) {
            (Request::Look | Request::Compare(_), _) => OperationKind::GetReservation,
            (Request::Settle, Mode::Commit) => OperationKind::CommitReservation,
            (Request::Settle, Mode::Event) => OperationKind::CreateEvent,
        }
    }

    pub(super) fn context(&self, request: Request) -> CallContext {
        CallContext {
            is_recorded: false,
            server: self.config.server(),
            operation: self.kind(request),
            reservation_id: Some(self.record.reservation_id().clone()),
            idempotency_key: self.record.idempotency_key().cloned(),
            trace_id: self.seed.trace_id(),
            unit: None,
            info: self.info.clone(),
        }
    }

    /// The request that `ticket` belongs to, if the settlement waits for its answer.
    pub(super) fn landed(&self, ticket: Ticket) -> Option<Request> {
        match &self.stage {
            Stage::InFlight(request, attempt) if attempt.ticket == ticket => Some(*request),
            Stage::Write(..)
            | Stage::Writing(..)
            | Stage::Attempt(..)
            | Stage::InFlight(..)
            | Stage::Done(_) => None,
        }
    }

    pub(super) fn attempt_failed(&mut self, now: Now, request: Request, failure: Failure) {
        if request == Request::Compare(Why::Finalized) {
            // One lookup is enough: the ledger's answer to the commit is what counts.
            return self.apply(now, request, Move::Reject);
        }
        let may_be_done = failure.kind().may_have_been_sent();
        let failure = self.config.explained(failure, self.config.attempt_timeout());
        let error = Error::transport(self.context(request), failure, self.may_have_counted);
        self.last_error = Some(Box::new(error));
        self.apply(
            now,
            request,
            Move::TryAgain {
                may_be_done,
                pause: None,
            },
        );
    }
}
