//! US dollars and the prices of models: exact, without floats, rounded up.
//!
//! A table has prices for input, cached input, output and reasoning. It cannot express a provider's other charges
//! (writes to its cache, a higher price for long prompts, other service tiers), and estimates do not include them.
//!
//! ```
//! use cycles_proto::models::Amount;
//! use cycles_proto::money::{PriceTable, Prices, Usage, Usd};
//!
//! // US dollars per million tokens. Write them yourself, or read them from TOML with the feature `prices`.
//! let gpt_4o = Prices::new(Usd::cents(250), Usd::dollars(10)).with_cached_input(Usd::cents(125));
//! let table = PriceTable::new("2026-11-22").with_model("gpt-4o", gpt_4o);
//!
//! // What to reserve for 1,000 tokens of prompt and an answer of at most 500.
//! assert_eq!(table.estimate("gpt-4o", 1_000, 500)?, Amount::usd_microcents(750_000));
//! // Look the prices up before the call, by the name that you ask for: the answer may name a dated model that has no
//! // price, but it still has to be paid for.
//! let prices = *table.model("gpt-4o")?;
//! // The cost, with half of the prompt read from the cache; `None` only on overflow.
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
