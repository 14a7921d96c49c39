//! What to reserve: the highest cost within bounds.

use std::collections::BTreeMap;

use super::error::PriceError;
use super::model_prices::{Prices, STANDARD, Schedule, service_tier};
use super::part::{CacheLifetime, Part, Side};
use super::unit_price::{Price, Total};
use crate::models::Amount;

/// The most that a request may use, so that its cost can be estimated before the call.
///
/// Everything that the prices depend on needs a bound. A missing bound is an error, unless
/// [`nothing_else`](Self::nothing_else) says that there is nothing more. Bounds alone do not limit the provider:
/// enforce them in the request, with `max_tokens`, the tools and the service tier that you ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "bounds have no effect until something is estimated within them"]
pub struct Bounds {
    parts: BTreeMap<Part, u64>,
    /// `Some(None)` means no writes at all.
    cache: Option<Option<CacheLifetime>>,
    tier: Option<String>,
    is_all: bool,
}

impl Bounds {
    /// Creates bounds for a prompt and an answer of at most this many tokens. `input` includes cached tokens, and
    /// `output` includes reasoning.
    pub fn tokens(input: u64, output: u64) -> Self {
        Self::default()
            .with(Part::Input, input)
            .with(Part::Output, output)
    }

    /// Allows at most this many more of a part, such as tool calls, images, or audio tokens in addition to the text.
    /// Tokens that are read from or written to a cache count as input, and reasoning counts as output.
    pub fn with(mut self, part: Part, most: u64) -> Self {
        if let (Part::CacheWrite(lifetime), 1..) = (&part, most) {
            self.cache = Some(self.cache.flatten().max(Some(*lifetime)));
        }
        let bound = self.parts.entry(part.bounded_as()).or_default();
        *bound = bound.saturating_add(most);
        self
    }

    /// Allows the request to write its prompt to the provider's cache, to be kept for at most this long.
    pub fn cache_writes(mut self, longest: CacheLifetime) -> Self {
        self.cache = Some(Some(longest));
        self
    }

    /// Says that the request writes nothing to the provider's cache. Some providers write without being asked.
    pub fn no_cache_writes(mut self) -> Self {
        self.cache = Some(None);
        self
    }

    /// Sets the service tier that the request asks for: `standard`, `flex`, `priority`, `batch`, …
    pub fn service_tier(mut self, name: &str) -> Self {
        self.tier = Some(service_tier(name));
        self
    }

    /// Says that there is nothing else: no tools, no media, and the standard service tier, unless another bound says
    /// otherwise. Cache writes with the provider's shortest lifetime are still possible if they have a price, because
    /// some providers write without being asked; see [`no_cache_writes`](Self::no_cache_writes).
    pub fn nothing_else(mut self) -> Self {
        self.is_all = true;
        self
    }
}

impl Prices {
    /// Returns the amount to reserve: the highest [cost](Self::cost) of any usage within the bounds, rounded up to the
    /// microcent.
    ///
    /// # Errors
    /// [`PriceError::NoBound`] if the prices need a bound that is not given; [`PriceError::NoPrice`] or
    /// [`PriceError::NoServiceTier`] if there is no price for what the bounds allow; [`PriceError::TooMuch`] if the
    /// cost does not fit.
    pub fn estimate(&self, bounds: &Bounds) -> Result<Amount, PriceError> {
        let schedule = self.schedule(bounds.tier.as_deref().unwrap_or(STANDARD))?;
        if !bounds.is_all {
            let mut missing = bounds.missing(&schedule);
            if bounds.tier.is_none() && self.tiers().next().is_some() {
                let tiers = self.tiers().collect::<Vec<_>>().join(", ");
                missing.insert(
                    format!("the service tier (standard, {tiers})"),
                    ".service_tier(\"standard\")".to_owned(),
                );
            }
            if !missing.is_empty() {
                return Err(schedule.missing(&missing));
            }
        }
        let size = bounds.size();
        // A size is possible if the prompt may have more tokens than the threshold before it.
        let possible = schedule
            .segments()
            .into_iter()
            .filter(|(from, _)| *from == 0 || *from < size);
        let mut most = Total::default();
        for (from, to) in possible {
            if schedule.is_marginal {
                // However the parts are spread over the segments, no segment holds more than its own number of tokens.
                most = bounds.input(&schedule, to, to.min(size) - from, most)?;
            } else {
                let total = bounds.input(&schedule, to, to.min(size), Total::default())?;
                most = most.max(bounds.others(&schedule, to, total)?);
            }
        }
        if schedule.is_marginal {
            most = bounds.others(&schedule, 0, most)?;
        }
        most.amount().ok_or_else(|| schedule.too_much())
    }
}

impl Bounds {
    /// Everything that has a price of its own and no bound, each with the code that adds the bound.
    fn missing(&self, schedule: &Schedule<'_>) -> BTreeMap<String, String> {
        let mut missing = BTreeMap::new();
        for (part, _) in schedule.parts().filter(|(_, price)| !price.is_free()) {
            if matches!(part, Part::CacheWrite(_)) && self.cache.is_none() {
                missing.insert("writes to the cache".to_owned(), ".no_cache_writes()".to_owned());
            }
            let part = part.bounded_as();
            if part != Part::Request && !self.parts.contains_key(&part) {
                let write = if let Part::ToolCall(name) = &part {
                    format!(".with(Part::tool_call(\"{name}\"), 0)")
                } else {
                    format!(".with(Part::{part:?}, 0)")
                };
                missing.insert(format!("`{part}`"), write);
            }
        }
        missing
    }

    /// The longest lifetime of a possible cache write: as the bounds say, or else the default if it has a price.
    fn longest_write(&self, schedule: &Schedule<'_>) -> Option<CacheLifetime> {
        let default = CacheLifetime::Default;
        let is_priced = || schedule.prices_part(&Part::CacheWrite(default));
        self.cache.unwrap_or_else(|| is_priced().then_some(default))
    }

    /// The most tokens that the prompt may have.
    fn size(&self) -> u64 {
        let sizes = self.parts.iter().filter(|(part, _)| part.side() == Side::Input);
        sizes.fold(0, |sum, (_, most)| sum.saturating_add(*most))
    }

    /// Adds the most that `tokens` tokens of the prompt can cost at this size, taking the most expensive parts first.
    fn input(
        &self,
        schedule: &Schedule<'_>,
        at: u64,
        mut tokens: u64,
        mut total: Total,
    ) -> Result<Total, PriceError> {
        let mut prices = Vec::new();
        for (part, most) in self
            .parts
            .iter()
            .filter(|(part, most)| part.side() == Side::Input && **most > 0)
        {
            prices.push((self.dearest(schedule, at, part)?, *most));
        }
        prices.sort_unstable();
        for (price, most) in prices.into_iter().rev() {
            let count = most.min(tokens);
            tokens -= count;
            total = total.add(count, price).ok_or_else(|| schedule.too_much())?;
        }
        Ok(total)
    }

    /// Adds the most that everything except the prompt's tokens can cost at this size.
    fn others(&self, schedule: &Schedule<'_>, at: u64, mut total: Total) -> Result<Total, PriceError> {
        let mut add = |part: &Part, most: u64| {
            let price = self.dearest(schedule, at, part)?;
            total = total.add(most, price).ok_or_else(|| schedule.too_much())?;
            Ok(())
        };
        for (part, most) in self
            .parts
            .iter()
            .filter(|(part, most)| part.side() != Side::Input && **most > 0)
        {
            add(part, *most)?;
        }
        let requests = self.parts.get(&Part::Request).copied().unwrap_or_default();
        if requests == 0 && schedule.prices_part(&Part::Request) {
            add(&Part::Request, 1)?;
        }
        Ok(total)
    }

    /// The highest price among the parts that count under this bound.
    fn dearest(&self, schedule: &Schedule<'_>, at: u64, bound: &Part) -> Result<Price, PriceError> {
        let mut most = schedule.price(at, bound)?;
        let longest = self.longest_write(schedule);
        for part in &Part::ALL {
            // Media in a prompt may be read from the cache or written to it, like its text.
            let may_be =
                bound.side() == Side::Input && matches!(part, Part::CacheWrite(_) | Part::CachedInput);
            let price = schedule.price(at, part);
            let price = if let Part::CacheWrite(lifetime) = part {
                if !may_be || Some(*lifetime) > longest {
                    continue;
                }
                // The longest lifetime needs a price; a usage with a shorter one that has none has no cost either.
                if Some(*lifetime) == longest {
                    price?
                } else {
                    price.unwrap_or(Price::FREE)
                }
            } else if may_be || part.bounded_as() == *bound {
                price.unwrap_or(Price::FREE)
            } else {
                continue;
            };
            most = most.max(price);
        }
        Ok(most)
    }
}
