//! `Retry-After` and `Date`, in every form that servers and load balancers use (RFC 9110, 5.6.7 and 10.2.3).

use core::time::Duration;

use http::header::{DATE, HeaderMap, RETRY_AFTER};

/// How long a reply asks to wait before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetryAfter {
    /// The wait, rounded up. It has no upper bound; the code that waits applies one.
    pub(crate) wait: Duration,
    /// Whether it is in the protocol's form: whole seconds and nothing else.
    pub(crate) is_of_the_protocol: bool,
}

impl RetryAfter {
    /// Reads the headers; the longest of several values counts. A date is relative to the reply's own `Date`, so that
    /// the client's clock does not matter; without a `Date` it is ignored. Any other text is ignored.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let lines = || headers.get_all(RETRY_AFTER).iter();
        let first = lines().next()?.as_bytes().trim_ascii();
        let now = headers.get(DATE).and_then(|value| date(value.to_str().ok()?));
        let waits = lines().filter_map(|value| {
            let text = value.to_str().ok()?.trim();
            match date(text) {
                // A time in the past means no wait.
                Some(at) => now.map(|now| Duration::from_secs(at.saturating_sub(now))),
                None => text.split(',').filter_map(seconds).max(),
            }
        });
        let wait = waits.max()?;
        Some(Self {
            wait,
            is_of_the_protocol: lines().count() == 1 && first.iter().all(u8::is_ascii_digit),
        })
    }
}

/// Parses seconds, with a fraction rounded up. A number that does not fit becomes the longest wait.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let rounded_up = u64::from(fraction.bytes().any(|byte| byte != b'0'));
    let seconds = whole.parse().unwrap_or(u64::MAX).saturating_add(rounded_up);
    Some(Duration::from_secs(seconds))
}

/// Parses `Sun, 06 Nov 1994 08:49:37 GMT` and the two older forms, `Sunday, 06-Nov-94 08:49:37 GMT` and
/// `Sun Nov  6 08:49:37 1994`, into seconds since 1970. The day of the week is ignored.
pub(super) fn date(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split([' ', '-']).filter(|word| !word.is_empty()).collect();
    let (day, month, year, time) = match words[..] {
        [_, day, month, year, time, "GMT" | "UTC"] => (day, month, year, time),
        [_, month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    let year = match (year.len(), digits(year)?) {
        // A year of two digits is in this century, unless that is far in the future.
        (2, year @ 0..70) => 2_000 + year,
        (2, year) => 1_900 + year,
        (4, year @ 1_970..) => year,
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let mut clock = time.split(':').map(digits);
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    let day = digits(day)?;
    if clock.next().is_some() || !(1..=31).contains(&day) || hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    Some(((days(year, month, day)? * 24 + hours) * 60 + minutes) * 60 + seconds)
}

/// Parses at most four digits.
fn digits(text: &str) -> Option<u64> {
    let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Converts a Gregorian date into days since 1970-01-01, with years that begin in March.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    (365 * year + leap_days + (153 * month + 2) / 5 + day - 1).checked_sub(719_468)
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    const DATE_OF_REPLY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn of(values: &[&str], date: Option<&str>) -> Option<RetryAfter> {
        let mut response = http::Response::builder();
        for value in values {
            response = response.header(RETRY_AFTER, *value);
        }
        if let Some(date) = date {
            response = response.header(DATE, date);
        }
        RetryAfter::of(response.body(()).unwrap().headers())
    }

    #[test]
    fn whole_seconds_are_the_protocols_and_everything_else_is_read_too() {
        for (values, wait_s, is_of_the_protocol) in [
            (&["0"][..], 0, true),
            (&["120"], 120, true),
            (&[" 7 "], 7, true),
            (&["99999999999999999999999999"], u64::MAX, true),
            (&["1.5"], 2, false),
            (&["0.001"], 1, false),
            (&["3.000"], 3, false),
            (&["99999999999999999999999999.9"], u64::MAX, false),
            (&["5, 5"], 5, false),
            (&["5,9, 2.5"], 9, false),
            (&["5", "8"], 8, false),
            (&["soon, 4"], 4, false),
            (&["Sun, 06 Nov 1994 08:49:41 GMT"], 4, false),
            (&["Sunday, 06-Nov-94 08:50:37 GMT"], 60, false),
            (&["Sun Nov  6 08:49:38 1994"], 1, false),
            (&["Mon, 07 Nov 1994 08:49:37 GMT"], 86_400, false),
            (&["Sat, 05 Nov 1994 08:49:37 GMT"], 0, false),
            (&["Sun, 06 Nov 1994 08:49:41 GMT", "6"], 6, false),
            (&["Thu, 29 Feb 1996 00:00:00 GMT"], 41_440_223, false),
        ] {
            let expected = RetryAfter {
                wait: Duration::from_secs(wait_s),
                is_of_the_protocol,
            };
            assert_eq!(of(values, Some(DATE_OF_REPLY)), Some(expected), "{values:?}");
        }
    }

    #[test]
    fn what_is_no_wait_is_ignored() {
        for nothing in [
            "",
            "-1",
            "+1",
            "1.",
            ".5",
            "1.-5",
            "1e3",
            "0x10",
            "NaN",
            "inf",
            "soon",
            "5 s",
            "1.5.1",
            ",",
            "٣",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Now 1994 08:49:37 GMT",
            "Sun, 06 Nov 99994 08:49:37 GMT",
            "Sun, 06 Nov 1899 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 8:49:37:1 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
        ] {
            assert_eq!(of(&[nothing], Some(DATE_OF_REPLY)), None, "{nothing}");
        }
        assert_eq!(of(&[], Some(DATE_OF_REPLY)), None);
        let late = "Sun, 06 Nov 1994 08:49:41 GMT";
        assert_eq!(
            of(&[late], None),
            None,
            "the time it is counted from is not known"
        );
        assert_eq!(of(&[late], Some("yesterday")), None);
    }

    #[test]
    fn a_date_is_the_same_moment_in_each_of_its_forms() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("Tue, 29 Feb 2000 23:59:60 GMT", 951_868_800),
            ("Sat, 28 Nov 2026 22:52:26 GMT", 1_795_906_346),
            ("Saturday, 28-Nov-26 22:52:26 GMT", 1_795_906_346),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ] {
            assert_eq!(date(text), Some(seconds), "{text}");
        }
    }
}
