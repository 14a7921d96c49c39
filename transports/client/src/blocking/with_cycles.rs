//! Runs actions on reserved budget: reserve, run, settle.

use cycles_proto::Error;
use cycles_proto::models::Amount;
use cycles_proto::with_cycles_config::{BoxError, NotCompleted, WithCyclesConfig};

use super::Client;
use crate::completed::Completed;
use crate::context::GuardContext;
use crate::engine::{block_on, without_helping};

/// Runs an action on reserved budget. The lease is kept alive while the action runs, and the amount that the action
/// returns with its value is charged. If the action fails or panics, the budget is given back, or what it had
/// [spent](GuardContext::spent) is charged. If it had sent a request that may have to be paid for
/// ([`dispatched`](GuardContext::dispatched)), its [policy](WithCyclesConfig::on_error) decides: by default, it is charged
/// the estimate.
///
/// The value of a successful action is always returned. Problems with its settlement go to observers and the log;
/// [`try_with_cycles`] returns them with the value.
///
/// The action runs on the caller's thread: it needs to be neither `Send` nor `'static`. This function blocks until the
/// budget is reserved and, after the action, until the cost is settled, or is safe after a first attempt.
///
/// # Errors
/// Any [`Error`] if no budget was reserved; the action did not run then. [`Error::Action`] with the action's own error.
pub fn with_cycles<T, F>(client: &Client, config: WithCyclesConfig, action: F) -> Result<T, Error>
where
    F: FnOnce(GuardContext) -> Result<(T, Amount), BoxError>,
{
    let completed = try_with_cycles(client, config, action)?;
    Ok(completed.value)
}

/// Like [`with_cycles`], but keeps the action's own error type, and returns the receipt along with the value. If the
/// receipt is pending, [`Completed::wait_settled`] waits for the final one.
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
    let guarded = crate::try_with_cycles(&client.0, config, |context| async {
        without_helping(|| action(context))
    });
    block_on(ready.engine.shared(), guarded)
}
