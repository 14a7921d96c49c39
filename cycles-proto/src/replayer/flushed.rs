//! What is left after everything was settled that could be.

use super::Replayer;
use crate::time::Now;

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
    /// Costs of this process that are in no ledger and, because there is no journal or it could not be written, in
    /// no record: every attempt failed, and none will follow. Whoever committed them was told, and so were observers.
    pub unrecorded: usize,
    /// Whether there are no more records than these. If not, the time was over before the journal was read, or
    /// it could not be read, which observers are told.
    pub is_certain: bool,
}

impl Flushed {
    /// What is known of the journal by now, if there is one, and of the lives of this process: how many are
    /// [ending](Self::ending), and how many ended [without a record](Self::unrecorded).
    pub fn new(
        journal: Option<&Replayer>,
        has_journal: bool,
        now: Now,
        ending: usize,
        unrecorded: usize,
    ) -> Self {
        Self {
            ending,
            recorded: journal.map_or(0, Replayer::unsettled),
            unrecorded,
            is_certain: !has_journal || journal.is_some_and(|replayer| replayer.is_complete(now)),
        }
    }

    /// Whether nothing is left: every cost that was handed over is settled.
    pub fn is_complete(&self) -> bool {
        self.ending == 0 && self.recorded == 0 && self.unrecorded == 0 && self.is_certain
    }
}
