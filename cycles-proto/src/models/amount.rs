//! Amounts: an integer and its unit.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::decode::object;
use super::field_checks::{InvalidRequest, within};
use super::open_enum::open_enum;

open_enum! {
    /// The unit of an amount (schema `UnitEnum`).
    pub enum Unit {
        /// Millionths of a US cent: 100,000,000 to the dollar, 1,000,000 to the cent.
        UsdMicrocents = "USD_MICROCENTS",
        /// Tokens of a language model.
        Tokens = "TOKENS",
        /// A generic integer unit.
        Credits = "CREDITS",
        /// A generic integer unit.
        RiskPoints = "RISK_POINTS",
    }
}

/// An amount of at least 0 (schema `Amount`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Amount {
    /// The unit.
    pub unit: Unit,
    /// The number of units: 0 to 2⁶³ − 1.
    pub amount: i64,
}

impl Amount {
    /// Creates an amount in this unit.
    pub fn new(unit: Unit, amount: i64) -> Self {
        Self { unit, amount }
    }

    /// Creates an amount in [`Unit::UsdMicrocents`]: 100,000,000 is one US dollar.
    pub fn usd_microcents(amount: i64) -> Self {
        Self::new(Unit::UsdMicrocents, amount)
    }

    /// Creates an amount in [`Unit::Tokens`].
    pub fn tokens(amount: i64) -> Self {
        Self::new(Unit::Tokens, amount)
    }

    /// Creates an amount in [`Unit::Credits`].
    pub fn credits(amount: i64) -> Self {
        Self::new(Unit::Credits, amount)
    }

    /// Creates an amount in [`Unit::RiskPoints`].
    pub fn risk_points(amount: i64) -> Self {
        Self::new(Unit::RiskPoints, amount)
    }

    pub(crate) fn check(&self, field: &str) -> Result<(), InvalidRequest> {
        if self.amount >= 0 && self.unit.is_known() {
            return Ok(());
        }
        within(&format!("{field}.amount"), self.amount, 0..=i64::MAX)?;
        let problem = format!("is `{}`, which is not a unit of the protocol", self.unit);
        Err(InvalidRequest::new(format!("{field}.unit"), problem))
    }
}

/// `120 TOKENS`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.unit)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Members {
            unit: Unit,
            #[serde(deserialize_with = "zero_or_more")]
            amount: i64,
        }
        let Members { unit, amount } = object(deserializer)?;
        Ok(Self { unit, amount })
    }
}

/// Checks the member while it is read, so that the error can name it.
fn zero_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let amount = i64::deserialize(deserializer)?;
    let problem = || de::Error::invalid_value(de::Unexpected::Signed(amount), &"an amount that is 0 or more");
    if amount < 0 { Err(problem()) } else { Ok(amount) }
}

/// An amount that may be negative, such as the remaining balance of a scope in overdraft (schema `SignedAmount`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct SignedAmount {
    /// The unit.
    pub unit: Unit,
    /// The number of units: −2⁶³ to 2⁶³ − 1.
    pub amount: i64,
}

impl<'de> Deserialize<'de> for SignedAmount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Members {
            unit: Unit,
            amount: i64,
        }
        let Members { unit, amount } = object(deserializer)?;
        Ok(Self { unit, amount })
    }
}

/// `-20 TOKENS`.
impl fmt::Display for SignedAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_at_both_ends() {
        for amount in [i64::MAX, i64::MAX - 1, (1 << 53) + 1, 0] {
            let text = format!(r#"{{"unit":"TOKENS","amount":{amount}}}"#);
            let parsed: Amount = serde_json::from_str(&text).unwrap();
            assert_eq!(parsed, Amount::tokens(amount));
            assert_eq!(serde_json::to_string(&parsed).unwrap(), text);
        }
        let lowest: SignedAmount =
            serde_json::from_str(r#"{"unit":"CREDITS","amount":-9223372036854775808}"#).unwrap();
        assert_eq!(lowest.amount, i64::MIN);
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for amount in ["-1", "1.0", "1e3", "9223372036854775808", "\"5\"", "null", "[]"] {
            let text = format!(r#"{{"unit":"TOKENS","amount":{amount}}}"#);
            assert!(serde_json::from_str::<Amount>(&text).is_err(), "{amount}");
        }
    }

    #[test]
    fn an_amount_is_an_object_and_no_list_of_its_members() {
        assert!(serde_json::from_str::<Amount>(r#"["TOKENS",5]"#).is_err());
        assert!(serde_json::from_str::<SignedAmount>(r#"["TOKENS",5]"#).is_err());
    }

    #[test]
    fn a_unit_of_a_newer_server_is_kept_but_never_sent() {
        let future: Amount = serde_json::from_str(r#"{"unit":"EUR_CENTS","amount":1}"#).unwrap();
        assert_eq!(future.to_string(), "1 EUR_CENTS");
        assert_eq!(future.check("estimate").unwrap_err().field(), "estimate.unit");
    }
}
