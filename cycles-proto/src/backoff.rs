//! The waits before a settlement or a release is tried again.

use core::time::Duration;

use crate::config::RetryPolicy;
use crate::idempotency::Seed;

/// The longest pause that the client grants to a server that asks for one: an hour.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// The waits of one settlement. Each is longer than the one before, up to a maximum, and each is spread over its upper
/// half, so that clients that failed together do not come back together. The same seed gives the same waits.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    waits: u32,
    seed: Seed,
}

impl Backoff {
    /// Starts with the first wait.
    pub(crate) fn new(seed: Seed) -> Self {
        Self { waits: 0, seed }
    }

    /// Returns the next wait; `None` once the policy's number of repetitions is used up. A longer `Retry-After`
    /// replaces the wait, up to an hour.
    pub(crate) fn next(&mut self, policy: &RetryPolicy, retry_after: Option<Duration>) -> Option<Duration> {
        if !policy.enabled || self.waits >= policy.max_attempts {
            return None;
        }
        let whole = self.whole_wait(policy);
        let wait = whole / 2 + (whole / 2).mul_f64(self.seed.fraction(self.waits.into()));
        self.waits += 1;
        let pause = retry_after.unwrap_or_default().min(LONGEST_PAUSE);
        Some(wait.max(pause))
    }

    fn whole_wait(&self, policy: &RetryPolicy) -> Duration {
        let growth = policy
            .multiplier
            .powi(i32::try_from(self.waits).unwrap_or(i32::MAX));
        let seconds = policy.initial_delay.as_secs_f64() * growth;
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(policy.max_delay)
            .min(policy.max_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(policy: &RetryPolicy, seed: u8) -> Vec<Duration> {
        let mut backoff = Backoff::new(Seed([seed; 16]));
        std::iter::from_fn(|| backoff.next(policy, None)).collect()
    }

    #[test]
    fn each_wait_lies_in_the_upper_half_of_the_schedule() {
        let waits = waits(&RetryPolicy::default(), 7);
        for (wait, whole) in waits
            .iter()
            .zip([500, 1_000, 2_000, 4_000, 8_000].map(Duration::from_millis))
        {
            assert!((whole / 2..=whole).contains(wait), "{wait:?} of {whole:?}");
        }
        assert_eq!(waits.len(), 5);
    }

    #[test]
    fn no_wait_is_longer_than_the_longest() {
        let mut policy = RetryPolicy {
            max_attempts: 4_000,
            ..RetryPolicy::default()
        };
        policy.multiplier = 1e300;
        assert!(waits(&policy, 1).iter().all(|wait| *wait <= policy.max_delay));
        policy.initial_delay = Duration::MAX;
        assert!(waits(&policy, 1).iter().all(|wait| *wait <= policy.max_delay));
    }

    #[test]
    fn the_same_seed_waits_the_same_and_another_does_not() {
        let policy = RetryPolicy::default();
        assert_eq!(waits(&policy, 1), waits(&policy, 1));
        assert_ne!(waits(&policy, 1), waits(&policy, 2));
    }

    #[test]
    fn a_pause_that_the_server_asks_for_is_kept_up_to_an_hour() {
        let policy = RetryPolicy::default();
        let next = |pause| {
            Backoff::new(Seed([1; 16]))
                .next(&policy, Some(Duration::from_secs(pause)))
                .unwrap()
        };
        assert_eq!(next(120), Duration::from_secs(120));
        assert_eq!(next(u64::MAX), LONGEST_PAUSE);
        assert!(
            next(0) >= Duration::from_millis(250),
            "never shorter than our own wait"
        );
    }

    #[test]
    fn nothing_is_repeated_when_retries_are_off() {
        assert!(
            waits(
                &RetryPolicy {
                    enabled: false,
                    ..RetryPolicy::default()
                },
                1
            )
            .is_empty()
        );
        assert!(
            waits(
                &RetryPolicy {
                    max_attempts: 0,
                    ..RetryPolicy::default()
                },
                1
            )
            .is_empty()
        );
    }
}
