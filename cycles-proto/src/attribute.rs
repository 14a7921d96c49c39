//! Support for the expansion of the attribute `cycles`. Not meant to be called directly.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::meter::Reading;
use crate::models::{Amount, InvalidRequest, Unit};
use crate::money::Usd;
use crate::outcome::{Error, OperationKind};
use crate::with_cycles_config::{NotCompleted, WithCyclesConfig};

/// Converts into an amount: an integer in the given unit, an amount, or US dollars.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an amount",
    label = "expected an integer, an `Amount` or a `Usd`",
    note = "amounts are integers: one US dollar is 100_000_000 in USD_MICROCENTS"
)]
pub trait ToAmount {
    /// The amount.
    fn to_amount(&self, unit: &Unit) -> Amount;
}

/// Converts into the cost of a result: an amount, or an `Option` of one, whose `None` means the estimate.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a cost",
    label = "expected an integer, an `Amount` or an `Option` of one",
    note = "amounts are integers: one US dollar is 100_000_000 in USD_MICROCENTS"
)]
pub trait ToCost {
    /// The cost, if it is known.
    fn to_cost(&self, unit: &Unit) -> Option<Amount>;
}

/// Converts into the reading of a stream's item: an amount, a [`Reading`], or an `Option` of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the cost of an item",
    label = "expected an integer, an `Amount`, a `Reading` or an `Option` of one"
)]
pub trait ToReading {
    /// The reading.
    fn to_reading(&self, unit: &Unit) -> Reading;
}

/// Converts into text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not text",
    label = "expected a `str`, a `String` or an `Option` of one",
    note = "add `.to_string()` to a value that can be displayed"
)]
pub trait ToText {
    /// The text, if there is any.
    fn to_text(&self) -> Option<String>;
}

/// Converts into a name and a value.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a pair of strings",
    label = "expected a map or a list of pairs of strings"
)]
pub trait Pair {
    /// The name and the value.
    fn texts(self) -> (Option<String>, Option<String>);
}

/// The return types that a guarded function can have.
#[diagnostic::on_unimplemented(
    message = "a guarded function returns a `Result`, but `{Self}` is not one",
    label = "it could not return a denial",
    note = "return `Result<{Self}, Error>`, where `Error` is the client's error or a type that implements `From<Error>`"
)]
pub trait Returned {}

/// An error type that can say that a function was not run.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say that a budget was denied",
    label = "this error does not implement `From` for the client's `Error`",
    note = "implement `From<Error>` for it, where `Error` is the client's error"
)]
pub trait FromError: Sized {
    /// The error of a function that was not run.
    fn from_error(error: Error) -> Self;
}

#[diagnostic::do_not_recommend]
impl<E: From<Error>> FromError for E {
    fn from_error(error: Error) -> Self {
        error.into()
    }
}

impl<T, E> Returned for Result<T, E> {}

/// Never called: only its type matters, which is the function's return type.
pub fn returned<T: Returned>() -> T {
    unreachable!("it is in code that never runs")
}

/// Converts a value into an amount.
pub fn amount(value: &(impl ToAmount + ?Sized), unit: &Unit) -> Amount {
    value.to_amount(unit)
}

/// Returns the client if the estimate is in the unit that the attribute gives for integers.
///
/// # Errors
/// The reason why there is no client, or [`Error::Validation`]; either way, nothing is sent.
pub fn in_unit<C>(client: Result<C, Error>, config: &WithCyclesConfig, unit: &Unit) -> Result<C, Error> {
    let estimate = &config.estimate().unit;
    if estimate != unit {
        let problem = format!(
            "is {estimate}, but the attribute sets `unit` to {unit}: omit `unit`, or give the estimate as an integer"
        );
        let operation = OperationKind::CreateReservation {
            dry_run: config.request().dry_run,
        };
        let problem = InvalidRequest::new("estimate.unit", problem);
        return Err(Error::invalid(operation, problem));
    }
    client
}

/// Pairs the value of a guarded function's body with the closure that computes its cost in the given unit, or `None`
/// if the cost is not known.
///
/// # Errors
/// The body's own error.
pub fn ended<T, E, A>(ended: Result<T, E>, actual: A) -> Result<(T, A), E>
where
    A: FnOnce(&T, &Unit) -> Option<Amount>,
{
    ended.map(|value| (value, actual))
}

/// Marks a value that is complete when its function returns.
#[derive(Debug)]
pub struct Whole;

/// Marks a value that is still to be consumed, such as a stream.
#[derive(Debug)]
pub struct Unfinished;

/// Any type for which nothing more specific is known.
pub trait AnyValue {
    /// Whether the value is complete when its function returns.
    fn cycles_when_made(&self) -> Whole;
}

/// Converts a value into a cost, if it is known.
pub fn cost(value: &(impl ToCost + ?Sized), unit: &Unit) -> Option<Amount> {
    value.to_cost(unit)
}

/// Converts an item into its reading.
pub fn reading(value: &(impl ToReading + ?Sized), unit: &Unit) -> Reading {
    value.to_reading(unit)
}

/// Converts a value into text, if there is any.
pub fn text(value: &(impl ToText + ?Sized)) -> Option<String> {
    value.to_text()
}

/// Collects dimensions, and leaves out those without a value.
pub fn dimensions(
    pairs: impl IntoIterator<Item = (Option<String>, Option<String>)>,
) -> Option<BTreeMap<String, String>> {
    let pairs = pairs.into_iter();
    Some(pairs.filter_map(|(name, value)| Some((name?, value?))).collect())
}

/// Converts the result of a guarded action into what the function returns.
///
/// # Errors
/// The function's own error, unchanged, or the reason why it was not run.
pub fn returning<T, E: FromError>(ended: Result<T, NotCompleted<E>>) -> Result<T, E> {
    ended.map_err(|why| match why {
        NotCompleted::Action(error) => error,
        NotCompleted::NotReserved(error) | NotCompleted::Cancelled(error) => E::from_error(error),
    })
}

/// Implements the conversions for the types that are amounts.
macro_rules! amounts {
    ($($amount:ty: |$this:ident, $unit:ident| $made:expr;)+) => {
        $(
            impl ToAmount for $amount {
                fn to_amount(&self, $unit: &Unit) -> Amount {
                    let $this = self;
                    $made
                }
            }

            impl ToCost for $amount {
                fn to_cost(&self, unit: &Unit) -> Option<Amount> {
                    Some(self.to_amount(unit))
                }
            }

            impl ToReading for $amount {
                fn to_reading(&self, unit: &Unit) -> Reading {
                    self.to_amount(unit).into()
                }
            }
        )+
    };
}

macro_rules! integers {
    ($($integer:ty)+) => {
        amounts! {
            // An integer above the largest amount becomes the largest amount.
            $($integer: |this, unit| Amount::new(unit.clone(), i64::try_from(*this).unwrap_or(i64::MAX));)+
        }
    };
}

integers! { i8 i16 i32 i64 u8 u16 u32 u64 usize }

amounts! {
    Amount: |this, _unit| this.clone();
    Usd: |this, _unit| (*this).into();
}

impl<T: ToAmount + ?Sized> ToAmount for &T {
    fn to_amount(&self, unit: &Unit) -> Amount {
        T::to_amount(self, unit)
    }
}

impl<T: ToCost + ?Sized> ToCost for &T {
    fn to_cost(&self, unit: &Unit) -> Option<Amount> {
        T::to_cost(self, unit)
    }
}

impl<T: ToCost> ToCost for Option<T> {
    fn to_cost(&self, unit: &Unit) -> Option<Amount> {
        self.as_ref()?.to_cost(unit)
    }
}

impl ToReading for Reading {
    fn to_reading(&self, _: &Unit) -> Reading {
        self.clone()
    }
}

impl<T: ToReading> ToReading for Option<T> {
    fn to_reading(&self, unit: &Unit) -> Reading {
        self.as_ref().map(|reading| reading.to_reading(unit)).into()
    }
}

impl<T: ToReading + ?Sized> ToReading for &T {
    fn to_reading(&self, unit: &Unit) -> Reading {
        T::to_reading(self, unit)
    }
}

impl ToText for str {
    fn to_text(&self) -> Option<String> {
        Some(self.to_owned())
    }
}

impl<T: ToText + ?Sized> ToText for &T {
    fn to_text(&self) -> Option<String> {
        T::to_text(self)
    }
}

impl<T: ToText> ToText for Option<T> {
    fn to_text(&self) -> Option<String> {
        self.as_ref()?.to_text()
    }
}

macro_rules! texts {
    ($($text:ty)+) => {
        $(
            impl ToText for $text {
                fn to_text(&self) -> Option<String> {
                    str::to_text(self)
                }
            }
        )+
    };
}

texts! { String Cow<'_, str> Box<str> Arc<str> }

impl<K: ToText, V: ToText> Pair for &(K, V) {
    fn texts(self) -> (Option<String>, Option<String>) {
        (self.0.to_text(), self.1.to_text())
    }
}

impl<K: ToText, V: ToText> Pair for (&K, &V) {
    fn texts(self) -> (Option<String>, Option<String>) {
        (self.0.to_text(), self.1.to_text())
    }
}

#[cfg(test)]
mod tests;
