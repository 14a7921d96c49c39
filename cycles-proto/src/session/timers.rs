//! When somebody has something to do, the next one first.

use core::time::Duration;
use std::collections::BTreeSet;

use super::caller::Principal;
use super::slab::SlabKey;

/// Whose time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timed {
    /// An exchange, a write or a reading that is outside: its time there is over.
    Outside(SlabKey),
    Reservation(SlabKey),
    Principal(Principal),
    Flush(SlabKey),
}

/// By deadline, so that whoever is not due costs nothing.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Duration, Timed)>);

impl Timers {
    /// From `armed` to `at`, both of which may be never.
    pub(super) fn change(&mut self, timed: Timed, armed: &mut Option<Duration>, at: Option<Duration>) {
        if *armed == at {
            return;
        }
        if let Some(before) = *armed {
            self.0.remove(&(before, timed));
        }
        if let Some(at) = at {
            self.0.insert((at, timed));
        }
        *armed = at;
    }

    /// One whose time has come. It has no timer any more.
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
