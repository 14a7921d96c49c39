//! When calls are repeated, and the defaults.

use core::time::Duration;

/// When calls with an unknown outcome are repeated.
///
/// ```
/// use cycles_proto::config::RetryPolicy;
///
/// let mut retry = RetryPolicy::default();
/// retry.max_attempts = 3;
/// ```
///
/// Plain operations use `enabled` only. Settlements use the other fields too, and releases use the waits. Adapters use
/// `flush_timeout`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Whether calls are repeated at all; yes by default.
    pub enabled: bool,
    /// How many times a settlement is repeated after the first attempt; 5 by default.
    pub max_attempts: u32,
    /// The wait before the first repetition; 500 ms by default.
    pub initial_delay: Duration,
    /// The factor by which each wait is longer than the one before, 1 or more; 2 by default.
    pub multiplier: f64,
    /// The longest wait; 30 s by default.
    pub max_delay: Duration,
    /// How long a flush waits for unsettled costs; 10 s by default.
    pub flush_timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            max_attempts: 5,
            initial_delay: Duration::from_millis(500),
            multiplier: 2.0,
            max_delay: Duration::from_secs(30),
            flush_timeout: Duration::from_secs(10),
        }
    }
}
