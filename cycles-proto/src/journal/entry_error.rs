//! Why nothing was done with an entry of the journal.

use super::entry::EntryKind;
use super::op::OpFailure;
use crate::config::ConfigError;
use crate::models::ReservationStatus;
use crate::outcome::Error;

/// Why the journal could not be listed, or why nothing was done with an entry. The cost is where it was, unless the
/// variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The file no longer holds this cost.
    #[error(
        "the entry is gone: after it was listed, its cost was settled or its file was renamed. List the journal again"
    )]
    Gone,
    /// The file is not a record, so it names no cost that could be sent.
    #[error(
        "the file is not a record that this version can send: look at it, and discard it once its cost is accounted for"
    )]
    NotARecord,
    /// Files of this kind are not changed by hand.
    #[error("{}", by_hand(*.0))]
    NotByHand(EntryKind),
    /// The file does not mark a dispatched request.
    #[error(
        "it is not the mark of a request that may have to be paid for: `retry` sends a cost that is known"
    )]
    NotDispatched,
    /// The process that runs the action lives, and may still learn what it cost.
    #[error(
        "the process that runs the action lives and may still learn what it cost. It settles the cost then, or leaves \
         the mark behind when it ends"
    )]
    OwnerRuns,
    /// It is not known whether the process that runs the action lives.
    #[error(
        "it cannot be known here whether the process that runs the action lives: its file system has no locks, or its \
         lock file is gone. If the process is gone, use `forced`"
    )]
    OwnerUnknown,
    /// This client is settling the cost.
    #[error("this client is settling it already: `flush` waits for it")]
    InProgress,
    /// Another client or process is replaying the journal.
    #[error(
        "a client is settling the costs of this journal at this moment: list the journal again when it is done"
    )]
    Busy,
    /// The server may have forgotten the key.
    #[error(
        "it is so old that the server may have forgotten its key, so it may be charged twice. Look for it in the \
         ledger; if it is not there, send it with `forced`"
    )]
    MayCountTwice,
    /// The record has no body for an event, because another program wrote it.
    #[error(
        "its record does not say whom to charge, so it cannot be sent as an event: charge it with `create_event`"
    )]
    NoEvent,
    /// The reservation has not expired, so the cost can or could be committed, and an event might charge it again.
    #[error(
        "the reservation is {0}, not EXPIRED, so an event could charge the cost a second time. {advice}",
        advice = advice(.0)
    )]
    NotExpired(ReservationStatus),
    /// The reservation could not be looked up, or the ledger does not know it. Nothing was sent as an event.
    #[error("whether the reservation has expired is not known, so nothing was sent: {0}")]
    Lookup(#[source] Box<Error>),
    /// The client cannot be used, or its work on the cost ended in a defect. The record stays.
    #[error(transparent)]
    Client(Box<Error>),
    /// The journal is switched off or cannot be used, or the file could not be changed; the sentence says what to do.
    /// If it was changed and only the sync failed, a crash of the machine may undo the change.
    #[error("{0}")]
    Unavailable(String),
}

impl From<Error> for EntryError {
    fn from(error: Error) -> Self {
        Self::Client(Box::new(error))
    }
}

impl From<ConfigError> for EntryError {
    fn from(error: ConfigError) -> Self {
        Error::from(error).into()
    }
}

impl From<EntryFailure> for EntryError {
    fn from(failure: EntryFailure) -> Self {
        failure.described(|why| why.to_string())
    }
}

/// Why an entry's file was not changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum EntryFailure {
    /// It cannot be done.
    Refused(EntryError),
    /// An operation failed.
    Failed(OpFailure),
}

impl EntryFailure {
    /// The error for a caller. `describe` puts a failed operation into words, because the driver knows the path of the
    /// directory and what to do about the error.
    pub fn described(self, describe: impl FnOnce(OpFailure) -> String) -> EntryError {
        match self {
            Self::Refused(error) => error,
            Self::Failed(why) => EntryError::Unavailable(describe(why)),
        }
    }
}

impl From<EntryError> for EntryFailure {
    fn from(error: EntryError) -> Self {
        Self::Refused(error)
    }
}

fn by_hand(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Run => {
            "a run may still be adding to it, and what it adds later would not be charged. If the run is gone, use \
             `forced`"
        }
        EntryKind::Dispatched => {
            "nobody knows whether it cost anything: `charge_estimate` charges its estimate, and `discard` gives it up"
        }
        EntryKind::Temporary => {
            "it is being written or renamed; if the process that did that is gone, the next `flush` recovers it"
        }
        EntryKind::Discarded => "it is discarded already",
        EntryKind::Pending
        | EntryKind::Waiting
        | EntryKind::Rejected
        | EntryKind::Stale
        | EntryKind::Corrupt => "it cannot be changed by hand",
    }
}

fn advice(status: &ReservationStatus) -> &'static str {
    match status {
        ReservationStatus::Active => {
            "`retry` commits it if the ledger accepts it now; an event is possible once it has expired"
        }
        ReservationStatus::Committed => {
            "Compare what the ledger charged with this cost; `discard` it if that is enough, or charge the rest with \
             `create_event`"
        }
        ReservationStatus::Released | ReservationStatus::Expired | ReservationStatus::Unknown(_) => {
            "If the cost is in no ledger, charge it with `create_event`, and `discard` it then"
        }
    }
}
