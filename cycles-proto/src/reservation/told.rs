//! What somebody who waits for a reservation gets to know: the same in every adapter.

use std::sync::Arc;

use super::{InvalidCommit, Outcome, Reservation};
use crate::models::{ReservationCreateResponse, ReservationId};
use crate::outcome::{Error, Event, Receipt};
use crate::ticket::Ticket;
use crate::time::{Now, UnixMillis};

/// What the events of one reservation told that somebody may wait for. Its driver [notes](Self::note) each event; who
/// waits asks again whenever the machine got ahead, and an answer of `None` is to wait on.
#[derive(Debug, Default)]
pub struct Told {
    granted: Option<Arc<ReservationCreateResponse>>,
    lease_is_lost: bool,
    release_failed: bool,
    uncounted: Option<Box<InvalidCommit>>,
    /// Extensions by hand that were answered and not yet asked for.
    extended: Vec<(Ticket, Extended)>,
}

/// When the lease ends now; or what came back, nothing if the reservation ended first.
type Extended = Result<UnixMillis, Option<Box<Error>>>;

impl Told {
    /// Keeps of an event what somebody may wait for.
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

    /// An item of a metered stream was not counted: whoever waits for its end is told.
    pub fn not_counted(&mut self, why: InvalidCommit) {
        self.uncounted = Some(Box::new(why));
    }

    /// Whether the lease is over, by the ledger's word or by the clock. This does not depend on whether the machine
    /// was polled meanwhile.
    pub fn lease_is_lost(&self, machine: &Reservation, now: Now) -> bool {
        self.lease_is_lost || machine.is_lost(now)
    }

    /// The grant, once; or why there is none.
    pub fn granted(
        &mut self,
        machine: &Reservation,
    ) -> Option<Result<(ReservationId, Arc<ReservationCreateResponse>), Error>> {
        if let Some(grant) = machine.grant() {
            let response = self.granted.take()?;
            return Some(Ok((grant.reservation_id.clone(), response)));
        }
        let outcome = machine.outcome()?;
        Some(Err(outcome
            .refusal()
            .unwrap_or_else(|| InvalidCommit::NotHeld.into())))
    }

    /// What became of an extension that was asked for by hand, once.
    pub fn extended(&mut self, ticket: Ticket) -> Option<Result<UnixMillis, Error>> {
        let position = self.extended.iter().position(|(known, _)| *known == ticket)?;
        let answer = self.extended.swap_remove(position).1;
        Some(answer.map_err(|error| error.map_or_else(|| InvalidCommit::NotHeld.into(), |error| *error)))
    }

    /// Whether the ledger confirmed a release, after the first attempt. What was spent nevertheless is
    /// committed, which counts as confirmed.
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

    /// What became of the cost, however it was handed over: its receipt after the first attempt, or nothing if
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
