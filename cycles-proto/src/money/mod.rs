//! US dollars, the prices of models, and what providers charge for: exact, without floats, rounded up.
//!
//! Estimate within bounds before the call, read the usage that the provider reports after it, and charge its cost:
//!
//! ```
//! use cycles_proto::models::Amount;
//! use cycles_proto::money::{Bounds, Part, PriceTable, Prices, Usage, Usd};
//! use serde_json::json;
//!
//! // US dollars per million tokens. Write them yourself, or read them from a file with the feature `prices`.
//! let gpt_4o = Prices::new(Usd::cents(250), Usd::dollars(10)).with(Part::CachedInput, Usd::cents(125));
//! let table = PriceTable::new("2026-11-22").with_model("gpt-4o", gpt_4o);
//!
//! // Look the prices up before the call, by the name that you request: the answer may name a dated model that has no
//! // price, and the call has to be paid for anyway.
//! let prices = table.model("gpt-4o")?;
//! // What to reserve for 1,000 tokens of prompt and an answer of at most 500.
//! let estimate = prices.estimate(&Bounds::tokens(1_000, 500).nothing_else())?;
//! assert_eq!(estimate, Amount::usd_microcents(750_000));
//!
//! // The cost of what the provider reports: half of the prompt came from its cache.
//! let answer = json!({"usage": {
//!     "prompt_tokens": 1_000, "prompt_tokens_details": {"cached_tokens": 500}, "completion_tokens": 200,
//! }});
//! let usage = Usage::from_openai(&answer);
//! assert_eq!(prices.cost(&usage)?, Amount::usd_microcents(387_500));
//! # Ok::<_, cycles_proto::money::PriceError>(())
//! ```

#[cfg(feature = "prices")]
mod decimal;
mod error;
mod estimate;
#[cfg(feature = "prices")]
mod litellm;
mod model_prices;
mod part;
mod price_table;
mod rates;
#[cfg(feature = "prices")]
mod toml;
mod unit_price;
mod usage;
mod usd;
#[cfg(feature = "prices")]
mod wrong_scale;

pub use self::error::PriceError;
pub use self::estimate::Bounds;
pub use self::model_prices::Prices;
pub use self::part::{CacheLifetime, Part};
pub use self::price_table::{LeftOut, PriceTable};
pub use self::rates::Rates;
pub use self::usage::Usage;
pub use self::usd::{InvalidUsd, Usd};
