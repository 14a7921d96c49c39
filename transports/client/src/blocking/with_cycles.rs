//! Reserve, run, settle: an action guarded by a budget.

use cycles_proto::Error;
use cycles_proto::guarded::{BoxError, NotCompleted, WithCyclesConfig};
use cycles_proto::models::Amount;

use super::Client;
use crate::completed::Completed;
use crate::context::GuardContext;
use crate::engine::{away, block_on};

/// Runs an action on reserved budget: its lease is kept alive while it runs, and what it returns beside its
/// value is what is charged. If it fails or panics the budget is given back.
///
/// The value of an action that ended well is always returned. Trouble with its settlement goes to observers
/// and the log; [`try_with_cycles`] returns it beside the value.
///
/// The action runs on the caller's thread: it needs to be neither `Send` nor `'static`.
///
/// # Errors
/// Any [`Error`] if nothing was reserved: the action did not run then. [`Error::Action`] with the action's own.
pub fn with_cycles<T, F>(client: &Client, config: WithCyclesConfig, action: F) -> Result<T, Error>
where
    F: FnOnce(GuardContext) -> Result<(T, Amount), BoxError>,
{
    let completed = try_with_cycles(client, config, action)?;
    Ok(completed.value)
}

/// As [`with_cycles`], with the action's own error type, and with the receipt beside the value; where that is
/// pending, [`Completed::wait_settled`] waits for its end.
///
/// # Errors
/// [`NotCompleted`] if the action did not run, or failed.
pub fn try_with_cycles<T, E, F>(
    client: &Client,
    config: WithCyclesConfig,
    action: F,
) -> Result<Completed<T>, NotCompleted<E>>
where
    F: FnOnce(GuardContext) -> Result<(T, Amount), E>,
{
    let ready = client.0.ready().map_err(NotCompleted::NotReserved)?;
    let guarded = crate::try_with_cycles(&client.0, config, |context| async { away(|| action(context)) });
    block_on(ready.engine.shared(), guarded)
}
