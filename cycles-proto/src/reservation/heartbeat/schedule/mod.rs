//! The lease: decides when to extend it, from observations alone (HEARTBEAT GUIDANCE of `extendReservation`).
//!
//! A [`Lease`] is given what happened and when, and returns what to do [`Next`]. It has no clock, no keys and no
//! requests.
//!
//! **Measured lead.** If a response has `remaining_ttl_ms`, this gives a lower bound on the lease's length, and the
//! algorithm is exactly the protocol's:
//!
//! ```text
//! rtt            = received − sent, of this attempt alone
//! lead_floor     = max(0, remaining_ttl_ms − rtt)
//! attempt_budget = max(limit of an attempt, 1 s, 2 × largest rtt)           rounded up
//! safety_margin  = max(1 s, 2 × largest rtt)                                rounded up
//! next_delay     = max(0, lead_floor − 2 × attempt_budget − safety_margin)  rounded down
//! ```
//!
//! After a failure, the request is repeated under the same key only while there is still time for one whole attempt and
//! the margin. The reserve has room for exactly that, so an attempt's timeout is an eighth shorter than its limit:
//! otherwise a timer that fires a millisecond late would cost the retry, and the heartbeat would stop at the first loss
//! instead of the second in a row.
//!
//! **Measured grants.** Without `remaining_ttl_ms`, only the differences between the returned expiries are known. They
//! allow a heuristic with inherent limits: a server that caps every extension and one that caps the lead can look the
//! same. The heuristic errs on the side of beating too often.
//!
//! If the server starts or stops sending the field, the algorithm is switched.
//!
//! **One deviation.** Where the guidance has a shorter delay or none, a beat or its retry waits for at least 250 ms, or
//! for as long as there is still room for a whole attempt and the margin, if that is shorter. This way a server cannot
//! cause a storm of requests, either with a lead that is clamped just above the reserve or with a 429 and `Retry-After:
//! 0`.

mod grants;

use core::time::Duration;

use self::grants::Grants;
use crate::outcome::Stop;
use crate::time::{UnixMillis, millis_ceil};

/// A lease, and what was observed about it.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The length that was requested originally, and that every extension requests.
    ttl_ms: u64,
    /// The longest time from the start of an attempt until its failure is handled.
    attempt_limit: Duration,
    max_rtt_ms: u64,
    basis: Basis,
    /// Whether the last success left no delay before the next beat.
    had_no_delay: bool,
    recovery: Recovery,
}

/// A schema-valid success: the response's fields, and when its attempt was sent and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// When the attempt was sent, on the monotonic clock. Without it, no delay is provably safe.
    pub sent: Option<Duration>,
    /// When its response arrived.
    pub received: Duration,
    /// `expires_at_ms` of the response.
    pub expires_at_ms: Option<UnixMillis>,
    /// `remaining_ttl_ms` of the response.
    pub remaining_ttl_ms: Option<u64>,
}

impl Observation {
    /// Whether it is certain that no time is left: it ran out while the response was on its way.
    pub fn is_over(&self) -> bool {
        let on_the_way = self.sent.map(|sent| self.received.saturating_sub(sent));
        let on_the_way_ms = millis_ceil(on_the_way.unwrap_or_default());
        self.remaining_ttl_ms
            .is_some_and(|left_ms| left_ms <= on_the_way_ms)
    }
}

/// What to do about the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Extend at this time, under a fresh key.
    Beat(Duration),
    /// Send the last extension again at this time, under its own key.
    Retry(Duration),
    /// Do not extend any more.
    Stop(Stop),
}

/// How an extension failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeatFailure {
    /// A timeout, a lost connection, 5xx, or a success that cannot be read.
    Transient,
    /// 429, with the `Retry-After` if it is valid.
    Throttled(Option<Duration>),
    /// Any other refusal: a permanent code, or another 4xx.
    Refused,
}

/// Where the lower bound on the lease's end comes from.
#[derive(Clone, Debug)]
enum Basis {
    /// `remaining_ttl_ms`: at `received`, at least `lead_ms` were left.
    Lead {
        lead_ms: u64,
        received: Duration,
        expires_at_ms: Option<UnixMillis>,
    },
    /// The differences of expiries.
    Grants(Grants),
}

/// What happened since the last success.
#[derive(Clone, Copy, Debug, Default)]
struct Recovery {
    /// For the previous failure, the time since the success and the retry window.
    last: Option<(Duration, i128)>,
    /// Whether the single retry with no room to spare has been made.
    tried_without_room: bool,
}

impl Lease {
    /// Starts with the lease that came with a reservation. `ttl_ms` is the requested length, and `attempt_timeout` the
    /// longest time that the caller permits any attempt. Together with the first lease, it determines how long
    /// attempts to extend may take.
    pub fn granted(ttl_ms: u64, attempt_timeout: Duration, observed: Observation) -> (Self, Next) {
        let callers_limit = attempt_timeout.saturating_add(attempt_timeout / 7);
        let mut lease = Self {
            ttl_ms,
            attempt_limit: attempt_limit(ttl_ms, observed, attempt_timeout).min(callers_limit),
            max_rtt_ms: 0,
            basis: Basis::Grants(Grants::new(observed.received, 0, observed.expires_at_ms)),
            had_no_delay: false,
            recovery: Recovery::default(),
        };
        let next = match observed.remaining_ttl_ms {
            Some(remaining) => lease.measured(observed, remaining, attempt_timeout),
            // The first lease has no known bound, so extend it at once.
            None => Next::Beat(observed.received),
        };
        (lease, next)
    }

    /// The timeout of an attempt to extend; it is fixed for the lifetime of the lease.
    pub fn attempt_timeout(&self) -> Duration {
        self.attempt_limit - self.attempt_limit / 8
    }

    /// The length to request with every extension, which is the one requested originally: 1 ms to a day.
    pub fn extend_by_ms(&self) -> u64 {
        self.ttl_ms
    }

    /// Whether the last success said how long the lease lasts. If not, [`lasts_until`](Self::lasts_until) is the sum
    /// of the grants, and the lease may last much longer.
    pub fn is_measured(&self) -> bool {
        matches!(self.basis, Basis::Lead { .. })
    }

    /// The time until which the lease is known to last; `None` if nothing is known.
    pub fn lasts_until(&self) -> Option<Duration> {
        match &self.basis {
            Basis::Lead {
                lead_ms, received, ..
            } => Some(later(*received, *lead_ms)),
            Basis::Grants(grants) => grants.last_until(),
        }
    }

    /// Handles an extension that succeeded.
    pub fn renewed(&mut self, observed: Observation) -> Next {
        self.recovery = Recovery::default();
        match observed.remaining_ttl_ms {
            Some(remaining) => self.measured(observed, remaining, self.attempt_timeout()),
            None => self.unmeasured(observed),
        }
    }

    /// Handles an extension that failed at `now`.
    pub fn failed(&mut self, now: Duration, failure: BeatFailure) -> Next {
        if failure == BeatFailure::Refused {
            return Next::Stop(Stop::Refused);
        }
        match &self.basis {
            Basis::Lead {
                lead_ms, received, ..
            } => {
                let elapsed = now.saturating_sub(*received);
                let lead_ms = lead_ms.saturating_sub(millis_ceil(elapsed));
                self.recover(now, elapsed, lead_ms, failure)
            }
            Basis::Grants(grants) => grants.failed(now, self.ttl_ms, failure),
        }
    }

    /// The primary algorithm after a success; `timeout` is that of the attempt.
    fn measured(&mut self, observed: Observation, remaining_ms: u64, timeout: Duration) -> Next {
        let lead_ms = match observed.sent {
            Some(sent) => {
                let rtt = observed.received.saturating_sub(sent);
                let rtt_ms = millis_ceil(rtt);
                // A stall beyond the attempt's timeout says nothing about the next attempt.
                if rtt <= timeout {
                    self.max_rtt_ms = self.max_rtt_ms.max(rtt_ms);
                }
                remaining_ms.saturating_sub(rtt_ms)
            }
            // Unknown timing is not zero time.
            None => 0,
        };
        self.basis = Basis::Lead {
            lead_ms,
            received: observed.received,
            expires_at_ms: observed.expires_at_ms,
        };
        let one_attempt_ms = self.attempt_budget_ms().saturating_add(self.margin_ms());
        let reserve_ms = one_attempt_ms.saturating_add(self.attempt_budget_ms());
        let delay_ms = lead_ms.saturating_sub(reserve_ms);
        if delay_ms == 0 && self.had_no_delay {
            return Next::Stop(Stop::TooShort);
        }
        self.had_no_delay = delay_ms == 0;
        let delay_ms = at_least(delay_ms, lead_ms.saturating_sub(one_attempt_ms));
        Next::Beat(later(observed.received, delay_ms))
    }

    /// The fallback after a success.
    fn unmeasured(&mut self, observed: Observation) -> Next {
        self.had_no_delay = false;
        let mut grants = match &self.basis {
            Basis::Grants(grants) => grants.clone(),
            // The earlier measurement is still a lower bound.
            Basis::Lead {
                lead_ms,
                received,
                expires_at_ms,
            } => Grants::new(*received, *lead_ms, *expires_at_ms),
        };
        let next = grants.renewed(self.ttl_ms, observed);
        self.basis = Basis::Grants(grants);
        next
    }

    /// The primary algorithm after a failure: `lead_ms` are certainly left.
    fn recover(&mut self, now: Duration, elapsed: Duration, lead_ms: u64, failure: BeatFailure) -> Next {
        let needed = i128::from(self.attempt_budget_ms()) + i128::from(self.margin_ms());
        let window = i128::from(lead_ms) - needed;
        let Ok(window_ms) = u64::try_from(window) else {
            return Next::Stop(Stop::NoTimeToRecover);
        };
        let stands_still = self
            .recovery
            .last
            .is_some_and(|(before, last)| elapsed <= before && window >= last);
        if stands_still || (window_ms == 0 && self.recovery.tried_without_room) {
            return Next::Stop(Stop::NoTimeToRecover);
        }
        self.recovery.last = Some((elapsed, window));
        self.recovery.tried_without_room |= window_ms == 0;
        let delay_ms = match failure {
            BeatFailure::Transient => MAX_RETRY_DELAY_MS.min(lead_ms / 4).min(window_ms),
            BeatFailure::Throttled(wait) => match wait.map(millis_ceil) {
                Some(wait_ms) if wait_ms <= window_ms => wait_ms,
                _ => return Next::Stop(Stop::Throttled),
            },
            BeatFailure::Refused => return Next::Stop(Stop::Refused),
        };
        Next::Retry(later(now, at_least(delay_ms, window_ms)))
    }

    fn attempt_budget_ms(&self) -> u64 {
        millis_ceil(self.attempt_limit)
            .max(SECOND_MS)
            .max(self.max_rtt_ms.saturating_mul(2))
    }

    fn margin_ms(&self) -> u64 {
        SECOND_MS.max(self.max_rtt_ms.saturating_mul(2))
    }
}

/// The limit of attempts to extend: a sixth of the lease, from 1 s to 5 s, so that two attempts and the margin fit well
/// into the lease. The limit is at least twice the round trip of the grant, because that much is reserved for an
/// attempt anyway, unless the round trip was a stall.
fn attempt_limit(ttl_ms: u64, granted: Observation, timeout: Duration) -> Duration {
    let lead_ms = granted.remaining_ttl_ms.unwrap_or(ttl_ms);
    let rtt = granted
        .sent
        .map(|sent| granted.received.saturating_sub(sent))
        .filter(|rtt| *rtt <= timeout)
        .unwrap_or_default();
    let limit_ms = (lead_ms / 6).clamp(SECOND_MS, 5 * SECOND_MS);
    Duration::from_millis(limit_ms).max(rtt.saturating_mul(2))
}

/// Raises a delay to the shortest wait, within a window that leaves room for one whole attempt.
fn at_least(delay_ms: u64, window_ms: u64) -> u64 {
    delay_ms.max(SHORTEST_DELAY_MS.min(window_ms))
}

/// The time `ms` after `time`; the end of the range means "never".
fn later(time: Duration, ms: u64) -> Duration {
    time.saturating_add(Duration::from_millis(ms))
}

const SECOND_MS: u64 = 1_000;

/// The shortest wait before a beat or a retry, if there is time for it.
pub(super) const SHORTEST_WAIT: Duration = Duration::from_millis(SHORTEST_DELAY_MS);
const SHORTEST_DELAY_MS: u64 = 250;

/// The longest wait before a retry.
const MAX_RETRY_DELAY_MS: u64 = 30_000;

#[cfg(test)]
mod tests;
