//! What a machine asks its driver to do, and what it tells whoever watches.

use core::time::Duration;

use crate::call::{Call, Ticket};
use crate::error::Error;
use crate::models::ReservationId;
use crate::record::JournalRecord;

/// The next thing to do. A step is handed out once.
#[derive(Clone, Debug)]
#[must_use = "a step is handed out once; dropping it stalls the machine"]
pub enum Step {
    /// Make this call and report the answer under its ticket.
    Send(Call),
    /// Change the journal and report under this ticket once the change is durable.
    Store(Ticket, JournalWrite),
    /// Tell whoever watches; nothing is reported back.
    Notify(Event),
    /// Poll again at this time, or when something was reported; with `None` only then.
    Wait(Option<Duration>),
    /// There is nothing left to do.
    Done,
}

/// A change of the journal.
#[derive(Clone, Debug)]
pub enum JournalWrite {
    /// Write the record, in place of one of the same reservation.
    Put(JournalRecord),
    /// The cost is settled: remove the record.
    Remove(ReservationId),
    /// The record cannot be settled: keep it under another name, where no replay finds it and a person does.
    SetAside(ReservationId, Aside),
}

/// Why a record is set aside, which is also the ending of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// `.rejected`: the ledger refused the cost for good.
    Rejected,
    /// `.stale`: the server may have forgotten the key, so that sending it again could count twice.
    Stale,
}

/// Why a change of the journal could not be made durable, in the words of the system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreFailure(pub String);

/// Something worth knowing that ends nothing by itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The journal could not be changed. The settlement goes on; until it ends, the cost lives in this process
    /// only.
    #[non_exhaustive]
    JournalFailed {
        /// Whose record it is.
        reservation_id: ReservationId,
        /// What the system said.
        failure: StoreFailure,
    },
    /// An attempt to settle failed.
    #[non_exhaustive]
    SettlementFailed {
        /// Whose cost it is.
        reservation_id: ReservationId,
        /// What came back.
        error: Box<Error>,
        /// After how long it is tried again; `None` if not by this machine.
        retry_in: Option<Duration>,
    },
    /// The reservation is over, so its cost is settled by an event under the same key.
    #[non_exhaustive]
    SettlingByEvent {
        /// Whose cost it is.
        reservation_id: ReservationId,
    },
}
