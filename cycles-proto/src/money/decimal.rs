//! Decimal numbers as they are written, without floats.

use core::fmt;

/// A decimal number: 0.DIGITS times 10 to the power of `point`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    /// The digits, without leading and trailing zeros.
    digits: String,
    point: i32,
}

impl Decimal {
    /// Parses a number with or without an exponent; `None` if it is not one, is negative, or is absurdly long.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i32 = exponent
            .parse()
            .ok()
            .filter(|exponent| (-30..=30).contains(exponent))?;
        let digits = [whole, decimals].concat();
        if digits.len() > 60 || digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = digits.trim_start_matches('0');
        let zeros = digits.len() - significant.len();
        // Both are at most the number of digits.
        let point = i32::try_from(whole.len()).ok()? - i32::try_from(zeros).ok()? + exponent;
        Some(Self {
            digits: significant.trim_end_matches('0').to_owned(),
            point,
        })
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// The position of the first digit: 1 for 2.5, 0 for 0.25, −1 for 0.025.
    pub(super) fn point(&self) -> i32 {
        self.point
    }

    /// Whether the number can be written exactly with at most this many decimals.
    pub(super) fn has_at_most_decimals(&self, most: i32) -> bool {
        let digits = i32::try_from(self.digits.len()).unwrap_or(i32::MAX);
        digits - self.point <= most
    }

    pub(super) fn shifted(&self, by: i32) -> Self {
        Self {
            digits: self.digits.clone(),
            point: self.point + by,
        }
    }

    /// The number times 10 to the power of `digits`, rounded up to a whole number. `None` if it does not fit.
    pub(super) fn scaled(&self, digits: i32) -> Option<u128> {
        if self.is_zero() {
            return Some(0);
        }
        let length = i32::try_from(self.digits.len()).ok()?;
        let more = self.point + digits - length;
        if more >= 0 {
            let factor = 10_u128.checked_pow(more.unsigned_abs())?;
            return self.digits.parse::<u128>().ok()?.checked_mul(factor);
        }
        let kept = usize::try_from(self.point + digits).unwrap_or(0);
        let kept: u128 = self
            .digits
            .get(..kept)
            .filter(|kept| !kept.is_empty())
            .unwrap_or("0")
            .parse()
            .ok()?;
        // The last digit is never a zero, so something was cut off.
        kept.checked_add(1)
    }
}

/// Writes the number without an exponent.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
        let Some(point) = usize::try_from(self.point).ok().filter(|point| *point > 0) else {
            return write!(f, "0.{}{}", zeros(-self.point), self.digits);
        };
        match self.digits.split_at_checked(point) {
            Some((whole, decimals)) if !decimals.is_empty() => write!(f, "{whole}.{decimals}"),
            _ => {
                let written = i32::try_from(self.digits.len()).unwrap_or(i32::MAX);
                write!(f, "{}{}", self.digits, zeros(self.point - written))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_scaled_exactly_and_rounded_up_beyond_that() {
        for (text, digits, expected) in [
            ("2.5", 1, Some(25)),
            ("2.5", 0, Some(3)),
            ("0", 24, Some(0)),
            ("0.000", 0, Some(0)),
            ("1.5e-07", 24, Some(150_000_000_000_000_000)),
            ("3.3333333333333335e-05", 24, Some(33_333_333_333_333_335_000)),
            ("1.2345678901234567e-09", 24, Some(1_234_567_890_123_457)),
            ("1e-30", 24, Some(1)),
            ("100", 0, Some(100)),
            ("1e20", 24, None),
        ] {
            assert_eq!(Decimal::read(text).unwrap().scaled(digits), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_none() {
        for text in [
            "", "-1", "+", "1.2.3", "nan", "inf", "1e", "1e99", "0x10", "1_000",
        ] {
            assert_eq!(Decimal::read(text), None, "{text}");
        }
    }
}
