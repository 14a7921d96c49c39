//! Checks that a session wakes in time for the next beat of a lease that is held.

use std::time::Duration;

use cycles_proto::Event;
use cycles_proto::Now;

use super::{CheckResult, broken};
use crate::rule::Rule;

/// The facts about a lease that are visible from outside: when it was requested, and what the server answered.
#[derive(Debug, Default)]
pub(super) struct LeaseWatch {
    /// The earliest time at which it ends, if there is a lease and that time is known.
    lasts: Option<Option<Duration>>,
    /// Whether the session reported that it is no longer extended.
    has_stopped: bool,
    is_lost: bool,
}

impl LeaseWatch {
    /// Sets how long it lasts from the time of the attempt, if the server said so.
    pub(super) fn note_length(&mut self, sent: Duration, remaining: Option<Duration>) {
        self.lasts = Some(remaining.map(|remaining| sent.saturating_add(remaining)));
        self.is_lost = false;
    }

    /// Notes that the ledger ended the reservation.
    pub(super) fn note_end(&mut self) {
        self.has_stopped = true;
    }

    pub(super) fn note_event(&mut self, event: &Event) {
        if let Event::HeartbeatStopped { .. } = event {
            self.has_stopped = true;
        } else if let Event::LeaseLost { .. } = event {
            self.is_lost = true;
        } else if let Event::LeaseExtended { ticket: Some(_), .. } = event {
            // A heartbeat that had stopped starts again.
            self.has_stopped = false;
        }
    }

    /// Checks that a wait ends before the lease does. Before `floor` the server wants no beat.
    pub(super) fn check_wait(
        &self,
        now: Now,
        until: Option<Duration>,
        floor: Option<Duration>,
    ) -> CheckResult {
        let Some(lasts) = self.lasts.filter(|_| !self.has_stopped && !self.is_lost) else {
            return Ok(());
        };
        let end = lasts.unwrap_or(Duration::MAX);
        if end <= now.mono || floor.is_some_and(|floor| floor >= end) {
            return Ok(());
        }
        match until {
            Some(until) if until <= end => Ok(()),
            Some(_) | None => broken(
                Rule::BeatAwaited,
                format!("the session waits until {until:?}, but the lease ends at {lasts:?}"),
            ),
        }
    }
}
