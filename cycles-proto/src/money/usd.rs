//! US dollars, counted in microcents.

use core::fmt;
use core::str::FromStr;

use crate::meter::Reading;
use crate::models::{Amount, Unit};
use crate::text::shortened;

/// An amount of US dollars from 0 to 92,233,720,368.54775807, exact to the microcent (100,000,000 to the dollar).
///
/// Arithmetic is checked: a result that does not fit is `None`. The text form is dollars with two to eight decimals.
///
/// ```
/// use cycles_proto::money::Usd;
///
/// let price: Usd = "12.34".parse()?;
/// assert_eq!(price, Usd::dollars(12).checked_add(Usd::cents(34)).unwrap());
/// assert_eq!(price.microcents(), 1_234_000_000);
/// assert_eq!(price.to_string(), "12.34");
/// # Ok::<_, cycles_proto::money::InvalidUsd>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(i64);

const MICROCENTS_PER_CENT: i64 = 1_000_000;
const MICROCENTS_PER_DOLLAR: i64 = 100 * MICROCENTS_PER_CENT;

/// A dollar has 10⁸ microcents.
const DECIMALS: usize = 8;

impl Usd {
    /// Zero dollars.
    pub const ZERO: Self = Self(0);

    /// The largest amount.
    pub const MAX: Self = Self(i64::MAX);

    /// Creates an amount from whole dollars.
    pub const fn dollars(dollars: u32) -> Self {
        // `From` is not const; 2³² dollars are far from the limit.
        Self(dollars as i64 * MICROCENTS_PER_DOLLAR)
    }

    /// Creates an amount from whole cents.
    pub const fn cents(cents: u32) -> Self {
        // `From` is not const; 2³² cents are far from the limit.
        Self(cents as i64 * MICROCENTS_PER_CENT)
    }

    /// Creates an amount from microcents; `None` if they are negative.
    pub const fn from_microcents(microcents: i64) -> Option<Self> {
        if microcents < 0 {
            return None;
        }
        Some(Self(microcents))
    }

    /// The amount in microcents.
    pub const fn microcents(self) -> i64 {
        self.0
    }

    /// Returns the sum, if it fits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Returns the difference, if it is not negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Self::from_microcents(self.0.checked_sub(other.0)?)
    }

    /// Returns the product, if it fits.
    #[must_use]
    pub fn checked_mul(self, times: u32) -> Option<Self> {
        self.0.checked_mul(i64::from(times)).map(Self)
    }
}

/// Writes dollars, with as many decimals as necessary and at least two.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, rest) = (self.0 / MICROCENTS_PER_DOLLAR, self.0 % MICROCENTS_PER_DOLLAR);
        let mut text = format!("{dollars}.{rest:08}");
        let zeros = text.len() - text.trim_end_matches('0').len();
        text.truncate(text.len() - zeros.min(DECIMALS - 2));
        f.pad(&text)
    }
}

/// The error for text, or an [`Amount`], that is not an amount of US dollars.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an amount of US dollars: {problem}")]
pub struct InvalidUsd {
    text: String,
    problem: &'static str,
}

impl InvalidUsd {
    fn new(text: &str, problem: &'static str) -> Self {
        Self {
            text: shortened(text),
            problem,
        }
    }

    /// What is wrong with the text or amount.
    pub fn problem(&self) -> &'static str {
        self.problem
    }
}

/// Parses digits, with up to eight decimals after a point and then any number of zeros: `12`, `12.34`, `0.00000001`.
/// Nothing is rounded.
impl FromStr for Usd {
    type Err = InvalidUsd;

    fn from_str(text: &str) -> Result<Self, InvalidUsd> {
        let invalid = |problem| InvalidUsd::new(text, problem);
        let (whole, decimals) = match text.split_once('.') {
            Some((_, "")) => return Err(invalid("there is nothing after the point")),
            Some((whole, decimals)) => (whole, decimals),
            None => (text, ""),
        };
        if whole.starts_with('-') {
            return Err(invalid("it is less than 0"));
        }
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(decimals) {
            return Err(invalid("write digits, and a point before decimals, as in 12.34"));
        }
        // Further zeros are exact.
        let decimals = match decimals.split_at_checked(DECIMALS) {
            Some((known, more)) if more.bytes().all(|byte| byte == b'0') => known,
            Some(_) | None => decimals,
        };
        if decimals.len() > DECIMALS {
            return Err(invalid(
                "it has more than eight decimals, and a microcent is the smallest amount",
            ));
        }
        // Up to eight digits always fit.
        let decimals: i64 = format!("{decimals:0<DECIMALS$}").parse().unwrap_or(0);
        let microcents = whole
            .parse::<i64>()
            .ok()
            .and_then(|dollars| dollars.checked_mul(MICROCENTS_PER_DOLLAR))
            .and_then(|dollars| dollars.checked_add(decimals));
        microcents
            .map(Self)
            .ok_or_else(|| invalid("it is more than 92233720368.54775807"))
    }
}

impl From<Usd> for Amount {
    fn from(usd: Usd) -> Self {
        Self::usd_microcents(usd.0)
    }
}

impl From<Usd> for Reading {
    fn from(usd: Usd) -> Self {
        Amount::from(usd).into()
    }
}

/// Converts a non-negative amount in USD_MICROCENTS.
impl TryFrom<&Amount> for Usd {
    type Error = InvalidUsd;

    fn try_from(amount: &Amount) -> Result<Self, InvalidUsd> {
        if amount.unit != Unit::UsdMicrocents {
            return Err(InvalidUsd::new(&amount.to_string(), "it is in another unit"));
        }
        Self::from_microcents(amount.amount)
            .ok_or_else(|| InvalidUsd::new(&amount.to_string(), "it is less than 0"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    #[test]
    fn a_dollar_has_a_hundred_million_microcents() {
        assert_eq!(Usd::dollars(1).microcents(), 100_000_000);
        assert_eq!(Usd::cents(1).microcents(), 1_000_000);
        assert_eq!(Usd::cents(100), Usd::dollars(1));
        assert_eq!(Amount::from(Usd::cents(50)), Amount::usd_microcents(50_000_000));
        assert_eq!(Usd::dollars(u32::MAX).to_string(), "4294967295.00");
    }

    #[test]
    fn text_is_exact_in_both_directions() {
        for (text, microcents, shown) in [
            ("0", 0, "0.00"),
            ("12", 1_200_000_000, "12.00"),
            ("12.3", 1_230_000_000, "12.30"),
            ("12.34", 1_234_000_000, "12.34"),
            ("007.50", 750_000_000, "7.50"),
            ("0.00000001", 1, "0.00000001"),
            ("0.10000000", 10_000_000, "0.10"),
            ("1.500000000000", 150_000_000, "1.50"),
            ("0.0000000100", 1, "0.00000001"),
            ("0.125", 12_500_000, "0.125"),
            ("100", 10_000_000_000, "100.00"),
            ("92233720368.54775807", i64::MAX, "92233720368.54775807"),
        ] {
            assert_eq!(usd(text).microcents(), microcents, "{text}");
            assert_eq!(usd(text).to_string(), shown);
        }
        assert_eq!(format!("{:>8}|{:<6}|", usd("1.5"), usd("2")), "    1.50|2.00  |");
    }

    #[test]
    fn what_is_no_amount_is_refused_with_its_reason() {
        for (text, problem) in [
            ("", "digits"),
            (".5", "digits"),
            ("5.", "nothing after"),
            ("1.2.3", "digits"),
            ("+1", "digits"),
            ("-1", "less than 0"),
            ("-0.01", "less than 0"),
            ("1.-5", "digits"),
            ("1,50", "digits"),
            ("$1", "digits"),
            (" 1", "digits"),
            ("1e3", "digits"),
            ("NaN", "digits"),
            ("inf", "digits"),
            ("1_000", "digits"),
            ("٣", "digits"),
            ("0.000000001", "eight decimals"),
            ("1.5000000000001", "eight decimals"),
            ("92233720368.54775808", "more than"),
            ("92233720369", "more than"),
            ("99999999999999999999999", "more than"),
        ] {
            let error = text.parse::<Usd>().unwrap_err();
            assert!(error.problem().contains(problem), "{text}: {error}");
        }
        let long = "1\n".repeat(1_000).parse::<Usd>().unwrap_err().to_string();
        assert!(long.len() < 500 && !long.contains('\n'), "{long}");
    }

    #[test]
    fn an_amount_in_another_unit_is_no_money() {
        assert_eq!(Usd::try_from(&Amount::usd_microcents(5)).unwrap().microcents(), 5);
        for amount in [Amount::tokens(5), Amount::usd_microcents(-1)] {
            assert!(Usd::try_from(&amount).is_err());
        }
    }

    proptest! {
        #[test]
        fn every_amount_is_read_as_it_is_shown(microcents in 0..=i64::MAX) {
            let shown = Usd(microcents).to_string();
            prop_assert_eq!(usd(&shown).microcents(), microcents);
        }

        #[test]
        fn arithmetic_is_that_of_wide_integers_or_nothing(
            a in 0..=i64::MAX, b in 0..=i64::MAX, times in any::<u32>()
        ) {
            let fits = |wide: i128| i64::try_from(wide).ok().and_then(Usd::from_microcents);
            let (wide_a, wide_b) = (i128::from(a), i128::from(b));
            prop_assert_eq!(Usd(a).checked_add(Usd(b)), fits(wide_a + wide_b));
            prop_assert_eq!(Usd(a).checked_sub(Usd(b)), fits(wide_a - wide_b));
            prop_assert_eq!(Usd(a).checked_mul(times), fits(wide_a * i128::from(times)));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Usd>();
        }
    }
}
