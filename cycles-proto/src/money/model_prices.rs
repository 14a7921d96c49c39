//! The prices of one model, and the cost of a usage at these prices.

use std::collections::{BTreeMap, BTreeSet};

#[cfg(feature = "prices")]
use super::decimal::Decimal;
use super::error::PriceError;
use super::part::{Part, Side};
use super::rates::Rates;
use super::unit_price::{Price, Total};
use super::usage::Usage;
use super::usd::Usd;
use crate::models::Amount;

/// The prices of a model: its [`Rates`], with other rates for long prompts and in each service tier.
///
/// ```
/// use cycles_proto::models::Amount;
/// use cycles_proto::money::{Bounds, CacheLifetime, Part, Prices, Rates, Usage, Usd};
///
/// // US dollars per million tokens, and for each search.
/// let prices = Prices::new(Usd::dollars(3), Usd::dollars(15))
///     .with(Part::CachedInput, Usd::cents(30))
///     .with(Part::CacheWrite(CacheLifetime::Default), Usd::cents(375))
///     .with(Part::tool_call("web_search"), Usd::cents(1))
///     .above(200_000, Rates::new(Usd::dollars(6), Usd::cents(2_250))
///         .with(Part::CachedInput, Usd::cents(60))
///         .with(Part::CacheWrite(CacheLifetime::Default), Usd::cents(750)));
///
/// let bounds = Bounds::tokens(1_000, 500).nothing_else();
/// let estimate = prices.estimate(&bounds)?;
/// assert_eq!(estimate, Amount::usd_microcents(375_000 + 750_000));
///
/// let usage = Usage::tokens(1_000, 200).of_which(Part::CachedInput, 800);
/// assert_eq!(prices.cost(&usage)?, Amount::usd_microcents(60_000 + 24_000 + 300_000));
/// # Ok::<_, cycles_proto::money::PriceError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// The model, for errors; empty if it has no name.
    pub(super) model: String,
    standard: BySize,
    tiers: BTreeMap<String, BySize>,
    /// Whether the rates above a threshold apply only to the tokens above it, and not to the whole request.
    is_marginal: bool,
}

/// Rates by the number of tokens in the prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BySize {
    pub(super) base: Rates,
    /// The rates for long prompts, by their thresholds.
    pub(super) above: BTreeMap<u64, Rates>,
}

/// The standard service tier, which providers also call `default` and `on_demand`.
pub(super) const STANDARD: &str = "standard";

/// The name of a service tier in lower case.
pub(super) fn service_tier(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    match name.as_str() {
        "default" | "on_demand" => STANDARD.to_owned(),
        _ => name,
    }
}

impl Prices {
    /// Creates prices for input and output, in US dollars per million tokens.
    pub fn new(input: Usd, output: Usd) -> Self {
        Rates::new(input, output).into()
    }

    /// Sets the price of a part, in US dollars per million tokens or characters, or per unit of anything else.
    #[must_use]
    pub fn with(mut self, part: Part, price: Usd) -> Self {
        self.standard.base = self.standard.base.with(part, price);
        self
    }

    /// Sets the rates for requests whose prompt has more than this many tokens, cached or not. They apply to the whole
    /// request, unless [`only_the_part_above`](Self::only_the_part_above) is called. A part that has no price in them
    /// costs the higher of its own price below the threshold and the price above it of the part that it is otherwise
    /// charged as.
    #[must_use]
    pub fn above(mut self, tokens: u64, rates: Rates) -> Self {
        self.standard.above.insert(tokens, rates);
        self
    }

    /// Makes rates above a threshold apply only to the input tokens above it, in all service tiers; their other prices
    /// are not used. Tokens from the cache count as the first tokens of the prompt, because they are; tokens that are
    /// written to the cache come next.
    #[must_use]
    pub fn only_the_part_above(mut self) -> Self {
        self.is_marginal = true;
        self
    }

    /// Sets the rates of a service tier (`batch`, `flex`, `priority`, …), whose name is not case-sensitive. A part that
    /// has no price in them costs the higher of its own price in the standard tier and the price in this tier of the
    /// part that it is otherwise charged as. Unless the tier has [rates of its own](Self::service_tier_above) for long
    /// prompts, those cost the higher of this tier's rates and the standard tier's.
    #[must_use]
    pub fn service_tier(self, name: &str, rates: Rates) -> Self {
        self.in_tier(name, |tier| tier.base = rates)
    }

    /// Sets the rates of a service tier for requests whose prompt has more than this many tokens.
    #[must_use]
    pub fn service_tier_above(self, name: &str, tokens: u64, rates: Rates) -> Self {
        self.in_tier(name, |tier| {
            tier.above.insert(tokens, rates);
        })
    }

    fn in_tier(mut self, name: &str, change: impl FnOnce(&mut BySize)) -> Self {
        let name = service_tier(name);
        let tier = match name.as_str() {
            STANDARD => &mut self.standard,
            _ => self.tiers.entry(name).or_default(),
        };
        change(tier);
        self
    }

    pub(super) fn from_parts(standard: BySize, tiers: BTreeMap<String, BySize>) -> Self {
        Self {
            model: String::new(),
            standard,
            tiers,
            is_marginal: false,
        }
    }

    pub(super) fn tiers(&self) -> impl Iterator<Item = &str> {
        self.tiers.keys().map(String::as_str)
    }

    /// The rates of a service tier by size, with those of the standard tier to fall back on.
    pub(super) fn schedule(&self, tier: &str) -> Result<Schedule<'_>, PriceError> {
        let own = match tier {
            STANDARD => Some(&self.standard),
            tier => self.tiers.get(tier),
        };
        let of = |own| Schedule {
            own,
            standard: &self.standard,
            is_marginal: self.is_marginal,
            model: &self.model,
        };
        own.map(of).ok_or_else(|| PriceError::NoServiceTier {
            model: self.model.clone(),
            tier: crate::text::shortened(tier),
            tiers: self.tiers().collect::<Vec<_>>().join(", "),
        })
    }

    /// Returns the cost of a request with this usage, rounded up to the microcent.
    ///
    /// A usage covers one request: add up costs, not usages, because prices can depend on the size of the request.
    ///
    /// # Errors
    /// [`PriceError::UnknownUsage`] if the usage is not known, or is all zero, which cannot be right: charge what you
    /// counted, or the estimate. If images, seconds, pages and the like have a price, the usage must state how many
    /// there were, even if 0, unless it has tokens of the same side. [`PriceError::NoPrice`] or
    /// [`PriceError::NoServiceTier`] if a part or the tier has no price; [`PriceError::TooMuch`] if the cost does not
    /// fit.
    pub fn cost(&self, usage: &Usage) -> Result<Amount, PriceError> {
        let schedule = self.schedule(usage.service_tier().unwrap_or(STANDARD))?;
        for (side, name) in [(Side::Input, "input"), (Side::Output, "output")] {
            let charges = schedule
                .parts()
                .any(|(part, price)| part.side() == side && !price.is_free());
            if !usage.knows(side) && charges {
                return Err(schedule.unknown(format!("it does not say how much {name} there was")));
            }
        }
        if usage.is_zero() {
            return Err(schedule.unknown("it is all zero".to_owned()));
        }
        for part in schedule.counted_parts() {
            if usage.leaves_open(part) {
                return Err(
                    schedule.unknown(format!("it does not say how many `{part}` there were, 0 if none"))
                );
            }
        }
        let mut total = Total::default();
        let mut add = |size: u64, part: &Part, count: u64| {
            if count > 0 {
                let price = schedule.price(size, part)?;
                total = total.add(count, price).ok_or_else(|| schedule.too_much())?;
            }
            Ok::<_, PriceError>(())
        };
        let size = if schedule.is_marginal {
            0
        } else {
            usage.input_tokens()
        };
        let mut before: u64 = 0;
        for (part, count) in usage.counts() {
            if part.side() == Side::Input && schedule.is_marginal {
                let end = before.saturating_add(count);
                for (from, to) in schedule.segments() {
                    let within = end.min(to).saturating_sub(before.max(from));
                    add(to, part, within)?;
                }
                before = end;
            } else {
                add(size, part, count)?;
            }
        }
        if usage.count(&Part::Request) == 0 && schedule.prices_part(&Part::Request) {
            add(size, &Part::Request, 1)?;
        }
        total.amount().ok_or_else(|| schedule.too_much())
    }
}

impl From<Rates> for Prices {
    fn from(base: Rates) -> Self {
        Self::from_parts(
            BySize {
                base,
                ..BySize::default()
            },
            BTreeMap::new(),
        )
    }
}

#[cfg(feature = "prices")]
impl BySize {
    /// The same rates, with every price of tokens or characters multiplied by `factor`.
    pub(super) fn times(&self, factor: &Decimal) -> Option<Self> {
        let scaled = |rates: &Rates| -> Option<Rates> {
            let scaled = rates.0.iter().map(|(part, price)| match part.priced_by() {
                1 => Some((part.clone(), *price)),
                _ => Some((part.clone(), price.times(factor)?)),
            });
            scaled.collect::<Option<_>>().map(Rates)
        };
        let above = self.above.iter().map(|(at, rates)| Some((*at, scaled(rates)?)));
        Some(Self {
            base: scaled(&self.base)?,
            above: above.collect::<Option<_>>()?,
        })
    }
}

/// The rates of one service tier of a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule<'a> {
    own: &'a BySize,
    standard: &'a BySize,
    pub(super) is_marginal: bool,
    model: &'a str,
}

impl BySize {
    /// The rates for a prompt of `size` tokens, from the highest threshold down to the base rates.
    fn at(&self, size: u64) -> Vec<&Rates> {
        let above = self.above.range(..size).rev().map(|(_, rates)| rates);
        above.chain([&self.base]).collect()
    }

    /// The highest threshold that a prompt of `size` tokens exceeds.
    fn threshold(&self, size: u64) -> Option<u64> {
        self.above.range(..size).next_back().map(|(at, _)| *at)
    }
}

impl<'a> Schedule<'a> {
    /// The ranges of sizes with prices of their own, each as the number of tokens before it and its last token.
    pub(super) fn segments(&self) -> Vec<(u64, u64)> {
        let thresholds: BTreeSet<u64> = [self.own, self.standard]
            .iter()
            .flat_map(|by_size| by_size.above.keys().copied())
            .collect();
        let starts = core::iter::once(0).chain(thresholds.iter().copied());
        starts.zip(thresholds.iter().copied().chain([u64::MAX])).collect()
    }

    /// The price of a part in a prompt of `size` tokens. If the tier has no price for the part at this size, the
    /// highest of these applies: the price of its fallback, its price at smaller sizes, and its price in the standard
    /// tier. If only the standard tier has a threshold, the higher of the two tiers' prices applies above it.
    pub(super) fn price(&self, size: u64, part: &Part) -> Result<Price, PriceError> {
        let (own, standard) = (self.own.at(size), self.standard.at(size));
        let dearest = |first: &[&Rates], then: &[&Rates]| {
            let (rates, others) = first.split_first()?;
            rates.price(&[others, then].concat(), part)
        };
        let mut price = dearest(&own, &standard);
        if self.own.threshold(size) < self.standard.threshold(size) {
            price = price.max(dearest(&standard, &[]));
        }
        price.ok_or_else(|| PriceError::NoPrice {
            model: self.model.to_owned(),
            part: part.clone(),
        })
    }

    /// The parts with a price that are counted on their own, except requests and tool calls.
    fn counted_parts(&self) -> impl Iterator<Item = &'a Part> {
        let priced = self
            .parts()
            .filter(|(_, price)| !price.is_free())
            .map(|(part, _)| part);
        priced.filter(|part| part.side() == Side::Count && !matches!(part, Part::Request | Part::ToolCall(_)))
    }

    /// Whether the part has a price of its own at any size, other than 0.
    pub(super) fn prices_part(&self, part: &Part) -> bool {
        self.parts()
            .any(|(other, price)| other == part && !price.is_free())
    }

    /// All parts with a price of their own, at any size.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&'a Part, Price)> {
        let rates = |by_size: &'a BySize| core::iter::once(&by_size.base).chain(by_size.above.values());
        rates(self.own)
            .chain(rates(self.standard))
            .flat_map(|rates| &rates.0)
            .map(|(part, price)| (part, *price))
    }

    pub(super) fn too_much(&self) -> PriceError {
        PriceError::TooMuch {
            model: self.model.to_owned(),
        }
    }

    pub(super) fn missing(&self, bounds: &BTreeMap<String, String>) -> PriceError {
        let join = |words: Vec<&str>, by| words.join(by);
        PriceError::NoBound {
            model: self.model.to_owned(),
            bound: join(bounds.keys().map(String::as_str).collect(), ", "),
            write: format!("`{}`", join(bounds.values().map(String::as_str).collect(), "")),
        }
    }

    fn unknown(&self, problem: String) -> PriceError {
        PriceError::UnknownUsage {
            model: self.model.to_owned(),
            problem,
        }
    }
}
