//! Records that a person has sent again or discarded, beside those of the scans.

use super::{Replayer, ScanState};
use crate::idempotency::Seed;
use crate::journal::record::RecordId;

impl Replayer {
    /// Takes a record that a person sends again. Its reservation is then driven like one that the replay has started,
    /// and its [end](Self::handle_ended) is reported likewise. Returns the seed of the reservation, or `None` if the
    /// cost is being settled already.
    pub fn take(&mut self, id: &RecordId) -> Option<Seed> {
        if self.live.contains(id) || self.settling.contains(id) {
            return None;
        }
        self.forget(id);
        Some(self.begin(id))
    }

    /// Notes that the record of a cost is not there any more, because a person discarded it.
    pub fn forget(&mut self, id: &RecordId) {
        let known = self.tried.remove(id).is_some();
        let queued = self.queue.len();
        self.queue.retain(|record| record.id() != id);
        if known && self.queue.len() == queued && !self.settling.contains(id) {
            self.left = self.left.saturating_sub(1);
        }
    }

    /// Begins to settle a record, and returns the seed of its reservation.
    pub(super) fn begin(&mut self, id: &RecordId) -> Seed {
        self.settling.insert(id.clone());
        self.started += 1;
        self.tried.insert(id.clone(), self.started);
        self.seed.nth(self.started)
    }

    /// Notes the end of a record that was settled while the journal was read: the result of that scan is outdated.
    pub(super) fn note_end_during_scan(&mut self, id: &RecordId, is_left: bool) {
        match is_left {
            true => *self.tried.entry(id.clone()).or_insert(0) = self.started,
            // What is not left does not count as left if a person sends it again.
            false => _ = self.tried.remove(id),
        }
        if let ScanState::Reading(_) = self.scan {
            match is_left {
                true => self.reads_again = true,
                false => _ = self.settled_meanwhile.insert(id.clone()),
            }
        }
    }
}
