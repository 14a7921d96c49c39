//! The log lines of events: their level, their text and their fields.
//!
//! | level | what |
//! |---|---|
//! | error | money that a person has to look after: a cost that is set aside, unrecorded, or charged for less |
//! | warn | something failed and is being handled, a lease was lost, or a reservation could not be made; in shadow mode also what would have been denied, or is not known |
//! | info | a denial, and the good end of something that was warned about |
//! | debug | the usual course: granted, extended, committed, released |
//!
//! All lines have the target `cycles`; those of HTTP have `cycles::http`, at debug level.

use cycles_proto::models::Amount;
use cycles_proto::outcome::{Aside, ReservationInfo};
use cycles_proto::{Event, Receipt, ShadowDecision};
use tracing::field::{DisplayValue, display};

/// Writes one line with the label of the event, its reservation and what that is for.
macro_rules! line {
    ($level:ident, $event:expr, $text:literal $(, $($fields:tt)+)?) => {
        tracing::$level!(
            target: "cycles",
            event = $event.kind(),
            reservation = reservation($event),
            of = of($event),
            $($($fields)+,)?
            $text
        )
    };
}

/// Logs an event through `tracing`.
pub(crate) fn log(event: &Event) {
    match event {
        Event::Denied { error, .. } => line!(info, event, "denied", %error),
        Event::NotReserved { error, .. } => line!(warn, event, "could not reserve", %error),
        Event::ReservingAgain { error, .. } => {
            line!(warn, event, "reserving again under the same key", %error);
        }
        Event::Evaluated { response, .. } => {
            line!(
                debug,
                event,
                "a dry run was answered",
                decision = response.decision.as_str()
            );
        }
        Event::Granted { .. } => line!(debug, event, "granted"),
        Event::Committed {
            charged,
            charged_by,
            source,
            took,
            ..
        } => line!(debug, event, "charged", charged = shown(charged), %charged_by, %source, ?took),
        Event::Released { reason, took, .. } => {
            line!(debug, event, "given back", reason = reason.as_str(), ?took);
        }
        Event::Expired { error, .. } => {
            let error = error.as_ref().map(display);
            line!(
                debug,
                event,
                "not given back: it is freed when the lease ends",
                error
            );
        }
        Event::LeaseExtended { expires_at, .. } => {
            line!(
                debug,
                event,
                "the lease was extended",
                expires_at_ms = expires_at.0
            );
        }
        Event::ExtendFailed { error, .. } => {
            let error = error.as_ref().map(display);
            line!(warn, event, "could not extend the lease when asked to", error);
        }
        Event::BeatFailed { error, retry_in, .. } => {
            line!(warn, event, "could not extend the lease", %error, ?retry_in);
        }
        Event::HeartbeatStopped {
            reason,
            error,
            lease_lasts,
            ..
        } => {
            let error = error.as_ref().map(display);
            line!(
                warn,
                event,
                "the lease is no longer being extended",
                ?reason,
                error,
                ?lease_lasts
            );
        }
        Event::LeaseLost { .. } => {
            line!(warn, event, "the lease ended while the action was still running");
        }
        Event::ReleaseFailed { error, retry_in, .. } => {
            line!(warn, event, "could not give the budget back; it is freed when the lease ends", %error, ?retry_in);
        }
        Event::CommitTrimmed { problem, .. } => {
            line!(warn, event, "part of the commit exceeded a limit and was left out", %problem);
        }
        Event::SettlementFailed { error, retry_in, .. } => {
            line!(warn, event, "a cost could not be settled", %error, ?retry_in);
        }
        Event::SettlingByEvent { .. } => {
            line!(
                warn,
                event,
                "the reservation is over: its cost is sent as an event"
            );
        }
        Event::SettledLate { .. } => {
            line!(
                info,
                event,
                "a cost that could not be settled at first is now in the ledger"
            );
        }
        Event::SecondCost {
            idempotency_key,
            file,
            ..
        } => line!(
            warn,
            event,
            "the reservation has a second cost under another key; both are sent, and the ledger charges one of them",
            key = idempotency_key.as_str(),
            file
        ),
        Event::RecordsElsewhere {
            records, directory, ..
        } => line!(
            warn,
            event,
            "the journal contains costs for another base URL, tenant or API key, which this client does not settle",
            records,
            directory
        ),
        Event::PlaceWrittenOff { .. } => {
            line!(
                warn,
                event,
                "a withdrawn call was not given up in time; the transport is at fault"
            );
        }
        Event::Panicked { .. } => {
            line!(
                error,
                event,
                "a bug in this client ended its work on a reservation; please report it"
            );
        }
        Event::JournalFailed { failure, .. } => {
            line!(
                error,
                event,
                "could not change the journal",
                failure = failure.message
            );
        }
        Event::CostNotTaken { why, charged, .. } => {
            let charged = charged
                .as_ref()
                .map_or_else(|| "nothing".to_owned(), ToString::to_string);
            line!(error, event, "a cost was not accepted", error = %why, charged);
        }
        Event::CostUnknown {
            estimate, charged, ..
        } => line!(
            error,
            event,
            "an action failed after its request had left; nobody knows what it cost, and it is not charged: ask the provider, \
             and charge it with `journal().charge_estimate` if it was marked on disk, or else with `create_event`",
            unknown = %estimate,
            charged = shown(charged)
        ),
        Event::UnknownCostLeft { file, .. } => line!(
            error,
            event,
            "a process ended while its action's request was under way; nobody knows what it cost, and it is not charged: \
             ask the provider, and charge its estimate with `journal().charge_estimate`, or discard the mark",
            file
        ),
        Event::ChargedLess { actual, charged, .. } => line!(
            error,
            event,
            "less was charged than the action cost: the budget had no more, or the server charged in another unit",
            %actual,
            %charged
        ),
        Event::SetAside { reason, receipt, .. } => {
            let kept_as = match reason {
                Aside::Rejected => "*.rejected",
                Aside::Stale => "*.stale",
            };
            let (actual, charged) = if let Receipt::Rejected { actual, charged, .. } = &**receipt {
                (shown(actual), shown(charged))
            } else {
                (None, None)
            };
            line!(
                error,
                event,
                "the client will not send this cost again; its record needs manual review",
                kept_as,
                actual,
                charged_instead = charged
            );
        }
        Event::CostUnrecorded { actual, receipt, .. } => {
            let error = receipt.error().map(display);
            line!(
                error,
                event,
                "a cost is neither in the ledger nor on disk, and the client does not retry it: fix the error, then send \
                 the same call again under its key; under another key, or as an event, it may be charged twice",
                actual = shown(actual),
                error
            );
        }
        Event::RecordUnreadable { file, reason, .. } => {
            line!(
                error,
                event,
                "part of the journal cannot be read; it may contain a cost",
                file,
                reason
            );
        }
        Event::ShadowStarted { .. } => line!(
            warn,
            event,
            "shadow mode: nothing is denied, nothing is held and nothing is charged for the actions that are in it"
        ),
        Event::ShadowExhausted {
            step,
            asked,
            missing,
            is_late,
            ..
        } => line!(
            warn,
            event,
            "shadow mode: a step began that the run would have refused",
            step,
            %asked,
            %missing,
            is_late
        ),
        Event::Shadowed { .. } => shadowed(event),
        _ => line!(debug, event, "no text for this event"),
    }
}

/// Logs what would have become of an action in shadow mode. Its level depends on the decision alone.
fn shadowed(event: &Event) {
    let Event::Shadowed {
        decision,
        actual,
        has_unknown_cost,
        exhausted,
        took,
        ..
    } = event
    else {
        return;
    };
    let actual = shown(actual);
    let scopes = decision.affected_scopes().join(" ");
    match decision {
        ShadowDecision::Denied(error) => line!(
            warn,
            event,
            "shadow mode: this action ran, and would have been denied; each decision is independent of all others",
            reason = decision.reason().map(|reason| reason.as_str()),
            scopes,
            actual,
            has_unknown_cost,
            exhausted,
            ?took,
            %error
        ),
        ShadowDecision::Unknown(error) => line!(
            warn,
            event,
            "shadow mode: this action ran, and what the ledger would have decided is not known",
            actual,
            has_unknown_cost,
            exhausted,
            ?took,
            %error
        ),
        ShadowDecision::Allowed(_) | _ => line!(
            debug,
            event,
            "shadow mode: this action ran, and would have been allowed; each decision is independent of all others",
            decision = decision.as_str(),
            scopes,
            actual,
            has_unknown_cost,
            exhausted,
            ?took
        ),
    }
}

fn reservation(event: &Event) -> Option<&str> {
    event.reservation_id().map(|id| id.as_str())
}

/// What the reservation is for, as one phrase.
fn of(event: &Event) -> Option<DisplayValue<&ReservationInfo>> {
    event.info().map(display)
}

fn shown(amount: &Option<Amount>) -> Option<DisplayValue<&Amount>> {
    amount.as_ref().map(display)
}
