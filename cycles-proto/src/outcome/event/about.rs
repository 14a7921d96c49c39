//! What all events have in common: a label, a reservation, and what that is for.

use core::time::Duration;

use super::Event;
use crate::models::ReservationId;
use crate::outcome::ReservationInfo;

/// The field `info` of an event that is about a reservation. Of a reference it is a reference, as in a `match`.
macro_rules! info_of {
    ($event:expr) => {
        match $event {
            Self::ReservingAgain { info, .. }
            | Self::Granted { info, .. }
            | Self::LeaseExtended { info, .. }
            | Self::ExtendFailed { info, .. }
            | Self::BeatFailed { info, .. }
            | Self::HeartbeatStopped { info, .. }
            | Self::LeaseLost { info, .. }
            | Self::CostNotTaken { info, .. }
            | Self::CostUnknown { info, .. }
            | Self::UnknownCostLeft { info, .. }
            | Self::CommitTrimmed { info, .. }
            | Self::JournalFailed { info, .. }
            | Self::SettlementFailed { info, .. }
            | Self::SettlingByEvent { info, .. }
            | Self::SettledLate { info, .. }
            | Self::ChargedLess { info, .. }
            | Self::CostUnrecorded { info, .. }
            | Self::SetAside { info, .. }
            | Self::ReleaseFailed { info, .. }
            | Self::Denied { info, .. }
            | Self::NotReserved { info, .. }
            | Self::Evaluated { info, .. }
            | Self::Committed { info, .. }
            | Self::Released { info, .. }
            | Self::Expired { info, .. }
            | Self::ShadowExhausted { info, .. }
            | Self::Shadowed { info, .. } => Some(info),
            Self::RecordUnreadable { .. }
            | Self::SecondCost { .. }
            | Self::RecordsElsewhere { .. }
            | Self::PlaceWrittenOff { .. }
            | Self::Panicked { .. }
            | Self::ShadowStarted { .. } => None,
        }
    };
}

impl Event {
    /// The variant's name in snake case, as a label for metrics and log fields. The label of an event never changes.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ReservingAgain { .. } => "reserving_again",
            Self::Granted { .. } => "granted",
            Self::LeaseExtended { .. } => "lease_extended",
            Self::ExtendFailed { .. } => "extend_failed",
            Self::BeatFailed { .. } => "beat_failed",
            Self::HeartbeatStopped { .. } => "heartbeat_stopped",
            Self::LeaseLost { .. } => "lease_lost",
            Self::CostNotTaken { .. } => "cost_not_taken",
            Self::CostUnknown { .. } => "cost_unknown",
            Self::UnknownCostLeft { .. } => "unknown_cost_left",
            Self::CommitTrimmed { .. } => "commit_trimmed",
            Self::JournalFailed { .. } => "journal_failed",
            Self::RecordUnreadable { .. } => "record_unreadable",
            Self::SecondCost { .. } => "second_cost",
            Self::RecordsElsewhere { .. } => "records_elsewhere",
            Self::SettlementFailed { .. } => "settlement_failed",
            Self::SettlingByEvent { .. } => "settling_by_event",
            Self::SettledLate { .. } => "settled_late",
            Self::ChargedLess { .. } => "charged_less",
            Self::CostUnrecorded { .. } => "cost_unrecorded",
            Self::SetAside { .. } => "set_aside",
            Self::PlaceWrittenOff { .. } => "place_written_off",
            Self::Panicked { .. } => "panicked",
            Self::ReleaseFailed { .. } => "release_failed",
            Self::Denied { .. } => "denied",
            Self::NotReserved { .. } => "not_reserved",
            Self::Evaluated { .. } => "evaluated",
            Self::Committed { .. } => "committed",
            Self::Released { .. } => "released",
            Self::Expired { .. } => "expired",
            Self::ShadowStarted { .. } => "shadow_started",
            Self::ShadowExhausted { .. } => "shadow_exhausted",
            Self::Shadowed { .. } => "shadowed",
        }
    }

    /// The reservation that the event is about, if there is one yet.
    pub fn reservation_id(&self) -> Option<&ReservationId> {
        match self {
            Self::ReservingAgain { .. }
            | Self::RecordUnreadable { .. }
            | Self::RecordsElsewhere { .. }
            | Self::Denied { .. }
            | Self::NotReserved { .. }
            | Self::Evaluated { .. }
            | Self::ShadowStarted { .. } => None,
            Self::PlaceWrittenOff { reservation_id } | Self::Panicked { reservation_id } => {
                reservation_id.as_ref()
            }
            Self::Granted { response, .. } => response.reservation_id.as_ref(),
            Self::LeaseExtended { reservation_id, .. }
            | Self::ExtendFailed { reservation_id, .. }
            | Self::BeatFailed { reservation_id, .. }
            | Self::HeartbeatStopped { reservation_id, .. }
            | Self::LeaseLost { reservation_id, .. }
            | Self::CostNotTaken { reservation_id, .. }
            | Self::CostUnknown { reservation_id, .. }
            | Self::UnknownCostLeft { reservation_id, .. }
            | Self::CommitTrimmed { reservation_id, .. }
            | Self::JournalFailed { reservation_id, .. }
            | Self::SecondCost { reservation_id, .. }
            | Self::SettlementFailed { reservation_id, .. }
            | Self::SettlingByEvent { reservation_id, .. }
            | Self::SettledLate { reservation_id, .. }
            | Self::ChargedLess { reservation_id, .. }
            | Self::SetAside { reservation_id, .. }
            | Self::CostUnrecorded { reservation_id, .. }
            | Self::ReleaseFailed { reservation_id, .. }
            | Self::Committed { reservation_id, .. }
            | Self::Released { reservation_id, .. }
            | Self::Expired { reservation_id, .. }
            | Self::ShadowExhausted { reservation_id, .. }
            | Self::Shadowed { reservation_id, .. } => Some(reservation_id),
        }
    }

    /// What the reservation is for: its subject, action and estimate. `None` if the event is not about a reservation,
    /// or about a record of another program that does not say so.
    pub fn info(&self) -> Option<&ReservationInfo> {
        info_of!(self)?.as_ref()
    }

    /// Whether this is the last event of its reservation: it was not made, or it is over. A cost that is not settled
    /// and stays in its record has no such event until the record is settled or set aside.
    pub fn is_end(&self) -> bool {
        matches!(
            self,
            Self::Denied { .. }
                | Self::NotReserved { .. }
                | Self::Evaluated { .. }
                | Self::Committed { .. }
                | Self::Released { .. }
                | Self::Expired { .. }
                | Self::SetAside { .. }
                | Self::CostUnrecorded { .. }
                | Self::Shadowed { .. }
        )
    }

    /// The time from the request of the reservation to its end, if the event [is its end](Self::is_end) and says so.
    pub fn took(&self) -> Option<Duration> {
        match self {
            Self::Denied { took, .. }
            | Self::NotReserved { took, .. }
            | Self::Evaluated { took, .. }
            | Self::Released { took, .. }
            | Self::Expired { took, .. }
            | Self::Shadowed { took, .. } => Some(*took),
            Self::Committed { took, .. } => *took,
            Self::ReservingAgain { .. }
            | Self::Granted { .. }
            | Self::LeaseExtended { .. }
            | Self::ExtendFailed { .. }
            | Self::BeatFailed { .. }
            | Self::HeartbeatStopped { .. }
            | Self::LeaseLost { .. }
            | Self::CostNotTaken { .. }
            | Self::CostUnknown { .. }
            | Self::UnknownCostLeft { .. }
            | Self::CommitTrimmed { .. }
            | Self::JournalFailed { .. }
            | Self::RecordUnreadable { .. }
            | Self::SecondCost { .. }
            | Self::RecordsElsewhere { .. }
            | Self::SettlementFailed { .. }
            | Self::SettlingByEvent { .. }
            | Self::SettledLate { .. }
            | Self::ChargedLess { .. }
            | Self::CostUnrecorded { .. }
            | Self::SetAside { .. }
            | Self::PlaceWrittenOff { .. }
            | Self::Panicked { .. }
            | Self::ReleaseFailed { .. }
            | Self::ShadowStarted { .. }
            | Self::ShadowExhausted { .. } => None,
        }
    }

    /// Adds what the reservation is for.
    pub(crate) fn with_info(mut self, of: Option<&ReservationInfo>) -> Self {
        if let Some(info) = info_of!(&mut self) {
            *info = of.cloned();
        }
        self
    }
}
