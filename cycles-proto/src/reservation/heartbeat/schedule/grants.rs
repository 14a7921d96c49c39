//! The fallback for servers that do not send `remaining_ttl_ms`: an estimate from the differences between the expiries
//! that they return.

use core::time::Duration;

use super::{BeatFailure, Next, Observation, SECOND_MS, SHORTEST_DELAY_MS, later};
use crate::outcome::Stop;
use crate::time::{UnixMillis, millis_ceil, millis_floor};

/// The differences between returned expiries, all on the server's own clock.
#[derive(Clone, Debug)]
pub(super) struct Grants {
    /// The time at which at least `granted_ms` were left.
    since: Duration,
    granted_ms: i128,
    expires_at_ms: Option<UnixMillis>,
    last_success: Duration,
    cadence_ms: u64,
}

impl Grants {
    /// Starts with `lead_ms` left at `since`, and no grants yet.
    pub(super) fn new(since: Duration, lead_ms: u64, expires_at_ms: Option<UnixMillis>) -> Self {
        Self {
            since,
            granted_ms: lead_ms.into(),
            expires_at_ms,
            last_success: since,
            cadence_ms: SECOND_MS,
        }
    }

    /// The time until which the lease is known to last. It is never overstated, because only grants count.
    pub(super) fn last_until(&self) -> Option<Duration> {
        let granted_ms = u64::try_from(self.granted_ms)
            .ok()
            .filter(|granted_ms| *granted_ms > 0)?;
        Some(later(self.since, granted_ms))
    }

    pub(super) fn renewed(&mut self, ttl_ms: u64, observed: Observation) -> Next {
        let elapsed_ms = millis_floor(observed.received.saturating_sub(self.last_success));
        let grant_ms = self
            .expires_at_ms
            .zip(observed.expires_at_ms)
            .map(|(before, after)| i128::from(after.0) - i128::from(before.0));
        self.granted_ms = self.granted_ms.saturating_add(grant_ms.unwrap_or(0));
        self.expires_at_ms = observed.expires_at_ms;
        self.last_success = observed.received;

        let held_ms = (ttl_ms / 2).clamp(SECOND_MS, HELD_CADENCE_MS);
        let Some(grant_ms) = grant_ms.filter(|grant| !is_lead_clamped(*grant, elapsed_ms, ttl_ms)) else {
            // At this pace, the permitted extensions will be used up; the server will say when.
            self.cadence_ms = held_ms;
            return Next::Beat(later(observed.received, held_ms));
        };
        let grant_ms = u64::try_from(grant_ms).unwrap_or(u64::MAX);
        self.cadence_ms = (grant_ms / 2).clamp(SECOND_MS, SECOND_MS.max(ttl_ms / 2));
        Next::Beat(self.first_beat_worth_making(observed.received, grant_ms))
    }

    /// Handles an extension that failed. Nothing can be proved either way, so the beat is repeated at a bounded pace,
    /// until twice the length of the lease has passed and no time is known to be left.
    pub(super) fn failed(&self, now: Duration, ttl_ms: u64, failure: BeatFailure) -> Next {
        let silent_ms = millis_ceil(now.saturating_sub(self.last_success));
        let is_over = self.last_until().is_none_or(|end| end <= now);
        if is_over && silent_ms >= ttl_ms.saturating_mul(2) {
            return Next::Stop(Stop::NoTimeToRecover);
        }
        match failure {
            BeatFailure::Transient => {
                // With a clamped lead, only half of it is left when a beat is due.
                let pace_ms = (self.cadence_ms / 4).clamp(SHORTEST_DELAY_MS, MAX_PACE_MS);
                Next::Retry(later(now, pace_ms))
            }
            BeatFailure::Throttled(Some(wait)) if millis_ceil(wait) <= ttl_ms / 2 => {
                Next::Retry(later(now, millis_ceil(wait).max(SHORTEST_DELAY_MS)))
            }
            BeatFailure::Throttled(_) => Next::Stop(Stop::Throttled),
            BeatFailure::Refused => Next::Stop(Stop::Refused),
        }
    }

    /// Returns the time of the next beat. Beats are skipped while at least one and a half grants are certainly left.
    fn first_beat_worth_making(&self, received: Duration, grant_ms: u64) -> Duration {
        let enough_ms = i128::from(grant_ms).saturating_mul(3) / 2;
        let passed_ms = i128::from(millis_ceil(received.saturating_sub(self.since)));
        let spare_ms = self.granted_ms - passed_ms - enough_ms;
        let cadence_ms = i128::from(self.cadence_ms);
        // The first beat comes after one cadence; beats at which enough is still left are skipped.
        let beats = if spare_ms < cadence_ms {
            1
        } else {
            spare_ms / cadence_ms + 1
        };
        later(
            received,
            u64::try_from(beats.saturating_mul(cadence_ms)).unwrap_or(u64::MAX),
        )
    }
}

/// Whether a grant looks as if the server keeps the lead at a fixed length: each grant then equals the time since the
/// last one. A grant of about the requested length counts as a full grant.
fn is_lead_clamped(grant_ms: i128, elapsed_ms: u64, ttl_ms: u64) -> bool {
    let (elapsed, ttl) = (i128::from(elapsed_ms), i128::from(ttl_ms));
    let is_whole = grant_ms.saturating_mul(10) >= ttl.saturating_mul(9);
    let quarters = grant_ms.saturating_mul(4);
    let echoes = (elapsed.saturating_mul(3)..=elapsed.saturating_mul(5)).contains(&quarters);
    grant_ms <= 0 || (!is_whole && echoes)
}

/// The longest time between beats with a server that clamps the lead.
const HELD_CADENCE_MS: u64 = 30_000;

/// The longest wait after a failure.
const MAX_PACE_MS: u64 = 2_500;
