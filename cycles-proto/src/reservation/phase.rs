//! The phases of a reservation, and access to what several of them have in common.

use super::common::Attempt;
use super::held::Held;
use super::releasing::Releasing;
use super::reserving::Reserving;
use super::verifying_grant::Verifying;
use crate::outcome::Outcome;
use crate::settlement::Settlement;
use crate::ticket::Ticket;

#[derive(Debug)]
pub(super) enum Phase {
    Reserving(Box<Reserving>),
    Verifying(Box<Verifying>),
    Held(Box<Held>),
    /// A cost that an earlier run left.
    Resumed(Box<Settlement>),
    Releasing(Box<Releasing>),
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
            Self::Resumed(_) | Self::Ended(_) => None,
        };
        attempt.filter(|attempt| attempt.ticket == ticket)
    }

    pub(super) fn settlement(&self) -> Option<&Settlement> {
        match self {
            Self::Held(held) => held.settlement(),
            Self::Resumed(settlement) => Some(settlement),
            Self::Reserving(_) | Self::Verifying(_) | Self::Releasing(_) | Self::Ended(_) => None,
        }
    }

    pub(super) fn settlement_mut(&mut self) -> Option<&mut Settlement> {
        match self {
            Self::Held(held) => held.settlement_mut(),
            Self::Resumed(settlement) => Some(settlement),
            Self::Reserving(_) | Self::Verifying(_) | Self::Releasing(_) | Self::Ended(_) => None,
        }
    }
}
