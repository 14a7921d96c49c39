//! Timers, sorted by deadline.

use core::time::Duration;
use std::collections::BTreeSet;

use super::caller::Principal;
use super::slab::SlabKey;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timed {
    /// The deadline of an attempt, a write or a scan.
    Outstanding(SlabKey),
    Reservation(SlabKey),
    Principal(Principal),
    Flush(SlabKey),
    ShutDown,
}

/// All timers, sorted by deadline so that those that are not due cost nothing.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Duration, Timed)>);

impl Timers {
    /// Moves a timer to `at` and updates `timer`; `None` means that it is not set.
    pub(super) fn change(&mut self, timed: Timed, timer: &mut Option<Duration>, at: Option<Duration>) {
        if *timer == at {
            return;
        }
        if let Some(before) = *timer {
            self.0.remove(&(before, timed));
        }
        if let Some(at) = at {
            self.0.insert((at, timed));
        }
        *timer = at;
    }

    /// Removes and returns a timer that is due.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<Timed> {
        let (at, _) = self.0.first()?;
        if *at > now {
            return None;
        }
        self.0.pop_first().map(|(_, timed)| timed)
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.0.first().map(|(at, _)| *at)
    }
}
