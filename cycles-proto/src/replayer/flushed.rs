//! What is left after everything was settled that could be.

use super::Replayer;
use crate::settlement::Receipt;
use crate::step::Event;
use crate::time::Now;

/// What became of the costs of a process, as far as a flush has to say so. One for a client and its clones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    ending: usize,
    unrecorded: usize,
    charged_less: usize,
}

impl Tally {
    /// A reservation was told how it ends.
    pub fn begin_ending(&mut self) {
        self.ending += 1;
    }

    /// It has ended, or nobody drives it any more.
    pub fn end(&mut self, receipt: Option<&Receipt>) {
        self.ending = self.ending.saturating_sub(1);
        self.unrecorded += usize::from(receipt.is_some_and(Receipt::is_unrecorded));
    }

    /// Whether a reservation is on its way to its end.
    pub fn is_ending(&self) -> bool {
        self.ending > 0
    }

    /// Takes note of an event, of a reservation of this process or of a record: each once.
    pub fn note(&mut self, event: &Event) {
        self.unrecorded += usize::from(matches!(event, Event::CostNotTaken { .. }));
        self.charged_less += usize::from(matches!(event, Event::ChargedLess { .. }));
    }
}

/// What a `flush` left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it tells whether costs are left to be settled"]
#[non_exhaustive]
pub struct Flushed {
    /// Reservations of this process that are still being settled or released.
    pub ending: usize,
    /// Records in the journal that are not settled; a later run settles them. Those that were set aside count
    /// after a `flush_stale` only.
    pub recorded: usize,
    /// Costs of this process that are in no ledger and in no record, and none will be: every attempt failed and there
    /// is no journal or it could not be written, or a cost could not be taken, all of it or an item's
    /// ([`Event::CostNotTaken`]). Whoever handed them over was told, and so were observers.
    pub unrecorded: usize,
    /// Costs of this process for which less was charged than they were: the budget had no more, and the overage policy
    /// lets that pass ([`Event::ChargedLess`]).
    pub charged_less: usize,
    /// Whether there are no more records than these. If not, the time was over before the journal was read, or
    /// it could not be read, which observers are told.
    pub is_certain: bool,
}

impl Flushed {
    /// What is known of the journal by now, if there is one, and of the costs of this process.
    pub fn new(journal: Option<&Replayer>, has_journal: bool, now: Now, tally: Tally) -> Self {
        let Tally {
            ending,
            unrecorded,
            charged_less,
        } = tally;
        Self {
            ending,
            recorded: journal.map_or(0, Replayer::unsettled),
            unrecorded,
            charged_less,
            is_certain: !has_journal || journal.is_some_and(|replayer| replayer.is_complete(now)),
        }
    }

    /// Whether nothing is left: every cost that was handed over is settled, to its full amount.
    pub fn is_complete(&self) -> bool {
        let Self {
            ending,
            recorded,
            unrecorded,
            charged_less,
            is_certain,
        } = *self;
        is_certain && [ending, recorded, unrecorded, charged_less] == [0; 4]
    }
}
