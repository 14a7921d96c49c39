//! Checks that a session wakes in time for the next beat of a held lease.

use std::time::Duration;

use cycles_proto::Event;
use cycles_proto::Now;
use cycles_proto::outcome::Stop;

use super::{CheckResult, broken};
use crate::rule::Rule;

/// The facts about a lease that are visible from outside: when it was requested, and what the server answered.
#[derive(Debug, Default)]
pub(super) struct LeaseWatch {
    /// The earliest end of the lease, if there is a lease and its end is known.
    lasts: Option<Option<Duration>>,
    /// Whether the session reported that it no longer extends the lease.
    has_stopped: bool,
    /// Whether it stopped because of the age of the action.
    is_too_old: bool,
    is_lost: bool,
}

impl LeaseWatch {
    /// Sets how long the lease lasts from the time of the attempt, if the server said how long.
    pub(super) fn note_length(&mut self, sent: Duration, remaining: Option<Duration>) {
        self.lasts = Some(remaining.map(|remaining| sent.saturating_add(remaining)));
        self.is_lost = false;
    }

    /// Notes that the ledger ended the reservation.
    pub(super) fn note_end(&mut self) {
        self.has_stopped = true;
    }

    pub(super) fn note_event(&mut self, event: &Event) {
        if let Event::HeartbeatStopped { reason, .. } = event {
            self.has_stopped = true;
            self.is_too_old |= *reason == Stop::TooOld;
        } else if let Event::LeaseLost { .. } = event {
            self.is_lost = true;
        } else if let Event::LeaseExtended { ticket: Some(_), .. } = event {
            // A stopped heartbeat starts again, unless the action is too old.
            self.has_stopped = self.is_too_old;
        }
    }

    /// Checks that a wait ends no later than the lease. The server wants no beat before `floor`.
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
