//! The prices of models, by name.

use core::fmt;
use std::collections::BTreeMap;

use super::error::PriceError;
use super::estimate::Bounds;
use super::model_prices::Prices;
use super::usage::Usage;
use crate::models::Amount;
use crate::text::shortened;

/// A table of the prices of models. Prices change, so you provide the table: in code, or with the feature `prices` from
/// TOML or, with `from_litellm`, from LiteLLM's price file.
///
/// ```toml
/// version = "2026-11-22"       # your own, for a commit's metadata
///
/// [models."gpt-5.4"]           # US dollars per million tokens
/// aliases = ["gpt-5.4-2026-03-05"]
/// input = 2.50
/// cached_input = 0.25          # costs as `input` if not given
/// output = 15.00               # and reasoning, if that is not given
/// tool_calls.web_search = 0.01 # each
///
/// [[models."gpt-5.4".above]]   # prompts of more tokens than this
/// tokens = 272_000
/// input = 5.00
/// cached_input = 0.50
/// output = 22.50
///
/// [models."gpt-5.4".service_tiers]
/// batch.factor = 0.5           # of all prices of tokens, above the threshold too
/// ```
///
/// The key of a price is the text of a [`Part`](super::Part). Prices of tokens and characters are per million; those
/// whose key begins with `per_` or `tool_calls` are for one. An `above`, or a service tier without `factor`, must have
/// a price for every kind of token that the model has a price for. With `applies_to = "part"` in an `above`, its prices
/// apply only to the tokens above the threshold. A price that looks like the price of one token or of a thousand, other
/// than 0, is refused: below 0.001 per million, below 0.01 for plain input or output, or below a two-hundredth of the
/// plain tokens' price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceTable {
    version: String,
    models: BTreeMap<String, Prices>,
    /// The models' other names.
    aliases: BTreeMap<String, String>,
    left_out: Vec<LeftOut>,
}

/// Something in a price file that a [`PriceTable`] cannot express.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// The model.
    pub model: String,
    /// The member of the model that cannot be expressed; empty if it is the whole model.
    pub member: String,
    /// Why it cannot be expressed, and what to do.
    pub problem: String,
    /// Whether the table contains the model anyway, with the prices that apply without this member. If not, the model
    /// was left out, because its estimates would have been too low.
    pub is_model_kept: bool,
}

/// Says what cannot be expressed and why, without the model's name.
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.member.as_str() {
            "" => f.write_str("it ")?,
            member => write!(f, "`{}` ", shortened(member))?,
        }
        f.write_str(&self.problem)
    }
}

impl PriceTable {
    /// Creates a table without models.
    pub fn new(version: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            models: BTreeMap::new(),
            aliases: BTreeMap::new(),
            left_out: Vec::new(),
        }
    }

    /// Returns the table with this model added, or with its prices replaced.
    #[must_use]
    pub fn with_model(mut self, name: impl Into<String>, prices: impl Into<Prices>) -> Self {
        let name = name.into();
        let mut prices = prices.into();
        prices.model.clone_from(&name);
        self.left_out.retain(|left| left.model != name);
        self.models.insert(name, prices);
        self
    }

    /// Returns the table with another name for a model, such as a dated one. A model with exactly that name takes
    /// precedence.
    #[must_use]
    pub fn with_alias(mut self, alias: impl Into<String>, model: impl Into<String>) -> Self {
        self.aliases.insert(alias.into(), model.into());
        self
    }

    /// Returns the table with this list of what it cannot express.
    #[cfg(feature = "prices")]
    pub(super) fn without(mut self, left_out: Vec<LeftOut>) -> Self {
        self.left_out = left_out;
        self
    }

    /// The version, as chosen by the table's author.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The models and their prices, sorted by name.
    pub fn models(&self) -> impl Iterator<Item = (&str, &Prices)> {
        self.models.iter().map(|(name, prices)| (name.as_str(), prices))
    }

    /// Everything in the price file that the table cannot express, by model.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Returns the prices of a model, found by its exact name, then by its aliases. Look them up *before* the call: an
    /// answer that was paid for should not be lost because its model has no price.
    ///
    /// # Errors
    /// [`PriceError::UnknownModel`].
    pub fn model(&self, name: &str) -> Result<&Prices, PriceError> {
        let by_alias = || self.models.get(self.aliases.get(name)?);
        let found = self.models.get(name).or_else(by_alias);
        found.ok_or_else(|| PriceError::UnknownModel {
            model: shortened(name),
            version: shortened(&self.version),
            hint: self.hint(name),
        })
    }

    /// Advice about a name that is not in the table.
    fn hint(&self, name: &str) -> String {
        if let Some(left) = self.left_out.iter().find(|left| left.model == name) {
            return format!(": {left}");
        }
        if let Some(model) = self.aliases.get(name) {
            return format!(
                ": it is an alias of `{}`, which the table does not have either",
                shortened(model)
            );
        }
        // The name of a dated model, `gpt-4o-2024-08-06`, begins with the name of the model.
        let begins = |known: &&String| {
            name.strip_prefix(known.as_str())
                .is_some_and(|rest| rest.starts_with(['-', '@', ':']))
        };
        match self.models.keys().filter(begins).max_by_key(|known| known.len()) {
            Some(known) => format!(
                ": if it costs the same as `{}`, make it an alias of that",
                shortened(known)
            ),
            None => String::new(),
        }
    }

    /// Returns the cost of a model's `usage`, rounded up to the microcent. After a call, prefer the prices that were
    /// [looked up](Self::model) before it.
    ///
    /// # Errors
    /// [`PriceError::UnknownModel`], and those of [`Prices::cost`].
    pub fn cost(&self, model: &str, usage: &Usage) -> Result<Amount, PriceError> {
        self.model(model)?.cost(usage)
    }

    /// Returns the amount to reserve: the highest cost of any usage within the bounds.
    ///
    /// # Errors
    /// [`PriceError::UnknownModel`], and those of [`Prices::estimate`].
    pub fn estimate(&self, model: &str, bounds: &Bounds) -> Result<Amount, PriceError> {
        self.model(model)?.estimate(bounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Usd;

    fn prices(dollars: u32) -> Prices {
        Prices::new(Usd::dollars(dollars), Usd::dollars(dollars))
    }

    #[test]
    fn a_model_is_found_by_its_exact_name_and_then_by_its_aliases() {
        let table = PriceTable::new("v1")
            .with_model("m", prices(1))
            .with_model("m", prices(2))
            .with_model("n", prices(3))
            .with_alias("m-2026-01-01", "m")
            .with_alias("n", "m");
        assert_eq!(table.models().count(), 2);
        let cost = |name| {
            table
                .estimate(name, &Bounds::tokens(1, 0))
                .map(|amount| amount.amount)
        };
        assert_eq!(cost("m"), Ok(200));
        assert_eq!(cost("m-2026-01-01"), Ok(200));
        assert_eq!(cost("n"), Ok(300), "its own name takes precedence");
        for other in ["M", "", "m ", "m2"] {
            let error = table.cost(other, &Usage::tokens(1, 1)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the price table `v1` has no model `{other}`")
            );
        }
    }

    #[test]
    fn a_dated_name_is_told_what_it_could_be_an_alias_of() {
        let table = PriceTable::new("v1")
            .with_model("m", prices(1))
            .with_model("m-mini", prices(1));
        assert_eq!(
            table.model("m-mini-2026-03-05").unwrap_err().to_string(),
            "the price table `v1` has no model `m-mini-2026-03-05`: if it costs the same as `m-mini`, make it an alias of that"
        );
    }

    #[test]
    fn an_error_names_the_model() {
        let table = PriceTable::new("v1").with_model("m", Prices::new(Usd::MAX, Usd::MAX));
        let error = table.estimate("m", &Bounds::tokens(u64::MAX, 0)).unwrap_err();
        assert_eq!(error, PriceError::TooMuch { model: "m".into() });
        assert_eq!(
            error.to_string(),
            "model `m`: the cost is more than 92233720368.54775807 US dollars"
        );
    }
}
