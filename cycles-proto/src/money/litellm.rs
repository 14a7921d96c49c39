//! Price tables from LiteLLM's `model_prices_and_context_window.json`, which has prices per token, per image and per
//! call. Its numbers are parsed from their text, so that they never pass through a float.

mod names;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use self::names::Name;
use super::decimal::Decimal;
use super::error::PriceError;
use super::model_prices::{BySize, Prices, service_tier};
use super::part::{Part, Side};
use super::price_table::{LeftOut, PriceTable};
use super::rates::Rates;
use super::unit_price::Price;
use crate::text::shortened;

impl PriceTable {
    /// Reads LiteLLM's price file, `model_prices_and_context_window.json`. Models keep the names that they have in the
    /// file, and each `alias_of` becomes an alias.
    ///
    /// A model with a price that the table cannot express is left out of the table, because its estimates would be too
    /// low. Members that apply only to some requests (other regions, hours of the day, free quotas) are not applied.
    /// Both are [listed](Self::left_out). The price of `tool_calls.web_search` is the highest of the file's three. The
    /// service tier of `_batches` is `batch`, and the factors in `provider_specific_entry` (`us`, `fast`) become tiers
    /// too.
    ///
    /// # Errors
    /// [`PriceError::Invalid`] if the text is not such a file, or contains a model twice.
    pub fn from_litellm(json: &str, version: impl Into<String>) -> Result<Self, PriceError> {
        let invalid = |line, model: Option<&str>, problem: String| PriceError::Invalid {
            line,
            model: model.map(shortened),
            key: None,
            problem,
        };
        let file: Members<'_> = serde_json::from_str(json).map_err(|error| {
            let problem = shortened(&error.to_string());
            invalid(
                error.line(),
                None,
                format!("it is not LiteLLM's price file: {problem}"),
            )
        })?;
        let (mut table, mut left_out) = (Self::new(version), Vec::new());
        let mut names = BTreeSet::new();
        for (name, value) in &file.0 {
            if !names.insert(name.as_str()) {
                let line = 1 + json
                    .get(..offset(json, value))
                    .unwrap_or_default()
                    .matches('\n')
                    .count();
                return Err(invalid(
                    line,
                    Some(name),
                    "appears twice: a name can have only one price".to_owned(),
                ));
            }
            // The file's sample entry, and its rules for names.
            if name == "sample_spec" || name == "fallback_generalizations" {
                continue;
            }
            let Ok(members) = serde_json::from_str::<Members<'_>>(value.get()) else {
                left_out.push(LeftOut {
                    model: name.clone(),
                    member: String::new(),
                    problem: "is not an object".to_owned(),
                    is_model_kept: false,
                });
                continue;
            };
            if let Some(Ok(model)) = members
                .get("alias_of")
                .map(|value| serde_json::from_str::<String>(value.get()))
            {
                table = table.with_alias(name, model);
                continue;
            }
            let mut model = Model::default();
            for (member, value) in &members.0 {
                model.read(member, value);
            }
            match model.prices() {
                Some(prices) => table = table.with_model(name, prices),
                // A model without any price does not cost anything, so only one that has prices is listed.
                None if model.left_out.iter().all(|left| left.is_model_kept) && model.has_prices => {
                    model.leave_out(
                        "",
                        "has prices in a tier that cannot be compared with its others",
                        false,
                    );
                }
                None => {}
            }
            left_out.extend(model.left_out.into_iter().map(|left| LeftOut {
                model: name.clone(),
                ..left
            }));
        }
        if table.models().next().is_none() {
            let first = left_out.iter().find(|left| !left.is_model_kept);
            let first = first.map(|left| format!(": model `{}`: {left}", shortened(&left.model)));
            let problem = format!(
                "no model in it has prices that can be read{}",
                first.unwrap_or_default()
            );
            return Err(invalid(1, None, problem));
        }
        Ok(table.without(left_out))
    }
}

/// The position of the value in the text.
fn offset(json: &str, value: &RawValue) -> usize {
    (value.get().as_ptr() as usize).saturating_sub(json.as_ptr() as usize)
}

/// The members of an object, in order and with duplicates.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl Members<'_> {
    fn get(&self, name: &str) -> Option<&RawValue> {
        self.0
            .iter()
            .find(|(member, _)| member == name)
            .map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Members)
    }
}

/// What has been read so far about one model.
#[derive(Default)]
struct Model {
    /// By service tier (the standard one has an empty name), and by the size above which they apply.
    rates: BTreeMap<(String, u64), Rates>,
    left_out: Vec<LeftOut>,
    members: BTreeSet<String>,
    has_prices: bool,
    /// Factors on all prices, by service tier.
    factors: BTreeMap<String, Decimal>,
    /// Members that count as another part, whose price must be at least as high as theirs.
    cheaper: Vec<(String, Part, Price)>,
}

/// Kinds of cached tokens that no usage distinguishes. They count as these parts, which charges the right amount or too
/// much, as long as their own price is not higher.
const CHEAPER: [(&str, Part); 2] = [
    ("cache_creation_input_audio_token_cost", Part::AudioInput),
    ("explicit_cache_read_input_token_cost", Part::CachedInput),
];

/// Members that apply only to some requests, or do not add to the cost of a request.
const NOT_APPLIED: [(&str, &str); 6] = [
    (
        "fedramp_uplift_multiplier",
        "is in effect only in some regions, so it is not applied",
    ),
    (
        "regional_endpoint_uplift_multiplier",
        "is in effect only in some regions, so it is not applied",
    ),
    (
        "regional_processing_uplift_multiplier_eu",
        "is in effect only in some regions, so it is not applied",
    ),
    (
        "regional_processing_uplift_multiplier_us",
        "is in effect only in some regions, so it is not applied",
    ),
    (
        "off_peak_pricing",
        "is in effect only at certain hours, so it is not applied",
    ),
    (
        "search_free_requests",
        "is a quota of the account, so it is not applied",
    ),
];

const NOT_EXPRESSED: &str = "is a price that a table cannot express: set your own prices for the model";

impl Model {
    fn leave_out(&mut self, member: &str, problem: impl Into<String>, is_model_kept: bool) {
        self.left_out.push(LeftOut {
            model: String::new(),
            member: member.to_owned(),
            problem: problem.into(),
            is_model_kept,
        });
    }

    fn read(&mut self, member: &str, value: &RawValue) {
        if !self.members.insert(member.to_owned()) {
            return self.leave_out(member, "appears twice: a member can have only one value", false);
        }
        if let Some((_, problem)) = NOT_APPLIED.iter().find(|(name, _)| *name == member) {
            return self.leave_out(member, *problem, true);
        }
        match member {
            "tiered_pricing" => return self.read_tiers(member, value),
            "search_context_cost_per_query" => return self.read_searches(member, value),
            "provider_specific_entry" => return self.read_factors(member, value),
            _ => {}
        }
        if let Some((_, part)) = CHEAPER.iter().find(|(name, _)| *name == member) {
            match decimal(value.get()).as_ref().and_then(Price::of_one) {
                Some(price) => self.cheaper.push((member.to_owned(), part.clone(), price)),
                None => self.leave_out(member, "is not a price: write US dollars, as in 2.5e-06", false),
            }
            return;
        }
        // Models of Databricks list each price twice: in Databricks' own units and in dollars.
        let is_price = member.contains("cost") && !member.contains("dbu_cost");
        if is_price || member.contains("multiplier") {
            self.read_price(member, value, 0);
        }
    }

    /// Reads a price for requests with more tokens than `above`, or than the member's name says.
    fn read_price(&mut self, member: &str, value: &RawValue, above: u64) {
        if value.get() == "null" {
            return;
        }
        let Some(number) = decimal(value.get()) else {
            return self.leave_out(member, "is not a price: write US dollars, as in 2.5e-06", false);
        };
        // A price of 0 adds nothing, whatever it is for. For a cache write it does not count as a price: the tokens
        // are still input.
        let Some(name) = Name::read(member) else {
            if !number.is_zero() {
                self.leave_out(member, NOT_EXPRESSED, false);
            }
            return;
        };
        if number.is_zero() && matches!(name.part, Part::CacheWrite(_)) {
            return;
        }
        let price = Price::of_one(&number).map(|price| price.split(name.of));
        let Some(price) = price else {
            return self.leave_out(member, "is too large", false);
        };
        if name.part.priced_by() > 1 && price.looks_like_a_million() {
            let problem = format!(
                "looks like the price of a million tokens: if it is, write {}e-06",
                shortened(value.get().trim_matches('"'))
            );
            return self.leave_out(member, problem, false);
        }
        self.has_prices |= !number.is_zero();
        let rates = self.rates.entry((name.tier, name.above.max(above))).or_default();
        let known = rates.0.insert(name.part, price);
        if known.is_some_and(|known| known != price) {
            self.leave_out(member, "differs from another member for the same thing", false);
        }
    }

    /// Reads prices by the size of the prompt: a list of objects with a `range`.
    fn read_tiers(&mut self, member: &str, value: &RawValue) {
        let Ok(tiers) = serde_json::from_str::<Vec<Members<'_>>>(value.get()) else {
            return self.leave_out(member, "is not a list of tiers", false);
        };
        for tier in &tiers {
            let range = tier
                .get("range")
                .map(|range| serde_json::from_str::<Vec<&RawValue>>(range.get()));
            let Some(Ok([from, ..])) = range.as_ref().map(|range| range.as_deref()) else {
                return self.leave_out(member, "has a tier without a range", false);
            };
            let from = decimal(from.get())
                .and_then(|from| from.scaled(0))
                .map(u64::try_from);
            let Some(Ok(from)) = from else {
                return self.leave_out(member, "has a range that is not a number of tokens", false);
            };
            for (member, value) in tier.0.iter().filter(|(member, _)| member.contains("cost")) {
                self.read_price(member, value, from);
            }
        }
    }

    /// Reads prices of a web search by its amount of context. No usage reports that amount, so the highest price
    /// applies.
    fn read_searches(&mut self, member: &str, value: &RawValue) {
        let Ok(sizes) = serde_json::from_str::<Members<'_>>(value.get()) else {
            return self.leave_out(member, "is not an object of prices", false);
        };
        let prices = sizes
            .0
            .iter()
            .map(|(_, value)| decimal(value.get()).as_ref().and_then(Price::of_one));
        let Some(prices) = prices.collect::<Option<Vec<_>>>() else {
            return self.leave_out(member, "is not a price: write US dollars, as in 0.01", false);
        };
        if let Some(dearest) = prices.into_iter().max() {
            let rates = self.rates.entry((String::new(), 0)).or_default();
            rates.0.insert(Part::tool_call("web_search"), dearest);
        }
    }

    /// Reads factors on the model's prices for certain kinds of request, which become service tiers.
    fn read_factors(&mut self, member: &str, value: &RawValue) {
        let Ok(factors) = serde_json::from_str::<Members<'_>>(value.get()) else {
            return self.leave_out(member, "is not an object of factors", false);
        };
        for (name, value) in factors.0 {
            let Some(factor) = decimal(value.get()).filter(|factor| !factor.is_zero()) else {
                return self.leave_out(member, "has a member that is not a factor", false);
            };
            self.factors.insert(service_tier(&name), factor);
        }
    }

    /// The prices, if the model has any and all can be expressed.
    fn prices(&mut self) -> Option<Prices> {
        for (member, part, price) in core::mem::take(&mut self.cheaper) {
            let standard = self.rates.get(&(String::new(), 0));
            if standard.and_then(|rates| rates.price(&[], &part)) < Some(price) {
                self.leave_out(&member, NOT_EXPRESSED, false);
            }
        }
        if self.left_out.iter().any(|left| !left.is_model_kept) {
            return None;
        }
        let mut by_tier: BTreeMap<String, BySize> = BTreeMap::new();
        for ((tier, above), rates) in core::mem::take(&mut self.rates) {
            let by_size = by_tier.entry(tier).or_default();
            match above {
                0 => by_size.base = rates,
                above => {
                    by_size.above.insert(above, rates);
                }
            }
        }
        let standard = by_tier.remove("").filter(|standard| !standard.base.0.is_empty());
        let Some(mut standard) = standard else {
            if !by_tier.is_empty() {
                self.leave_out(
                    "input_cost_per_token",
                    "is missing, though service tiers have prices",
                    false,
                );
            }
            return None;
        };
        for rates in standard.above.values_mut() {
            fill(rates, &standard.base)?;
        }
        for tier in by_tier.values_mut() {
            fill(&mut tier.base, &standard.base)?;
            for (at, rates) in &mut tier.above {
                // A part without a price here costs the higher of its prices in the tier and above the threshold.
                let given: BTreeSet<_> = rates.0.keys().cloned().collect();
                fill(rates, &tier.base)?;
                let above = standard.above.get(at).into_iter().flat_map(|above| &above.0);
                for (part, price) in above.filter(|(part, _)| !given.contains(part)) {
                    let known = rates.price(&[], part).unwrap_or(Price::FREE);
                    rates.0.insert(part.clone(), known.max(*price));
                }
            }
        }
        for (name, factor) in core::mem::take(&mut self.factors) {
            let tier = standard.times(&factor)?;
            by_tier.entry(name).or_insert(tier);
        }
        Some(Prices::from_parts(standard, by_tier))
    }
}

/// Fills in the prices that `rates` lack from `base`, so that they are not too low. If plain tokens cost no more than
/// in `base`, a part keeps its price from there. If they cost more, the part's price rises in proportion, and is at
/// least the price of its fallback. `None` if that cannot be computed.
fn fill(rates: &mut Rates, base: &Rates) -> Option<()> {
    let plain = |rates: &Rates, side| match side {
        Side::Input => rates.0.get(&Part::Input).copied(),
        Side::Output => rates.0.get(&Part::Output).copied(),
        Side::Count => None,
    };
    let given = rates.clone();
    for (part, price) in base.0.iter().filter(|(part, _)| part.side() != Side::Count) {
        if given.0.contains_key(part) {
            continue;
        }
        let price = match (plain(&given, part.side()), plain(base, part.side())) {
            (Some(here), Some(there)) if here > there => {
                let dearer = price.in_proportion(here, there)?;
                given
                    .price(&[], part)
                    .map_or(dearer, |stand_in| stand_in.max(dearer))
            }
            _ => *price,
        };
        rates.0.insert(part.clone(), price);
    }
    Some(())
}

/// Parses a number, which may be in quotes.
fn decimal(text: &str) -> Option<Decimal> {
    Decimal::read(
        text.strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .unwrap_or(text),
    )
}
