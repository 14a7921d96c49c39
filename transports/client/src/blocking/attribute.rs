//! What the attribute `cycles` makes of a function.

use core::ops::Deref;
use std::io::Read;

use cycles_proto::attribute::{AnyValue, Unfinished, Whole};
use cycles_proto::guarded::{NotCompleted, WithCyclesConfig};
use cycles_proto::models::{Amount, Unit};
use cycles_proto::{Error, Reading};

use super::{Client, Metered, ReservationGuard, meter, try_with_cycles};
use crate::context::GuardContext;
use crate::engine::{away, block_on};

/// The iterator that the body of a guarded function made, and who tells what an item says about its cost; nothing if
/// it is an error.
///
/// # Errors
/// The body's own.
pub fn made<I, E, F>(made: Result<I, E>, read: F) -> Result<(I, F), E>
where
    I: Iterator,
    F: FnMut(&I::Item) -> Option<Reading>,
{
    made.map(|items| (items, read))
}

/// As [`made`] for a reader, of the bytes of each read.
///
/// # Errors
/// The body's own.
pub fn made_read<S, E, F>(made: Result<S, E>, read: F) -> Result<(S, F), E>
where
    S: Read,
    F: FnMut(&[u8]) -> Option<Reading>,
{
    made.map(|source| (source, read))
}

/// What a function returns.
pub fn called<O>(function: impl FnOnce() -> O) -> O {
    function()
}

/// Runs the body of a guarded function, and returns the value that it [ended](cycles_proto::attribute::ended) with. It
/// costs what was estimated if nobody knows better.
///
/// # Errors
/// The body's own, as it is, or why it did not run.
pub fn guarded<C, T, E, A>(
    client: Result<C, Error>,
    config: WithCyclesConfig,
    body: impl FnOnce() -> Result<(T, A), E>,
) -> Result<T, NotCompleted<E>>
where
    C: Deref<Target = Client>,
    A: FnOnce(&T, &Unit) -> Option<Amount>,
{
    let client = client.map_err(NotCompleted::NotReserved)?;
    let completed = try_with_cycles(&client, config, |context| {
        let (value, actual) = body()?;
        let actual = context.cost(&value, actual);
        Ok((value, actual))
    })?;
    Ok(completed.value)
}

/// Runs the body of a guarded function that makes an iterator, and returns what it [made](made): the reservation
/// lives as long as the iterator.
///
/// # Errors
/// The body's own, as it is, or why it did not run.
pub fn metered<C, I, E, F>(
    client: Result<C, Error>,
    config: WithCyclesConfig,
    body: impl FnOnce() -> Result<(I, F), E>,
) -> Result<Metered<I, F>, NotCompleted<E>>
where
    C: Deref<Target = Client>,
    I: Iterator,
    F: FnMut(&I::Item) -> Option<Reading>,
{
    let (guard, (items, read), context) = open(client, &config, body)?;
    Ok(meter::metered(guard, items, read).within(context))
}

/// As [`metered`] for what makes a reader.
///
/// # Errors
/// The body's own, as it is, or why it did not run.
pub fn metered_read<C, S, E, F>(
    client: Result<C, Error>,
    config: WithCyclesConfig,
    body: impl FnOnce() -> Result<(S, F), E>,
) -> Result<Metered<S, F>, NotCompleted<E>>
where
    C: Deref<Target = Client>,
    S: Read,
    F: FnMut(&[u8]) -> Option<Reading>,
{
    let (guard, (source, read), context) = open(client, &config, body)?;
    Ok(meter::metered(guard, source, read).within(context))
}

/// The reservation, what the body made under it, and the context that this goes on in. A panic gives the budget back
/// when the guard is dropped.
fn open<C, I, E>(
    client: Result<C, Error>,
    config: &WithCyclesConfig,
    body: impl FnOnce() -> Result<I, E>,
) -> Result<(ReservationGuard, I, Option<GuardContext>), NotCompleted<E>>
where
    C: Deref<Target = Client>,
{
    let client = client.map_err(NotCompleted::NotReserved)?;
    let ready = client.0.ready().map_err(NotCompleted::NotReserved)?;
    let opening = crate::with_cycles::open(&client.0, config, async { away(body) });
    let (guard, source, context) = block_on(ready.engine.shared(), opening)?;
    Ok((ReservationGuard::new(guard), source, context))
}

/// The value of a guarded function, to be asked whether it is over. The compiler chooses the answer by what it knows
/// of the type, and nothing of it is run.
#[derive(Debug)]
pub struct Value<'a, T: ?Sized>(pub &'a T);

impl<T: Iterator + ?Sized> Value<'_, T> {
    /// In preference to [`AnyValue`].
    pub fn cycles_when_made(&self) -> Unfinished {
        Unfinished
    }
}

impl<T: ?Sized> AnyValue for Value<'_, T> {
    fn cycles_when_made(&self) -> Whole {
        Whole
    }
}

/// What can be settled when its function returns.
#[diagnostic::on_unimplemented(
    message = "an iterator is not paid for when it is made",
    label = "this is consumed only later",
    note = "return `Result<impl Iterator<Item = ..>, E>`, and say what each item costs, such as `actual_per_item = item.len()`, or return what there is already, such as a `Vec`"
)]
pub trait Paid {}

impl Paid for Whole {}

/// Compiles for what can be settled when its function returns.
pub fn paid(_: impl Paid) {}
