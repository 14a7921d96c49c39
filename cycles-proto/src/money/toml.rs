//! Price tables from TOML. Numbers are parsed from their text, so that they never pass through a float.

use core::ops::Range;
use core::str::FromStr;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use super::decimal::Decimal;
use super::error::PriceError;
use super::model_prices::{BySize, Prices, STANDARD, service_tier};
use super::part::{Part, Side};
use super::price_table::PriceTable;
use super::rates::Rates;
use super::usd::Usd;
use super::wrong_scale;
use crate::text::shortened;

/// Parses a price table in TOML; see [`PriceTable`]. Unknown keys are errors, because a misspelt key would change a
/// price.
impl FromStr for PriceTable {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let place = Place::new(text);
        let document = DeTable::parse(text).map_err(|error| {
            let place = place.at(error.span().unwrap_or_default());
            place.invalid(shortened(error.message()))
        })?;
        let (mut version, mut models) = (None, None);
        for (key, value) in document.get_ref().iter() {
            let place = place.at(key.span()).key(key.get_ref());
            match key.get_ref().as_ref() {
                "version" => version = Some(place.version(value)?),
                "models" => models = Some(place.table(value)?),
                _ => return Err(place.invalid("is not known: a table has `version` and `models`")),
            }
        }
        let missing = |key, problem| place.at(0..0).key(key).invalid(problem);
        let version = version.ok_or_else(|| missing("version", "is missing: give the table a version"))?;
        let models = models.filter(|models| !models.is_empty());
        let models = models.ok_or_else(|| missing("models", "is missing: no model has a price"))?;
        let mut table = Self::new(version);
        let mut names = BTreeSet::new();
        for (name, value) in models.iter() {
            let place = place.at(name.span()).model(name.get_ref());
            let model = place.model_of(place.table(value)?)?;
            for (name, span) in
                core::iter::once((name.get_ref().to_string(), name.span())).chain(model.aliases.clone())
            {
                let place = place.at(span);
                if name.trim().is_empty() {
                    return Err(place.invalid("has no name: write the name that the program asks for"));
                }
                if !names.insert(name.clone()) {
                    return Err(place.invalid(format!(
                        "`{}` names two models: a name has one price",
                        shortened(&name)
                    )));
                }
            }
            for (alias, _) in model.aliases {
                table = table.with_alias(alias, name.get_ref().as_ref());
            }
            table = table.with_model(name.get_ref().as_ref(), model.prices);
        }
        Ok(table)
    }
}

/// A model of the table.
struct Model {
    prices: Prices,
    /// The model's other names, with their positions in the text.
    aliases: Vec<(String, Range<usize>)>,
}

/// The members of a model, of one of its service tiers, or of one of its `above`s.
#[derive(Default)]
struct Members<'t, 'i> {
    rates: Rates,
    above: Option<(Place<'t>, &'t Spanned<DeValue<'i>>)>,
    service_tiers: Option<(Place<'t>, &'t DeTable<'i>)>,
    aliases: Vec<(String, Range<usize>)>,
    tokens: Option<u64>,
    is_marginal: Option<bool>,
    factor: Option<Decimal>,
}

/// Which members a table may have besides prices.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Model,
    ServiceTier,
    Above,
}

/// A place in the text, for errors.
#[derive(Clone, Debug)]
struct Place<'a> {
    text: &'a str,
    span: Range<usize>,
    model: Option<&'a str>,
    key: Option<Cow<'a, str>>,
}

impl<'a> Place<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            span: 0..0,
            model: None,
            key: None,
        }
    }

    fn at(&self, span: Range<usize>) -> Self {
        Self { span, ..self.clone() }
    }

    fn model(self, model: &'a str) -> Self {
        Self {
            model: Some(model),
            ..self
        }
    }

    fn key(self, key: &'a str) -> Self {
        Self {
            key: Some(key.into()),
            ..self
        }
    }

    fn owned_key(self, key: String) -> Self {
        Self {
            key: Some(key.into()),
            ..self
        }
    }

    fn invalid(&self, problem: impl Into<String>) -> PriceError {
        let before = self.text.as_bytes().iter().take(self.span.start);
        PriceError::Invalid {
            line: 1 + before.filter(|byte| **byte == b'\n').count(),
            model: self.model.map(shortened),
            key: self.key.as_deref().map(shortened),
            problem: problem.into(),
        }
    }

    fn version(&self, value: &Spanned<DeValue<'_>>) -> Result<String, PriceError> {
        let version = value.get_ref().as_str().filter(|text| !text.trim().is_empty());
        version
            .map(str::to_owned)
            .ok_or_else(|| self.invalid("must be text, as in \"2026-11-22\""))
    }

    fn table<'t, 'i>(&self, value: &'t Spanned<DeValue<'i>>) -> Result<&'t DeTable<'i>, PriceError> {
        let table = value.get_ref().as_table();
        table.ok_or_else(|| self.invalid("must be a table of prices, as in [models.\"gpt-4o\"]"))
    }

    fn model_of(&self, table: &'a DeTable<'_>) -> Result<Model, PriceError> {
        let members = self.members(table, Level::Model)?;
        let rates = members.rates;
        if rates.0.is_empty() {
            return Err(self.invalid(
                "has no price: write at least `input` and `output`, in US dollars per million tokens",
            ));
        }
        for (one, other) in [(Part::Input, Part::Output), (Part::Output, Part::Input)] {
            if rates.0.contains_key(&one) && !rates.0.contains_key(&other) {
                let place = self.clone().owned_key(other.to_string());
                return Err(place.invalid("is missing: write US dollars per million tokens, 0 if it is free"));
            }
        }
        self.plausible(&rates, &rates)?;
        let mut is_marginal = None;
        let standard = self.by_size(rates, members.above, &mut is_marginal)?;
        let mut tiers = BTreeMap::new();
        if let Some((place, table)) = members.service_tiers {
            for (name, value) in table.iter() {
                let place = place
                    .at(name.span())
                    .owned_key(format!("service_tiers.{}", name.get_ref()));
                let tier = service_tier(name.get_ref());
                if tier == STANDARD {
                    return Err(
                        place.invalid("stands for the model's own prices: write them on the model itself")
                    );
                }
                if tier.is_empty() {
                    return Err(place.invalid("has no name"));
                }
                let table = value.get_ref().as_table().ok_or_else(|| {
                    place.invalid(format!(
                        "must be prices, or a factor as in {}.factor = 0.5",
                        name.get_ref()
                    ))
                })?;
                let by_size = place.service_tier(table, &standard, &mut is_marginal)?;
                if tiers.insert(tier, by_size).is_some() {
                    return Err(place.invalid("appears twice: upper and lower case are treated as the same"));
                }
            }
        }
        Ok(Model {
            prices: match is_marginal {
                Some(true) => Prices::from_parts(standard, tiers).only_the_part_above(),
                Some(false) | None => Prices::from_parts(standard, tiers),
            },
            aliases: members.aliases,
        })
    }

    fn service_tier(
        &self,
        table: &'a DeTable<'_>,
        standard: &BySize,
        is_marginal: &mut Option<bool>,
    ) -> Result<BySize, PriceError> {
        let members = self.members(table, Level::ServiceTier)?;
        self.plausible(&members.rates, &standard.base)?;
        let Some(factor) = members.factor else {
            self.complete(&members.rates, &standard.base, false)?;
            if members.above.is_none() && !standard.above.is_empty() {
                return Err(self.invalid(
                    "has no `above`, but the model has one: write one for each of the model's thresholds",
                ));
            }
            return self.by_size(members.rates, members.above, is_marginal);
        };
        if members.above.is_some() {
            return Err(self.invalid(
                "has both `factor` and `above`: the factor already applies above the thresholds too",
            ));
        }
        let mut by_size = standard
            .times(&factor)
            .ok_or_else(|| self.invalid("the factor is too large"))?;
        // Prices that are written out take precedence, at all sizes.
        for rates in core::iter::once(&mut by_size.base).chain(by_size.above.values_mut()) {
            rates.0.extend(members.rates.0.clone());
        }
        Ok(by_size)
    }

    /// Refuses the price of a part that is far below the price of plain tokens, here or in the model: it looks as if
    /// prices per thousand and per million tokens were mixed.
    fn plausible(&self, rates: &Rates, of: &Rates) -> Result<(), PriceError> {
        for (part, price) in rates.0.iter().filter(|(_, price)| !price.is_free()) {
            let plain = match part.side() {
                Side::Input => Part::Input,
                Side::Output => Part::Output,
                Side::Count => continue,
            };
            if of.0.get(&plain).is_some_and(|plain| price.is_far_below(*plain)) {
                return Err(self.clone().owned_key(part.to_string()).invalid(format!(
                    "costs less than a two hundredth of `{plain}`: is it the price of a thousand tokens? All prices are in US dollars per million"
                )));
            }
        }
        Ok(())
    }

    /// Checks that the rates are only for the prompt's tokens.
    fn only_the_prompt(&self, rates: &Rates) -> Result<(), PriceError> {
        match rates.0.keys().find(|part| part.side() != Side::Input) {
            None => Ok(()),
            Some(part) => Err(self.clone().owned_key(part.to_string()).invalid(
                "cannot have a price here: with applies_to = \"part\", only the prompt's tokens have a different price above the threshold",
            )),
        }
    }

    /// Checks that the rates have a price for every kind of token that `of` has one for.
    fn complete(&self, rates: &Rates, of: &Rates, only_prompt: bool) -> Result<(), PriceError> {
        let tokens = of.0.keys().filter(|part| match part.side() {
            Side::Input => true,
            Side::Output => !only_prompt,
            Side::Count => false,
        });
        match tokens.into_iter().find(|part| !rates.0.contains_key(part)) {
            None => Ok(()),
            Some(part) => Err(self
                .clone()
                .owned_key(part.to_string())
                .invalid("is missing here: the model has a price for it, so write what it costs here")),
        }
    }

    /// The rates of a model or a service tier. All the `above`s of a model apply to the same: `is_marginal`, once known.
    fn by_size(
        &self,
        base: Rates,
        above: Option<(Self, &'a Spanned<DeValue<'_>>)>,
        is_marginal: &mut Option<bool>,
    ) -> Result<BySize, PriceError> {
        let mut by_size = BySize {
            base,
            ..BySize::default()
        };
        let Some((place, value)) = above else {
            return Ok(by_size);
        };
        let Some(list) = value.get_ref().as_array() else {
            return Err(
                place.invalid("must be written as [[models.\"gpt-5.4\".above]], once for each threshold")
            );
        };
        for item in list.iter() {
            let place = place.at(item.span());
            let members = place.members(place.table(item)?, Level::Above)?;
            let Some(tokens) = members.tokens else {
                return Err(
                    place.invalid("has no `tokens`: write the prompt size above which its prices apply")
                );
            };
            let this = members.is_marginal.unwrap_or_default();
            if *is_marginal.get_or_insert(this) != this {
                return Err(place.invalid(
                    "has a different `applies_to` from an earlier `above`: all of a model's `above` entries must apply to the request, or all to the part",
                ));
            }
            if this {
                place.only_the_prompt(&members.rates)?;
            }
            place.complete(&members.rates, &by_size.base, this)?;
            place.plausible(&members.rates, &by_size.base)?;
            if by_size.above.insert(tokens, members.rates).is_some() {
                return Err(place.invalid(format!("appears twice for {tokens} tokens")));
            }
        }
        Ok(by_size)
    }

    fn members<'i>(&self, table: &'a DeTable<'i>, level: Level) -> Result<Members<'a, 'i>, PriceError> {
        let mut members = Members::default();
        for (key, value) in table.iter() {
            let place = self.at(key.span()).key(key.get_ref());
            let key = key.get_ref().as_ref();
            if let Some(part) = Part::of_key(key) {
                let price = place.at(value.span()).price(value, &part)?;
                members.rates = members.rates.with(part, price);
                continue;
            }
            match (key, level) {
                ("tool_calls", _) => {
                    let tools = value.get_ref().as_table();
                    let tools = tools.ok_or_else(|| {
                        place.invalid("must name the tool, as in tool_calls.web_search = 0.01")
                    })?;
                    for (tool, value) in tools.iter() {
                        if tool.get_ref().trim().is_empty() {
                            return Err(place.invalid("has a tool without a name"));
                        }
                        let place = place
                            .at(value.span())
                            .owned_key(format!("tool_calls.{}", tool.get_ref()));
                        let part = Part::tool_call(tool.get_ref().to_string());
                        let price = place.price(value, &part)?;
                        members.rates = members.rates.with(part, price);
                    }
                }
                ("aliases", Level::Model) => members.aliases = place.names(value)?,
                ("above", Level::Model | Level::ServiceTier) => members.above = Some((place, value)),
                ("service_tiers", Level::Model) => {
                    let tiers = place.table(value)?;
                    members.service_tiers = Some((place, tiers));
                }
                ("tokens", Level::Above) => members.tokens = Some(place.count(value)?),
                ("applies_to", Level::Above) => members.is_marginal = Some(place.is_part(value)?),
                ("factor", Level::ServiceTier) => members.factor = Some(place.factor(value)?),
                _ => {
                    let others = match level {
                        Level::Model => "`aliases`, `above` and `service_tiers`",
                        Level::ServiceTier => "`factor` and `above`",
                        Level::Above => "`tokens` and `applies_to`",
                    };
                    return Err(place.invalid(format!(
                        "is not known{}: the keys are {others}, and the prices {}; a name with dots must be in quotes",
                        similar(key),
                        known_parts()
                    )));
                }
            }
        }
        Ok(members)
    }

    fn names(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<(String, Range<usize>)>, PriceError> {
        let list = value.get_ref().as_array().map(|list| {
            let names = list
                .iter()
                .map(|name| Some((name.get_ref().as_str()?.to_owned(), name.span())));
            names.collect::<Option<Vec<_>>>()
        });
        list.flatten()
            .ok_or_else(|| self.invalid("must be a list of names, as in [\"gpt-4o-2024-08-06\"]"))
    }

    fn count(&self, value: &Spanned<DeValue<'_>>) -> Result<u64, PriceError> {
        let integer = value.get_ref().as_integer().filter(|number| number.radix() == 10);
        integer
            .and_then(|number| number.as_str().parse().ok())
            .ok_or_else(|| self.invalid("must be a number of tokens, as in 200_000"))
    }

    fn is_part(&self, value: &Spanned<DeValue<'_>>) -> Result<bool, PriceError> {
        match value.get_ref().as_str() {
            Some("request") => Ok(false),
            Some("part") => Ok(true),
            _ => Err(self
                .invalid("must be \"request\" (these prices apply to the whole request) or \"part\" (only to the tokens above the threshold)")),
        }
    }

    fn factor(&self, value: &Spanned<DeValue<'_>>) -> Result<Decimal, PriceError> {
        let number = digits(value.get_ref()).and_then(Decimal::read);
        number
            .filter(|factor| !factor.is_zero() && factor.point() <= 3 && factor.has_at_most_decimals(6))
            .ok_or_else(|| {
                self.invalid("must be a number above 0 and below 1000 with at most six decimals, as in 0.5 for half the price")
            })
    }

    fn price(&self, value: &Spanned<DeValue<'_>>, part: &Part) -> Result<Usd, PriceError> {
        let value = value.get_ref();
        let per_million = part.priced_by() > 1;
        let Some(text) = value.as_str().or_else(|| digits(value)) else {
            return Err(self.invalid(match per_million {
                true => "must be US dollars per million tokens, as in 2.50",
                false => "must be US dollars for each one, as in 0.01",
            }));
        };
        let problem = if per_million {
            wrong_scale::problem(text, matches!(part, Part::Input | Part::Output))
        } else {
            wrong_scale::exponent(text)
        };
        match problem {
            Some(problem) => Err(self.invalid(problem)),
            None => text
                .parse::<Usd>()
                .map_err(|error| self.invalid(error.to_string())),
        }
    }
}

fn known_parts() -> String {
    let parts: Vec<_> = Part::ALL.iter().map(ToString::to_string).collect();
    format!("{} and tool_calls.NAME", parts.join(", "))
}

/// A question that suggests the key that this one begins with, or the keys that have all its words.
fn similar(key: &str) -> String {
    let keys: Vec<String> = Part::ALL.iter().map(ToString::to_string).collect();
    let begins = keys.iter().filter(|known| key.starts_with(known.as_str()));
    let like = match begins.max_by_key(|known| known.len()) {
        Some(known) => vec![known.as_str()],
        None => {
            let has = |known: &str| {
                key.split('_')
                    .all(|word| known.split('_').any(|other| other == word))
            };
            let mut like: Vec<_> = keys
                .iter()
                .map(String::as_str)
                .filter(|known| has(known))
                .collect();
            like.sort_by_key(|known| known.len());
            like.truncate(2);
            like
        }
    };
    match like.join("` or `") {
        like if like.is_empty() => like,
        like => format!(" (did you mean `{like}`?)"),
    }
}

/// The text of a decimal number.
fn digits<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    let integer = value.as_integer().filter(|number| number.radix() == 10);
    let number = value.as_float().map(DeFloat::as_str);
    number.or_else(|| integer.map(DeInteger::as_str))
}

#[cfg(test)]
mod tests;
