//! What a machine asks of the journal, and how that fails.

use core::time::Duration;

use super::record::{JournalRecord, RecordId, stem, stem_of_cost};
use crate::outcome::Aside;

/// A change of the journal. It concerns the record of one cost: that of another key, also of the same reservation, is
/// never replaced, removed or overwritten by it.
#[derive(Clone, Debug)]
pub enum JournalWrite {
    /// Write the record, in place of an older one of the same cost.
    Put(JournalRecord),
    /// The cost is settled: remove its record.
    Remove(RecordId),
    /// The cost cannot be settled: keep its record under another name, where no replay finds it and a person does. If
    /// there is none by now, it is written from this one.
    SetAside(JournalRecord, Aside),
}

impl JournalWrite {
    /// The cost that it concerns.
    pub fn id(&self) -> &RecordId {
        match self {
            Self::Put(record) | Self::SetAside(record, _) => record.id(),
            Self::Remove(id) => id,
        }
    }

    /// What it means for the cost if the change cannot be made.
    pub fn consequence(&self) -> &'static str {
        match self {
            Self::Put(_) => "Until it is settled, the cost is known to this process only",
            Self::Remove(_) => {
                "The cost is settled and its record stays, so it is sent again under the same key, which counts once"
            }
            Self::SetAside(..) => {
                "The record was not set aside: if there is one, a later run tries it again, and if not, the cost is known \
                 to this process only"
            }
        }
    }
}

impl Aside {
    /// The names for the record of this cost, in the order of preference: the first may be taken by another cost of the
    /// reservation.
    pub fn file_names(self, id: &RecordId) -> [String; 2] {
        [stem(&id.reservation), stem_of_cost(id)].map(|stem| format!("{stem}.{}", self.ending()))
    }
}

/// How long anybody waits for a change of the journal. One that takes longer, as on a disk that hangs, counts as failed;
/// if it is made later all the same, that does no harm.
pub const STORE_DEADLINE: Duration = Duration::from_secs(5);
