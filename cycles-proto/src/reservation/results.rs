//! The results of a reservation for callers that wait, the same in every adapter.

use std::sync::Arc;

use super::{InvalidCommit, Outcome, Reservation};
use crate::models::{ReservationCreateResponse, ReservationId};
use crate::outcome::{Error, Event, Receipt};
use crate::ticket::Ticket;
use crate::time::{Now, UnixMillis};

/// The results of one reservation, collected from its events. The driver [notes](Self::note) each event. A waiting
/// caller asks again whenever the machine has made progress; `None` means to keep waiting.
#[derive(Debug, Default)]
pub struct Results {
    granted: Option<Arc<ReservationCreateResponse>>,
    lease_is_lost: bool,
    release_failed: bool,
    /// Whether the caller gets no grant any more, because the session shuts down.
    is_refused: bool,
    uncounted: Option<Box<InvalidCommit>>,
    /// Manual extensions that were answered, and whose results have not been taken yet.
    extended: Vec<(Ticket, Extended)>,
}

/// The new end of the lease, or the error; `None` if the reservation ended first.
type Extended = Result<UnixMillis, Option<Box<Error>>>;

impl Results {
    /// Keeps the part of an event that a caller may wait for.
    pub fn note(&mut self, event: &Event) {
        if let Event::Granted { response, .. } = event {
            self.granted = Some(Arc::clone(response));
        } else if let Event::LeaseLost { .. } = event {
            self.lease_is_lost = true;
        } else if let Event::ReleaseFailed { .. } = event {
            self.release_failed = true;
        } else if let Event::ExtendFailed { ticket, error, .. } = event {
            self.extended.push((*ticket, Err(error.clone())));
        } else if let Event::LeaseExtended {
            ticket, expires_at, ..
        } = event
        {
            self.lease_is_lost = false;
            self.extended
                .extend(ticket.map(|ticket| (ticket, Ok(*expires_at))));
        }
    }

    /// Notes the answer that the caller gets in place of a grant, in shadow mode.
    pub(crate) fn grant(&mut self, response: Option<Arc<ReservationCreateResponse>>) {
        self.granted = response;
    }

    /// Notes an extension that was answered without a call, in shadow mode.
    pub(crate) fn note_extended(&mut self, ticket: Ticket, expires_at: UnixMillis) {
        self.extended.push((ticket, Ok(expires_at)));
    }

    /// Refuses the grant to the caller that waits for it, because the session shuts down.
    pub(crate) fn refuse(&mut self) {
        self.is_refused = true;
    }

    /// Notes an item of a metered stream that could not be counted, for the caller that waits for the end.
    pub fn not_counted(&mut self, why: InvalidCommit) {
        self.uncounted = Some(Box::new(why));
    }

    /// Whether the lease has ended, according to the ledger or to the clock. This does not depend on when the machine
    /// was last polled.
    pub fn lease_is_lost(&self, machine: &Reservation, now: Now) -> bool {
        self.lease_is_lost || machine.is_lost(now)
    }

    /// Returns the grant, once, or the reason why there is none.
    pub fn granted(
        &mut self,
        machine: &Reservation,
    ) -> Option<Result<(ReservationId, Arc<ReservationCreateResponse>), Error>> {
        if self.is_refused {
            return Some(Err(Error::Closed));
        }
        if let Some(grant) = machine.grant() {
            let response = self.granted.take()?;
            return Some(Ok((grant.reservation_id.clone(), response)));
        }
        let outcome = machine.outcome()?;
        Some(Err(outcome
            .refusal()
            .unwrap_or_else(|| InvalidCommit::NotHeld.into())))
    }

    /// Returns the result of a manual extension, once.
    pub fn extended(&mut self, ticket: Ticket) -> Option<Result<UnixMillis, Error>> {
        let position = self.extended.iter().position(|(known, _)| *known == ticket)?;
        let answer = self.extended.swap_remove(position).1;
        Some(answer.map_err(|error| error.map_or_else(|| InvalidCommit::NotHeld.into(), |error| *error)))
    }

    /// Returns, after the first attempt, whether the ledger confirmed the release. If spending was committed instead,
    /// that counts as confirmed.
    pub fn released(&self, machine: &Reservation) -> Option<Result<bool, Error>> {
        match machine.outcome() {
            Some(Outcome::Released(released)) => Some(Ok(released.is_confirmed())),
            Some(Outcome::Settled(receipt)) => Some(receipt.clone().into_result().map(|_| true)),
            Some(other) => Some(other.refusal().map_or(Ok(false), Err)),
            None if self.release_failed => Some(Ok(false)),
            None => machine
                .receipt()
                .map(|receipt| receipt.into_result().map(|_| true)),
        }
    }

    /// Returns the receipt of the cost after the first attempt, however the cost was handed over, or `Ok(None)` if
    /// nothing was spent and the budget is given back.
    pub fn settled(&self, machine: &Reservation) -> Option<Result<Option<Receipt>, Error>> {
        let settled = match (machine.receipt(), machine.outcome()) {
            (Some(receipt), _) => receipt.into_result().map(Some),
            (None, Some(outcome)) => outcome.refusal().map_or(Ok(None), Err),
            (None, None) if self.release_failed => Ok(None),
            (None, None) => return None,
        };
        let uncounted = self.uncounted.as_deref().cloned();
        Some(uncounted.map_or(settled, |why| Err(why.into())))
    }
}
