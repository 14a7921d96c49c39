//! US dollars, and what models cost in them: exact, without floats, rounded up.
//!
//! A table knows prices for input, cached input, output and reasoning. What a provider charges beside them (writes to its
//! cache, a higher price for long prompts, other service tiers) it cannot express, and an estimate does not contain.
//!
//! ```
//! use cycles_proto::models::Amount;
//! use cycles_proto::money::{PriceTable, Prices, Usage, Usd};
//!
//! // US dollars for a million tokens; yours, or with the feature `prices` from TOML.
//! let gpt_4o = Prices::new(Usd::cents(250), Usd::dollars(10)).with_cached_input(Usd::cents(125));
//! let table = PriceTable::new("2026-11-22").with_model("gpt-4o", gpt_4o);
//!
//! // What to reserve for 1,000 tokens of prompt and an answer of at most 500.
//! assert_eq!(table.estimate("gpt-4o", 1_000, 500)?, Amount::usd_microcents(750_000));
//! // The prices by the name that is asked for, before the call: its answer may name a dated model, for which there is
//! // no price, and is paid for all the same.
//! let prices = *table.model("gpt-4o")?;
//! // What it cost, of which the model had half the prompt in its cache; `None` only if that does not fit.
//! let usage = Usage::from_totals(1_000, 500, 200, 0);
//! assert_eq!(prices.cost(usage), Some(Amount::usd_microcents(387_500)));
//! # Ok::<_, cycles_proto::money::PriceError>(())
//! ```

#[cfg(feature = "prices")]
mod parse;
mod prices;
#[cfg(feature = "prices")]
mod scale;
mod table;
mod usd;

pub use self::prices::{Prices, Usage};
pub use self::table::{PriceError, PriceTable};
pub use self::usd::{InvalidUsd, Usd};
