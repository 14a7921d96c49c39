//! A heartbeat against a server that may say anything.

use core::time::Duration;

use cycles_proto::UnixMillis;
use cycles_proto::outcome::Stop;
use cycles_proto::parts::schedule::{BeatFailure, Lease, Next, Observation};

use super::time;
use crate::input::Input;

/// Runs a heartbeat on meaningless observations.
pub(super) fn run(input: &mut Input<'_>) {
    let ttl_ms = input.number();
    let limit = Duration::from_millis(input.number());
    let observed = nonsense(input);
    let (mut lease, mut next) = Lease::granted(ttl_ms, limit, observed);
    let timeout = lease.attempt_timeout();
    let mut now = observed.received;
    let mut words = Words {
        since: now,
        granted_ms: 0,
        expires_at_ms: None,
    };
    words.hear(observed);
    loop {
        words.bound(&lease);
        if let Next::Beat(at) | Next::Retry(at) = next {
            assert!(at >= now, "in the past: {next:?} at {now:?}, {lease:?}");
        }
        assert_eq!((lease.attempt_timeout(), lease.extend_by_ms()), (timeout, ttl_ms));
        if input.is_empty() {
            return;
        }
        next = match input.below(4) {
            0 | 1 => {
                let observed = nonsense(input);
                now = observed.received;
                words.hear(observed);
                let next = lease.renewed(observed);
                assert!(!matches!(next, Next::Retry(_)), "nothing failed");
                if observed.remaining_ttl_ms.is_some() {
                    assert!(lease.lasts_until().is_some());
                    let is_timed = observed.sent.is_some();
                    assert!(
                        is_timed || !matches!(next, Next::Beat(at) if at > now),
                        "unknown timing is no time"
                    );
                }
                next
            }
            2 => {
                now = time(input);
                assert_eq!(lease.failed(now, BeatFailure::Refused), Next::Stop(Stop::Refused));
                lease.failed(now, BeatFailure::Transient)
            }
            _ => {
                now = time(input);
                let pause = input.maybe(|input| Duration::from_secs(input.number()));
                lease.failed(now, BeatFailure::Throttled(pause))
            }
        };
    }
}

/// The sum of a server's answers: the last remaining time that it sent, plus how far its expiries have moved since. An
/// answer without an expiry grants nothing.
struct Words {
    since: Duration,
    granted_ms: i128,
    expires_at_ms: Option<UnixMillis>,
}

impl Words {
    fn hear(&mut self, observed: Observation) {
        match (
            observed.remaining_ttl_ms,
            self.expires_at_ms,
            observed.expires_at_ms,
        ) {
            (Some(left), _, _) => {
                let sent = observed.sent.unwrap_or_default();
                let on_the_way = observed.received.saturating_sub(sent).as_millis();
                self.since = observed.received;
                self.granted_ms = (i128::from(left) - on_the_way as i128).max(0);
            }
            (None, Some(before), Some(after)) => {
                self.granted_ms += i128::from(after.0) - i128::from(before.0);
            }
            (None, _, _) => {}
        }
        self.expires_at_ms = observed.expires_at_ms;
    }

    fn bound(&self, lease: &Lease) {
        let granted_ms = u64::try_from(self.granted_ms.max(0)).unwrap_or(u64::MAX);
        let latest = self.since.saturating_add(Duration::from_millis(granted_ms));
        let until = lease.lasts_until();
        assert!(
            until.is_none_or(|until| until <= latest),
            "the words add up to {latest:?}: {lease:?}"
        );
    }
}

fn nonsense(input: &mut Input<'_>) -> Observation {
    Observation {
        sent: input.maybe(time),
        received: time(input),
        expires_at_ms: input.maybe(|input| UnixMillis(input.number())),
        remaining_ttl_ms: input.maybe(Input::number),
    }
}
