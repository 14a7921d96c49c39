//! The price of one unit of a part, finer than a microcent.

use core::fmt;

#[cfg(feature = "prices")]
use super::decimal::Decimal;
use super::usd::Usd;
use crate::models::Amount;

/// One dollar is 10²⁴ units of price, so that a price published per million, or as a JSON number per token, is exact.
#[cfg(feature = "prices")]
const DIGITS: i32 = 24;
const PER_MICROCENT: u128 = 10_u128.pow(16);

/// The price of one token, one image or one call, as a whole number of 10⁻²⁴ US dollars.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Price(u128);

impl Price {
    pub(super) const FREE: Self = Self(0);

    /// The price of one, if `many` (a power of ten up to a million) cost this much.
    pub(super) fn of_many(usd: Usd, many: u64) -> Self {
        // A `Usd` is less than 2⁶³ microcents: the product fits.
        Self(u128::from(usd.microcents().unsigned_abs()) * PER_MICROCENT / u128::from(many.max(1)))
    }

    /// Converts the price of one in dollars. Digits beyond 10⁻²⁴ are rounded up. `None` if it does not fit.
    #[cfg(feature = "prices")]
    pub(super) fn of_one(dollars: &Decimal) -> Option<Self> {
        dollars.scaled(DIGITS).map(Self)
    }

    /// The price times `factor`, rounded up.
    #[cfg(feature = "prices")]
    pub(super) fn times(self, factor: &Decimal) -> Option<Self> {
        const FINE: u128 = 10_u128.pow(6);
        let millionths = factor.scaled(6)?;
        self.0
            .checked_mul(millionths)
            .map(|price| Self(price.div_ceil(FINE)))
    }

    /// The price of one, if this is the price of `many`.
    #[cfg(feature = "prices")]
    pub(super) fn split(self, many: u128) -> Self {
        Self(self.0.div_ceil(many.max(1)))
    }

    /// The price times `more / less`, rounded up. `None` if it does not fit.
    #[cfg(feature = "prices")]
    pub(super) fn in_proportion(self, more: Self, less: Self) -> Option<Self> {
        let (mut one, mut other) = (more.0, less.0);
        while other > 0 {
            (one, other) = (other, one % other);
        }
        let (more, less) = (more.0.checked_div(one)?, less.0.checked_div(one)?);
        let product = self.0.checked_mul(more)?;
        Some(Self(product.checked_add(less.checked_sub(1)?)? / less))
    }

    pub(super) fn is_free(self) -> bool {
        self == Self::FREE
    }

    /// Whether the price is less than a two-hundredth of another.
    #[cfg(feature = "prices")]
    pub(super) fn is_far_below(self, other: Self) -> bool {
        self < Self(other.0 / 200)
    }

    /// Whether the price is more than a token costs anywhere: more than a thousand dollars per million tokens.
    #[cfg(feature = "prices")]
    pub(super) fn looks_like_a_million(self) -> bool {
        self > Self::of_many(Usd::dollars(1_000), 1_000_000)
    }
}

impl fmt::Debug for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = PER_MICROCENT * 10_u128.pow(8);
        let decimals = format!("{:024}", self.0 % one);
        write!(f, "{}.{} USD", self.0 / one, decimals.trim_end_matches('0'))
    }
}

/// A sum of prices, rounded up to the microcent once, at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Total(u128);

impl Total {
    /// Adds `count` times the price. `None` if the sum does not fit; it is then far larger than an amount can be.
    pub(super) fn add(self, count: u64, price: Price) -> Option<Self> {
        let cost = price.0.checked_mul(u128::from(count))?;
        self.0.checked_add(cost).map(Self)
    }

    pub(super) fn amount(self) -> Option<Amount> {
        let microcents = i64::try_from(self.0.div_ceil(PER_MICROCENT)).ok()?;
        Some(Amount::usd_microcents(microcents))
    }
}
