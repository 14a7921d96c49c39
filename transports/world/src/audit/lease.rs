//! Whether somebody wakes for the next beat of a lease that is held.

use std::time::Duration;

use cycles_proto::Event;
use cycles_proto::Now;

use super::{Held, broken};
use crate::rule::Rule;

/// What is known of a lease: from when it was asked for and what was answered, as a clock at the door would tell.
#[derive(Debug, Default)]
pub(super) struct LeaseWatch {
    /// Until when it lasts at least, if there is one and that is known.
    lasts: Option<Option<Duration>>,
    /// Whether it was told that it is prolonged no more.
    has_stopped: bool,
    is_lost: bool,
}

impl LeaseWatch {
    /// It lasts so long from when the attempt was made, if the server tells.
    pub(super) fn lasts(&mut self, sent: Duration, remaining: Option<Duration>) {
        self.lasts = Some(remaining.map(|remaining| sent.saturating_add(remaining)));
        self.is_lost = false;
    }

    /// The ledger says that the reservation is over.
    pub(super) fn end(&mut self) {
        self.has_stopped = true;
    }

    pub(super) fn told(&mut self, event: &Event) {
        if let Event::HeartbeatStopped { .. } = event {
            self.has_stopped = true;
        } else if let Event::LeaseLost { .. } = event {
            self.is_lost = true;
        } else if let Event::LeaseExtended { ticket: Some(_), .. } = event {
            // One that had stopped starts again.
            self.has_stopped = false;
        }
    }

    /// While it is held, a wait ends before it does. Before `floor` the server wants no beat.
    pub(super) fn waits(&self, now: Now, until: Option<Duration>, floor: Option<Duration>) -> Held {
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
                format!("a wait until {until:?}, and the lease lasts until {lasts:?}"),
            ),
        }
    }
}
