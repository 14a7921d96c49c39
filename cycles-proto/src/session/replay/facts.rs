//! What is known about a replay: what is left, when it looks next, and whether it is at work.

use core::time::Duration;

use super::{Replayer, ScanState};
use crate::time::{Now, UnixMillis};

impl Replayer {
    /// Whether a record is being settled.
    pub fn is_settling(&self) -> bool {
        !self.settling.is_empty()
    }

    /// How many records are known to be unsettled.
    pub fn unsettled(&self) -> usize {
        self.queue.len() + self.settling.len() + self.left
    }

    /// When the oldest record of the last scan was written, if any is unsettled.
    pub(crate) fn oldest(&self) -> Option<UnixMillis> {
        self.oldest.filter(|_| self.unsettled() > 0)
    }

    /// The planned time of the next scan, if any. If an input has changed this, [`poll`](Self::poll) has something new
    /// to return.
    pub fn next_look(&self) -> Option<Duration> {
        match self.scan {
            ScanState::At(at) => Some(at),
            ScanState::Reading(_) | ScanState::Idle => None,
        }
    }

    /// Whether nothing is under way, nothing is due, and no pause of a record ends by `until`. Records that failed are
    /// left for later and do not count.
    pub fn is_quiet(&self, now: Now, until: Duration) -> bool {
        let is_due = matches!(self.scan, ScanState::At(at) if at <= now.mono);
        !self.is_at_work() && !is_due && self.left_until.is_none_or(|over| over > until)
    }

    /// Whether this replayer is reading the journal or settling its records. For exactly that long, it needs the claim
    /// that was taken before the journal was read.
    pub fn is_at_work(&self) -> bool {
        !self.queue.is_empty() || !self.settling.is_empty() || matches!(self.scan, ScanState::Reading(_))
    }

    /// Whether [`unsettled`](Self::unsettled) is complete: the journal was read and no scan is due.
    pub fn is_complete(&self, now: Now) -> bool {
        self.was_read && self.is_quiet(now, now.mono)
    }
}
