//! The log lines of events: their level, their text and their fields.

use cycles_proto::outcome::Aside;
use cycles_proto::{Event, Receipt};

/// Logs an event through `tracing`, with the target `cycles`: as a warning or an error if it may cost money, otherwise
/// at info or debug level.
pub(crate) fn log(event: &Event) {
    let reservation = event.reservation_id().map_or("", |id| id.as_str());
    if let Event::JournalFailed { failure, .. } = event {
        tracing::error!(
            target: "cycles",
            reservation,
            failure = failure.message,
            "could not change the journal"
        );
    } else if let Event::SettlementFailed { error, retry_in, .. } = event {
        tracing::warn!(target: "cycles", reservation, %error, ?retry_in, "a cost could not be settled");
    } else if let Event::CostNotTaken { why, charged, .. } = event {
        let charged = charged
            .as_ref()
            .map_or_else(|| "nothing".to_owned(), ToString::to_string);
        tracing::error!(target: "cycles", reservation, error = %why, charged, "a cost was not accepted");
    } else if let Event::SettledLate { .. } = event {
        tracing::info!(
            target: "cycles",
            reservation,
            "a cost that could not be settled at first is now in the ledger"
        );
    } else if let Event::ChargedLess { actual, charged, .. } = event {
        tracing::error!(
            target: "cycles",
            reservation,
            %actual,
            %charged,
            "less was charged than the action cost: the budget had no more, or the server charged in another unit"
        );
    } else if let Event::SetAside { reason, receipt, .. } = event {
        let kept_as = match reason {
            Aside::Rejected => "*.rejected",
            Aside::Stale => "*.stale",
        };
        let (actual, charged) = if let Receipt::Rejected { actual, charged, .. } = &**receipt {
            (actual.as_ref(), charged.as_ref())
        } else {
            (None, None)
        };
        tracing::error!(
            target: "cycles",
            reservation,
            kept_as,
            actual = actual.map(tracing::field::display),
            charged_instead = charged.map(tracing::field::display),
            "the client will not send this cost again; its record needs manual review"
        );
    } else if let Event::CostUnrecorded { actual, receipt, .. } = event {
        let actual = actual.as_ref().map(tracing::field::display);
        let error = receipt.error().map(tracing::field::display);
        tracing::error!(
            target: "cycles",
            reservation,
            actual,
            error,
            "a cost is neither in the ledger nor on disk, and the client does not retry it: fix the error, then send the same \
             call again under its key; under another key, or as an event, it may be charged twice"
        );
    } else if let Event::RecordUnreadable { file, reason, .. } = event {
        tracing::error!(
            target: "cycles",
            file,
            reason,
            "part of the journal cannot be read; it may contain a cost"
        );
    } else if let Event::SecondCost {
        idempotency_key,
        file,
        ..
    } = event
    {
        let key = idempotency_key.as_str();
        tracing::warn!(
            target: "cycles",
            reservation,
            key,
            file,
            "the reservation has a second cost under another key; both are sent, and the ledger charges one of them"
        );
    } else if let Event::RecordsElsewhere {
        records, directory, ..
    } = event
    {
        tracing::warn!(
            target: "cycles",
            records,
            directory,
            "the journal contains costs for another base URL, tenant or API key, which this client does not settle"
        );
    } else if let Event::HeartbeatStopped {
        reason,
        error,
        lease_lasts,
        ..
    } = event
    {
        let error = error.as_ref().map(tracing::field::display);
        tracing::warn!(
            target: "cycles",
            reservation,
            ?reason,
            error,
            ?lease_lasts,
            "the lease is no longer being extended"
        );
    } else if let Event::BeatFailed { error, retry_in, .. } = event {
        tracing::warn!(target: "cycles", reservation, %error, ?retry_in, "could not extend the lease");
    } else if let Event::LeaseLost { .. } = event {
        tracing::warn!(target: "cycles", reservation, "the lease ended while the action was still running");
    } else if let Event::ReleaseFailed { error, retry_in, .. } = event {
        tracing::warn!(target: "cycles", reservation, %error, ?retry_in, "could not give the budget back; it is freed when the lease ends");
    } else if let Event::CommitTrimmed { problem, .. } = event {
        tracing::warn!(target: "cycles", reservation, %problem, "part of the commit exceeded a limit and was left out");
    } else if let Event::SettlingByEvent { .. } = event {
        tracing::warn!(
            target: "cycles",
            reservation,
            "the reservation is over: its cost is sent as an event"
        );
    } else if let Event::ReservingAgain { error, .. } = event {
        tracing::warn!(target: "cycles", %error, "reserving again under the same key");
    } else {
        tracing::debug!(target: "cycles", reservation, ?event);
    }
}
