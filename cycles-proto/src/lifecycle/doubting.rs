//! A grant without any time left is what the replay of an old key looks like. The reservation is looked at
//! before it is believed: an action must not run on budget that is not held.

use super::Phase;
use super::common::{About, Answer, Common, Flight};
use super::outcome::Outcome;
use super::reserving::Granted;
use crate::call::Ticket;
use crate::encode::{Encoded, reservation_path};
use crate::error::{CallContext, Error};
use crate::lease::Observation;
use crate::models::{ReservationDetail, ReservationStatus};
use crate::reply::{OperationKind, Verdict, verdict};
use crate::step::Step;
use crate::time::Now;

#[derive(Debug)]
pub(super) struct Doubting {
    look: Encoded,
    about: About,
    granted: Option<Granted>,
    /// What was asked when it was granted.
    asked: CallContext,
    looks: u8,
    flight: Option<Flight>,
}

impl Doubting {
    /// An outcome instead if the reservation cannot be looked at.
    pub(super) fn new(
        common: &Common,
        about: About,
        granted: Granted,
        asked: CallContext,
    ) -> Result<Self, Outcome> {
        let look = reservation_path(&granted.id, "")
            .and_then(|path| Encoded::get(&common.config, &path, &common.seed, false));
        match look {
            Ok(look) => Ok(Self {
                look,
                about,
                granted: Some(granted),
                asked,
                looks: 0,
                flight: None,
            }),
            Err(_) => Err(stale(asked, None)),
        }
    }

    pub(super) fn poll(&mut self, common: &mut Common, now: Now) -> Step {
        if let Some(flight) = self.flight {
            return Step::Wait(Some(flight.deadline));
        }
        let timeout = common.config.attempt_timeout();
        let (call, flight) = common.attempt(&self.look, now, timeout);
        self.looks += 1;
        self.flight = Some(flight);
        Step::Send(call)
    }

    /// The attempt whose time is over, if one is.
    pub(super) fn overdue(&self, now: Now) -> Option<Ticket> {
        Flight::overdue(self.flight, now)
    }

    pub(super) fn handle(&mut self, common: &mut Common, now: Now, answer: Answer<'_>) -> Option<Phase> {
        if !Flight::is(self.flight, answer.ticket) {
            return None;
        }
        self.flight = None;
        let may_look_again = self.looks < 2 && common.config.retry().enabled;
        let verdict = answer
            .result
            .map(|response| verdict::<ReservationDetail>(OperationKind::GetReservation, response));
        let status = match verdict {
            Ok(Verdict::Success(detail)) if detail.status == ReservationStatus::Active => {
                let mut granted = self.granted.take()?;
                // What was extended since is not in the replay: nothing bounds the lease until the first beat.
                granted.observed = Observation {
                    sent: answer.sent,
                    received: now.mono,
                    expires_at_ms: Some(detail.expires_at_ms),
                    remaining_ttl_ms: None,
                };
                return Some(granted.held(common, &self.about));
            }
            Ok(Verdict::Success(detail)) => Some(detail.status.clone()),
            Ok(Verdict::Expired { confirmed: true, .. }) => Some(ReservationStatus::Expired),
            Ok(Verdict::Ambiguous(_) | Verdict::NotSent(_)) | Err(_) if may_look_again => return None,
            // It is not released: whoever reserved it before may be settling it.
            Ok(
                Verdict::Ambiguous(_)
                | Verdict::NotSent(_)
                | Verdict::Expired { .. }
                | Verdict::Rejected(_)
                | Verdict::Unauthorized(_)
                | Verdict::Throttled(_),
            )
            | Err(_) => None,
        };
        Some(Phase::ended(stale(self.asked.clone(), status)))
    }
}

fn stale(asked: CallContext, status: Option<ReservationStatus>) -> Outcome {
    let call = Box::new(asked);
    Outcome::NotReserved(Box::new(Error::StaleReplay { status, call }))
}
