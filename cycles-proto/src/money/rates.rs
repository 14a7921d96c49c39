//! The prices of a model's parts, without tiers.

use std::collections::BTreeMap;

use super::part::Part;
use super::unit_price::Price;
use super::usd::Usd;

/// What each [`Part`] costs at one size of the request and in one service tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates(pub(super) BTreeMap<Part, Price>);

impl Rates {
    /// Creates prices for input and output, in US dollars per million tokens.
    pub fn new(input: Usd, output: Usd) -> Self {
        Self::default()
            .with(Part::Input, input)
            .with(Part::Output, output)
    }

    /// Sets the price of a part, in US dollars per million tokens or characters, or per unit of anything else.
    #[must_use]
    pub fn with(mut self, part: Part, price: Usd) -> Self {
        let price = Price::of_many(price, part.priced_by());
        self.0.insert(part, price);
        self
    }

    /// The price of a part. If these rates have none, the highest of the price of its fallback here and its prices in
    /// the `others`.
    pub(super) fn price(&self, others: &[&Self], part: &Part) -> Option<Price> {
        let (mut part, mut there) = (part.clone(), None);
        loop {
            if let Some(here) = self.0.get(&part) {
                return there.max(Some(*here));
            }
            there = others
                .iter()
                .map(|other| other.0.get(&part).copied())
                .fold(there, Option::max);
            match part.fallback() {
                Some(other) => part = other,
                None => return there,
            }
        }
    }
}
