//! Monotonic and wall time.

use core::time::Duration;
use std::time::SystemTime;

use cycles_proto::{Now, UnixMillis};

use crate::platform;

/// The machine's clocks. Copies share their start, so their readings are comparable.
///
/// Monotonic time includes the time that the machine slept, because leases run out on the server meanwhile. That works
/// on Linux, Android and Apple systems; elsewhere it is [`std::time::Instant`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Duration,
}

impl Clock {
    /// Makes a clock whose monotonic time starts now.
    pub fn new() -> Self {
        Self {
            start: platform::boot_time(),
        }
    }

    /// Returns the time since the start, which never goes back, and the time of day, which may.
    pub fn now(&self) -> Now {
        Now {
            mono: self.mono(),
            wall: UnixMillis::from(SystemTime::now()),
        }
    }

    /// Returns only the time since the start.
    pub fn mono(&self) -> Duration {
        platform::boot_time().saturating_sub(self.start)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_and_copies_agree_on_it() {
        let clock = Clock::new();
        let copy = clock;
        let mut last = clock.now().mono;
        for _ in 0..10_000 {
            let (a, b) = (clock.now().mono, copy.now().mono);
            assert!(last <= a && a <= b, "{last:?} {a:?} {b:?}");
            last = b;
        }
    }

    #[test]
    fn the_start_is_now_and_the_time_of_day_is_that_of_the_system() {
        let before = UnixMillis::from(SystemTime::now());
        let now = Clock::new().now();
        let after = UnixMillis::from(SystemTime::now());
        assert!(
            before <= now.wall && now.wall <= after,
            "{before} {} {after}",
            now.wall
        );
        // The machine has been up for longer than it takes to read the clock twice.
        assert!(now.mono < platform::boot_time(), "{:?}", now.mono);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn time_that_the_machine_slept_counts() {
        // The kernel's own figure: the seconds since boot, suspended time included.
        let uptime = || -> f64 {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            text.split(' ').next().unwrap().parse().unwrap()
        };
        let (before, ours, after) = (uptime(), platform::boot_time().as_secs_f64(), uptime());
        // The kernel truncates its figure to hundredths of a second.
        assert!(before <= ours && ours <= after + 0.01, "{before} {ours} {after}");
    }
}
