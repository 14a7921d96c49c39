//! What is told of reservations while they live.

use core::time::Duration;
use std::sync::Arc;

use super::{Aside, Error, InvalidCommit, Receipt, Stop, StoreFailure};
use crate::models::{Amount, IdempotencyKey, InvalidRequest, ReservationCreateResponse, ReservationId};
use crate::ticket::Ticket;
use crate::time::UnixMillis;

/// Something worth knowing that ends nothing by itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The reservation could not be made at the first attempt, and is asked for once more under the same key.
    #[non_exhaustive]
    ReservingAgain {
        /// What came back.
        error: Box<Error>,
    },
    /// The reservation is held, and the action may run.
    #[non_exhaustive]
    Granted {
        /// The ledger's answer, with all that the machine itself has no use for.
        response: Arc<ReservationCreateResponse>,
    },
    /// The lease was prolonged.
    #[non_exhaustive]
    LeaseExtended {
        /// Whose lease it is.
        reservation_id: ReservationId,
        /// The extension that was asked for by hand; `None` for the heartbeat's.
        ticket: Option<Ticket>,
        /// When the lease ends now, on the server's clock.
        expires_at: UnixMillis,
    },
    /// An extension that was asked for by hand failed. The heartbeat goes on as before.
    #[non_exhaustive]
    ExtendFailed {
        /// Whose lease it is.
        reservation_id: ReservationId,
        /// The extension.
        ticket: Ticket,
        /// What came back; `None` if the reservation ended first.
        error: Option<Box<Error>>,
    },
    /// A beat failed and is tried again. The action is not concerned.
    #[non_exhaustive]
    BeatFailed {
        /// Whose lease it is.
        reservation_id: ReservationId,
        /// What came back.
        error: Box<Error>,
        /// After how long it is tried again.
        retry_in: Duration,
    },
    /// The lease is not prolonged any more. The action goes on, and its cost is still taken: by a commit until
    /// the lease and its grace are over, by an event after that.
    #[non_exhaustive]
    HeartbeatStopped {
        /// Whose lease it is.
        reservation_id: ReservationId,
        /// Which rule stopped it.
        reason: Stop,
        /// What came back, if that is why.
        error: Option<Box<Error>>,
        /// How long the lease lasts at least; `None` if that is not known.
        lease_lasts: Option<Duration>,
    },
    /// The lease is over, by the ledger's word or by the clock, while the action runs: what it spends is not
    /// held any more. Where the ledger does not tell how long a lease lasts, the clock counts only once the
    /// heartbeat has stopped.
    #[non_exhaustive]
    LeaseLost {
        /// Whose lease it was.
        reservation_id: ReservationId,
    },
    /// A cost was handed over that could not be taken, or an item of a metered stream could not be counted, and the
    /// reservation has ended without it.
    #[non_exhaustive]
    CostNotTaken {
        /// Whose cost it is.
        reservation_id: ReservationId,
        /// What is wrong with it.
        why: Box<InvalidCommit>,
        /// What is charged instead: what was told to be spent before, or what the other items cost. With `None`
        /// nothing is, and the budget is held until its lease ends.
        charged: Option<Amount>,
    },
    /// Something beside the amount broke a limit and was left out of the commit, which goes on.
    #[non_exhaustive]
    CommitTrimmed {
        /// Whose cost it is.
        reservation_id: ReservationId,
        /// What was left out, and which limit it broke.
        problem: InvalidRequest,
    },
    /// The journal could not be changed. The settlement goes on; if no record of the cost was stored before, it
    /// lives in this process only until then.
    #[non_exhaustive]
    JournalFailed {
        /// Whose record it is.
        reservation_id: ReservationId,
        /// What the system said.
        failure: StoreFailure,
    },
    /// A file in the journal cannot be read as a record. It was renamed and kept, because it may hold a cost. Or the
    /// journal's directory cannot be read.
    #[non_exhaustive]
    RecordUnreadable {
        /// The file where it is now, or the directory.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The journal has a second cost of a reservation, under another key: its action was done twice, say by a job that
    /// was delivered again. Both are sent, and neither replaces the other. The ledger takes one cost of a reservation,
    /// so the other is refused and set aside, if it does not end up in an event.
    #[non_exhaustive]
    SecondCost {
        /// Whose cost it is.
        reservation_id: ReservationId,
        /// The key that it is settled under.
        idempotency_key: IdempotencyKey,
        /// The file where it waits.
        file: String,
    },
    /// The journal has records that this client does not settle: they were written under another base URL, be it by a
    /// slash at its end, under another tenant or another API key. A client that is configured as theirs was settles
    /// them. It is told once by each client.
    #[non_exhaustive]
    RecordsElsewhere {
        /// How many there are.
        records: usize,
        /// The directory that they lie in, or below.
        directory: String,
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
    /// A cost that took more than one attempt, or that an earlier run left, is in the ledger now: what was told of
    /// it before is over.
    #[non_exhaustive]
    SettledLate {
        /// Whose cost it is.
        reservation_id: ReservationId,
        /// What became of it.
        receipt: Box<Receipt>,
    },
    /// A cost is settled, but less was charged than the action cost: the budget had no more, and its overage policy
    /// lets that pass. The rest is in no ledger and is tried no more; charge it with an event when the budget has it.
    /// A charge in another unit than the cost pays nothing of it: look at what the server did before you charge again.
    #[non_exhaustive]
    ChargedLess {
        /// Whose cost it is.
        reservation_id: ReservationId,
        /// What the action cost.
        actual: Amount,
        /// What was charged.
        charged: Amount,
    },
    /// The cost is in no file, and the client has given up on it. The ledger refused it, could not be reached, or may have
    /// forgotten its key; and there is no journal, or it cannot be written. As far as the client knows the ledger does not have it
    /// either; the receipt's error says whether an attempt may have got through. It is counted in
    /// [`Flushed::unrecorded`](crate::Flushed::unrecorded), until a disk that hung makes its record after all.
    #[non_exhaustive]
    CostUnrecorded {
        /// Whose cost it is.
        reservation_id: ReservationId,
        /// What it is. Charge it by hand, under the same key: while the server remembers that, it counts once.
        actual: Option<Amount>,
        /// What became of it.
        receipt: Box<Receipt>,
    },
    /// The cost is not sent any more. Its record, if there is one, is kept under another name, for a person to
    /// decide.
    #[non_exhaustive]
    SetAside {
        /// Whose cost it is.
        reservation_id: ReservationId,
        /// Why.
        reason: Aside,
        /// What became of it: of a [rejected](Receipt::Rejected) one what it cost, and what the ledger has instead.
        receipt: Box<Receipt>,
    },
    /// An attempt that nobody waits for any more did not give its place back for a second, so the place counts as free:
    /// there may be one exchange more than the transport should make. The transport is at fault.
    #[non_exhaustive]
    PlaceWrittenOff {
        /// Whose attempt it was, if it was a reservation's that has an id by now.
        reservation_id: Option<ReservationId>,
    },
    /// A defect of this client ended its work on a reservation, and nothing else of it. A cost that has a record is settled
    /// from there; one that has none is counted in [`Flushed::unrecorded`](crate::Flushed::unrecorded) if it was handed over.
    #[non_exhaustive]
    Panicked {
        /// The reservation, if it had a cost with a record.
        reservation_id: Option<ReservationId>,
    },
    /// An attempt to release failed. Whatever comes, the budget is free again when the lease ends.
    #[non_exhaustive]
    ReleaseFailed {
        /// Whose budget it is.
        reservation_id: ReservationId,
        /// What came back.
        error: Box<Error>,
        /// After how long it is tried again; `None` if not any more.
        retry_in: Option<Duration>,
    },
}

impl Event {
    /// The event for a file in the journal that is not a record. Whoever reads the journal tells it.
    pub fn record_unreadable(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::RecordUnreadable {
            file: file.into(),
            reason: reason.into(),
        }
    }

    /// The event for records of other clients below this directory. Whoever reads the journal tells it.
    pub fn records_elsewhere(records: usize, directory: impl Into<String>) -> Self {
        Self::RecordsElsewhere {
            records,
            directory: directory.into(),
        }
    }

    /// The reservation that it is about, if there is one yet.
    pub fn reservation_id(&self) -> Option<&ReservationId> {
        match self {
            Self::ReservingAgain { .. } | Self::RecordUnreadable { .. } | Self::RecordsElsewhere { .. } => {
                None
            }
            Self::PlaceWrittenOff { reservation_id } | Self::Panicked { reservation_id } => {
                reservation_id.as_ref()
            }
            Self::Granted { response } => response.reservation_id.as_ref(),
            Self::LeaseExtended { reservation_id, .. }
            | Self::ExtendFailed { reservation_id, .. }
            | Self::BeatFailed { reservation_id, .. }
            | Self::HeartbeatStopped { reservation_id, .. }
            | Self::LeaseLost { reservation_id }
            | Self::CostNotTaken { reservation_id, .. }
            | Self::CommitTrimmed { reservation_id, .. }
            | Self::JournalFailed { reservation_id, .. }
            | Self::SecondCost { reservation_id, .. }
            | Self::SettlementFailed { reservation_id, .. }
            | Self::SettlingByEvent { reservation_id }
            | Self::SettledLate { reservation_id, .. }
            | Self::ChargedLess { reservation_id, .. }
            | Self::SetAside { reservation_id, .. }
            | Self::CostUnrecorded { reservation_id, .. }
            | Self::ReleaseFailed { reservation_id, .. } => Some(reservation_id),
        }
    }
}
