//! Runs actions on reserved budget: reserve, run, settle.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;

use cycles_host::ambient;
use cycles_proto::Error;
use cycles_proto::models::{Amount, ReservationId};
use cycles_proto::outcome::ReleaseReason;
use cycles_proto::with_cycles_config::{BoxError, HeartbeatPolicy, NotCompleted, WithCyclesConfig};
use tracing::Instrument as _;
#[cfg(any(feature = "async", feature = "blocking"))]
use tracing::Span;

use crate::client::Client;
use crate::completed::Completed;
use crate::context::{CURRENT, GuardContext, Lease};
#[cfg(any(feature = "async", feature = "blocking"))]
use crate::guard::ReservationGuard;
use crate::span;

/// Runs an action on reserved budget. The lease is kept alive while the action runs, and the amount that the action
/// returns with its value is charged. If the action fails, the budget is given back, or what it had
/// [spent](GuardContext::spent) is charged. If it had sent a request that may have to be paid for
/// ([`dispatched`](GuardContext::dispatched)), its [policy](WithCyclesConfig::on_error) decides: by default, it is charged
/// the estimate.
///
/// The value of a successful action is always returned. Problems with its settlement go to observers and the log;
/// [`try_with_cycles`] returns them with the value.
///
/// The action stays in the caller's task: it needs to be neither `Send` nor `'static`. Dropping the future drops the
/// action, which then counts as failed.
///
/// In [shadow mode](cycles_proto::Mode::Shadow) the action runs at once, whatever the ledger says, and nothing is
/// charged.
///
/// # Errors
/// Any [`Error`] if no budget was reserved; the action did not run then. [`Error::Action`] with the action's own error.
pub async fn with_cycles<T, F, A>(client: &Client, config: WithCyclesConfig, action: F) -> Result<T, Error>
where
    F: FnOnce(GuardContext) -> A,
    A: Future<Output = Result<(T, Amount), BoxError>>,
{
    let completed = try_with_cycles(client, config, action).await?;
    Ok(completed.value)
}

/// Like [`with_cycles`], but keeps the action's own error type, and returns the receipt along with the value. If the
/// receipt is pending, [`Completed::until_settled`] waits for the final one.
///
/// # Errors
/// [`NotCompleted`] if the action did not run, failed, or was stopped.
pub async fn try_with_cycles<T, E, F, A>(
    client: &Client,
    config: WithCyclesConfig,
    action: F,
) -> Result<Completed<T>, NotCompleted<E>>
where
    F: FnOnce(GuardContext) -> A,
    A: Future<Output = Result<(T, Amount), E>>,
{
    let guard = client
        .reserve_in(config.own_mode(), config.request())
        .await
        .map_err(NotCompleted::NotReserved)?;
    guard.follow(&config);
    let context = GuardContext::of(&guard, &config);
    let notes = context.notes();
    let (handed, span) = (context.clone(), context.span().clone());
    let current = &mut Some(context);
    let began = guard.held.handle.now().mono;
    // In a block, so that everything the action holds is dropped before its budget is settled.
    let ended = {
        let action = pin!(span.in_scope(|| ambient::enter(&CURRENT, current, || action(handed))));
        let action = pin!(ambient::follow(&CURRENT, current, action).instrument(span.clone()));
        run(action, guard.lease(), config.policy()).await
    };
    span::record(&span, notes.lock().metrics());
    match ended {
        Ended::Itself(Ok((value, actual))) => {
            // Committed in the same poll in which the action ended, so that a drop cannot come between and lose the
            // cost.
            let latency = guard.held.handle.now().mono.saturating_sub(began);
            let commit = notes.lock().clone().commit(actual, latency);
            let lease_was_lost = guard.lease().is_lost();
            let committing = guard.commit(commit);
            Ok(Completed::new(value, committing, lease_was_lost, config.policy()).await)
        }
        Ended::Itself(Err(error)) => {
            let _ = guard.release(ReleaseReason::ACTION_FAILED).await;
            Err(NotCompleted::Action(error))
        }
        Ended::Dropped(why) => {
            let why = why(guard.reservation_id().clone());
            let _ = guard.release(ReleaseReason::ABANDONED).await;
            Err(NotCompleted::Cancelled(why))
        }
    }
}

/// Reserves budget and runs `body` on it. Returns the guard, the stream or iterator that the body made, and the context
/// that the body ran in.
#[cfg(any(feature = "async", feature = "blocking"))]
pub(crate) async fn open<S, E>(
    client: &Client,
    config: &WithCyclesConfig,
    body: impl Future<Output = Result<S, E>>,
) -> Result<(ReservationGuard, S, Option<GuardContext>), NotCompleted<E>> {
    let guard = client
        .reserve_in(config.own_mode(), config.request())
        .await
        .map_err(NotCompleted::NotReserved)?;
    guard.follow(config);
    let mut context = Some(GuardContext::of(&guard, config));
    let span = context
        .as_ref()
        .map_or_else(Span::none, |context| context.span().clone());
    let body = pin!(body);
    let body = ambient::follow(&CURRENT, &mut context, body);
    match body.instrument(span).await {
        Ok(source) => Ok((guard, source, context)),
        Err(error) => {
            let _ = guard.release(ReleaseReason::ACTION_FAILED).await;
            Err(NotCompleted::Action(error))
        }
    }
}

/// How an action ended.
pub(crate) enum Ended<T> {
    Itself(T),
    /// It was dropped, for this reason.
    Dropped(fn(ReservationId) -> Error),
}

/// Runs the action to its end, unless its lease is lost and the policy is to stop then, or the client is closed in a way
/// that stops actions.
pub(crate) async fn run<A: Future>(
    action: Pin<&mut A>,
    lease: Lease,
    policy: HeartbeatPolicy,
) -> Ended<A::Output> {
    let (mut action, mut lost) = (action, pin!(lease.lost()));
    let mut stopping = pin!(lease.stopping());
    poll_fn(|cx| {
        // Polled first: an action that has ended is never stopped.
        if let Poll::Ready(ended) = action.as_mut().poll(cx) {
            return Poll::Ready(Ended::Itself(ended));
        }
        if policy == HeartbeatPolicy::Cancel && lost.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ended::Dropped(Error::LeaseLost));
        }
        stopping
            .as_mut()
            .poll(cx)
            .map(|()| Ended::Dropped(Error::Stopped))
    })
    .await
}
