//! What a scan found, for a replayer: the records to settle, and events about everything else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::Files;
use super::op::OpFailure;
use super::procedure::Next;
use super::record::JournalRecord;
use super::record::RecordId;
use super::scan::{beside, kept, look_through};
use super::scan_result::{Problem, Scan, SetAside};
use super::second_costs_seen::Seen;
use crate::outcome::{Aside, Event, ReservationInfo};

/// The records for a replayer to settle, and everything else that was found.
#[derive(Clone, Debug, Default)]
pub struct FoundRecords {
    scan: Scan,
    stale: Vec<SetAside>,
    beside: usize,
}

/// [Scans](super::scan()) for a [`Session`](crate::Session), including the records that were set aside as stale if
/// requested. The first time, it also looks into the neighbouring directories.
pub fn read<'a>(
    base_url: &'a str,
    with_stale: bool,
    seen: &Seen,
) -> Next<'a, Result<FoundRecords, OpFailure>> {
    let is_first = !seen.was_read();
    Next::of(move |mailbox| async move {
        let files = Files::new(mailbox, base_url);
        let scan = look_through(&files).await?;
        let beside = if is_first { beside(&files).await } else { 0 };
        let stale = if with_stale {
            kept(&files, Aside::Stale).await?
        } else {
            Vec::new()
        };
        Ok(FoundRecords { scan, stale, beside })
    })
}

impl FoundRecords {
    /// The events to report: about unreadable files every time, about everything else once.
    pub fn events(&self, seen: &mut Seen, directory: &Path) -> Vec<Event> {
        seen.note_scan(&self.scan);
        let show = |file: &PathBuf| directory.join(file).display().to_string();
        let mut events = Vec::new();
        for problem in &self.scan.problems {
            let file = problem.moved_to.as_ref().unwrap_or(&problem.file);
            events.push(Event::record_unreadable(show(file), problem.reason.clone()));
        }
        for (id, file) in &self.scan.waiting {
            if seen.note_told(id) {
                events.push(Event::second_cost(id.clone(), show(file)));
            }
        }
        for file in &self.scan.abandoned_runs {
            if seen.note_told_run(file) {
                let reason = "it has the total of a run, and it cannot be known whether the program that runs it has \
                              ended, so the total is not charged";
                events.push(Event::record_unreadable(show(file), reason));
            }
        }
        for (mark, file) in &self.scan.marks {
            if seen.note_told_mark(mark.id()) {
                events.push(Event::unknown_cost_left(mark, show(file)));
            }
        }
        let elsewhere = self.scan.of_others + self.beside;
        if seen.note_reading() && elsewhere > 0 {
            let base = directory.parent().unwrap_or(directory);
            events.push(Event::records_elsewhere(elsewhere, base.display().to_string()));
        }
        for aside in self.stale.iter().filter(|aside| aside.record.is_none()) {
            let reason = "it was set aside, and is no longer a record";
            events.push(Event::record_unreadable(show(&aside.path), reason));
        }
        events
    }

    /// The files that need a person's attention.
    pub fn problems(&self) -> &[Problem] {
        &self.scan.problems
    }

    /// How many files were quarantined because they are not records. Each may have been a cost.
    pub fn quarantined(&self) -> usize {
        let problems = self.scan.problems.iter();
        problems.filter(|problem| problem.moved_to.is_some()).count()
    }

    /// How many files could not be read. Each may be a cost.
    pub fn unread(&self) -> usize {
        let stale = self.stale.iter().filter(|aside| aside.record.is_none());
        self.scan.problems.len() - self.quarantined() + stale.count() + self.scan.abandoned_runs.len()
    }

    /// The marks that other clients left, of actions that may have cost something. Nobody knows how much.
    pub fn unknown(&self, seen: &Seen) -> BTreeSet<RecordId> {
        let marks = self.scan.marks.iter().map(|(mark, _)| mark.id());
        marks.filter(|id| !seen.has_left(id)).cloned().collect()
    }

    /// The records; those that were set aside come last.
    pub fn into_records(self) -> Vec<JournalRecord> {
        let mut records = self.scan.records;
        records.extend(self.stale.into_iter().filter_map(|aside| aside.record));
        records
    }
}

impl Event {
    /// Creates the event for a mark that somebody left in this file.
    fn unknown_cost_left(mark: &JournalRecord, file: String) -> Self {
        let purpose = mark.purpose().map(Arc::new);
        Self::UnknownCostLeft {
            info: purpose.map(|purpose| ReservationInfo::new(purpose, mark.dispatched().cloned())),
            reservation_id: mark.reservation_id().clone(),
            dispatched_at: mark.recorded_at(),
            file,
        }
    }

    /// Creates the event for a second cost of a reservation, found in this file, for code that reads the journal.
    pub fn second_cost(id: RecordId, file: impl Into<String>) -> Self {
        Self::SecondCost {
            reservation_id: id.reservation,
            idempotency_key: id.key,
            file: file.into(),
        }
    }
}
