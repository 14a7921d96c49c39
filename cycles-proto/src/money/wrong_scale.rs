//! Recognizes prices that were written per token or per thousand tokens, or with an exponent, and says what to write
//! instead.

use super::decimal::Decimal;

/// A million tokens never cost less than a thousandth of a dollar; with the most expensive models, that is the price
/// of one token.
const LEAST: i32 = -3;

/// A million plain tokens of a prompt or an answer never cost less than a cent.
const LEAST_PLAIN: i32 = -2;

/// Why a number is refused as a price per million tokens, if it looks like a price on another scale.
pub(super) fn problem(text: &str, is_plain: bool) -> Option<String> {
    let number = Decimal::read(text)?;
    if number.is_zero() {
        return None;
    }
    if number.point() <= LEAST {
        let (of_one, of_thousand) = (number.shifted(6), number.shifted(3));
        let or = match &of_thousand {
            dollars if dollars.point() > LEAST => {
                format!(" (or {dollars}, if that is the price of a thousand)")
            }
            _ => String::new(),
        };
        return Some(format!(
            "`{text}` looks like the price of one token, but prices are in US dollars per million tokens: did you mean \
             {of_one}{or}?"
        ));
    }
    if is_plain && number.point() <= LEAST_PLAIN {
        let of_thousand = number.shifted(3);
        return Some(format!(
            "`{text}` looks like the price of a thousand tokens: if it is, write {of_thousand}, and check the other prices"
        ));
    }
    exponent(text).map(|problem| format!("{problem}, if that is in US dollars per million tokens"))
}

/// Why a number with an exponent is refused, with the number to write.
pub(super) fn exponent(text: &str) -> Option<String> {
    let has_exponent = text.contains(['e', 'E']);
    let number = Decimal::read(text).filter(|number| has_exponent && !number.is_zero())?;
    Some(format!("`{text}` has an exponent: write {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_of_fewer_tokens_is_told_with_what_to_write() {
        for (text, words) in [
            ("0.00000015", "did you mean 0.15?"),
            ("1.5e-07", "did you mean 0.15?"),
            ("1.5E-7", "did you mean 0.15?"),
            ("15e-8", "did you mean 0.15?"),
            ("0.000000075", "did you mean 0.075?"),
            (
                "0.00000250",
                "did you mean 2.5 (or 0.0025, if that is the price of a thousand)?",
            ),
            ("0.00001", "did you mean 10 ("),
            ("0.0006", "did you mean 600 ("),
            (
                "0.00015",
                "did you mean 150 (or 0.15, if that is the price of a thousand)?",
            ),
            ("0.000999", "did you mean 999 ("),
            ("1e-30", "did you mean 0.000000000000000000000001?"),
        ] {
            let problem = problem(text, false).unwrap();
            assert!(problem.contains(words), "{problem}");
            assert!(problem.contains("US dollars per million tokens"), "{problem}");
        }
    }

    #[test]
    fn an_exponent_is_told_with_the_number() {
        for (text, number) in [
            ("1.5e-1", "0.15"),
            ("1e3", "1000"),
            ("1.25e1", "12.5"),
            ("25E-1", "2.5"),
            ("0.5e+0", "0.5"),
            ("1e-3", "0.001"),
            ("100e0", "100"),
        ] {
            assert!(
                problem(text, false)
                    .unwrap()
                    .contains(&format!("write {number},")),
                "{text}"
            );
        }
    }

    #[test]
    fn a_price_is_none_of_these_and_what_is_no_number_is_not_either() {
        for text in [
            "0",
            "0.0",
            "0.00000000",
            "0e-7",
            "0.001",
            "0.15",
            "2.50",
            "600",
            "",
            ".",
            "-1e-7",
            "nan",
            "1e99",
            "x",
        ] {
            assert_eq!(problem(text, false), None, "{text}");
        }
    }
}
