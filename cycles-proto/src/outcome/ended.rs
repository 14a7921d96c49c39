//! The grant of a reservation, and the ways a reservation can end.

use std::borrow::Cow;

use crate::models::{
    Amount, Caps, Decision, InvalidRequest, ReleaseResponse, ReservationCreateResponse, ReservationId, Unit,
};
use crate::outcome::{Error, Receipt};
use crate::time::UnixMillis;

/// A reservation that is held. The ledger's full answer is in [`Event::Granted`](crate::outcome::Event::Granted).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// `ALLOW` or `ALLOW_WITH_CAPS`.
    pub decision: Decision,
    /// The limits that the action must keep to.
    pub caps: Option<Box<Caps>>,
    /// The amount that is held.
    pub reserved: Option<Amount>,
    /// When the lease ends, on the server's clock, as far as is known.
    pub expires_at: Option<UnixMillis>,
}

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

/// Why a reservation is released: at most 256 characters of text, which the ledger keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseReason(Cow<'static, str>);

impl ReleaseReason {
    /// The action failed.
    pub const ACTION_FAILED: Self = Self(Cow::Borrowed("action_failed"));
    /// The caller that made the reservation went away.
    pub const ABANDONED: Self = Self(Cow::Borrowed("abandoned"));
    /// The grant arrived after the caller had stopped waiting for it.
    pub const LATE_GRANT: Self = Self(Cow::Borrowed("late_grant"));
    /// This client does not know the ledger's decision.
    pub const UNKNOWN_DECISION: Self = Self(Cow::Borrowed("unknown_decision"));

    /// Creates a reason from the caller's own text, cut after 256 characters. The ledger keeps the text, so do not put
    /// the message of an action's error into it.
    pub fn new(text: &str) -> Self {
        Self(Cow::Owned(text.chars().take(256).collect()))
    }

    /// The text of the reason.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for ReleaseReason {
    fn from(text: T) -> Self {
        Self::new(&text.into())
    }
}

/// Why a cost was not accepted. The rejected cost changed nothing; in particular, it released nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCommit {
    /// There is no reservation to commit: it has not been granted, or it was released. If something was spent
    /// anyway, charge it with an event.
    #[error(
        "there is no reservation to charge: it was not granted, or it was released. Charge the cost with an event"
    )]
    NotHeld,
    /// The reservation has already been committed, and a second commit is not possible.
    #[error(
        "the reservation has already been committed, and a second commit is not possible. Charge any further cost with \
         an event"
    )]
    AlreadyCommitted,
    /// The reservation was made before a fork, and belongs to the parent process.
    #[error(
        "this process was forked from the one that made the reservation, which extends its lease and settles it, so this \
         cost was not accepted. Reserve in the process that runs the action, with a client that was made after the fork"
    )]
    Forked,
    /// The unit of the cost differs from the unit of the reservation.
    #[error(
        "the cost is in {given}, but the reservation is in {reserved}, so this cost was not sent. Spending that was \
         reported earlier is charged; if there is none, the budget is held until its lease ends. Charge the missing \
         amount with an event"
    )]
    #[non_exhaustive]
    WrongUnit {
        /// The unit of the estimate.
        reserved: Unit,
        /// The unit of the cost.
        given: Unit,
    },
    /// An item of a metered stream could not be counted. The cost of the other items is charged and marked as partial.
    #[error(
        "an item of a metered stream cost {given}, which cannot be counted: {}. The cost of the other items is charged \
         and marked as partial; if they cost nothing, the budget is held until its lease ends. Charge this item with \
         an event",
        uncountable(given, reserved)
    )]
    #[non_exhaustive]
    NotCounted {
        /// The cost of the item.
        given: Amount,
        /// The unit of the estimate.
        reserved: Unit,
    },
    /// An item of a metered stream was consumed, and the code that computes its cost panicked.
    #[error(
        "an item of a metered stream was consumed, but its cost is unknown, because the code that computes it \
         panicked. The cost of the other items is charged and marked as partial; if they cost nothing, the budget is \
         held until its lease ends. Charge this item with an event"
    )]
    NotTold,
    /// The amount or the key breaks a limit.
    #[error(
        "{0}. This cost was not sent. Spending that was reported earlier is charged; if there is none, the budget is \
         held until its lease ends. Charge the missing amount with an event"
    )]
    Invalid(InvalidRequest),
}

/// Why an item with this cost cannot be counted.
fn uncountable(given: &Amount, reserved: &Unit) -> String {
    if given.unit != *reserved {
        format!("the reservation is in {reserved}")
    } else if given.amount < 0 {
        "it is negative".to_owned()
    } else {
        "it would raise the total above 2⁶³ − 1".to_owned()
    }
}

impl InvalidCommit {
    /// Whether it is about one item of a stream, so that a later cost does not replace it.
    pub(crate) fn is_of_an_item(&self) -> bool {
        matches!(self, Self::NotCounted { .. } | Self::NotTold)
    }
}
