//! An estimate is never below the cost of any usage within its bounds.

use cycles_proto::models::Amount;
use cycles_proto::money::{Bounds, CacheLifetime, Part, PriceError, Prices, Rates, Usage, Usd};
use cycles_sandbox::Seed;

const LIFETIMES: [CacheLifetime; 3] = [
    CacheLifetime::Default,
    CacheLifetime::OneHour,
    CacheLifetime::TwelveHours,
];

/// What a bound of each of these may turn out to be.
fn members(bound: &Part, longest: Option<CacheLifetime>) -> Vec<Part> {
    match bound {
        Part::Input => {
            let writes = LIFETIMES
                .into_iter()
                .filter(|lifetime| longest.is_some_and(|longest| *lifetime <= longest));
            let writes = writes.map(Part::CacheWrite);
            [Part::Input, Part::CachedInput]
                .into_iter()
                .chain(writes)
                .collect()
        }
        Part::AudioInput => vec![Part::AudioInput, Part::CachedAudioInput],
        Part::ImageInput => vec![Part::ImageInput, Part::CachedImageInput],
        Part::Output => vec![Part::Output, Part::Reasoning],
        other => vec![other.clone()],
    }
}

fn bounded() -> Vec<Part> {
    vec![
        Part::Input,
        Part::AudioInput,
        Part::ImageInput,
        Part::VideoInput,
        Part::Output,
        Part::AudioOutput,
        Part::ImageOutput,
        Part::InputCharacter,
        Part::OutputImage,
        Part::InputSecond,
        Part::Page,
        Part::Request,
        Part::tool_call("web_search"),
        Part::tool_call("python"),
    ]
}

/// Draws numbers from a seed.
struct Dice(Seed);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0.below(end.max(1))
    }

    fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        let index = usize::try_from(self.below(all.len() as u64)).unwrap();
        all[index].clone()
    }

    /// From nothing to many, of every order of magnitude.
    fn count(&mut self) -> u64 {
        let most = 10_u64.pow(u32::try_from(self.below(7)).unwrap());
        self.below(most + 1)
    }

    fn price(&mut self) -> Usd {
        Usd::from_microcents(i64::try_from(self.count() * self.below(10_000)).unwrap()).unwrap()
    }

    fn rates(&mut self, is_full: bool) -> Rates {
        let mut rates = Rates::default();
        for part in bounded()
            .iter()
            .flat_map(|bound| members(bound, Some(CacheLifetime::TwelveHours)))
        {
            if is_full || !self.one_in(3) {
                rates = rates.with(part, self.price());
            }
        }
        rates
    }

    fn prices(&mut self) -> Prices {
        let is_full = !self.one_in(4);
        let mut prices = Prices::from(self.rates(is_full));
        for _ in 0..self.below(3) {
            prices = prices.above(self.count(), self.rates(false));
        }
        for tier in ["batch", "flex"] {
            if self.one_in(2) {
                prices = prices.service_tier(tier, self.rates(is_full));
                for _ in 0..self.below(2) {
                    prices = prices.service_tier_above(tier, self.count(), self.rates(false));
                }
            }
        }
        if self.one_in(3) {
            prices = prices.only_the_part_above();
        }
        prices
    }
}

struct Case {
    prices: Prices,
    bounds: Bounds,
    usage: Usage,
}

/// A table, bounds, and a usage that is drawn from the bounds alone: some of each, split at random.
fn case(dice: &mut Dice) -> Case {
    let prices = dice.prices();
    let longest = (!dice.one_in(3)).then(|| dice.of(&LIFETIMES));
    let tier = dice.of(&["standard", "batch", "flex"]);
    let mut bounds = Bounds::default().service_tier(tier).nothing_else();
    bounds = match longest {
        Some(longest) => bounds.cache_writes(longest),
        None => bounds.no_cache_writes(),
    };
    let mut usage = Usage::new().in_service_tier(tier);
    for bound in bounded() {
        if bound != Part::Input && bound != Part::Output && dice.one_in(2) {
            usage = usage.with(bound, 0);
            continue;
        }
        let most = dice.count();
        bounds = bounds.with(bound.clone(), most);
        let mut left = match dice.below(3) {
            0 => most,
            1 => dice.below(most + 1),
            _ => dice.count().min(most),
        };
        let members = members(&bound, longest);
        for part in &members {
            let used = match dice.below(3) {
                0 => left,
                1 => 0,
                _ => dice.below(left + 1),
            };
            left -= used;
            usage = usage.with(part.clone(), used);
        }
    }
    Case {
        prices,
        bounds,
        usage,
    }
}

#[test]
fn no_usage_within_the_bounds_costs_more_than_the_estimate() {
    let from = std::env::var("CYCLES_PRICES_SEED")
        .ok()
        .map_or(1, |seed| seed.parse().unwrap());
    let count = std::env::var("CYCLES_PRICES")
        .ok()
        .map_or(20_000, |count| count.parse::<u64>().unwrap());
    let (mut compared, mut tight) = (0_u64, 0_u64);
    for seed in from..from + count {
        let Case {
            prices,
            bounds,
            usage,
        } = case(&mut Dice(Seed::new(seed)));
        let Ok(estimate) = prices.estimate(&bounds) else {
            continue;
        };
        let cost = match prices.cost(&usage) {
            Ok(cost) => cost,
            // Nothing was used, or a shorter cache write has no price.
            Err(PriceError::UnknownUsage { .. } | PriceError::NoPrice { .. }) => continue,
            Err(error) => panic!("CYCLES_PRICES_SEED={seed}: {error}"),
        };
        compared += 1;
        tight += u64::from(cost == estimate);
        assert!(
            cost.amount <= estimate.amount,
            "CYCLES_PRICES=1 CYCLES_PRICES_SEED={seed}: {cost} is more than {estimate}\n{prices:#?}\n{bounds:?}\n{usage:?}"
        );
    }
    assert!(
        count < 1_000 || compared > count / 4,
        "only {compared} of {count} could be compared"
    );
    assert!(count < 1_000 || tight > 0, "no estimate was ever reached");
}

#[test]
fn an_estimate_is_the_dearest_that_the_bounds_allow() {
    const WRITE: Part = Part::CacheWrite(CacheLifetime::Default);
    const WRITE_1H: Part = Part::CacheWrite(CacheLifetime::OneHour);
    let prices = Prices::new(Usd::dollars(3), Usd::dollars(15))
        .with(Part::CachedInput, Usd::cents(30))
        .with(WRITE, Usd::cents(375))
        .with(WRITE_1H, Usd::dollars(6))
        .with(Part::Reasoning, Usd::dollars(20))
        .with(Part::tool_call("web_search"), Usd::cents(1))
        .above(
            200_000,
            Rates::new(Usd::dollars(5), Usd::dollars(20))
                .with(WRITE, Usd::dollars(7))
                .with(WRITE_1H, Usd::dollars(10)),
        )
        .service_tier(
            "batch",
            Rates::new(Usd::dollars(1), Usd::dollars(7)).with(WRITE, Usd::dollars(2)),
        );
    for (bounds, microcents) in [
        // 1,000 × 3 + 100 × 20
        (
            Bounds::tokens(1_000, 100).no_cache_writes().nothing_else(),
            500_000,
        ),
        // 1,000 × 3.75 + 100 × 20: the provider may write without being asked
        (Bounds::tokens(1_000, 100).nothing_else(), 575_000),
        // 1,000 × 3.75 + 100 × 20
        (
            Bounds::tokens(1_000, 100)
                .cache_writes(CacheLifetime::Default)
                .nothing_else(),
            575_000,
        ),
        // 1,000 × 6 + 100 × 20
        (
            Bounds::tokens(1_000, 100)
                .cache_writes(CacheLifetime::OneHour)
                .nothing_else(),
            800_000,
        ),
        // and three searches
        (
            Bounds::tokens(1_000, 100)
                .with(Part::tool_call("web_search"), 3)
                .no_cache_writes()
                .nothing_else(),
            3_500_000,
        ),
        // 1,000 × 2 + 100 × 20: the tier gives reasoning no price, so it costs as in the standard tier
        (
            Bounds::tokens(1_000, 100)
                .cache_writes(CacheLifetime::Default)
                .service_tier("batch")
                .nothing_else(),
            400_000,
        ),
        // 200,000 × 3 + 100 × 20: not above
        (
            Bounds::tokens(200_000, 100).no_cache_writes().nothing_else(),
            60_200_000,
        ),
        // 200,001 × 5 + 100 × 20
        (
            Bounds::tokens(200_001, 100).no_cache_writes().nothing_else(),
            100_200_500,
        ),
    ] {
        assert_eq!(
            prices.estimate(&bounds),
            Ok(Amount::usd_microcents(microcents)),
            "{bounds:?}"
        );
    }
}

#[test]
fn long_prompts_that_are_cheaper_do_not_make_the_estimate_too_low() {
    let prices = Prices::new(Usd::dollars(3), Usd::dollars(15))
        .above(1_000, Rates::new(Usd::dollars(1), Usd::dollars(5)));
    let bounds = Bounds::tokens(1_500, 100);
    // A prompt of 1,000 tokens costs more than one of 1,500: 1,000 × 3 + 100 × 15.
    assert_eq!(prices.estimate(&bounds), Ok(Amount::usd_microcents(450_000)));
    assert_eq!(
        prices.cost(&Usage::tokens(1_000, 100)),
        Ok(Amount::usd_microcents(450_000))
    );
}

#[test]
fn a_bound_that_the_prices_need_is_asked_for() {
    let plain = Prices::new(Usd::dollars(1), Usd::dollars(2));
    let estimate =
        |prices: &Prices, bounds: &Bounds| prices.estimate(bounds).map_err(|error| error.to_string());
    let bounds = Bounds::tokens(10, 10);
    assert!(estimate(&plain, &bounds).is_ok(), "nothing else has a price");
    for (prices, words, with) in [
        (
            plain
                .clone()
                .with(Part::CacheWrite(CacheLifetime::Default), Usd::dollars(2)),
            "the prices depend on writes to the cache: add `.no_cache_writes()` to the bounds, with values that cover what is possible, or add `.nothing_else()`",
            bounds.clone().cache_writes(CacheLifetime::Default),
        ),
        (
            plain.clone().with(Part::AudioInput, Usd::dollars(40)),
            "the prices depend on `audio_input`: add `.with(Part::AudioInput, 0)` to the bounds",
            bounds.clone().with(Part::AudioInput, 0),
        ),
        (
            plain.clone().with(Part::tool_call("web_search"), Usd::cents(1)),
            "the prices depend on `tool_calls.web_search`: add `.with(Part::tool_call(\"web_search\"), 0)` to the bounds",
            bounds.clone().with(Part::tool_call("web_search"), 2),
        ),
        (
            plain
                .clone()
                .service_tier("flex", Rates::new(Usd::cents(50), Usd::dollars(1))),
            "the prices depend on the service tier (standard, flex): add `.service_tier(\"standard\")` to the bounds",
            bounds.clone().service_tier("flex"),
        ),
    ] {
        let error = estimate(&prices, &bounds).unwrap_err();
        assert!(error.contains(words), "{error}");
        assert!(estimate(&prices, &with).is_ok());
        assert!(estimate(&prices, &bounds.clone().nothing_else()).is_ok());
    }
    let error = estimate(&plain, &Bounds::default().service_tier("standard")).unwrap_err();
    assert!(
        error.contains(
            "depend on `input`, `output`: add `.with(Part::Input, 0).with(Part::Output, 0)` to the bounds"
        ),
        "all that is missing is said at once: {error}"
    );
}

#[test]
fn what_the_bounds_allow_must_have_a_price() {
    let prices = Prices::new(Usd::dollars(1), Usd::dollars(2));
    for (bounds, words) in [
        (
            Bounds::tokens(1, 1).with(Part::tool_call("search"), 1),
            "no price for `tool_calls.search`",
        ),
        (
            Bounds::tokens(1, 1).cache_writes(CacheLifetime::OneHour),
            "no price for `cache_write_1h`",
        ),
        (
            Bounds::tokens(1, 1).service_tier("flex"),
            "no prices for the service tier `flex`",
        ),
        (
            Bounds::tokens(u64::MAX, u64::MAX),
            "the cost is more than 92233720368.54775807 US dollars",
        ),
    ] {
        let error = prices.estimate(&bounds).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert!(
        prices
            .estimate(&Bounds::tokens(1, 1).with(Part::tool_call("search"), 0))
            .is_ok()
    );
}

#[test]
fn a_dearer_tier_never_costs_less_than_the_standard_one_for_what_it_does_not_price() {
    let prices = Prices::new(Usd::dollars(4), Usd::dollars(16))
        .with(Part::AudioInput, Usd::dollars(32))
        .with(Part::AudioOutput, Usd::dollars(64))
        .above(200_000, Rates::new(Usd::dollars(40), Usd::dollars(80)))
        .service_tier("priority", Rates::new(Usd::dollars(8), Usd::dollars(32)));
    let audio = Usage::new()
        .with(Part::AudioInput, 100_000)
        .with(Part::AudioOutput, 100_000);
    // 100,000 × 32 + 100,000 × 64
    assert_eq!(
        prices.cost(&audio.in_service_tier("priority")),
        Ok(Amount::usd_microcents(960_000_000))
    );
    // 500,000 × 40 + 1,000 × 80: the tier has no rates for long prompts
    let long = Usage::tokens(500_000, 1_000).in_service_tier("priority");
    assert_eq!(prices.cost(&long), Ok(Amount::usd_microcents(2_008_000_000)));
    let bounds = Bounds::tokens(500_000, 1_000)
        .service_tier("priority")
        .nothing_else();
    assert_eq!(
        prices.estimate(&bounds),
        Ok(Amount::usd_microcents(2_008_000_000))
    );
}

#[test]
fn a_write_to_the_cache_counts_for_media_too_and_for_as_long_as_the_bounds_say() {
    const HOUR: Part = Part::CacheWrite(CacheLifetime::OneHour);
    let prices = Prices::new(Usd::dollars(3), Usd::dollars(15))
        .with(Part::CacheWrite(CacheLifetime::Default), Usd::cents(375))
        .with(HOUR, Usd::dollars(6));
    let written = Usage::new().with(HOUR, 1_000_000);
    for bounds in [
        Bounds::default().with(HOUR, 1_000_000),
        Bounds::default()
            .with(HOUR, 1_000_000)
            .no_cache_writes()
            .cache_writes(CacheLifetime::OneHour),
        Bounds::default()
            .with(Part::ImageInput, 1_000_000)
            .cache_writes(CacheLifetime::OneHour),
    ] {
        let estimate = prices.estimate(&bounds.nothing_else());
        assert_eq!(estimate, prices.cost(&written), "6 dollars");
    }
}

#[test]
fn rates_that_leave_something_out_cost_the_dearest_of_what_holds_below_and_in_the_standard_tier() {
    let only = |part, dollars| Rates::default().with(part, Usd::dollars(dollars));
    let prices = Prices::new(Usd::dollars(1), Usd::dollars(10))
        .above(128_000, only(Part::Output, 20))
        .above(200_000, only(Part::Input, 5))
        .service_tier("priority", Rates::new(Usd::dollars(2), Usd::dollars(15)))
        .service_tier_above("priority", 200_000, only(Part::Input, 4));
    for (tokens, tier, microcents) in [
        // 150,000 × 1 + 1,000 × 20
        (150_000, "standard", 17_000_000),
        // 250,000 × 5 + 1,000 × 20: the output of the threshold before
        (250_000, "standard", 127_000_000),
        // 150,000 × 2 + 1,000 × 20: the tier does not have this threshold
        (150_000, "priority", 32_000_000),
        // 250,000 × 4 + 1,000 × 20: the standard tier's output at that size
        (250_000, "priority", 102_000_000),
    ] {
        let usage = Usage::tokens(tokens, 1_000).in_service_tier(tier);
        assert_eq!(
            prices.cost(&usage),
            Ok(Amount::usd_microcents(microcents)),
            "{tokens} in {tier}"
        );
    }
}

#[test]
fn media_can_have_the_only_price() {
    let prices = Prices::default().with(Part::AudioInput, Usd::dollars(6));
    let bounds = Bounds::default().with(Part::AudioInput, 1_000_000).nothing_else();
    assert_eq!(prices.estimate(&bounds), Ok(Amount::usd_microcents(600_000_000)));
}
