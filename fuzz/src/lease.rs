//! A heartbeat against a truthful server, and against one that may say anything.
//!
//! - Nothing is due in the past, and the timeout of an attempt never changes.
//! - With a truthful server, the heartbeat never assumes that the lease lasts longer than it does, whatever fields are
//!   missing; with any server, never longer than the server's answers add up to.
//! - With a measured lead, a beat leaves room for two attempts and the margin, and a retry for one attempt and the
//!   margin, in the protocol's own terms (HEARTBEAT GUIDANCE), and neither leaves much more room.
//! - Two beats in a row without a delay stop the heartbeat, and so does a refusal.
//! - A beat or a retry waits for 250 ms, or for less if only that leaves room for one attempt and the margin: a sixth
//!   attempt is never sent within 250 ms of the first.
//! - The heartbeat gives up in time: no attempt starts that may end after the lease does, or after twice the lease's
//!   length without an answer.
//!
//! Bytes: whether the server lies, its properties, the lease; then the events, attempt by attempt.

mod lies;

use core::time::Duration;
use std::collections::VecDeque;

use cycles_proto::UnixMillis;
use cycles_proto::outcome::Stop;
use cycles_proto::parts::schedule::{BeatFailure, Lease, Next, Observation};

use crate::input::Input;

/// Runs one execution.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    if input.one_in(4) {
        lies::run(&mut input);
    } else {
        Heart::new(&mut input).beats(&mut input);
    }
}

/// The shortest wait before a beat or a retry, if there is time for it.
const FLOOR: Duration = Duration::from_millis(250);

const SECOND: Duration = Duration::from_secs(1);

/// A heartbeat and its server, on a common clock.
struct Heart {
    lease: Lease,
    ttl_ms: u64,
    now: Duration,
    next: Next,
    timeout: Duration,
    server: Server,
    longest_rtt: Duration,
    last_success: Duration,
    /// Whether the lead was certainly shorter than the reserve, and whether it may have been.
    was_short: (bool, bool),
    /// The heartbeat's most recent attempts.
    attempts: VecDeque<Duration>,
}

/// The durations that a lead must leave room for.
struct Reserve {
    /// One attempt and the margin.
    one_attempt: Duration,
    /// Two attempts and the margin.
    reserve: Duration,
}

/// A server's handling of extensions, within the protocol.
struct Server {
    /// When the lease actually ends.
    ends: Duration,
    /// The server's clock at our time zero.
    clock_ms: u64,
    /// The longest lead that the server permits.
    longest_lead: Option<Duration>,
    /// The largest extension that the server grants.
    largest_grant: Option<Duration>,
    /// How often the server sends `remaining_ttl_ms`; the next field is for `expires_at_ms`.
    tells_rest: Habit,
    tells_end: Habit,
}

#[derive(Clone, Copy)]
enum Habit {
    Always,
    Sometimes,
    Never,
}

impl Habit {
    fn shows(self, input: &mut Input<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Sometimes => input.yes(),
            Self::Never => false,
        }
    }
}

impl Server {
    /// Extends the lease unless it is over. Returns whether the lease was extended.
    fn extend(&mut self, now: Duration, by_ms: u64) -> bool {
        if now > self.ends {
            return false;
        }
        let by = Duration::from_millis(by_ms);
        let ends = self.ends + self.largest_grant.map_or(by, |most| by.min(most));
        self.ends = self.longest_lead.map_or(ends, |lead| ends.min(now + lead));
        true
    }

    fn observed(&self, input: &mut Input<'_>, [sent, processed, received]: [Duration; 3]) -> Observation {
        let left = self.ends.saturating_sub(processed);
        let ends_ms = self.clock_ms + self.ends.as_millis() as u64;
        let (tells_rest, tells_end) = (self.tells_rest.shows(input), self.tells_end.shows(input));
        Observation {
            sent: Some(sent),
            received,
            expires_at_ms: tells_end.then_some(UnixMillis(ends_ms)),
            remaining_ttl_ms: tells_rest.then_some(left.as_millis() as u64),
        }
    }
}

impl Heart {
    fn new(input: &mut Input<'_>) -> Self {
        let ttl_ms = match input.byte() {
            0..128 => input.one_of(&[60_000, 1_000, 4_000, 10_000, 3_600_000, 86_400_000]),
            _ => 1_000 + input.number() % 86_399_000,
        };
        let cap = |input: &mut Input<'_>| Duration::from_millis(1 + input.number() % (2 * ttl_ms));
        let sent = Duration::from_secs(5);
        let (longest_lead, largest_grant) = (input.maybe(cap), input.maybe(cap));
        let processed = sent + latency(input);
        let clock_ms = 1_795_000_000_000 + input.number() % (1 << 40);
        let habits = input.byte();
        let mut server = Server {
            ends: processed,
            clock_ms,
            longest_lead,
            largest_grant,
            tells_rest: [Habit::Never, Habit::Sometimes, Habit::Always, Habit::Always]
                [usize::from(habits % 4)],
            tells_end: [Habit::Always, Habit::Always, Habit::Sometimes, Habit::Never]
                [usize::from(habits / 4 % 4)],
        };
        server.extend(processed, ttl_ms);
        let received = processed + latency(input);
        let limit = Duration::from_millis(input.one_of(&[7_000, 1, 700, 60_000]));
        let granted = server.observed(input, [sent, processed, received]);
        let (lease, next) = Lease::granted(ttl_ms, limit, granted);
        let timeout = lease.attempt_timeout();
        assert!(
            timeout <= limit + Duration::from_millis(1),
            "the caller's limit is kept"
        );
        assert_eq!(lease.extend_by_ms(), ttl_ms);
        let mut heart = Self {
            lease,
            ttl_ms,
            now: received,
            next,
            timeout,
            server,
            longest_rtt: Duration::ZERO,
            last_success: received,
            was_short: (false, false),
            attempts: VecDeque::new(),
        };
        heart.succeeded(granted, limit);
        heart
    }

    fn beats(&mut self, input: &mut Input<'_>) {
        while !input.is_empty() {
            let (Next::Beat(at) | Next::Retry(at)) = self.next else {
                // A lease that was manually extended continues.
                if input.one_in(3) {
                    self.renewed_by_hand(input);
                } else {
                    return;
                };
                continue;
            };
            self.now = self.now.max(at) + [Duration::ZERO, latency(input)][usize::from(input.one_in(8))];
            self.attempt(input);
        }
        self.gives_up();
    }

    fn attempt(&mut self, input: &mut Input<'_>) {
        let sent = self.now;
        self.attempts.push_back(sent);
        if self.attempts.len() > 5 {
            let first = self.attempts.pop_front().expect("there are six");
            assert!(sent - first >= FLOOR, "a storm: {self:?}");
        }
        let processed = sent + latency(input);
        let received = processed + latency(input);
        let in_time = received - sent <= self.timeout;
        match input.below(8) {
            0..=4 => {
                let is_done = self.server.extend(processed, self.ttl_ms);
                if is_done && in_time {
                    self.now = received;
                    let observed = self.server.observed(input, [sent, processed, received]);
                    self.next = self.lease.renewed(observed);
                    self.succeeded(observed, self.timeout);
                } else if in_time {
                    self.failed(received, BeatFailure::Refused);
                } else {
                    self.failed(sent + self.timeout, BeatFailure::Transient);
                }
            }
            5 => self.failed(sent + self.timeout, BeatFailure::Transient),
            6 => self.failed(received.min(sent + self.timeout), BeatFailure::Transient),
            _ => {
                let pause = input.maybe(|input| Duration::from_secs(input.number() >> input.below(64)));
                self.failed(received.min(sent + self.timeout), BeatFailure::Throttled(pause));
            }
        }
    }

    fn renewed_by_hand(&mut self, input: &mut Input<'_>) {
        let sent = self.now;
        let processed = sent + latency(input);
        let received = processed + latency(input);
        if received - sent > self.timeout || !self.server.extend(processed, 1 + input.number() % 86_400_000) {
            return;
        }
        self.now = received;
        let observed = self.server.observed(input, [sent, processed, received]);
        self.next = self.lease.renewed(observed);
        // Manual extensions have no minimum wait, and each reschedules the heartbeat.
        self.attempts.clear();
        self.succeeded(observed, self.timeout);
    }

    fn succeeded(&mut self, observed: Observation, timeout: Duration) {
        self.last_success = self.now;
        let rtt = observed.received - observed.sent.unwrap_or_default();
        let Some(left) = observed.remaining_ttl_ms else {
            assert!(!self.lease.is_measured());
            self.was_short = (false, false);
            return self.holds();
        };
        if rtt <= timeout {
            self.longest_rtt = self.longest_rtt.max(whole(rtt));
        }
        let lead = Duration::from_millis(left).saturating_sub(whole(rtt));
        assert!(self.lease.is_measured());
        assert_eq!(self.lease.lasts_until(), Some(self.now + lead));
        // An attempt's failure is handled up to an eighth later than its timeout, in whole milliseconds.
        let [least, most] = [
            self.reserve(self.timeout),
            self.reserve(self.timeout * 8 / 7 + Duration::from_millis(3)),
        ];
        match self.next {
            Next::Beat(at) => {
                let delay = at - self.now;
                let latest = lead.saturating_sub(least.reserve);
                let window = lead.saturating_sub(least.one_attempt);
                assert!(delay <= latest.max(FLOOR.min(window)), "too late: {self:?}");
                let earliest = lead.saturating_sub(most.reserve);
                let window = lead.saturating_sub(most.one_attempt);
                assert!(delay >= earliest.max(FLOOR.min(window)), "too early: {self:?}");
                assert!(
                    !(lead <= least.reserve && self.was_short.0),
                    "it does not run in circles: {self:?}"
                );
            }
            Next::Stop(stop) => {
                let is_short = lead <= most.reserve && self.was_short.1;
                assert!(stop == Stop::TooShort && is_short, "{self:?}");
            }
            Next::Retry(_) => panic!("nothing failed: {self:?}"),
        }
        self.was_short = (lead <= least.reserve, lead <= most.reserve);
        self.holds();
    }

    fn failed(&mut self, at: Duration, failure: BeatFailure) {
        self.now = self.now.max(at);
        self.next = self.lease.failed(self.now, failure);
        if failure == BeatFailure::Refused {
            assert_eq!(self.next, Next::Stop(Stop::Refused));
        }
        if let (Next::Retry(at), BeatFailure::Throttled(pause)) = (self.next, failure) {
            let pause = pause.expect("it does not guess when a throttled server wants to be asked");
            assert!(
                at >= self.now + pause,
                "before the server wants to be asked: {self:?}"
            );
        }
        assert!(
            !matches!(self.next, Next::Beat(_)),
            "a failed beat is repeated under its own key"
        );
        let has_time = self.lease.lasts_until().is_some_and(|until| until > self.now);
        assert!(
            matches!(self.next, Next::Retry(_))
                || self.lease.is_measured()
                || !has_time
                || failure != BeatFailure::Transient,
            "it gives a lease up that has time left: {self:?}"
        );
        self.holds();
    }

    /// Checks the properties that must be true after every event.
    fn holds(&self) {
        assert_eq!(self.lease.attempt_timeout(), self.timeout);
        if let Some(until) = self.lease.lasts_until() {
            // A lease that is already over when the answer arrives counts as lasting until then, and the server counts
            // in whole milliseconds.
            let ends = self.server.ends.max(self.last_success) + Duration::from_millis(1);
            assert!(until <= ends, "it lasts until {ends:?}: {self:?}");
        }
        let (Next::Beat(at) | Next::Retry(at)) = self.next else {
            return;
        };
        assert!(at >= self.now, "in the past: {self:?}");
        if matches!(self.next, Next::Retry(_)) {
            let latest = match self.lease.lasts_until() {
                Some(until) if self.lease.is_measured() => {
                    until.checked_sub(self.budget(self.timeout) + self.margin())
                }
                until => {
                    let silence = self.last_success + Duration::from_millis(2 * self.ttl_ms);
                    let pause = Duration::from_millis(self.ttl_ms / 2) + 3 * SECOND;
                    Some(silence.max(until.unwrap_or_default()) + pause)
                }
            };
            assert!(
                latest.is_some_and(|latest| at <= latest),
                "after its end: {self:?}"
            );
        }
    }

    /// Checks that, once nothing gets through, the heartbeat stops by itself within the time that `holds` checks.
    fn gives_up(&mut self) {
        for _ in 0..200 {
            let (Next::Beat(at) | Next::Retry(at)) = self.next else {
                return;
            };
            self.now = self.now.max(at);
            self.failed(self.now, BeatFailure::Transient);
        }
    }

    fn budget(&self, limit: Duration) -> Duration {
        whole(limit).max(SECOND).max(self.longest_rtt * 2)
    }

    /// The reserve for attempts with this time limit.
    fn reserve(&self, limit: Duration) -> Reserve {
        let one_attempt = self.budget(limit) + self.margin();
        Reserve {
            one_attempt,
            reserve: self.budget(limit) + one_attempt,
        }
    }

    fn margin(&self) -> Duration {
        SECOND.max(self.longest_rtt * 2)
    }
}

impl core::fmt::Debug for Heart {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Heart")
            .field("now", &self.now)
            .field("next", &self.next)
            .field("timeout", &self.timeout)
            .field("longest_rtt", &self.longest_rtt)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

fn time(input: &mut Input<'_>) -> Duration {
    if input.one_in(32) {
        return Duration::MAX;
    }
    Duration::from_millis(input.number())
}

/// A latency that is mostly short, sometimes longer than any attempt, and has fractions of milliseconds.
fn latency(input: &mut Input<'_>) -> Duration {
    match input.byte() {
        tag @ 0..200 => Duration::from_millis(tag.into()),
        tag @ 200..220 => Duration::from_micros(u64::from(tag) * u64::from(input.byte())),
        tag @ 220..250 => Duration::from_millis((u64::from(tag) - 219) * 250),
        _ => Duration::from_secs(input.byte().into()),
    }
}

/// Rounds up to whole milliseconds.
fn whole(duration: Duration) -> Duration {
    Duration::from_millis(duration.as_nanos().div_ceil(1_000_000) as u64)
}
