//! What is public of a reservation besides its machine: what was granted, and how it can end.

use std::borrow::Cow;

use crate::models::{
    Amount, Caps, Decision, InvalidRequest, ReleaseResponse, ReservationCreateResponse, ReservationId, Unit,
};
use crate::outcome::{Error, Receipt};
use crate::time::UnixMillis;

/// A reservation that is held. The rest of the ledger's answer is in
/// [`Event::Granted`](crate::outcome::Event::Granted).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// `ALLOW` or `ALLOW_WITH_CAPS`.
    pub decision: Decision,
    /// What the action has to keep to.
    pub caps: Option<Box<Caps>>,
    /// What is held.
    pub reserved: Option<Amount>,
    /// When the lease ends, on the server's clock, as far as is known by now.
    pub expires_at: Option<UnixMillis>,
}

/// How a reservation ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing was reserved for the caller: the action must not run.
    NotReserved(Box<Error>),
    /// It was a dry run: what a reservation would have got. The action must not run.
    Evaluated(Box<ReservationCreateResponse>),
    /// Nothing was spent.
    Released(Released),
    /// What the action spent is settled, or what stands in the way.
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

/// What became of budget that was not spent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Released {
    /// It was given back.
    Confirmed(Box<ReleaseResponse>),
    /// It is free when the lease ends, or is already: the release was not confirmed.
    LeftToExpire(Option<Box<Error>>),
    /// Nothing was held: the caller left before anything was sent.
    NothingHeld,
}

impl Released {
    /// Whether the ledger said that it was given back.
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Self::Confirmed(_))
    }
}

/// Why a reservation is released, in words that the ledger keeps: at most 256 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseReason(Cow<'static, str>);

impl ReleaseReason {
    /// The action failed.
    pub const ACTION_FAILED: Self = Self(Cow::Borrowed("action_failed"));
    /// Whoever reserved went away.
    pub const ABANDONED: Self = Self(Cow::Borrowed("abandoned"));
    /// The grant came when nobody waited for it any more.
    pub const LATE_GRANT: Self = Self(Cow::Borrowed("late_grant"));
    /// The ledger's decision is not one that this client knows.
    pub const UNKNOWN_DECISION: Self = Self(Cow::Borrowed("unknown_decision"));

    /// A reason of the caller's; what is longer than 256 characters is cut. The ledger keeps it, so the text
    /// of an error of the action has no place in it.
    pub fn new(text: &str) -> Self {
        Self(Cow::Owned(text.chars().take(256).collect()))
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for ReleaseReason {
    fn from(text: T) -> Self {
        Self::new(&text.into())
    }
}

/// Why a cost was not taken. Nothing was changed by the attempt; in particular nothing was released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCommit {
    /// There is no reservation to commit: it was not granted (yet), or it was released. What was spent
    /// nevertheless is charged with an event.
    #[error(
        "there is no reservation to charge: it was not granted, or it was released. Charge the cost with an event"
    )]
    NotHeld,
    /// A cost was handed over before; a reservation is committed once.
    #[error(
        "the reservation has its cost already: it is committed once. Charge a further cost with an event"
    )]
    AlreadyCommitted,
    /// The reservation is held by the process that this one was forked from.
    #[error(
        "the reservation belongs to the process that this one was forked from, which keeps its lease and settles it: this \
         cost was not taken. Reserve in the process that acts, with a client that was made after the fork"
    )]
    Forked,
    /// The amount is in another unit than what was reserved.
    #[error(
        "the cost is in {given}, but the reservation is in {reserved}, so this cost was not sent. What was told to be \
         spent before is charged; if nothing was, the budget is held until its lease ends. Charge what is missing with \
         an event"
    )]
    #[non_exhaustive]
    WrongUnit {
        /// The unit of the estimate.
        reserved: Unit,
        /// The unit of the cost.
        given: Unit,
    },
    /// An item of a metered stream was not counted. What the others cost is charged as a part.
    #[error(
        "an item of a metered stream cost {given}, which cannot be counted: {}. What the others cost is charged as a \
         part; if they cost nothing, the budget is held until its lease ends. Charge this item with an event",
        uncountable(given, reserved)
    )]
    #[non_exhaustive]
    NotCounted {
        /// What it cost.
        given: Amount,
        /// The unit of the estimate.
        reserved: Unit,
    },
    /// An item of a metered stream was consumed, and asking what it costs panicked.
    #[error(
        "an item of a metered stream was consumed, but what it costs could not be told: that panicked. What the others \
         cost is charged as a part; if they cost nothing, the budget is held until its lease ends. Charge this item with \
         an event"
    )]
    NotTold,
    /// The amount or the key breaks a limit.
    #[error(
        "{0}. This cost was not sent. What was told to be spent before is charged; if nothing was, the budget is held \
         until its lease ends. Charge what is missing with an event"
    )]
    Invalid(InvalidRequest),
}

/// Why an item that cost this is not counted.
fn uncountable(given: &Amount, reserved: &Unit) -> String {
    if given.unit != *reserved {
        format!("the reservation is in {reserved}")
    } else if given.amount < 0 {
        "it is less than 0".to_owned()
    } else {
        "with the others it is more than 2⁶³ − 1".to_owned()
    }
}

impl InvalidCommit {
    /// Whether it stays untaken when another cost is handed over.
    pub(crate) fn is_of_an_item(&self) -> bool {
        matches!(self, Self::NotCounted { .. } | Self::NotTold)
    }
}
