//! Time as the core sees it: clock readings that the adapter passes in.
//!
//! The core never reads a clock. Everything that depends on time takes a [`Now`], so a test can run a day in a
//! microsecond, and a driver can use the clocks of its platform.

use core::fmt;
use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

/// A reading of both clocks, taken at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since the driver's start, on a clock that never goes backwards and that counts time while the machine is
    /// suspended.
    pub mono: Duration,
    /// The wall clock, for records that outlive the process. Lease arithmetic never uses it.
    pub wall: UnixMillis,
}

/// A point in time in the protocol's form: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The end of the year 9999, the last time that RFC 3339 can express.
    pub const LAST: Self = Self(253_402_300_799_999);

    /// This time plus `later`; stops at the end of the range instead of wrapping.
    pub fn saturating_add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(millis_ceil(later)))
    }

    /// The time from `earlier` to this time; zero if this time is not later.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Splits into days and the milliseconds within the day.
    fn split_day(self) -> (u64, u64) {
        (self.0 / DAY_MS, self.0 % DAY_MS)
    }
}

const DAY_MS: u64 = 86_400_000;

/// RFC 3339 in UTC with milliseconds, as the time filters of `listReservations` expect: `2026-11-22T17:05:34.120Z`.
impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = self.split_day();
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
        let (second, milli) = (ms / 1_000 % 60, ms % 1_000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        )
    }
}

impl From<SystemTime> for UnixMillis {
    /// Turns a time before 1970 into 1970, because the protocol has no negative times.
    fn from(time: SystemTime) -> Self {
        Self(millis_floor(time.duration_since(UNIX_EPOCH).unwrap_or_default()))
    }
}

/// Returns the milliseconds in `duration`, rounded down; `u64::MAX` if there are more.
pub fn millis_floor(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the milliseconds in `duration`, rounded up; `u64::MAX` if there are more.
pub fn millis_ceil(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// The Gregorian date of a day counted from 1970-01-01, by counting in 400-year cycles from 0000-03-01:
/// years that start in March have their leap day last, so every month has a fixed offset.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    const CYCLE: u64 = 146_097;
    let shifted = days + 719_468;
    let (cycle, day_of_cycle) = (shifted / CYCLE, shifted % CYCLE);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (cycle * 400 + year_of_cycle + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "tens of thousands of dates take hours there")]
    fn a_time_is_written_as_rfc_3339_like_an_independent_implementation_does() {
        let mut ms = 0_u64;
        while ms < 4_102_444_800_000 {
            let theirs = jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap();
            assert_eq!(UnixMillis(ms).to_string(), format!("{theirs:.3}"), "{ms}");
            ms += 13 * 3_600_000 + 1_234_567;
        }
    }

    #[test]
    fn the_largest_time_is_written_without_a_panic() {
        assert!(UnixMillis(u64::MAX).to_string().ends_with('Z'));
        assert_eq!(UnixMillis::LAST.to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn milliseconds_round_in_the_named_direction_and_stop_at_the_end() {
        let tick = Duration::from_nanos(1_000_001);
        assert_eq!((millis_floor(tick), millis_ceil(tick)), (1, 2));
        assert_eq!(
            (millis_floor(Duration::MAX), millis_ceil(Duration::MAX)),
            (u64::MAX, u64::MAX)
        );
    }

    #[test]
    fn time_that_goes_backwards_is_no_time_at_all() {
        assert_eq!(UnixMillis(5).saturating_since(UnixMillis(9)), Duration::ZERO);
        assert_eq!(
            UnixMillis(u64::MAX).saturating_add(Duration::from_secs(1)),
            UnixMillis(u64::MAX)
        );
    }
}
