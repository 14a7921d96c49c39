//! The tally of the costs of a process.

use std::collections::BTreeSet;

use super::Replayer;
use crate::journal::record::RecordId;
use crate::outcome::{Event, Flushed, Outcome, Receipt};
use crate::time::Now;

/// Counts what became of the costs of a process, for the result of a flush. A client and its clones share one tally.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    ending: usize,
    unrecorded: usize,
    /// The unrecorded costs whose records may still appear.
    missing: BTreeSet<RecordId>,
    /// Records that appeared after the client had given up on their costs, and that no scan has found yet.
    late: BTreeSet<RecordId>,
    charged_less: usize,
    /// The costs whose records were set aside for a person.
    set_aside: BTreeSet<RecordId>,
    /// Files that may be records but are not valid.
    corrupt: usize,
    /// Files that may be records but could not be read in the last scan.
    unread: usize,
    /// The marks of other clients that the last scan found, without those that a person has dealt with since.
    unknown: BTreeSet<RecordId>,
    /// The marks that this process has left. Each is counted as unrecorded.
    left: BTreeSet<RecordId>,
}

impl Tally {
    /// Counts a reservation that is ending.
    pub fn begin_ending(&mut self) {
        self.ending += 1;
    }

    /// Counts the end of a reservation that was ending, with or without a record of its cost.
    pub fn end(&mut self, record: Option<&RecordId>, receipt: Option<&Receipt>) {
        self.ending = self.ending.saturating_sub(1);
        if let Some(receipt) = receipt {
            self.note_receipt(record, receipt);
        }
    }

    /// Whether any reservation is ending.
    pub fn is_ending(&self) -> bool {
        self.ending > 0
    }

    /// Notes an event of a reservation of this process or of a record. Call it once per event.
    pub fn note(&mut self, event: &Event) {
        let is_unrecorded = matches!(event, Event::CostNotTaken { .. } | Event::CostUnknown { .. });
        self.unrecorded += usize::from(is_unrecorded);
        self.charged_less += usize::from(matches!(event, Event::ChargedLess { .. }));
    }

    /// The costs whose records are set aside, and the files that may be records.
    pub(crate) fn set_aside(&self) -> usize {
        self.set_aside.len() + self.corrupt
    }

    /// Notes a cost that is in neither a ledger nor a record, and that nothing can settle any more.
    pub(crate) fn note_lost(&mut self) {
        self.unrecorded += 1;
    }

    /// Notes the end of a reservation that was started for a record. If the record is left for a later scan, its cost
    /// counts as recorded.
    pub fn note_replayed(&mut self, record: &RecordId, outcome: Option<&Outcome>, is_left: bool) {
        if let (Some(Outcome::Settled(receipt)), false) = (outcome, is_left) {
            self.set_aside.remove(record);
            self.note_receipt(Some(record), receipt);
        }
    }

    /// Notes the files that may be records, but that a scan quarantined or could not read.
    pub fn note_scan(&mut self, corrupt: usize, unread: usize) {
        self.corrupt += corrupt;
        self.unread = unread;
    }

    /// Notes the marks of other clients that a scan found.
    pub(crate) fn note_marks(&mut self, left: BTreeSet<RecordId>) {
        self.unknown = left;
    }

    /// Notes that the mark of a cost that nobody knows was left on disk.
    pub(crate) fn note_mark_left(&mut self, mark: &RecordId) {
        self.left.insert(mark.clone());
    }

    /// Notes that a person charged or discarded a mark.
    pub(crate) fn note_mark_decided(&mut self, mark: &RecordId) {
        self.unknown.remove(mark);
        if self.left.remove(mark) {
            self.unrecorded = self.unrecorded.saturating_sub(1);
        }
    }

    /// Notes that a scan found this record.
    pub fn note_found(&mut self, record: &RecordId) {
        self.late.remove(record);
    }

    /// Notes that the record of a cost that was given up exists after all. The next scan of the journal finds it and
    /// settles the cost.
    pub fn note_late_record(&mut self, record: &RecordId) {
        if self.missing.remove(record) {
            self.unrecorded = self.unrecorded.saturating_sub(1);
            self.late.insert(record.clone());
        }
    }

    /// Notes that a person discarded the record of a cost.
    pub(crate) fn note_discarded(&mut self, record: &RecordId) {
        self.set_aside.remove(record);
        self.late.remove(record);
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
    /// Builds the result from what is known about the journal, if there is one, and the costs of this process.
    pub fn new(journal: Option<&Replayer>, has_journal: bool, now: Now, tally: &Tally) -> Self {
        let &Tally {
            ending,
            unrecorded,
            charged_less,
            ref late,
            unread,
            ref unknown,
            ..
        } = tally;
        let is_read = !has_journal || journal.is_some_and(|replayer| replayer.is_complete(now));
        Self {
            ending,
            recorded: journal.map_or(0, Replayer::unsettled) + late.len(),
            unrecorded,
            charged_less,
            set_aside: tally.set_aside(),
            unknown: unknown.len(),
            running: 0,
            is_certain: is_read && unread == 0,
        }
    }
}
