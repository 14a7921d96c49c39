//! What a client has seen in its directory: second costs of reservations, the files of its runs and its marks, and which
//! of those it has reported.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::change::Changed;
use super::owned_file::{OwnFile, Owned, without_amount};
use super::record::{RecordId, key_of_steps};
use super::scan_result::Scan;

/// What a client knows about its directory: which second costs wait in it, and which of them it has reported. One per
/// client.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The second costs of reservations that are known to wait.
    waiting: BTreeSet<RecordId>,
    /// The waiting costs that were reported.
    told: BTreeSet<RecordId>,
    /// The runs and marks of this client that have a file.
    owned: BTreeMap<RecordId, Owned>,
    /// The marks that this client has left behind, or may leave behind.
    left: BTreeSet<RecordId>,
    /// The marks of others that were reported.
    told_marks: BTreeSet<RecordId>,
    /// The files of other runs that were reported.
    told_runs: BTreeSet<PathBuf>,
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
        match &changed.owned {
            Some((id, Some(kind))) => {
                self.owned.insert(id.clone(), *kind);
                // Noted before they may be left behind: a scan may find them in that moment.
                self.left.extend(marks_of(id));
            }
            Some((id, None)) => {
                self.owned.remove(id);
                for mark in marks_of(id) {
                    if changed.left.as_ref() != Some(&mark) {
                        self.left.remove(&mark);
                    }
                }
            }
            None => {}
        }
    }

    /// The file of this client for this run or mark.
    pub(super) fn own_file(&self, id: &RecordId) -> Option<OwnFile> {
        let kind = *self.owned.get(id)?;
        let id = id.clone();
        Some(OwnFile { kind, id })
    }

    /// Whether this client has left this mark behind, and reports it by itself.
    pub(super) fn has_left(&self, id: &RecordId) -> bool {
        self.left.contains(&without_amount(id))
    }

    /// Notes that this mark is reported. Returns `false` if it was reported before.
    pub(super) fn note_told_mark(&mut self, id: &RecordId) -> bool {
        !self.has_left(id) && self.told_marks.insert(without_amount(id))
    }

    /// Notes that the file of this run is reported. Returns `false` if it was reported before.
    pub(super) fn note_told_run(&mut self, file: &Path) -> bool {
        self.told_runs.insert(file.to_owned())
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

/// The marks that the owner of this run or mark may leave behind.
fn marks_of(id: &RecordId) -> [RecordId; 2] {
    let of_steps = RecordId::new(id.reservation.clone(), key_of_steps(&id.key), None);
    [id.clone(), of_steps]
}
