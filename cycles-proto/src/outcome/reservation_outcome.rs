//! How a reservation can end.

use crate::models::{ReleaseResponse, ReservationCreateResponse};
use crate::outcome::{Error, Receipt};

/// How a reservation ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing is reserved for the caller: the action must not run.
    NotReserved(Box<Error>),
    /// The reservation was a dry run; this is the answer that a real one would have had. The action must not run.
    Evaluated(Box<ReservationCreateResponse>),
    /// Nothing was spent.
    Released(Released),
    /// The action has a cost; the receipt says whether it is settled.
    Settled(Receipt),
}

impl Outcome {
    /// Why the action must not run; `None` if it was allowed to.
    pub fn refusal(&self) -> Option<Error> {
        match self {
            Self::NotReserved(error) => Some((**error).clone()),
            Self::Evaluated(response) => Some(Error::DryRun(response.clone())),
            Self::Released(_) | Self::Settled(_) => None,
        }
    }
}

/// How unspent budget was released.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Released {
    /// The ledger confirmed the release.
    Confirmed(Box<ReleaseResponse>),
    /// The release was not confirmed: the budget is free once the lease ends, or is free already.
    LeftToExpire(Option<Box<Error>>),
    /// Nothing was held, because the caller left before anything was sent.
    NothingHeld,
}

impl Released {
    /// Whether the ledger confirmed the release.
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Self::Confirmed(_))
    }
}
