//! What the attribute `cycles` makes of its parameters and of the function that it stands on. For its expansion,
//! not for people.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::guarded::{NotCompleted, WithCyclesConfig};
use crate::meter::Reading;
use crate::models::{Amount, InvalidRequest, Unit};
use crate::money::Usd;
use crate::outcome::{Error, OperationKind};

/// What can be an amount: an integer, of the unit that is given beside it, an amount, or US dollars.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no amount",
    label = "an integer, an `Amount` or a `Usd` is expected here",
    note = "amounts are integers: a US dollar is 100_000_000 of USD_MICROCENTS"
)]
pub trait ToAmount {
    /// The amount.
    fn to_amount(&self, unit: &Unit) -> Amount;
}

/// What can be said about the cost of a result: an amount, or an `Option` of one, where nothing is what was estimated.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no cost",
    label = "an integer, an `Amount` or an `Option` of one is expected here",
    note = "amounts are integers: a US dollar is 100_000_000 of USD_MICROCENTS"
)]
pub trait ToCost {
    /// The cost, if it is known.
    fn to_cost(&self, unit: &Unit) -> Option<Amount>;
}

/// What an item of a stream can say about its cost: an amount, a [`Reading`], or an `Option` of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no cost of an item",
    label = "an integer, an `Amount`, a `Reading` or an `Option` of one is expected here"
)]
pub trait ToReading {
    /// The reading.
    fn to_reading(&self, unit: &Unit) -> Reading;
}

/// What can be a text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no text",
    label = "a `str`, a `String` or an `Option` of one is expected here",
    note = "write `.to_string()` behind what can be displayed"
)]
pub trait ToText {
    /// The text, if there is one.
    fn to_text(&self) -> Option<String>;
}

/// What can be a name and a value.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no pair of texts",
    label = "a map or a list of pairs of texts is expected here"
)]
pub trait Pair {
    /// Name and value.
    fn texts(self) -> (Option<String>, Option<String>);
}

/// What a guarded function can return.
#[diagnostic::on_unimplemented(
    message = "a guarded function returns a `Result`, and `{Self}` is none",
    label = "a denial could not be told",
    note = "return `Result<{Self}, Error>` with the `Error` of the client, or with an error made `From` it"
)]
pub trait Returned {}

/// An error that can tell that a function was not run.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell that a budget was denied",
    label = "this error is not made `From` the `Error` of the client",
    note = "implement `From<Error>` for it, with the `Error` of the client"
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

/// Never called: its type is what the function returns.
pub fn returned<T: Returned>() -> T {
    unreachable!("it stands where nothing is run")
}

/// An amount.
pub fn amount(value: &(impl ToAmount + ?Sized), unit: &Unit) -> Amount {
    value.to_amount(unit)
}

/// The client, if the estimate is in the unit that integers are said to be of.
///
/// # Errors
/// Why there is no client, or [`Error::Validation`], so that nothing is sent.
pub fn in_unit<C>(client: Result<C, Error>, config: &WithCyclesConfig, unit: &Unit) -> Result<C, Error> {
    let estimate = &config.estimate().unit;
    if estimate != unit {
        let problem = format!(
            "is {estimate}, but the attribute says `unit` is {unit}: leave that out, or give the estimate as an integer"
        );
        let operation = OperationKind::CreateReservation {
            dry_run: config.request().dry_run,
        };
        let problem = InvalidRequest::new("estimate.unit", problem);
        return Err(Error::invalid(operation, problem));
    }
    client
}

/// What the body of a guarded function has to show, and who tells what it cost, of the unit that is given; nothing if
/// that is not known.
///
/// # Errors
/// The body's own.
pub fn ended<T, E, A>(ended: Result<T, E>, actual: A) -> Result<(T, A), E>
where
    A: FnOnce(&T, &Unit) -> Option<Amount>,
{
    ended.map(|value| (value, actual))
}

/// What is there when its function returns.
#[derive(Debug)]
pub struct Whole;

/// What is still to be consumed.
#[derive(Debug)]
pub struct Unfinished;

/// Any type, unless more is known.
pub trait AnyValue {
    /// What it is when its function returns.
    fn cycles_when_made(&self) -> Whole;
}

/// A cost, if it is known.
pub fn cost(value: &(impl ToCost + ?Sized), unit: &Unit) -> Option<Amount> {
    value.to_cost(unit)
}

/// What an item says about its cost.
pub fn reading(value: &(impl ToReading + ?Sized), unit: &Unit) -> Reading {
    value.to_reading(unit)
}

/// A text, if there is one.
pub fn text(value: &(impl ToText + ?Sized)) -> Option<String> {
    value.to_text()
}

/// Dimensions, without those that have no value.
pub fn dimensions(
    pairs: impl IntoIterator<Item = (Option<String>, Option<String>)>,
) -> Option<BTreeMap<String, String>> {
    let pairs = pairs.into_iter();
    Some(pairs.filter_map(|(name, value)| Some((name?, value?))).collect())
}

/// What the function returns.
///
/// # Errors
/// The function's own, as it is, or why it was not run.
pub fn returning<T, E: FromError>(ended: Result<T, NotCompleted<E>>) -> Result<T, E> {
    ended.map_err(|why| match why {
        NotCompleted::Action(error) => error,
        NotCompleted::NotReserved(error) | NotCompleted::Cancelled(error) => E::from_error(error),
    })
}

/// Everything that is an amount.
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
            // What is more than any amount is the largest one.
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
