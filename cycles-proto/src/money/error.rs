//! The errors of prices and costs.

use super::part::Part;

/// Why a price or a cost cannot be determined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PriceError {
    /// The table does not contain the model.
    #[error("the price table `{version}` has no model `{model}`{hint}")]
    #[non_exhaustive]
    UnknownModel {
        /// The model.
        model: String,
        /// The version of the table.
        version: String,
        /// What to do, for the error's text; empty if there is nothing to say.
        hint: String,
    },
    /// The estimate needs a bound that was not given.
    #[error(
        "{}the prices depend on {bound}: add {write} to the bounds, with values that cover what is possible, or add `.nothing_else()`",
        of(model)
    )]
    #[non_exhaustive]
    NoBound {
        /// The model; empty if the prices have no name.
        model: String,
        /// Everything that has no bound.
        bound: String,
        /// The code that adds the bounds.
        write: String,
    },
    /// A part of the usage or of the bounds has no price.
    #[error(
        "{}there is no price for `{part}`: add it to the price table, 0 if it is free",
        of(model)
    )]
    #[non_exhaustive]
    NoPrice {
        /// The model; empty if the prices have no name.
        model: String,
        /// The part.
        part: Part,
    },
    /// The model has no prices for the service tier.
    #[error(
        "{}there are no prices for the service tier `{tier}`: the model has {}",
        of(model),
        tiers_or_none(tiers)
    )]
    #[non_exhaustive]
    NoServiceTier {
        /// The model; empty if the prices have no name.
        model: String,
        /// The tier that was asked for.
        tier: String,
        /// The tiers that the model has besides the standard one.
        tiers: String,
    },
    /// The usage is not known, or cannot be right.
    #[error(
        "{}the usage is not known: {problem}. Charge what was counted, or the estimate",
        of(model)
    )]
    #[non_exhaustive]
    UnknownUsage {
        /// The model; empty if the prices have no name.
        model: String,
        /// What is missing.
        problem: String,
    },
    /// The cost is larger than an amount can be.
    #[error("{}the cost is more than 92233720368.54775807 US dollars", of(model))]
    #[non_exhaustive]
    TooMuch {
        /// The model; empty if the prices have no name.
        model: String,
    },
    /// The text is not a price table.
    #[error(
        "the price table cannot be read: line {line}{}{}: {problem}",
        named(", model", model),
        named(", key", key)
    )]
    #[non_exhaustive]
    Invalid {
        /// The line, counted from 1.
        line: usize,
        /// The model that the error is about.
        model: Option<String>,
        /// The key that the error is about.
        key: Option<String>,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

fn of(model: &str) -> String {
    match model {
        "" => String::new(),
        model => format!("model `{}`: ", crate::text::shortened(model)),
    }
}

fn tiers_or_none(tiers: &str) -> String {
    match tiers {
        "" => "only the standard one".to_owned(),
        tiers => format!("standard, {tiers}"),
    }
}

fn named(what: &str, name: &Option<String>) -> String {
    name.as_ref()
        .map_or_else(String::new, |name| format!("{what} `{name}`"))
}
