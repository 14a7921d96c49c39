//! The expansion of the attribute `cycles` on async functions.

use core::future::Future;
use core::ops::Deref;

use cycles_proto::attribute::{AnyValue, Unfinished, Whole};
use cycles_proto::models::{Amount, Unit};
use cycles_proto::with_cycles_config::{NotCompleted, WithCyclesConfig};
use cycles_proto::{Error, Reading};
use futures::stream::Stream;

use crate::client::Client;
use crate::guard_meter;
use crate::metered_stream::Metered;
use crate::run::{Run, Step};
use crate::with_cycles::{open, try_with_cycles};

/// Pairs a stream, which the body of a guarded function made, with the function that reads an item's price.
///
/// # Errors
/// The body's own error.
pub fn made<S, E, F>(made: Result<S, E>, read: F) -> Result<(S, F), E>
where
    S: Stream,
    F: FnMut(&S::Item) -> Option<Reading>,
{
    made.map(|stream| (stream, read))
}

/// Runs the body of a guarded function and returns the value that it [ended](cycles_proto::attribute::ended) with. If
/// the cost is unknown, the estimate is charged.
///
/// # Errors
/// The body's own error, unchanged, or the reason why it did not run.
pub async fn guarded<C, T, E, B, A>(
    client: Result<C, Error>,
    config: WithCyclesConfig,
    body: B,
) -> Result<T, NotCompleted<E>>
where
    C: Deref<Target = Client>,
    B: Future<Output = Result<(T, A), E>>,
    A: FnOnce(&T, &Unit) -> Option<Amount>,
{
    let client = client.map_err(NotCompleted::NotReserved)?;
    let ended = try_with_cycles(&client, config, |context| async move {
        let (value, actual) = body.await?;
        let actual = context.cost(&value, actual);
        Ok((value, actual))
    });
    Ok(ended.await?.value)
}

/// Runs the body of a function that is a step of a run, and returns the value that it
/// [ended](cycles_proto::attribute::ended) with. If the cost is unknown, the estimate is charged.
///
/// # Errors
/// The body's own error, unchanged, or the reason why it did not run.
pub async fn step<T, E, B, A>(run: Run, step: Step, body: B) -> Result<T, NotCompleted<E>>
where
    B: Future<Output = Result<(T, A), E>>,
    A: FnOnce(&T, &Unit) -> Option<Amount>,
{
    let ended = run.try_step(step, |context| async move {
        let (value, actual) = body.await?;
        let actual = context.cost(&value, actual);
        Ok((value, actual))
    });
    Ok(ended.await?.value)
}

/// Clones the run that an attribute names.
pub fn run(run: &Run) -> Run {
    run.clone()
}

/// The unit of a run.
pub fn unit_of(run: &Run) -> Unit {
    run.unit().clone()
}

/// Runs the body of a guarded function that makes a stream, and returns the stream that it [made](made), metered. The
/// reservation lives as long as the stream.
///
/// # Errors
/// The body's own error, unchanged, or the reason why it did not run.
pub async fn metered<C, S, E, B, F>(
    client: Result<C, Error>,
    config: WithCyclesConfig,
    body: B,
) -> Result<Metered<S, F>, NotCompleted<E>>
where
    C: Deref<Target = Client>,
    S: Stream,
    B: Future<Output = Result<(S, F), E>>,
    F: FnMut(&S::Item) -> Option<Reading>,
{
    let client = client.map_err(NotCompleted::NotReserved)?;
    let (guard, (stream, read), context) = open(&client, &config, body).await?;
    Ok(guard_meter::metered(guard, stream, read).within(context))
}

/// Wraps the value of a guarded function, to check at compile time whether it still has to be consumed. Method
/// resolution picks the answer by the value's type; nothing is run.
#[derive(Debug)]
pub struct Value<'a, T: ?Sized>(pub &'a T);

impl<T: Stream + ?Sized> Value<'_, T> {
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
    message = "a stream is not paid for when it is made",
    label = "this is consumed only later",
    note = "return `Result<impl Stream<Item = ..>, E>`, and say what each item costs, such as `actual_per_item = item.len()`"
)]
pub trait Paid {}

impl Paid for Whole {}

/// Compiles only for values whose cost can be settled when their function returns.
pub fn paid(_: impl Paid) {}
