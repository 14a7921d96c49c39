//! The prices of models, by name.

use std::collections::BTreeMap;

use super::prices::{Prices, Usage};
use crate::models::Amount;
use crate::text::shortened;

/// A table of the prices of models. Prices change, so you provide the table: in code, or from TOML with the feature
/// `prices`.
///
/// ```toml
/// version = "2026-11-22"       # your own, for a commit's metadata
///
/// [models."gpt-4o"]            # US dollars per million tokens
/// input = 2.50
/// cached_input = 1.25          # the price of `input` if not given
/// output = 10.00
/// reasoning = "10.00"          # the price of `output` if not given; a number or text
/// ```
///
/// A price below 0.001, other than 0, is refused, because it looks like the price of a single token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceTable {
    version: String,
    models: BTreeMap<String, Prices>,
}

impl PriceTable {
    /// Creates a table without models.
    pub fn new(version: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            models: BTreeMap::new(),
        }
    }

    /// Returns the table with this model added, or with its prices replaced.
    #[must_use]
    pub fn with_model(mut self, name: impl Into<String>, prices: Prices) -> Self {
        self.models.insert(name.into(), prices);
        self
    }

    /// The version, in words that the author chose.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The models and their prices, sorted by name.
    pub fn models(&self) -> impl Iterator<Item = (&str, &Prices)> {
        self.models.iter().map(|(name, prices)| (name.as_str(), prices))
    }

    /// Returns the prices of a model. The name must match exactly.
    ///
    /// # Errors
    /// [`PriceError::UnknownModel`].
    pub fn model(&self, name: &str) -> Result<&Prices, PriceError> {
        self.models.get(name).ok_or_else(|| PriceError::UnknownModel {
            model: shortened(name),
            version: shortened(&self.version),
        })
    }

    /// Returns the cost of a model's `usage`, rounded up to the microcent. After a call, prefer the prices that were
    /// [looked up](Self::model) before it: an unknown name should not lose an answer that was paid for.
    ///
    /// # Errors
    /// [`PriceError::UnknownModel`], or [`PriceError::TooMuch`] if the cost does not fit.
    pub fn cost(&self, model: &str, usage: Usage) -> Result<Amount, PriceError> {
        let cost = self.model(model)?.cost(usage);
        cost.ok_or_else(|| PriceError::TooMuch(shortened(model)))
    }

    /// Returns the amount to reserve: the highest cost of a prompt of `input` tokens and an answer of at most
    /// `max_tokens` at these prices. It does not include a provider's other charges; see the [module](super).
    ///
    /// # Errors
    /// As [`cost`](Self::cost).
    pub fn estimate(&self, model: &str, input: u64, max_tokens: u64) -> Result<Amount, PriceError> {
        let cost = self.model(model)?.estimate(input, max_tokens);
        cost.ok_or_else(|| PriceError::TooMuch(shortened(model)))
    }
}

/// Why there is no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PriceError {
    /// The table does not have the model.
    #[error("the price table `{version}` has no model `{model}`")]
    #[non_exhaustive]
    UnknownModel {
        /// The model.
        model: String,
        /// The version of the table.
        version: String,
    },
    /// The cost is more than an amount can hold.
    #[error("the usage of the model `{0}` costs more than 92233720368.54775807 US dollars")]
    TooMuch(String),
    /// The text is not a price table.
    #[error(
        "the price table cannot be read: line {line}{}{}: {problem}",
        named(", model", model),
        named(", key", key)
    )]
    #[non_exhaustive]
    Invalid {
        /// The line, counted from 1.
        line: usize,
        /// The model that the error is about.
        model: Option<String>,
        /// The key that the error is about.
        key: Option<String>,
        /// What is wrong, and how to fix it.
        problem: String,
    },
}

fn named(what: &str, name: &Option<String>) -> String {
    name.as_ref()
        .map_or_else(String::new, |name| format!("{what} `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Usd;

    #[test]
    fn a_model_is_found_by_its_exact_name() {
        let table = PriceTable::new("v1")
            .with_model("m", Prices::new(Usd::dollars(1), Usd::dollars(1)))
            .with_model("m", Prices::new(Usd::dollars(2), Usd::dollars(3)));
        assert_eq!(table.models().count(), 1);
        assert_eq!(table.estimate("m", 1, 1), Ok(Amount::usd_microcents(500)));
        for other in ["M", "m-2026", "", "m "] {
            let error = table.cost(other, Usage::default()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the price table `v1` has no model `{other}`")
            );
        }
    }

    #[test]
    fn too_much_names_the_model() {
        let table = PriceTable::new("v1").with_model("m", Prices::new(Usd::MAX, Usd::MAX));
        let error = table.estimate("m", u64::MAX, 0).unwrap_err();
        assert_eq!(error, PriceError::TooMuch("m".into()));
    }
}
