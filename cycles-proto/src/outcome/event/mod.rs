//! Events: reports to observers about reservations and costs.

mod about;
mod json;

use core::time::Duration;
use std::sync::Arc;

use super::{
    ActualSource, Aside, ChargedBy, Error, InvalidCommit, Receipt, ReleaseReason, ReservationInfo,
    ShadowDecision, Stop, StoreFailure,
};
use crate::models::{Amount, IdempotencyKey, InvalidRequest, ReservationCreateResponse, ReservationId};
use crate::ticket::Ticket;
use crate::time::UnixMillis;

/// Something that an observer may want to know. An event ends nothing by itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The first attempt to reserve failed, and the client asks once more under the same key.
    #[non_exhaustive]
    ReservingAgain {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The error.
        error: Box<Error>,
    },
    /// The reservation is held, and the action may run.
    #[non_exhaustive]
    Granted {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The ledger's full answer.
        response: Arc<ReservationCreateResponse>,
    },
    /// The lease was extended.
    #[non_exhaustive]
    LeaseExtended {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// The extension that the caller asked for; `None` if the heartbeat sent it.
        ticket: Option<Ticket>,
        /// When the lease ends now, on the server's clock.
        expires_at: UnixMillis,
    },
    /// An extension that the caller asked for failed. The heartbeat continues as before.
    #[non_exhaustive]
    ExtendFailed {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// The extension.
        ticket: Ticket,
        /// The error; `None` if the reservation ended first.
        error: Option<Box<Error>>,
    },
    /// A beat failed and will be tried again. The action is not affected.
    #[non_exhaustive]
    BeatFailed {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// The error.
        error: Box<Error>,
        /// The wait before the next attempt.
        retry_in: Duration,
    },
    /// The heartbeat no longer extends the lease. The action continues, and its cost is still accepted: by a commit
    /// until the lease and its grace period are over, by an event after that.
    #[non_exhaustive]
    HeartbeatStopped {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// Which rule stopped it.
        reason: Stop,
        /// The error, if that is the reason.
        error: Option<Box<Error>>,
        /// How much longer the lease lasts, at least; `None` if that is not known.
        lease_lasts: Option<Duration>,
    },
    /// The lease ended while the action was running, according to the ledger or the clock: budget is no longer held for
    /// what the action spends. If the ledger does not say how long a lease lasts, the clock decides only once the
    /// heartbeat has stopped.
    #[non_exhaustive]
    LeaseLost {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
    },
    /// A cost could not be accepted, or an item of a metered stream could not be counted, and the reservation has
    /// ended without it.
    #[non_exhaustive]
    CostNotTaken {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// What is wrong with the cost.
        why: Box<InvalidCommit>,
        /// What is charged instead: the spending that was reported before, or the cost of the other items. With
        /// `None`, nothing is charged, and the budget is held until its lease ends.
        charged: Option<Amount>,
    },
    /// Something may have been spent that nobody reported, and it is not charged: an action was
    /// [dispatched](crate::Session::dispatched), ended without a cost, and its policy is
    /// [`OnError::Hold`](crate::with_cycles_config::OnError::Hold). Ask the provider what it cost. If it was marked
    /// [durably](crate::Session::dispatched_durably), its mark stays, and can be charged or discarded; if not, charge it with
    /// an event. Of a run, this is reported once, at its end.
    #[non_exhaustive]
    CostUnknown {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// The estimate of the action; of a run, the estimates of all such steps.
        estimate: Amount,
        /// What the other steps of the run cost, which is charged; the rest of its budget is free then. With `None`,
        /// nothing is charged, and the budget is held until its lease ends.
        charged: Option<Amount>,
    },
    /// Something may have been spent that nobody reported, and it is not charged: the journal has the
    /// [durable mark](crate::Session::dispatched_durably) of an action whose process has ended, or, where that cannot be
    /// known, may have ended. Ask the provider what it cost; then charge its estimate with
    /// [`ChargeEstimate`](crate::journal::EntryChange::ChargeEstimate), or discard the mark. Each client reports a mark
    /// once.
    #[non_exhaustive]
    UnknownCostLeft {
        /// What it was for, with the estimate.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// When the request left, on the clock of the machine that sent it.
        dispatched_at: UnixMillis,
        /// The file of the mark.
        file: String,
    },
    /// Something other than the amount broke a limit and was left out of the commit. The commit continues.
    #[non_exhaustive]
    CommitTrimmed {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// What was left out, and which limit it broke.
        problem: InvalidRequest,
    },
    /// The journal could not be changed. The settlement continues; if no record of the cost was stored before, only
    /// this process knows of the cost until it is settled.
    #[non_exhaustive]
    JournalFailed {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// The failure, as the system reported it.
        failure: StoreFailure,
    },
    /// A file in the journal is not a readable record, or the journal's directory cannot be read. The file was renamed
    /// and kept, because it may hold a cost.
    #[non_exhaustive]
    RecordUnreadable {
        /// The path of the file after the renaming, or of the directory.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The journal has a second cost of a reservation, under another key: the action ran twice, for example because a
    /// job was delivered again. Both costs are sent, and neither replaces the other. The ledger accepts one cost per
    /// reservation, so the other is refused and set aside, unless an event charges it.
    #[non_exhaustive]
    SecondCost {
        /// The reservation.
        reservation_id: ReservationId,
        /// The key that the second cost is settled under.
        idempotency_key: IdempotencyKey,
        /// The file where the second cost waits.
        file: String,
    },
    /// The journal has records that this client does not settle, because they were written with another base URL (even
    /// if only a slash at its end differs), another tenant or another API key. A client with the configuration that
    /// they were written with settles them. Each client reports this once.
    #[non_exhaustive]
    RecordsElsewhere {
        /// How many there are.
        records: usize,
        /// The directory that contains them, directly or further down.
        directory: String,
    },
    /// An attempt to settle failed.
    #[non_exhaustive]
    SettlementFailed {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// The error.
        error: Box<Error>,
        /// The wait before the next attempt; `None` if this settlement makes no more attempts.
        retry_in: Option<Duration>,
    },
    /// The reservation is over, so its cost is settled by an event under the same key.
    #[non_exhaustive]
    SettlingByEvent {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
    },
    /// A cost that took more than one attempt, or that an earlier run left, is in the ledger now. Earlier events about
    /// it are no longer a concern.
    #[non_exhaustive]
    SettledLate {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// What became of the cost.
        receipt: Box<Receipt>,
    },
    /// A cost is settled, but the ledger charged less than the action cost, because the budget had no more and the
    /// overage policy permits that. The rest is not in any ledger, and the client does not try again; charge it with an
    /// event once the budget has enough. A charge in a different unit covers none of the cost: find out what the
    /// server did before you charge again.
    #[non_exhaustive]
    ChargedLess {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// What the action cost.
        actual: Amount,
        /// What was charged.
        charged: Amount,
    },
    /// The cost is not on disk, and the client has given up on it. The ledger refused it, could not be reached, or may
    /// have forgotten its key; and there is no journal, or it cannot be written. As far as the client knows, the
    /// ledger does not have the cost either; the receipt's error says whether an attempt may have got through.
    /// [`Flushed::unrecorded`](crate::Flushed::unrecorded) counts it, unless a disk that hung writes its record after
    /// all.
    #[non_exhaustive]
    CostUnrecorded {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// The cost. Charge it by hand under the same key: while the server remembers the key, it counts once.
        actual: Option<Amount>,
        /// What became of the cost.
        receipt: Box<Receipt>,
    },
    /// The client no longer sends this cost. Its record, if there is one, is kept under another name for a person to
    /// decide about.
    #[non_exhaustive]
    SetAside {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// Why it was set aside.
        reason: Aside,
        /// What became of the cost. If it was [rejected](Receipt::Rejected), the receipt has the cost, and what the
        /// ledger has instead.
        receipt: Box<Receipt>,
    },
    /// A withdrawn attempt did not give its place back within a second, so the place counts as free, and there may be
    /// one attempt more than the limit allows. The transport is at fault.
    #[non_exhaustive]
    PlaceWrittenOff {
        /// The reservation that the attempt was for, if it was for one and its id is known.
        reservation_id: Option<ReservationId>,
    },
    /// A bug in this client ended its work on one reservation; everything else continues. A cost that has a record is
    /// settled from it; a cost without a record is counted in [`Flushed::unrecorded`](crate::Flushed::unrecorded) if
    /// it was handed over.
    #[non_exhaustive]
    Panicked {
        /// The reservation, if it had a cost with a record.
        reservation_id: Option<ReservationId>,
    },
    /// An attempt to release failed. In any case the budget is free again when the lease ends.
    #[non_exhaustive]
    ReleaseFailed {
        /// What it is for.
        info: Option<ReservationInfo>,
        /// The reservation.
        reservation_id: ReservationId,
        /// The error.
        error: Box<Error>,
        /// The wait before the next attempt; `None` if there is none.
        retry_in: Option<Duration>,
    },
    /// The ledger denied the reservation, so the action does not run. The last event of its reservation.
    #[non_exhaustive]
    Denied {
        /// What it was for.
        info: Option<ReservationInfo>,
        /// The denial; [`Error::reason`] says why.
        error: Box<Error>,
        /// The time since the reservation was requested.
        took: Duration,
    },
    /// The reservation could not be made, although the ledger did not deny it: the server could not be reached, or it
    /// refused the request. The action does not run. The last event of its reservation.
    #[non_exhaustive]
    NotReserved {
        /// What it was for.
        info: Option<ReservationInfo>,
        /// The error.
        error: Box<Error>,
        /// The time since the reservation was requested.
        took: Duration,
    },
    /// A dry run was answered: nothing is held, and the action does not run. The last event of its reservation.
    #[non_exhaustive]
    Evaluated {
        /// What it was for.
        info: Option<ReservationInfo>,
        /// The answer that a real request would have had.
        response: Box<ReservationCreateResponse>,
        /// The time since the reservation was requested.
        took: Duration,
    },
    /// The cost is in the ledger. The last event of its reservation.
    #[non_exhaustive]
    Committed {
        /// The reservation.
        reservation_id: ReservationId,
        /// What it was for.
        info: Option<ReservationInfo>,
        /// What the ledger charged; `None` only if another program wrote the record and it has no readable amount.
        charged: Option<Amount>,
        /// Whether a commit or an event charged it.
        charged_by: ChargedBy,
        /// Where the amount comes from.
        source: ActualSource,
        /// The time since the reservation was requested; `None` if an earlier run requested it.
        took: Option<Duration>,
    },
    /// The budget is given back, and nothing was charged. The last event of its reservation.
    #[non_exhaustive]
    Released {
        /// The reservation.
        reservation_id: ReservationId,
        /// What it was for.
        info: Option<ReservationInfo>,
        /// Why it was given back.
        reason: ReleaseReason,
        /// The time since the reservation was requested.
        took: Duration,
    },
    /// Nothing was charged, and the release was not confirmed: the budget is free once the lease ends. The last event of
    /// its reservation.
    #[non_exhaustive]
    Expired {
        /// The reservation.
        reservation_id: ReservationId,
        /// What it was for.
        info: Option<ReservationInfo>,
        /// Why the release was not confirmed; `None` if it was not sent, because
        /// [spending that could not be accepted](Self::CostNotTaken) was reported, or [the cost is
        /// unknown](Self::CostUnknown).
        error: Option<Box<Error>>,
        /// The time since the reservation was requested.
        took: Duration,
    },
    /// The first action of an API key and tenant in [shadow mode](crate::Mode::Shadow) begins: from here on, actions in
    /// that mode run whatever the ledger says, and nothing is held or charged for them.
    #[non_exhaustive]
    ShadowStarted {
        /// The default tenant; `None` if the configuration does not name one.
        tenant: Option<String>,
    },
    /// In [shadow mode](crate::Mode::Shadow), a step of a run began, or an amount was kept, although less was left than
    /// it asked for, or the run had lasted too long. When decisions are enforced, it fails with [`Error::RunExhausted`]
    /// or [`Error::RunOver`].
    #[non_exhaustive]
    ShadowExhausted {
        /// What the run is for.
        info: Option<ReservationInfo>,
        /// The made-up id of the run.
        reservation_id: ReservationId,
        /// The name of the step, if it has one.
        step: Option<Box<str>>,
        /// What it asked for.
        asked: Amount,
        /// How much of that was missing; 0 if it was only late.
        missing: Amount,
        /// Whether the run had lasted longer than its
        /// [`max_duration`](crate::run::RunConfig::max_duration).
        is_late: bool,
    },
    /// An action in [shadow mode](crate::Mode::Shadow) has ended: what the ledger would have decided about it, and what it
    /// cost. Nothing was held and nothing was charged, so each decision is independent of all others. The last event of
    /// its reservation.
    #[non_exhaustive]
    Shadowed {
        /// What it was for, with the estimate.
        info: Option<ReservationInfo>,
        /// The made-up id of the reservation, which begins with `shadow-`.
        reservation_id: ReservationId,
        /// What the ledger would have decided.
        decision: ShadowDecision,
        /// What would have been charged; of a run, the sum of its steps. `None` if nothing: the budget would have been
        /// given back, or the cost is [unknown](Self::Shadowed::has_unknown_cost).
        actual: Option<Amount>,
        /// Where the actual cost comes from.
        source: ActualSource,
        /// Whether something was or may have been spent that is not in `actual`: a cost could not be accepted, or the
        /// action was dispatched, ended without a cost, and its policy is
        /// [`OnError::Hold`](crate::with_cycles_config::OnError::Hold).
        has_unknown_cost: bool,
        /// How many steps of the run, and amounts to keep, would have been refused; see
        /// [`ShadowExhausted`](Self::ShadowExhausted).
        exhausted: u64,
        /// The time from the start of the action to its end.
        took: Duration,
    },
}

impl Event {
    /// Creates the event for a file in the journal that is not a record, for code that reads the journal.
    pub fn record_unreadable(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::RecordUnreadable {
            file: file.into(),
            reason: reason.into(),
        }
    }

    /// Creates the event for records of other clients below this directory, for code that reads the journal.
    pub fn records_elsewhere(records: usize, directory: impl Into<String>) -> Self {
        Self::RecordsElsewhere {
            records,
            directory: directory.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_an_event_is_the_name_of_its_variant() {
        let reservation_id = || ReservationId::from("r");
        for event in [
            Event::LeaseLost {
                info: None,
                reservation_id: reservation_id(),
            },
            Event::SettlingByEvent {
                info: None,
                reservation_id: reservation_id(),
            },
            Event::record_unreadable("f", "r"),
            Event::records_elsewhere(1, "d"),
            Event::Panicked { reservation_id: None },
        ] {
            let name = format!("{event:?}");
            let name = name.split([' ', '{']).next().unwrap_or_default();
            let label = event.kind();
            assert_eq!(label.replace('_', ""), name.to_lowercase());
            assert!(
                label
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{label}"
            );
        }
    }
}
