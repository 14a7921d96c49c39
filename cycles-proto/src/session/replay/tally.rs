//! What became of the costs of a process.

use std::collections::BTreeSet;

use super::Replayer;
use crate::journal::record::RecordId;
use crate::outcome::{Event, Flushed, Outcome, Receipt};
use crate::time::Now;

/// What became of the costs of a process, as far as a flush has to say so. One for a client and its clones.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    ending: usize,
    unrecorded: usize,
    /// Those among them whose records may still come.
    missing: BTreeSet<RecordId>,
    /// Records that came after their costs were given up, and that no scan has found yet.
    late: BTreeSet<RecordId>,
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

    /// A reservation that was started for a record has ended so. One that is left for a later scan counts as recorded.
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

    /// A scan found this record.
    pub fn note_found(&mut self, record: &RecordId) {
        self.late.remove(record);
    }

    /// The record of a cost that was given up is there after all. The next reading of the journal finds it, and the cost is
    /// settled then.
    pub fn note_late_record(&mut self, record: &RecordId) {
        if self.missing.remove(record) {
            self.unrecorded = self.unrecorded.saturating_sub(1);
            self.late.insert(record.clone());
        }
    }

    fn note_receipt(&mut self, record: Option<&RecordId>, receipt: &Receipt) {
        if receipt.is_unrecorded() {
            self.unrecorded += 1;
            self.missing.extend(record.cloned());
        }
        if let (Some(record), true) = (record, receipt.is_set_aside()) {
            self.set_aside.insert(record.clone());
        }
    }
}

impl Flushed {
    /// What is known of the journal by now, if there is one, and of the costs of this process.
    pub fn new(journal: Option<&Replayer>, has_journal: bool, now: Now, tally: &Tally) -> Self {
        let &Tally {
            ending,
            unrecorded,
            charged_less,
            ref late,
            ref set_aside,
            corrupt,
            unread,
            ..
        } = tally;
        let is_read = !has_journal || journal.is_some_and(|replayer| replayer.is_complete(now));
        Self {
            ending,
            recorded: journal.map_or(0, Replayer::unsettled) + late.len(),
            unrecorded,
            charged_less,
            set_aside: set_aside.len() + corrupt,
            is_certain: is_read && unread == 0,
        }
    }
}
