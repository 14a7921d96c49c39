//! Reserve, run, settle: an action guarded by a budget.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use cycles_host::ambient;
use cycles_proto::Error;
use cycles_proto::guarded::{BoxError, NotCompleted, WithCyclesConfig};
use cycles_proto::models::Amount;
use cycles_proto::outcome::ReleaseReason;

use crate::client::CyclesClient;
use crate::completed::Completed;
use crate::context::{CURRENT, GuardContext};

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
pub fn with_cycles<T, F>(client: &CyclesClient, config: WithCyclesConfig, action: F) -> Result<T, Error>
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
    client: &CyclesClient,
    config: WithCyclesConfig,
    action: F,
) -> Result<Completed<T>, NotCompleted<E>>
where
    F: FnOnce(GuardContext) -> Result<(T, Amount), E>,
{
    let guard = client
        .reserve(config.request())
        .map_err(NotCompleted::NotReserved)?;
    let context = GuardContext::of(&guard, &config);
    let handed = context.clone();
    let notes = context.notes();
    let engine = Arc::clone(&guard.life().engine);
    let began = engine.now().mono;
    let ended = ambient::enter(&CURRENT, &mut Some(context), || {
        catch_unwind(AssertUnwindSafe(|| action(handed)))
    });
    let (value, actual) = match ended {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => {
            let _ = guard.release(ReleaseReason::ACTION_FAILED);
            return Err(NotCompleted::Action(error));
        }
        Err(panic) => {
            // Before the panic goes on, which may end the process.
            let _ = guard.release(ReleaseReason::ACTION_FAILED);
            resume_unwind(panic);
        }
    };
    let latency = engine.now().mono.saturating_sub(began);
    let commit = notes.lock().clone().commit(actual, latency);
    let lease_was_lost = guard.lease().is_lost();
    let settling = guard.settle(commit);
    Ok(Completed::new(value, settling, lease_was_lost, config.policy()))
}
