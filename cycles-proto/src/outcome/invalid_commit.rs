//! Why a cost is refused before it is sent.

use crate::models::{Amount, InvalidRequest, Unit};

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
        "this process was forked from the one that made the reservation; that process extends its lease and settles it, so this \
         cost was not accepted. Reserve in the process that runs the action, with a client that was made after the fork"
    )]
    Forked,
    /// The unit of the cost differs from the unit of the reservation.
    #[error(
        "the cost is in {given}, but the reservation is in {reserved}, so this cost was not sent. Spending that was \
         reported earlier is charged, or else the estimate if a request was dispatched; if there is neither, the budget \
         is held until its lease ends. Charge the missing amount with an event"
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
        "{0}. This cost was not sent. Spending that was reported earlier is charged, or else the estimate if a request was \
         dispatched; if there is neither, the budget is held until its lease ends. Charge the missing amount with an event"
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
    /// Why a run cannot be charged as a whole.
    pub(crate) fn of_a_run() -> Self {
        let problem = "cannot be charged: the reservation is a run, and is charged what its steps cost";
        Self::Invalid(InvalidRequest::new("actual", problem))
    }

    /// Why a reservation that may have a cost cannot become a run.
    pub(crate) fn before_a_run() -> Self {
        let problem =
            "may have a cost already, but a run is charged only what its steps cost: begin the run first";
        Self::Invalid(InvalidRequest::new("actual", problem))
    }

    /// Whether the error is about one item of a stream, so that a later cost does not replace it.
    pub(crate) fn is_of_an_item(&self) -> bool {
        matches!(self, Self::NotCounted { .. } | Self::NotTold)
    }
}
