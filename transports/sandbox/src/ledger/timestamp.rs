//! Timestamps as text: ISO 8601 with seconds and a zone.

/// The reason why some text is not a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoInstant {
    /// The text has another form.
    Malformed,
    /// The milliseconds do not fit into 64 bits.
    OutOfRange,
}

/// Parses text such as `2026-11-22T17:05:34.120Z` or `2026-11-22T18:05:34+01:00` into milliseconds since 1970. Digits
/// beyond the millisecond are dropped.
pub(super) fn parse(text: &str) -> Result<i64, NoInstant> {
    let (days, millis) = read(text).ok_or(NoInstant::Malformed)?;
    let exact = i128::from(days) * 86_400_000 + i128::from(millis);
    i64::try_from(exact).map_err(|_| NoInstant::OutOfRange)
}

/// Whole days since 1970, and the remaining milliseconds.
fn read(text: &str) -> Option<(i64, i64)> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let (sign, date) = match date.split_at_checked(1)? {
        ("-", date) => (-1, date),
        ("+", date) => (1, date),
        _ => (0, date),
    };
    let mut date = date.split('-');
    let year = date.next()?;
    // Years beyond four digits need a sign, and a plus needs more than four digits.
    let year = match (sign, year.len()) {
        (0, 4) => digits(year, 4)?,
        (1, count @ 5..=9) | (-1, count @ 4..=9) => sign * digits(year, count)?,
        _ => return None,
    };
    let (month, day) = (digits(date.next()?, 2)?, digits(date.next()?, 2)?);
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone_at);
    let valid_date =
        date.next().is_none() && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    if !valid_date {
        return None;
    }
    Some((
        days_since_1970(year, month, day),
        time_of_day(time)? - offset_ms(zone)?,
    ))
}

/// Formats milliseconds since 1970 as `2026-11-22T17:05:34.120Z`; whole seconds have no fraction.
pub(super) fn format(millis: i64) -> String {
    let (days, in_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = date_of(days);
    let (second, milli) = (in_day / 1_000, in_day % 1_000);
    let time = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
    let fraction = if milli == 0 {
        String::new()
    } else {
        format!(".{milli:03}")
    };
    format!("{year:04}-{month:02}-{day:02}T{time}{fraction}Z")
}

/// Year, month and day. The calculation begins years in March, so that the leap day is the last of its year.
const fn date_of(days: i64) -> (i64, i64, i64) {
    const ERA: i64 = 146_097; // days in 400 years
    let since_march_0000 = days + 719_468;
    let (era, in_era) = (since_march_0000.div_euclid(ERA), since_march_0000.rem_euclid(ERA));
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let (month, new_years) = if from_march < 10 {
        (from_march + 3, 0)
    } else {
        (from_march - 9, 1)
    };
    (era * 400 + year + new_years, month, day)
}

fn time_of_day(text: &str) -> Option<i64> {
    let (time, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = time.split(':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let second = digits(parts.next()?, 2)?;
    // The end of the day can be written as 24:00:00, and a leap second counts as the second before it.
    let (second, is_valid) = match (hour, minute, second) {
        (23, 59, 60) => (59, true),
        (24, 0, 0) => (0, fraction.bytes().all(|digit| digit == b'0')),
        _ => (second, hour <= 23 && minute <= 59 && second <= 59),
    };
    if parts.next().is_some() || !is_valid {
        return None;
    }
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let milli: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(((hour * 60 + minute) * 60 + second) * 1_000 + milli)
}

fn offset_ms(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hour, rest) = zone.get(1..)?.split_once(':')?;
    let (minute, second) = rest.split_once(':').unwrap_or((rest, "00"));
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    let offset_s = (hour * 60 + minute) * 60 + second;
    let is_valid = minute <= 59 && second <= 59 && offset_s <= 18 * 3_600;
    is_valid.then_some(sign * offset_s * 1_000)
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let fits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts whole years first, with the leap days in them, then the months of this year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leap_days = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 477;
    let months: i64 = (1..month).map(|earlier| days_in(year, earlier)).sum();
    (year - 1970) * 365 + leap_days + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::{NoInstant, format, parse};

    #[test]
    fn what_is_written_can_be_read_back() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_795_000_000_120, "2026-11-18T11:06:40.120Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!((format(millis).as_str(), parse(text)), (text, Ok(millis)));
        }
        for day in (-700_000..2_900_000).step_by(97) {
            let millis = day * 86_400_000 + 1_234;
            assert_eq!(parse(&format(millis)), Ok(millis));
        }
    }

    #[test]
    fn an_instant_beyond_64_bits_is_told_from_none_at_all() {
        for sign in ["+", "-"] {
            let text = std::format!("{sign}999999999-12-31T23:59:59Z");
            assert_eq!(parse(&text), Err(NoInstant::OutOfRange), "{text}");
        }
        assert_eq!(parse("2026-11-22"), Err(NoInstant::Malformed));
    }
}
