//! What is left after everything was settled that could be.

use core::time::Duration;
use std::collections::BTreeSet;

use super::Replayer;
use crate::journal::record::RecordId;
use crate::lifecycle::Outcome;
use crate::settlement::Receipt;
use crate::step::Event;
use crate::time::Now;

/// What became of the costs of a process, as far as a flush has to say so. One for a client and its clones.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    ending: usize,
    unrecorded: usize,
    charged_less: usize,
    /// The costs whose records are for a person now.
    set_aside: BTreeSet<RecordId>,
    /// Files that may be records and are none.
    corrupt: usize,
    /// Files that may be records and could not be read last.
    unread: usize,
}

impl Tally {
    /// A reservation was told how it ends.
    pub fn begin_ending(&mut self) {
        self.ending += 1;
    }

    /// It has ended, or nobody drives it any more; with a record of its cost or without.
    pub fn end(&mut self, record: Option<&RecordId>, receipt: Option<&Receipt>) {
        self.ending = self.ending.saturating_sub(1);
        if let Some(receipt) = receipt {
            self.note_receipt(record, receipt);
        }
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

    /// A cost of this process is in no ledger and in no record, and nobody is left who could settle it.
    pub(crate) fn note_lost(&mut self) {
        self.unrecorded += 1;
    }

    /// A life that was started for a record has ended so. One that is left for a later scan counts as recorded.
    pub fn note_replayed(&mut self, record: &RecordId, outcome: Option<&Outcome>, is_left: bool) {
        if let (Some(Outcome::Settled(receipt)), false) = (outcome, is_left) {
            self.set_aside.remove(record);
            self.note_receipt(Some(record), receipt);
        }
    }

    /// Of the files that may be records a scan put so many out of the way, and could not read so many.
    pub fn note_scan(&mut self, corrupt: usize, unread: usize) {
        self.corrupt += corrupt;
        self.unread = unread;
    }

    fn note_receipt(&mut self, record: Option<&RecordId>, receipt: &Receipt) {
        self.unrecorded += usize::from(receipt.is_unrecorded());
        if let (Some(record), true) = (record, receipt.is_set_aside()) {
            self.set_aside.insert(record.clone());
        }
    }
}

/// What a `flush` left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it tells whether costs are left to be settled"]
#[non_exhaustive]
pub struct Flushed {
    /// Reservations of this process that are still being settled or released.
    pub ending: usize,
    /// Records in the journal that are not settled; a later run settles them. Those that were set aside as stale
    /// count here after a `flush_stale`.
    pub recorded: usize,
    /// Costs of this process that are in no ledger and in no record, and none will be: every attempt failed and there
    /// is no journal or it could not be written, or a cost could not be taken, all of it or an item's
    /// ([`Event::CostNotTaken`]). Whoever handed them over was told, and so were observers.
    pub unrecorded: usize,
    /// Costs of this process for which less was charged than they were: the budget had no more, and the overage policy
    /// lets that pass, or the server charged another unit ([`Event::ChargedLess`]).
    pub charged_less: usize,
    /// Costs that are in no ledger and that nobody sends any more: since the client was made their records were set aside,
    /// as `*.rejected` or `*.stale`, or files that may be records as `*.corrupt`. A person decides, and observers were
    /// told of each.
    pub set_aside: usize,
    /// Whether there are no more records than these. If not, the time was over before the journal was read, or
    /// it could not be read, which observers are told.
    pub is_certain: bool,
}

impl Flushed {
    /// How long a flush whose time is over waits for a last look at the journal, if [that may
    /// help](Replayer::look_again), before it says that it is not [certain](Self::is_certain): other processes may have
    /// settled what was left to them.
    pub const LAST_LOOK: Duration = Duration::from_secs(1);

    /// What is known of the journal by now, if there is one, and of the costs of this process.
    pub fn new(journal: Option<&Replayer>, has_journal: bool, now: Now, tally: &Tally) -> Self {
        let &Tally {
            ending,
            unrecorded,
            charged_less,
            ref set_aside,
            corrupt,
            unread,
        } = tally;
        let is_read = !has_journal || journal.is_some_and(|replayer| replayer.is_complete(now));
        Self {
            ending,
            recorded: journal.map_or(0, Replayer::unsettled),
            unrecorded,
            charged_less,
            set_aside: set_aside.len() + corrupt,
            is_certain: is_read && unread == 0,
        }
    }

    /// Of a session that knows nothing of it.
    pub(crate) fn nothing() -> Self {
        Self {
            ending: 0,
            recorded: 0,
            unrecorded: 0,
            charged_less: 0,
            set_aside: 0,
            is_certain: true,
        }
    }

    /// Whether nothing is left: every cost that was handed over is settled, to its full amount.
    pub fn is_complete(&self) -> bool {
        let Self {
            ending,
            recorded,
            unrecorded,
            charged_less,
            set_aside,
            is_certain,
        } = *self;
        is_certain && [ending, recorded, unrecorded, charged_less, set_aside] == [0; 5]
    }
}
