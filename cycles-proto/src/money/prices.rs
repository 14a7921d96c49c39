//! The prices of one model, and its usage.

use super::usd::Usd;
use crate::models::{Amount, CyclesMetrics};

/// The prices of a model, in US dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prices {
    /// Price of the input tokens.
    pub input: Usd,
    /// Price of the input tokens that the provider read from its cache; `input` if not given.
    pub cached_input: Option<Usd>,
    /// Price of the output tokens.
    pub output: Usd,
    /// Price of the reasoning tokens; `output` if not given.
    pub reasoning: Option<Usd>,
}

/// The number of tokens used. Each token counts once: `input` does not include cached tokens, and `output` does not
/// include reasoning. If a model's totals do include them, use [`from_totals`](Self::from_totals).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input tokens, without those from the cache.
    pub input: u64,
    /// Input tokens from the cache.
    pub cached_input: u64,
    /// Output tokens, without reasoning.
    pub output: u64,
    /// Reasoning tokens.
    pub reasoning: u64,
}

const MILLION: u128 = 1_000_000;

impl Prices {
    /// Creates prices per million input and output tokens.
    pub fn new(input: Usd, output: Usd) -> Self {
        Self {
            input,
            cached_input: None,
            output,
            reasoning: None,
        }
    }

    /// Sets the price per million input tokens from the cache.
    #[must_use]
    pub fn with_cached_input(mut self, price: Usd) -> Self {
        self.cached_input = Some(price);
        self
    }

    /// Sets the price per million reasoning tokens.
    #[must_use]
    pub fn with_reasoning(mut self, price: Usd) -> Self {
        self.reasoning = Some(price);
        self
    }

    /// Returns the cost of `usage`; the sum is rounded up to the microcent once. `None` if it does not fit.
    pub fn cost(&self, usage: Usage) -> Option<Amount> {
        sum([
            (usage.input, self.input),
            (usage.cached_input, self.cached_input.unwrap_or(self.input)),
            (usage.output, self.output),
            (usage.reasoning, self.reasoning.unwrap_or(self.output)),
        ])
    }

    /// Returns the highest cost of a prompt of `input` tokens and an answer of at most `max_tokens` at these prices,
    /// however many of them are cached or reasoning. `None` if it does not fit. It does not include a provider's other
    /// charges (writes to its cache, a higher price for long prompts, other service tiers).
    pub fn estimate(&self, input: u64, max_tokens: u64) -> Option<Amount> {
        let dearest = |price: Usd, other: Option<Usd>| other.map_or(price, |other| price.max(other));
        sum([
            (input, dearest(self.input, self.cached_input)),
            (max_tokens, dearest(self.output, self.reasoning)),
        ])
    }
}

impl Usage {
    /// Converts totals in which `input` includes the `cached` tokens and `output` includes those of `reasoning`, as
    /// OpenAI reports them (`prompt_tokens`, `cached_tokens`, `completion_tokens`, `reasoning_tokens`). A part that is
    /// larger than its total counts in full, so that neither number is undercounted.
    pub fn from_totals(input: u64, cached: u64, output: u64, reasoning: u64) -> Self {
        Self {
            input: input.saturating_sub(cached),
            cached_input: cached,
            output: output.saturating_sub(reasoning),
            reasoning,
        }
    }

    /// The metrics for a commit: all input tokens, and all output tokens including reasoning.
    pub fn metrics(&self) -> CyclesMetrics {
        let count = |tokens: u64, more: u64| i64::try_from(tokens.saturating_add(more)).ok();
        CyclesMetrics {
            tokens_input: count(self.input, self.cached_input),
            tokens_output: count(self.output, self.reasoning),
            ..Default::default()
        }
    }
}

fn sum<const N: usize>(parts: [(u64, Usd); N]) -> Option<Amount> {
    let mut millionths: u128 = 0;
    for (tokens, price) in parts {
        // A price is never negative.
        let price = u128::from(price.microcents().unsigned_abs());
        millionths = millionths.checked_add(u128::from(tokens).checked_mul(price)?)?;
    }
    let microcents = i64::try_from(millionths.div_ceil(MILLION)).ok()?;
    Some(Amount::usd_microcents(microcents))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prices() -> Prices {
        Prices::new(Usd::cents(250), Usd::dollars(10))
    }

    fn microcents(amount: Option<Amount>) -> Option<i64> {
        amount.map(|amount| amount.amount)
    }

    #[test]
    fn each_kind_of_token_has_its_price() {
        let prices = prices()
            .with_cached_input(Usd::cents(125))
            .with_reasoning(Usd::dollars(20));
        let usage = |input, cached_input, output, reasoning| Usage {
            input,
            cached_input,
            output,
            reasoning,
        };
        for (usage, expected) in [
            (usage(0, 0, 0, 0), 0),
            (usage(1_000_000, 0, 0, 0), 250_000_000),
            (usage(0, 1_000_000, 0, 0), 125_000_000),
            (usage(0, 0, 1_000_000, 0), 1_000_000_000),
            (usage(0, 0, 0, 1_000_000), 2_000_000_000),
            (usage(1, 1, 1, 1), 3_375),
        ] {
            assert_eq!(microcents(prices.cost(usage)), Some(expected), "{usage:?}");
        }
    }

    #[test]
    fn a_price_that_is_not_given_is_that_of_the_whole() {
        let all = Usage {
            input: 1,
            cached_input: 1,
            output: 1,
            reasoning: 1,
        };
        assert_eq!(microcents(prices().cost(all)), Some(2 * 250 + 2 * 1_000));
    }

    #[test]
    fn fractions_of_a_microcent_are_rounded_up_once_for_all() {
        let cheap = Prices::new(
            Usd::from_microcents(1).unwrap(),
            Usd::from_microcents(999_999).unwrap(),
        );
        let cost = |input, output| {
            let usage = Usage {
                input,
                output,
                ..Default::default()
            };
            microcents(cheap.cost(usage)).unwrap()
        };
        assert_eq!((cost(1, 0), cost(1_000_000, 0), cost(1_000_001, 0)), (1, 1, 2));
        assert_eq!((cost(0, 1), cost(1, 1), cost(2, 1)), (1, 1, 2));
    }

    #[test]
    fn what_does_not_fit_is_nothing_and_never_wraps() {
        let dear = Prices::new(Usd::MAX, Usd::MAX);
        let usage = Usage {
            input: u64::MAX,
            cached_input: u64::MAX,
            output: u64::MAX,
            reasoning: u64::MAX,
        };
        assert_eq!(dear.cost(usage), None);
        assert_eq!(dear.estimate(u64::MAX, u64::MAX), None);
        assert_eq!(microcents(dear.estimate(1_000_000, 0)), Some(i64::MAX));
        assert_eq!(dear.estimate(1_000_000, 1), None);
        assert_eq!(usage.metrics().tokens_input, None, "a count that cannot be sent");
    }

    #[test]
    fn a_part_that_is_larger_than_its_whole_is_charged_in_full() {
        let usage = Usage::from_totals(100, 150, 20, 30);
        assert_eq!(
            usage,
            Usage {
                input: 0,
                cached_input: 150,
                output: 0,
                reasoning: 30
            }
        );
        let usage = Usage::from_totals(100, 40, 20, 5);
        assert_eq!(
            usage,
            Usage {
                input: 60,
                cached_input: 40,
                output: 15,
                reasoning: 5
            }
        );
        assert_eq!(usage.metrics().tokens_input, Some(100));
        assert_eq!(usage.metrics().tokens_output, Some(20));
    }

    proptest! {
        #[test]
        fn no_usage_within_an_estimate_costs_more(
            prices in proptest::array::uniform4(0_i64..1_000_000_000_000),
            (given_cached, given_reasoning) in any::<(bool, bool)>(),
            input in 0_u64..10_000_000, max_tokens in 0_u64..10_000_000,
            cached in 0_u64..10_000_000, output in 0_u64..10_000_000, reasoning in 0_u64..10_000_000,
        ) {
            let [a, b, c, d] = prices.map(|price| Usd::from_microcents(price).unwrap());
            let prices = Prices {
                input: a,
                output: b,
                cached_input: given_cached.then_some(c),
                reasoning: given_reasoning.then_some(d),
            };
            let output = output.min(max_tokens);
            let usage = Usage::from_totals(input, cached.min(input), output, reasoning.min(output));
            let (cost, estimate) = (prices.cost(usage).unwrap(), prices.estimate(input, max_tokens).unwrap());
            prop_assert!(cost.amount <= estimate.amount, "{cost} of {estimate}");
        }

        #[test]
        fn a_cost_is_the_exact_one_or_less_than_a_microcent_more(
            price in 0..=i64::MAX, tokens in any::<u64>()
        ) {
            let prices = Prices::new(Usd::from_microcents(price).unwrap(), Usd::ZERO);
            let exact = u128::from(tokens) * u128::from(price.unsigned_abs());
            let usage = Usage { input: tokens, ..Default::default() };
            match microcents(prices.cost(usage)) {
                Some(cost) => {
                    let rounded = u128::from(cost.unsigned_abs()) * MILLION;
                    prop_assert!(rounded >= exact && rounded - exact < MILLION);
                }
                None => prop_assert!(exact.div_ceil(MILLION) > u128::from(i64::MAX.unsigned_abs())),
            }
        }
    }
}
