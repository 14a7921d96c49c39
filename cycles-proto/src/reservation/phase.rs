//! The phases of a reservation, and access to what several of them have in common.

use super::common::{Attempt, Common};
use super::held::Held;
use super::releasing::Releasing;
use super::reserving::Reserving;
use super::shadow::Shadow;
use super::verifying_grant::Verifying;
use crate::outcome::{ChargedBy, Event, Outcome, Released};
use crate::settlement::Settlement;
use crate::ticket::Ticket;
use crate::time::Now;

#[derive(Debug)]
pub(super) enum Phase {
    Reserving(Box<Reserving>),
    Verifying(Box<Verifying>),
    Held(Box<Held>),
    /// A cost that an earlier run left.
    Resumed(Box<Settlement>),
    Releasing(Box<Releasing>),
    /// In shadow mode, from the request to the end of both the action and the check.
    Shadow(Box<Shadow>),
    Ended(Box<Outcome>),
}

impl Phase {
    pub(super) fn ended(outcome: Outcome) -> Self {
        Self::Ended(Box::new(outcome))
    }

    pub(super) fn holding(&self) -> Option<&Held> {
        match self {
            Self::Held(held) => Some(held),
            Self::Reserving(_)
            | Self::Verifying(_)
            | Self::Resumed(_)
            | Self::Releasing(_)
            | Self::Shadow(_)
            | Self::Ended(_) => None,
        }
    }

    /// The attempt that the machine waits for. A settlement times its own attempts.
    pub(super) fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::Reserving(reserving) => reserving.attempt(),
            Self::Verifying(verifying) => verifying.attempt(),
            Self::Held(held) => held.attempt(),
            Self::Releasing(releasing) => releasing.attempt(),
            Self::Shadow(shadow) => shadow.attempt(),
            Self::Resumed(_) | Self::Ended(_) => None,
        }
    }

    /// The attempt that the machine waits for, if it has this ticket.
    pub(super) fn attempt_of(&mut self, ticket: Ticket) -> Option<&mut Attempt> {
        let attempt = match self {
            Self::Reserving(reserving) => reserving.attempt_mut(),
            Self::Verifying(verifying) => verifying.attempt_mut(),
            Self::Held(held) => held.attempt_mut(),
            Self::Releasing(releasing) => releasing.attempt_mut(),
            Self::Shadow(shadow) => shadow.attempt_mut(),
            Self::Resumed(_) | Self::Ended(_) => None,
        };
        attempt.filter(|attempt| attempt.ticket == ticket)
    }

    /// The last event of a reservation that ends after this phase, with this outcome. `None` if nothing was reserved or
    /// asked for, or if there is a cost that is not in the ledger, which has events of its own.
    pub(super) fn end(&self, common: &Common, now: Now, outcome: &Outcome) -> Option<Event> {
        if let Self::Shadow(shadow) = self {
            return shadow.event(common);
        }
        let info = common.info.clone();
        let took = common.took(now);
        Some(match outcome {
            Outcome::NotReserved(error) if error.is_denied() => Event::Denied {
                info,
                error: error.clone(),
                took,
            },
            Outcome::NotReserved(error) => Event::NotReserved {
                info,
                error: error.clone(),
                took,
            },
            Outcome::Evaluated(response) => Event::Evaluated {
                info,
                response: response.clone(),
                took,
            },
            Outcome::Settled(receipt) => {
                let settlement = self.settlement().filter(|_| receipt.is_settled())?;
                let charged_by = match receipt.is_recovered_via_event() {
                    true => ChargedBy::Event,
                    false => ChargedBy::Commit,
                };
                Event::Committed {
                    reservation_id: settlement.reservation_id().clone(),
                    info,
                    // What is not said to be less was charged in full.
                    charged: receipt.charged().cloned().or_else(|| settlement.actual()),
                    charged_by,
                    source: settlement.source(),
                    took: (!matches!(self, Self::Resumed(_))).then_some(took),
                }
            }
            Outcome::Released(Released::Confirmed(_)) => {
                let (reservation_id, reason) = self.releasing()?.what();
                Event::Released {
                    reservation_id: reservation_id.clone(),
                    info,
                    reason: reason.clone(),
                    took,
                }
            }
            Outcome::Released(Released::LeftToExpire(error)) => {
                let releasing = self.releasing().map(|releasing| releasing.what().0);
                let held = self.holding().map(|held| &held.grant.reservation_id);
                Event::Expired {
                    reservation_id: releasing.or(held)?.clone(),
                    info,
                    error: error.clone(),
                    took,
                }
            }
            Outcome::Released(Released::NothingHeld | Released::Shadow) => return None,
        })
    }

    fn releasing(&self) -> Option<&Releasing> {
        match self {
            Self::Releasing(releasing) => Some(releasing),
            Self::Reserving(_)
            | Self::Verifying(_)
            | Self::Held(_)
            | Self::Resumed(_)
            | Self::Shadow(_)
            | Self::Ended(_) => None,
        }
    }

    pub(super) fn settlement(&self) -> Option<&Settlement> {
        match self {
            Self::Held(held) => held.settlement(),
            Self::Resumed(settlement) => Some(settlement),
            Self::Reserving(_)
            | Self::Verifying(_)
            | Self::Releasing(_)
            | Self::Shadow(_)
            | Self::Ended(_) => None,
        }
    }

    pub(super) fn settlement_mut(&mut self) -> Option<&mut Settlement> {
        match self {
            Self::Held(held) => held.settlement_mut(),
            Self::Resumed(settlement) => Some(settlement),
            Self::Reserving(_)
            | Self::Verifying(_)
            | Self::Releasing(_)
            | Self::Shadow(_)
            | Self::Ended(_) => None,
        }
    }
}
