//! The expansion of the attribute `cycles` on blocking functions.

use core::ops::Deref;
use std::io::Read;

use cycles_proto::attribute::{AnyValue, Unfinished, Whole};
use cycles_proto::models::{Amount, Unit};
use cycles_proto::with_cycles_config::{NotCompleted, WithCyclesConfig};
use cycles_proto::{Error, Reading};

use super::{Client, Metered, ReservationGuard, Run, guard_meter, try_with_cycles};
use crate::context::GuardContext;
use crate::engine::{block_on, without_helping};
use crate::run::Step;

/// Pairs an iterator, which the body of a guarded function made, with the function that reads an item's price.
///
/// # Errors
/// The body's own error.
pub fn made<I, E, F>(made: Result<I, E>, read: F) -> Result<(I, F), E>
where
    I: Iterator,
    F: FnMut(&I::Item) -> Option<Reading>,
{
    made.map(|items| (items, read))
}

/// Like [`made`], but for a reader: the function returns the price of the bytes of each read.
///
/// # Errors
/// The body's own error.
pub fn made_read<S, E, F>(made: Result<S, E>, read: F) -> Result<(S, F), E>
where
    S: Read,
    F: FnMut(&[u8]) -> Option<Reading>,
{
    made.map(|source| (source, read))
}

/// Calls the function.
pub fn called<O>(function: impl FnOnce() -> O) -> O {
    function()
}

/// Runs the body of a guarded function and returns the value that it [ended](cycles_proto::attribute::ended) with. If
/// the cost is unknown, the estimate is charged.
///
/// # Errors
/// The body's own error, unchanged, or the reason why it did not run.
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

/// Runs the body of a function that is a step of a run, and returns the value that it
/// [ended](cycles_proto::attribute::ended) with. If the cost is unknown, the estimate is charged.
///
/// # Errors
/// The body's own error, unchanged, or the reason why it did not run.
pub fn step<T, E, A>(
    run: Run,
    step: Step,
    body: impl FnOnce() -> Result<(T, A), E>,
) -> Result<T, NotCompleted<E>>
where
    A: FnOnce(&T, &Unit) -> Option<Amount>,
{
    let completed = run.try_step(step, |context| {
        let (value, actual) = body()?;
        let actual = context.cost(&value, actual);
        Ok((value, actual))
    })?;
    Ok(completed.value)
}

/// Clones the run that an attribute names.
pub fn run(run: &Run) -> Run {
    run.clone()
}

/// The unit of a run.
pub fn unit_of(run: &Run) -> Unit {
    run.unit().clone()
}

/// Runs the body of a guarded function that makes an iterator, and returns the iterator that it [made](made), metered.
/// The reservation lives as long as the iterator.
///
/// # Errors
/// The body's own error, unchanged, or the reason why it did not run.
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
    Ok(guard_meter::metered(guard, items, read).within(context))
}

/// Like [`metered`], but for a body that makes a reader.
///
/// # Errors
/// The body's own error, unchanged, or the reason why it did not run.
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
    Ok(guard_meter::metered(guard, source, read).within(context))
}

/// Reserves budget and runs `body` on it. Returns the guard, the iterator or reader that the body made, and the context
/// that the body ran in. If the body panics, dropping the guard gives the budget back.
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
    let opening = crate::with_cycles::open(&client.0, config, async { without_helping(body) });
    let (guard, source, context) = block_on(ready.engine.shared(), opening)?;
    Ok((ReservationGuard::new(guard), source, context))
}

/// Wraps the value of a guarded function, to check at compile time whether it still has to be consumed. Method
/// resolution picks the answer by the value's type; nothing is run.
#[derive(Debug)]
pub struct Value<'a, T: ?Sized>(pub &'a T);

impl<T: Iterator + ?Sized> Value<'_, T> {
    /// Takes precedence over [`AnyValue`].
    pub fn cycles_when_made(&self) -> Unfinished {
        Unfinished
    }
}

impl<T: ?Sized> AnyValue for Value<'_, T> {
    fn cycles_when_made(&self) -> Whole {
        Whole
    }
}

/// Values whose cost can be settled when their function returns.
#[diagnostic::on_unimplemented(
    message = "an iterator is not paid for when it is made",
    label = "this is consumed only later",
    note = "return `Result<impl Iterator<Item = ..>, E>`, and say what each item costs, such as `actual_per_item = item.len()`, or return a complete value, such as a `Vec`"
)]
pub trait Paid {}

impl Paid for Whole {}

/// Compiles only for values whose cost can be settled when their function returns.
pub fn paid(_: impl Paid) {}
