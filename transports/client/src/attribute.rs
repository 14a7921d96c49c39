//! What the attribute `cycles` makes of an async function.

use core::future::Future;

use cycles_proto::Error;
use cycles_proto::attribute::{FromError, returning};
use cycles_proto::guarded::WithCyclesConfig;
use cycles_proto::models::{Amount, Unit};

use crate::client::CyclesClient;
use crate::context::GuardContext;
use crate::runtime::Runtime;
use crate::with_cycles::try_with_cycles;

/// Runs the body of a guarded function, and returns what the function returns. `actual` tells what a value cost;
/// integers are of the unit that it is given.
///
/// # Errors
/// The body's own, as it is, or why it did not run.
pub async fn guarded<R, T, E, B>(
    client: Result<CyclesClient<R>, Error>,
    config: WithCyclesConfig,
    body: B,
    actual: impl FnOnce(&T, &Unit) -> Amount,
) -> Result<T, E>
where
    R: Runtime,
    E: FromError,
    B: Future<Output = Result<T, E>>,
{
    run(client, config, body, |value, context| {
        actual(value, &context.estimate.unit)
    })
    .await
}

/// As [`guarded`], and what was estimated is what it cost.
///
/// # Errors
/// The body's own, as it is, or why it did not run.
pub async fn guarded_by_estimate<R, T, E, B>(
    client: Result<CyclesClient<R>, Error>,
    config: WithCyclesConfig,
    body: B,
) -> Result<T, E>
where
    R: Runtime,
    E: FromError,
    B: Future<Output = Result<T, E>>,
{
    run(client, config, body, |_, context| context.estimate_as_cost()).await
}

async fn run<R, T, E, B>(
    client: Result<CyclesClient<R>, Error>,
    config: WithCyclesConfig,
    body: B,
    cost: impl FnOnce(&T, &GuardContext) -> Amount,
) -> Result<T, E>
where
    R: Runtime,
    E: FromError,
    B: Future<Output = Result<T, E>>,
{
    let client = client.map_err(E::from_error)?;
    let ended = try_with_cycles(&client, config, |context| async move {
        let value = body.await?;
        let actual = cost(&value, &context);
        Ok((value, actual))
    });
    returning(ended.await)
}
