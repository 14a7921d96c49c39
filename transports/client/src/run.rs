//! Runs: budget that is reserved once, and steps that draw from it without a call for each.

use core::fmt;
use core::future::Future;
use core::pin::pin;
use std::cell::RefCell;
use std::sync::Arc;

use cycles_host::ambient;
use cycles_proto::models::{Amount, Caps, Decision, ReservationCreateResponse, ReservationId, Unit};
pub use cycles_proto::run::{RunBudget, RunConfig, Step};
use cycles_proto::session::{KeepKey, StepKey};
use cycles_proto::with_cycles_config::{BoxError, HeartbeatPolicy, NotCompleted};
use cycles_proto::{Error, InvalidCommit, Receipt};

use crate::client::Client;
use crate::context::{CURRENT, Lease};
use crate::engine::Handle;
use crate::guard::ReservationGuard;
use crate::marking::Marking;
use crate::with_cycles::{Ended, run as run_action};

thread_local! {
    /// The context of the step that this thread is polling.
    static CURRENT_STEP: RefCell<Option<StepContext>> = const { RefCell::new(None) };
}

/// Budget that is reserved once, for many steps. Clones share one run.
///
/// Each [`step`](Self::step) sets its estimate aside without a call, is charged what it cost, and gives back the rest.
/// Steps may run at the same time and inside of each other. [`finish`](Self::finish) charges the sum of all steps in
/// one commit. When the last clone is dropped, the run ends in the same way in the background.
///
/// A step ends only when its cost is on disk, in the run's file in the journal. If the process is killed, a later client
/// charges what the file says, once the process is known to be gone. So every step that ended is charged, and once.
#[derive(Clone)]
#[must_use = "a run ends when it is dropped"]
pub struct Run(Arc<Inner>);

struct Inner {
    guard: ReservationGuard,
    estimate: Amount,
}

/// An amount of a [`Run`] that is kept for later: only steps of this handle can have it. When it is dropped, what is
/// left goes back to the run.
#[must_use = "the amount goes back to the run when this is dropped"]
pub struct Kept {
    run: Run,
    key: KeepKey,
}

/// A finished step.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CompletedStep<T> {
    /// The value that the action returned.
    pub value: T,
    /// Whether the cost is charged with the run. The error says why it could not be; an event reports it too.
    pub charged: Result<(), InvalidCommit>,
}

/// The step that an action runs in, as the action sees it.
#[derive(Clone)]
#[non_exhaustive]
pub struct StepContext {
    /// The reservation of the run.
    pub reservation_id: ReservationId,
    /// The ledger's decision about the run: `Allow` or `AllowWithCaps`.
    pub decision: Decision,
    /// The limits that the run must respect, if there are any.
    pub caps: Option<Caps>,
    /// The amount that is set aside for the step.
    pub estimate: Amount,
    /// The name of the step, if it has one.
    pub name: Option<String>,
    run: Run,
    key: StepKey,
}

impl Client {
    /// Reserves budget for many steps, and keeps the lease alive until the run is finished, for at most its
    /// [`max_duration`](RunConfig::max_duration). The future may be dropped at any time: the budget is then given back.
    ///
    /// In [shadow mode](cycles_proto::Mode::Shadow), the run begins at once and no step is refused for want of budget;
    /// [`Event::ShadowExhausted`](cycles_proto::Event::ShadowExhausted) reports each that would have been. Nothing is
    /// stored or charged.
    ///
    /// # Errors
    /// The same errors as [`reserve`](Self::reserve). [`Error::InvalidCommit`] if the key of the commit breaks a limit;
    /// the budget is given back then.
    pub async fn run(&self, config: RunConfig) -> Result<Run, Error> {
        let request = config.request();
        let estimate = request.estimate.clone();
        let guard = self.reserve_in(config.own_mode(), request).await?;
        guard.held.handle.begin_run(config.options())?;
        Ok(Run(Arc::new(Inner { guard, estimate })))
    }
}

impl Run {
    /// Runs an action as a step of the run. The step begins at once if its estimate is left; nothing is sent. The
    /// action returns its value and what it cost, which may be more or less than the estimate. If it fails or is
    /// dropped, what it had [spent](StepContext::spent) is charged, and the rest is given back. If it had sent a request
    /// that may have to be paid for ([`dispatched`](StepContext::dispatched)), its [policy](Step::on_error) decides: by
    /// default, it is charged its estimate.
    ///
    /// The value of a successful action is always returned, once its cost is on disk, or after five seconds if the disk
    /// hangs. Problems with the cost go to observers and the log; [`try_step`](Self::try_step) returns them too.
    ///
    /// A step inside of a step draws from the run as well: the estimate of the outer one does not contain the inner one.
    /// If the run is finished meanwhile, open steps still end and are charged, but no step begins.
    ///
    /// The action stays in the caller's task: it needs to be neither `Send` nor `'static`. Dropping the future drops the
    /// action; a cost that the action has returned is charged nevertheless.
    ///
    /// # Errors
    /// The action did not run: [`Error::RunExhausted`] if less is left than the estimate, [`Error::RunOver`] if the run
    /// was finished, lost its lease or has lasted too long, [`Error::Validation`] if the estimate is negative or in
    /// another unit than the run. [`Error::Action`] with the action's own error.
    pub async fn step<T, F, A>(&self, step: impl Into<Step>, action: F) -> Result<T, Error>
    where
        F: FnOnce(StepContext) -> A,
        A: Future<Output = Result<(T, Amount), BoxError>>,
    {
        let completed = self.try_step(step, action).await?;
        Ok(completed.value)
    }

    /// Like [`step`](Self::step), but keeps the action's own error type, and says whether the cost is charged.
    ///
    /// # Errors
    /// [`NotCompleted`] if the action did not run, or failed.
    pub async fn try_step<T, E, F, A>(
        &self,
        step: impl Into<Step>,
        action: F,
    ) -> Result<CompletedStep<T>, NotCompleted<E>>
    where
        F: FnOnce(StepContext) -> A,
        A: Future<Output = Result<(T, Amount), E>>,
    {
        run_step(self, step.into(), None, action).await
    }

    /// Keeps an amount out of the reach of other steps, such as for a last step that sums everything up. Sends nothing.
    ///
    /// # Errors
    /// The same errors as [`step`](Self::step).
    pub fn keep(&self, amount: Amount) -> Result<Kept, Error> {
        let key = self.handle().keep(&amount)?;
        Ok(Kept {
            run: self.clone(),
            key,
        })
    }

    /// What a new step may ask for; 0 once the run is finished and settled.
    pub fn left(&self) -> Amount {
        let left = self.budget().map(|budget| budget.left);
        left.unwrap_or_else(|| Amount::new(self.0.estimate.unit.clone(), 0))
    }

    /// What the run has: reserved, charged, open, kept and left. `None` once it is finished and settled. A run that is
    /// over because its lease is lost or it has lasted too long still has its numbers.
    pub fn budget(&self) -> Option<RunBudget> {
        self.handle().run_budget()
    }

    /// Returns the unit that the run was reserved in; its steps have the same.
    pub fn unit(&self) -> &Unit {
        &self.0.estimate.unit
    }

    /// Returns the reservation's id.
    pub fn reservation_id(&self) -> &ReservationId {
        self.0.guard.reservation_id()
    }

    /// Returns the limits that the run must respect, if there are any.
    pub fn caps(&self) -> Option<&Caps> {
        self.0.guard.caps()
    }

    /// Returns the ledger's whole response.
    pub fn response(&self) -> &ReservationCreateResponse {
        self.0.guard.response()
    }

    /// Returns a handle that shows whether the lease is lost. Then no step begins any more; what open steps cost is still
    /// charged.
    pub fn lease(&self) -> Lease {
        self.0.guard.lease()
    }

    /// Finishes the run: no more steps begin and, once no step is open, what they cost is committed, or the budget is
    /// given back if they cost nothing. Waits until the cost is settled, or is on disk after a first attempt; retries
    /// then continue in the background. `None` if nothing was charged. Do not await it in a step of the run, for which it
    /// would wait.
    ///
    /// The run is finished once this future was polled; it may be dropped then. May be called again.
    ///
    /// # Errors
    /// Any [`Error`] if the cost was refused, or is neither settled nor recorded.
    pub async fn finish(&self) -> Result<Option<Receipt>, Error> {
        self.handle().check()?;
        self.handle().finish_run();
        self.handle().wait_for(|session, key| session.settled(key)).await
    }

    fn handle(&self) -> &Arc<Handle> {
        &self.0.guard.held.handle
    }

    #[cfg(feature = "blocking")]
    pub(crate) fn shared(&self) -> &Arc<crate::engine::Shared> {
        self.handle().shared()
    }
}

impl Kept {
    /// Runs an action as a step that draws from the kept amount. Otherwise like [`Run::step`]; what the step does not
    /// need goes back to the kept amount.
    ///
    /// # Errors
    /// The same errors as [`Run::step`].
    pub async fn step<T, F, A>(&self, step: impl Into<Step>, action: F) -> Result<T, Error>
    where
        F: FnOnce(StepContext) -> A,
        A: Future<Output = Result<(T, Amount), BoxError>>,
    {
        let completed = self.try_step(step, action).await?;
        Ok(completed.value)
    }

    /// Like [`step`](Self::step), but keeps the action's own error type, and says whether the cost is charged.
    ///
    /// # Errors
    /// [`NotCompleted`] if the action did not run, or failed.
    pub async fn try_step<T, E, F, A>(
        &self,
        step: impl Into<Step>,
        action: F,
    ) -> Result<CompletedStep<T>, NotCompleted<E>>
    where
        F: FnOnce(StepContext) -> A,
        A: Future<Output = Result<(T, Amount), E>>,
    {
        run_step(&self.run, step.into(), Some(self.key), action).await
    }

    /// What is left of the kept amount; 0 once the run is finished and settled.
    pub fn left(&self) -> Amount {
        let left = self.run.handle().left_of_keep(self.key);
        left.unwrap_or_else(|| Amount::new(self.run.0.estimate.unit.clone(), 0))
    }

    #[cfg(feature = "blocking")]
    pub(crate) fn run(&self) -> &Run {
        &self.run
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.run.handle().give_back(self.key);
    }
}

/// A step that has begun. If it is dropped, what it has spent is charged, and the rest is given back.
struct OpenStep {
    run: Run,
    key: StepKey,
    has_ended: bool,
}

impl Drop for OpenStep {
    fn drop(&mut self) {
        if !self.has_ended {
            self.run.handle().drop_step(self.key);
        }
    }
}

async fn run_step<T, E, F, A>(
    run: &Run,
    step: Step,
    keep: Option<KeepKey>,
    action: F,
) -> Result<CompletedStep<T>, NotCompleted<E>>
where
    F: FnOnce(StepContext) -> A,
    A: Future<Output = Result<(T, Amount), E>>,
{
    let handle = run.handle();
    let mut open = OpenStep {
        key: handle.draw(&step, keep).map_err(NotCompleted::NotReserved)?,
        run: run.clone(),
        has_ended: false,
    };
    let response = run.response();
    let context = StepContext {
        reservation_id: run.reservation_id().clone(),
        decision: response.decision.clone(),
        caps: response.caps.clone(),
        estimate: step.estimate().clone(),
        name: step.step_name().map(str::to_owned),
        run: run.clone(),
        key: open.key,
    };
    let handed = context.clone();
    // A step is not part of a guarded action around it.
    let (current, guarded) = (&mut Some(context), &mut None);
    // In a block, so that everything the action holds is dropped before its cost is handed over.
    let ended = {
        let begin = || ambient::enter(&CURRENT, guarded, || action(handed));
        let action = pin!(ambient::enter(&CURRENT_STEP, current, begin));
        let action = pin!(ambient::follow(&CURRENT, guarded, action));
        let action = pin!(ambient::follow(&CURRENT_STEP, current, action));
        run_action(action, run.lease(), HeartbeatPolicy::Warn).await
    };
    open.has_ended = true;
    match ended {
        Ended::Itself(Ok((value, actual))) => {
            // Handed over in the same poll in which the action ended, so that a drop cannot come between and lose the
            // cost.
            let ended = handle.end_step(open.key, &actual);
            let charged = match ended {
                Ok(ended) => {
                    handle.step_is_stored(ended).await;
                    Ok(())
                }
                Err(why) => Err(why),
            };
            Ok(CompletedStep { value, charged })
        }
        Ended::Dropped(why) => {
            if let Some(ended) = handle.fail_step(open.key) {
                handle.step_is_stored(ended).await;
            }
            Err(NotCompleted::Cancelled(why(run.reservation_id().clone())))
        }
        Ended::Itself(Err(error)) => {
            if let Some(ended) = handle.fail_step(open.key) {
                handle.step_is_stored(ended).await;
            }
            Err(NotCompleted::Action(error))
        }
    }
}

impl StepContext {
    /// Returns the context of the innermost step that the caller runs in, or `None` outside of any step. It follows the
    /// step wherever it is polled. A task that the step spawns has no context unless it is given a clone.
    pub fn current() -> Option<Self> {
        ambient::current(&CURRENT_STEP)
    }

    /// Raises the reported spend of the step to at least this amount, in total. It is charged if the step fails or is
    /// dropped.
    ///
    /// # Errors
    /// [`InvalidCommit`] if the amount could not be charged, or the step has ended.
    pub fn spent(&self, amount: &Amount) -> Result<(), InvalidCommit> {
        self.run.handle().step_spent(self.key, amount)
    }

    /// Says that a request to a provider leaves that may have to be paid for. Call it right before each such request;
    /// nothing calls it for you.
    ///
    /// From here on, a step without a cost is not free: if it fails, panics or is dropped (as by a time-out around it),
    /// it is charged what it had [spent](Self::spent), or else its estimate; the run's commit counts such steps in its
    /// metadata, and is marked `actual_source: "estimate"`. [`Step::on_error`] and
    /// [`RunConfig::on_error`] change that. A spend of 0 does not; only [`not_charged`](Self::not_charged) does.
    ///
    /// Does not block. Another call, for another request, changes nothing about the charge. Has no effect once the step
    /// has ended.
    pub fn dispatched(&self) {
        self.run.handle().step_dispatched(self.key);
    }

    /// Like [`dispatched`](Self::dispatched), and also writes that to disk, into the file with the run's total, so that it
    /// is not forgotten if this process dies. Takes effect at once; await the future, or [wait](Marking::wait) for it,
    /// before the request leaves. See
    /// [`GuardContext::dispatched_durably`](crate::GuardContext::dispatched_durably); what a dead process leaves of a run's
    /// steps is charged as an event, because the run's commit is that of its total.
    ///
    /// # Errors
    /// The future resolves to [`NotMarked`](crate::NotMarked) if it could not be written, or if there is no journal.
    pub fn dispatched_durably(&self) -> Marking {
        Marking::of_step(self.run.handle(), self.key)
    }

    /// Takes the latest [`dispatched`](Self::dispatched) back: the provider refused the request, so it costs nothing. If
    /// nothing else was dispatched or [spent](Self::spent), a step that fails gives its estimate back. An earlier request
    /// that was not taken back may still have to be paid for.
    ///
    /// Does not block. Has no effect without a `dispatched` before it, or once the step has ended.
    pub fn not_charged(&self) {
        self.run.handle().step_not_charged(self.key);
    }

    /// Returns a handle that shows whether the lease of the run is lost.
    pub fn lease(&self) -> Lease {
        self.run.lease()
    }

    /// Returns the run, for steps inside of this one.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The cost of a finished step: `actual`, or the estimate if `actual` is unknown. The estimate is first reported as
    /// spent, in case `actual` panics or cannot be charged.
    #[cfg(any(feature = "async", feature = "blocking"))]
    pub(crate) fn cost<T>(&self, value: &T, actual: impl FnOnce(&T, &Unit) -> Option<Amount>) -> Amount {
        let _ = self.spent(&self.estimate);
        actual(value, &self.estimate.unit).unwrap_or_else(|| self.estimate.clone())
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("reservation_id", self.reservation_id())
            .field("budget", &self.budget())
            .finish()
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("left", &self.left())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StepContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepContext")
            .field("reservation_id", &self.reservation_id)
            .field("name", &self.name)
            .field("estimate", &self.estimate)
            .finish_non_exhaustive()
    }
}
