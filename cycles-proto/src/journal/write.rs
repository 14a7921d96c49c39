//! The changes to the journal that a state machine asks for, and what it means if one fails.

use core::time::Duration;

use super::owned_file::without_amount;
use super::record::{JournalRecord, RecordId, stem, stem_of_cost};
use crate::outcome::Aside;

/// A change to the journal. It concerns the record of one cost, and never replaces, removes or overwrites a record
/// under another key, even of the same reservation.
#[derive(Clone, Debug)]
pub enum JournalWrite {
    /// Write the record, replacing an older one of the same cost.
    Put(JournalRecord),
    /// Write the total of a run so far, replacing an older one. It is not a record yet: it becomes one with the next
    /// [`Put`](Self::Put) under its key or, if this client is gone, with the next scan.
    PutRun(JournalRecord),
    /// Write the mark of an action whose request leaves: the record of its estimate, with
    /// [`dispatched`](JournalRecord::dispatched). It is never settled by itself. The next [`Put`](Self::Put) of the
    /// reservation takes its place.
    PutMark(JournalRecord),
    /// The request costs nothing, or its cost is settled: remove the mark, if it exists.
    RemoveMark(RecordId),
    /// The action, or the run with this total, ended without saying what it spent. If it has a mark, keep that, so that
    /// a person can decide.
    LeaveMark(JournalRecord),
    /// The cost is settled: remove its record. What the total of a run says about its steps becomes a mark, unless the
    /// record has made it one before.
    Remove(JournalRecord),
    /// The cost cannot be settled: keep its record under another name, where a person finds it and no replay does. If
    /// there is no record, write this one.
    SetAside(JournalRecord, Aside),
}

impl JournalWrite {
    /// The cost that the change concerns.
    pub fn id(&self) -> &RecordId {
        match self {
            Self::Put(record)
            | Self::PutRun(record)
            | Self::PutMark(record)
            | Self::LeaveMark(record)
            | Self::Remove(record)
            | Self::SetAside(record, _) => record.id(),
            Self::RemoveMark(id) => id,
        }
    }

    /// The id of the file of this client that the change takes away or writes: that of a run, or of a mark, which may
    /// be under another key than the cost.
    pub(super) fn id_of_owned(&self) -> RecordId {
        match self {
            Self::Put(record) | Self::SetAside(record, _) => record.mark_id(),
            Self::PutRun(record) | Self::PutMark(record) | Self::LeaveMark(record) | Self::Remove(record) => {
                without_amount(record.id())
            }
            Self::RemoveMark(id) => without_amount(id),
        }
    }

    /// The mark that this change leaves for a person, if it leaves one.
    pub(crate) fn mark_left(&self) -> Option<RecordId> {
        let record = match self {
            Self::LeaveMark(mark) if mark.dispatched().is_some() => return Some(mark.id().clone()),
            Self::Put(total) | Self::LeaveMark(total) | Self::SetAside(total, _) | Self::Remove(total) => {
                total
            }
            Self::PutRun(_) | Self::PutMark(_) | Self::RemoveMark(_) => return None,
        };
        Some(record.mark_of_steps()?.id().clone())
    }

    /// What it means for the cost if the change cannot be made, as a sentence.
    pub fn consequence(&self) -> &'static str {
        match self {
            Self::Put(_) => "Until the cost is settled, only this process knows of it",
            Self::PutRun(_) => {
                "Until the run ends or another of its steps is stored, only this process knows what its last steps cost"
            }
            Self::PutMark(_) => {
                "If this process dies before the action ends, nothing on disk says that its request may have to be paid for"
            }
            Self::RemoveMark(_) => {
                "The mark stays. Once this process has ended, it is reported as a cost that nobody knows, although this action \
                 has no such cost"
            }
            Self::LeaveMark(_) => "It can be charged or discarded by hand only once this process has ended",
            Self::Remove(_) => {
                "The cost is settled but its record stays, so it is sent again under the same key, and counts only once"
            }
            Self::SetAside(..) => {
                "The record was not set aside. If there is one, a later run tries it again; if not, only this process \
                 knows of the cost"
            }
        }
    }
}

impl Aside {
    /// The names for the record of this cost, in order of preference: another cost of the reservation may have the
    /// first.
    pub fn file_names(self, id: &RecordId) -> [String; 2] {
        [stem(&id.reservation), stem_of_cost(id)].map(|stem| format!("{stem}.{}", self.ending()))
    }
}

/// The deadline for a change to the journal. A change that takes longer, as on a disk that hangs, counts as failed; if
/// it is made later anyway, that does no harm.
pub const STORE_DEADLINE: Duration = Duration::from_secs(5);
