//! Events as JSON: one flat object, for log pipelines and message queues.

use core::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Error, Event};

/// `{"kind":"committed","reservation_id":"r-1","subject":{"tenant":"acme"},"action":{..},"estimate":{..},..}`: the
/// label, what the event is about, and then the members of its variant. Times are in milliseconds, errors are their
/// sentences, and what is not known is left out.
impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Members(serializer.serialize_map(None)?);
        map.some("kind", Some(self.kind()))?;
        map.some("reservation_id", self.reservation_id())?;
        if let Some(info) = self.info() {
            map.some("subject", Some(info.subject()))?;
            map.some("action", Some(info.action()))?;
            map.some("estimate", info.estimate.as_ref())?;
        }
        self.members(&mut map)?;
        map.0.end()
    }
}

struct Members<M>(M);

impl<M: SerializeMap> Members<M> {
    fn some<T: Serialize>(&mut self, name: &'static str, value: Option<T>) -> Result<(), M::Error> {
        value.map_or(Ok(()), |value| self.0.serialize_entry(name, &value))
    }

    fn shown(&mut self, name: &'static str, value: Option<impl ToString>) -> Result<(), M::Error> {
        self.some(name, value.map(|value| value.to_string()))
    }

    fn time(&mut self, name: &'static str, time: Option<Duration>) -> Result<(), M::Error> {
        self.some(
            name,
            time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    fn failure(&mut self, error: &Error, retry_in: Option<Duration>) -> Result<(), M::Error> {
        self.shown("error", Some(error))?;
        self.some("reason", error.reason())?;
        self.time("retry_in_ms", retry_in)
    }
}

impl Event {
    fn members<M: SerializeMap>(&self, map: &mut Members<M>) -> Result<(), M::Error> {
        match self {
            Self::ReservingAgain { error, .. } => map.failure(error, None),
            Self::Granted { response, .. } => {
                map.some("decision", Some(response.decision.as_str()))?;
                map.some("reserved", response.reserved.as_ref())?;
                map.some("expires_at_ms", response.expires_at_ms)
            }
            Self::LeaseExtended { expires_at, .. } => map.some("expires_at_ms", Some(expires_at.0)),
            Self::ExtendFailed { error, .. } | Self::Expired { error, took: _, .. } => {
                map.shown("error", error.as_ref())?;
                map.time("took_ms", self.took())
            }
            Self::BeatFailed { error, retry_in, .. } => map.failure(error, Some(*retry_in)),
            Self::HeartbeatStopped {
                reason,
                error,
                lease_lasts,
                ..
            } => {
                map.some("reason", Some(format!("{reason:?}")))?;
                map.shown("error", error.as_ref())?;
                map.time("lease_lasts_ms", *lease_lasts)
            }
            Self::CostNotTaken { why, charged, .. } => {
                map.shown("error", Some(why))?;
                map.some("charged", charged.as_ref())
            }
            // The member `estimate` of an event is that of its reservation.
            Self::CostUnknown {
                estimate, charged, ..
            } => {
                map.some("unknown", Some(estimate))?;
                map.some("charged", charged.as_ref())
            }
            Self::UnknownCostLeft {
                dispatched_at, file, ..
            } => {
                map.some("dispatched_at_ms", Some(dispatched_at.0))?;
                map.some("file", Some(file))
            }
            Self::CommitTrimmed { problem, .. } => map.shown("error", Some(problem)),
            Self::JournalFailed { failure, .. } => map.some("error", Some(&failure.message)),
            Self::RecordUnreadable { file, reason } => {
                map.some("file", Some(file))?;
                map.some("error", Some(reason))
            }
            Self::SecondCost {
                idempotency_key,
                file,
                ..
            } => {
                map.some("idempotency_key", Some(idempotency_key))?;
                map.some("file", Some(file))
            }
            Self::RecordsElsewhere { records, directory } => {
                map.some("records", Some(records))?;
                map.some("directory", Some(directory))
            }
            Self::SettlementFailed { error, retry_in, .. } | Self::ReleaseFailed { error, retry_in, .. } => {
                map.failure(error, *retry_in)
            }
            Self::SettledLate { receipt, .. } => map.some("charged", receipt.charged()),
            Self::ChargedLess { actual, charged, .. } => {
                map.some("actual", Some(actual))?;
                map.some("charged", Some(charged))
            }
            Self::CostUnrecorded { actual, receipt, .. } => {
                map.some("actual", actual.as_ref())?;
                map.shown("error", receipt.error())
            }
            Self::SetAside { reason, receipt, .. } => {
                map.some("kept_as", Some(reason.ending()))?;
                map.some("charged", receipt.charged())?;
                map.shown("error", receipt.error())
            }
            Self::Denied { error, took, .. } | Self::NotReserved { error, took, .. } => {
                map.failure(error, None)?;
                map.time("took_ms", Some(*took))
            }
            Self::Evaluated { response, took, .. } => {
                map.some("decision", Some(response.decision.as_str()))?;
                map.some("reason", response.reason_code.as_ref())?;
                map.time("took_ms", Some(*took))
            }
            Self::Committed {
                charged,
                charged_by,
                source,
                took,
                ..
            } => {
                map.some("charged", charged.as_ref())?;
                map.shown("charged_by", Some(charged_by))?;
                map.shown("source", Some(source))?;
                map.time("took_ms", *took)
            }
            Self::Released { reason, took, .. } => {
                map.some("reason", Some(reason.as_str()))?;
                map.time("took_ms", Some(*took))
            }
            Self::ShadowStarted { tenant } => map.some("tenant", tenant.as_ref()),
            Self::ShadowExhausted {
                step,
                asked,
                missing,
                is_late,
                ..
            } => {
                map.some("step", step.as_ref())?;
                map.some("asked", Some(asked))?;
                map.some("missing", Some(missing))?;
                map.some("is_late", is_late.then_some(true))
            }
            Self::Shadowed {
                decision,
                actual,
                source,
                has_unknown_cost,
                exhausted,
                took,
                ..
            } => {
                map.some("decision", Some(decision.as_str()))?;
                // Nothing is held between two of them.
                map.some("decision_is_independent", Some(true))?;
                map.some("reason", decision.reason())?;
                let scopes = decision.affected_scopes();
                map.some(
                    "affected_scopes",
                    Some(scopes).filter(|scopes| !scopes.is_empty()),
                )?;
                map.some("caps", decision.caps())?;
                map.shown("error", decision.error())?;
                map.some("actual", actual.as_ref())?;
                map.shown("source", actual.as_ref().map(|_| source))?;
                map.some("has_unknown_cost", has_unknown_cost.then_some(true))?;
                map.some("exhausted", Some(*exhausted).filter(|exhausted| *exhausted > 0))?;
                map.time("took_ms", Some(*took))
            }
            Self::LeaseLost { .. }
            | Self::SettlingByEvent { .. }
            | Self::PlaceWrittenOff { .. }
            | Self::Panicked { .. } => Ok(()),
        }
    }
}
