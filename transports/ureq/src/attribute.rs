//! What the attribute `cycles` makes of a function.

use cycles_proto::Error;
use cycles_proto::attribute::{FromError, returning};
use cycles_proto::guarded::WithCyclesConfig;
use cycles_proto::models::{Amount, Unit};

use crate::client::CyclesClient;
use crate::context::GuardContext;
use crate::with_cycles::try_with_cycles;

/// Runs the body of a guarded function, and returns what the function returns. `actual` tells what a value cost;
/// integers are of the unit that it is given.
///
/// # Errors
/// The body's own, as it is, or why it did not run.
pub fn guarded<T, E: FromError>(
    client: Result<CyclesClient, Error>,
    config: WithCyclesConfig,
    body: impl FnOnce() -> Result<T, E>,
    actual: impl FnOnce(&T, &Unit) -> Amount,
) -> Result<T, E> {
    run(client, config, body, |value, context| {
        actual(value, &context.estimate.unit)
    })
}

/// As [`guarded`], and what was estimated is what it cost.
///
/// # Errors
/// The body's own, as it is, or why it did not run.
pub fn guarded_by_estimate<T, E: FromError>(
    client: Result<CyclesClient, Error>,
    config: WithCyclesConfig,
    body: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    run(client, config, body, |_, context| context.estimate_as_cost())
}

fn run<T, E: FromError>(
    client: Result<CyclesClient, Error>,
    config: WithCyclesConfig,
    body: impl FnOnce() -> Result<T, E>,
    cost: impl FnOnce(&T, &GuardContext) -> Amount,
) -> Result<T, E> {
    let client = client.map_err(E::from_error)?;
    returning(try_with_cycles(&client, config, |context| {
        let value = body()?;
        let actual = cost(&value, &context);
        Ok((value, actual))
    }))
}
