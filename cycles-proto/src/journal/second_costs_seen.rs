//! Which second costs of reservations a client has seen in its directory, and which of them it has reported.

use std::collections::BTreeSet;

use super::change::Changed;
use super::record::RecordId;
use super::scan::Scan;

/// What a client knows about its directory: which second costs wait in it, and which of them it has reported. One per
/// client.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The second costs of reservations that are known to wait.
    waiting: BTreeSet<RecordId>,
    /// The waiting costs that were reported.
    told: BTreeSet<RecordId>,
    was_read: bool,
}

impl Seen {
    /// Notes a change.
    pub fn note(&mut self, changed: &Changed) {
        for (id, waits) in &changed.waiting {
            if *waits {
                self.waiting.insert(id.clone());
            } else {
                self.waiting.remove(id);
            }
        }
    }

    /// Notes a scan of the directory.
    pub fn note_scan(&mut self, scan: &Scan) {
        self.waiting.extend(scan.waiting.iter().map(|(id, _)| id.clone()));
    }

    /// The cost that gets the reservation's name when this one has ended.
    pub(super) fn next_after(&self, ended: &RecordId) -> Option<RecordId> {
        let mut waiting = self.waiting.iter();
        waiting
            .find(|id| id.reservation == ended.reservation && *id != ended)
            .cloned()
    }

    /// Notes that this second cost is reported. Returns `false` if it was reported before.
    pub(super) fn note_told(&mut self, id: &RecordId) -> bool {
        self.told.insert(id.clone())
    }

    /// Whether the directory was read before.
    pub(super) fn was_read(&self) -> bool {
        self.was_read
    }

    /// Notes that the directory was read. Returns `false` if it had already been read.
    pub(super) fn note_reading(&mut self) -> bool {
        !core::mem::replace(&mut self.was_read, true)
    }
}
