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
    /// Whether the action ran in shadow mode.
    pub(crate) fn is_shadow(&self) -> bool {
        match self {
            Self::Settled(receipt) => receipt.is_shadow(),
            Self::Released(released) => matches!(released, Released::Shadow),
            Self::NotReserved(_) | Self::Evaluated(_) => false,
        }
    }

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
    /// Nothing was held, because the action ran in [shadow mode](crate::Mode::Shadow).
    Shadow,
}

impl Released {
    /// Whether the ledger confirmed the release. Also true in [shadow mode](crate::Mode::Shadow), where there is nothing
    /// to release.
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Self::Confirmed(_) | Self::Shadow)
    }
}
