//! The last requests of clients and operators.

use std::collections::VecDeque;

use crate::summary::Summary;

/// How many are kept.
const KEPT: usize = 100;

/// The last requests, the oldest first, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    kept: VecDeque<Summary>,
    total: u64,
}

impl Recent {
    pub(crate) fn add(&mut self, summary: Summary) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(summary);
        self.total += 1;
    }

    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }

    /// Those that are kept of the ones after the first `total`, and how many there were.
    pub(crate) fn after(&self, total: u64) -> (Vec<Summary>, u64) {
        let new = usize::try_from(self.total.saturating_sub(total)).unwrap_or(KEPT);
        let known = self.kept.len().saturating_sub(new);
        (self.kept.iter().skip(known).cloned().collect(), self.total)
    }
}
