//! What became of a cost.

use crate::error::Error;
use crate::models::{CommitResponse, EventCreateResponse, ReservationStatus};

/// What became of a cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Receipt {
    /// The reservation was committed. Without a response it was found committed by an earlier attempt.
    Committed(Option<Box<CommitResponse>>),
    /// The reservation was over, and an event was charged in its place.
    RecoveredViaEvent(Box<EventCreateResponse>),
    /// It is not settled yet.
    #[non_exhaustive]
    Pending {
        /// What came back last.
        error: Option<Box<Error>>,
        /// Whether it is safe in a record, which later attempts settle. Without one this was the last.
        is_recorded: bool,
    },
    /// The ledger refused it for good. The record is set aside.
    #[non_exhaustive]
    Rejected {
        /// What the ledger said.
        error: Option<Box<Error>>,
        /// If it said that the reservation is finalized: how, where that could be learnt. `COMMITTED` was a
        /// commit under another key, `RELEASED` gave the budget back although it was spent.
        found: Option<ReservationStatus>,
    },
    /// The server may have forgotten the key: sending it could count twice. The record is set aside.
    Stale,
}

impl Receipt {
    /// Whether the cost is in the ledger.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Committed(_) | Self::RecoveredViaEvent(_))
    }

    /// What stands between the cost and the ledger, where an answer told.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Pending { error, .. } | Self::Rejected { error, .. } => error.as_deref(),
            Self::Committed(_) | Self::RecoveredViaEvent(_) | Self::Stale => None,
        }
    }
}
