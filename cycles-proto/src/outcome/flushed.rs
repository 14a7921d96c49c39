//! The result of a flush.

use core::time::Duration;

/// What is left after a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it says whether any costs are still unsettled"]
#[non_exhaustive]
pub struct Flushed {
    /// Reservations of this process that are still being settled or released.
    pub ending: usize,
    /// Records in the journal that are not settled; a later run settles them. After a `flush_stale`, records that were
    /// set aside as stale count here.
    pub recorded: usize,
    /// Costs of this process that have no record, and that the client no longer tries to settle. They are in the ledger
    /// only if an attempt got through and its answer was lost. Observers got an event for each, and callers that handed
    /// a cost over got an error or a receipt. There are three causes:
    ///
    /// - every attempt failed, and the journal is switched off or could not be written
    ///   ([`Event::CostUnrecorded`](super::Event::CostUnrecorded));
    /// - a cost, or an item of a stream, was not accepted ([`Event::CostNotTaken`](super::Event::CostNotTaken));
    /// - nobody knows the cost, and the policy is to let a person decide
    ///   ([`Event::CostUnknown`](super::Event::CostUnknown)). One with a
    ///   [durable mark](crate::Session::dispatched_durably) counts until it is charged or discarded with this client.
    pub unrecorded: usize,
    /// Costs of this process that were not charged in full: the budget had no more and the overage policy permits
    /// that, or the server charged another unit ([`Event::ChargedLess`](super::Event::ChargedLess)).
    pub charged_less: usize,
    /// Costs that are in no ledger and that the client no longer sends. Since the client was created, their records
    /// were set aside as `*.rejected` or `*.stale`, or files that may be records as `*.corrupt`. A person decides about
    /// them; observers got an event for each.
    pub set_aside: usize,
    /// Actions of processes that have ended, and whose cost nobody knows: each has left a
    /// [durable mark](crate::Session::dispatched_durably) in the journal. It may have cost up to about its estimate, and
    /// is charged only if a person says so; observers got an event for each
    /// ([`Event::UnknownCostLeft`](super::Event::UnknownCostLeft)).
    pub unknown: usize,
    /// Actions that still ran when the time of a [close](crate::Session::shut_down) was up; 0 after a flush, which does
    /// not wait for actions. A cost that such an action hands over is still recorded; if the process ends first, its
    /// budget is free when its lease ends.
    pub running: usize,
    /// Whether all records are counted. If not, the time was up before the journal was read, or the journal could not
    /// be read; observers got an event for that.
    pub is_certain: bool,
}

impl Flushed {
    /// How long a flush waits for a last look at the journal when its time is up, if [that may
    /// help](crate::session::Session::flush), before it reports that it is not [certain](Self::is_certain): other
    /// processes may have settled their records in the meantime.
    pub const LAST_LOOK: Duration = Duration::from_secs(1);

    /// A result with nothing left, the starting point of a count.
    pub(crate) fn nothing() -> Self {
        Self {
            ending: 0,
            recorded: 0,
            unrecorded: 0,
            charged_less: 0,
            set_aside: 0,
            unknown: 0,
            running: 0,
            is_certain: true,
        }
    }

    /// Whether nothing is left: every cost that was handed over is settled in full.
    pub fn is_complete(&self) -> bool {
        let Self {
            ending,
            recorded,
            unrecorded,
            charged_less,
            set_aside,
            unknown,
            running,
            is_certain,
        } = *self;
        let left = [
            ending,
            recorded,
            unrecorded,
            charged_less,
            set_aside,
            unknown,
            running,
        ];
        is_certain && left == [0; 7]
    }

    /// What is left of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            ending: self.ending + other.ending,
            recorded: self.recorded + other.recorded,
            unrecorded: self.unrecorded + other.unrecorded,
            charged_less: self.charged_less + other.charged_less,
            set_aside: self.set_aside + other.set_aside,
            unknown: self.unknown + other.unknown,
            running: self.running + other.running,
            is_certain: self.is_certain && other.is_certain,
        }
    }
}
