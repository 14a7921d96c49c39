//! Runs, for callers that block.

use core::ops::Deref;

use cycles_proto::models::Amount;
use cycles_proto::run::{RunConfig, Step};
use cycles_proto::with_cycles_config::{BoxError, NotCompleted};
use cycles_proto::{Error, Receipt};

use super::Client;
use crate::engine::{block_on, without_helping};
use crate::run::CompletedStep;

/// Budget that is reserved once, for many steps. Clones share one run, so that several threads may run steps of it.
///
/// Each [`step`](Self::step) sets its estimate aside without a call, is charged what it cost, and gives back the rest.
/// Steps may run at the same time and inside of each other. [`finish`](Self::finish) charges the sum of all steps in
/// one commit. When the last clone is dropped, the run ends in the same way in the background.
///
/// A step ends only when its cost is on disk, in the run's file in the journal. If the process is killed, a later client
/// charges what the file says, once the process is known to be gone. So every step that ended is charged, and once.
#[derive(Clone, Debug)]
#[must_use = "a run ends when it is dropped"]
pub struct Run(crate::run::Run);

/// An amount of a [`Run`] that is kept for later: only steps of this handle can have it. When it is dropped, what is
/// left goes back to the run.
#[derive(Debug)]
#[must_use = "the amount goes back to the run when this is dropped"]
pub struct Kept(crate::run::Kept);

/// The step that an action runs in, as the action sees it.
#[derive(Clone, Debug)]
pub struct StepContext(crate::run::StepContext);

impl Client {
    /// Reserves budget for many steps, and keeps the lease alive until the run is finished, for at most its
    /// [`max_duration`](RunConfig::max_duration). Blocks until the ledger has decided.
    ///
    /// # Errors
    /// The same errors as [`reserve`](Self::reserve). [`Error::InvalidCommit`] if the key of the commit breaks a limit;
    /// the budget is given back then.
    pub fn run(&self, config: RunConfig) -> Result<Run, Error> {
        self.wait(self.0.run(config)).map(Run)
    }
}

impl Run {
    /// Runs an action as a step of the run. The step begins at once if its estimate is left; nothing is sent. The
    /// action returns its value and what it cost, which may be more or less than the estimate. If it fails or panics,
    /// what it had [spent](crate::run::StepContext::spent) is charged, and the rest is given back. If it had sent a
    /// request that may have to be paid for ([`dispatched`](crate::run::StepContext::dispatched)), its
    /// [policy](Step::on_error) decides: by default, it is charged its estimate.
    ///
    /// The value of a successful action is always returned. After the action, this blocks until its cost is on disk, for
    /// at most five seconds. Problems with the cost go to observers and the log; [`try_step`](Self::try_step) returns
    /// them too.
    ///
    /// A step inside of a step draws from the run as well: the estimate of the outer one does not contain the inner one.
    /// If the run is finished meanwhile, open steps still end and are charged, but no step begins.
    ///
    /// # Errors
    /// The action did not run: [`Error::RunExhausted`] if less is left than the estimate, [`Error::RunOver`] if the run
    /// was finished, lost its lease or has lasted too long, [`Error::Validation`] if the estimate is negative or in
    /// another unit than the run. [`Error::Action`] with the action's own error.
    pub fn step<T, F>(&self, step: impl Into<Step>, action: F) -> Result<T, Error>
    where
        F: FnOnce(StepContext) -> Result<(T, Amount), BoxError>,
    {
        Ok(self.try_step(step, action)?.value)
    }

    /// Like [`step`](Self::step), but keeps the action's own error type, and says whether the cost is charged.
    ///
    /// # Errors
    /// [`NotCompleted`] if the action did not run, or failed.
    pub fn try_step<T, E, F>(
        &self,
        step: impl Into<Step>,
        action: F,
    ) -> Result<CompletedStep<T>, NotCompleted<E>>
    where
        F: FnOnce(StepContext) -> Result<(T, Amount), E>,
    {
        let step = self.0.try_step(step, |context| async {
            without_helping(|| action(StepContext(context)))
        });
        block_on(self.0.shared(), step)
    }

    /// Keeps an amount out of the reach of other steps, such as for a last step that sums everything up. Sends nothing,
    /// and does not block.
    ///
    /// # Errors
    /// The same errors as [`step`](Self::step).
    pub fn keep(&self, amount: Amount) -> Result<Kept, Error> {
        self.0.keep(amount).map(Kept)
    }

    /// Finishes the run: no more steps begin and, once no step is open, what they cost is committed, or the budget is
    /// given back if they cost nothing. Blocks until the cost is settled, or is on disk after a first attempt; retries
    /// then continue in the background. `None` if nothing was charged. Do not call it from a step of the run, for which
    /// it would wait. May be called again.
    ///
    /// # Errors
    /// Any [`Error`] if the cost was refused, or is neither settled nor recorded.
    pub fn finish(&self) -> Result<Option<Receipt>, Error> {
        block_on(self.0.shared(), self.0.finish())
    }
}

impl Kept {
    /// Runs an action as a step that draws from the kept amount. Otherwise like [`Run::step`]; what the step does not
    /// need goes back to the kept amount.
    ///
    /// # Errors
    /// The same errors as [`Run::step`].
    pub fn step<T, F>(&self, step: impl Into<Step>, action: F) -> Result<T, Error>
    where
        F: FnOnce(StepContext) -> Result<(T, Amount), BoxError>,
    {
        Ok(self.try_step(step, action)?.value)
    }

    /// Like [`step`](Self::step), but keeps the action's own error type, and says whether the cost is charged.
    ///
    /// # Errors
    /// [`NotCompleted`] if the action did not run, or failed.
    pub fn try_step<T, E, F>(
        &self,
        step: impl Into<Step>,
        action: F,
    ) -> Result<CompletedStep<T>, NotCompleted<E>>
    where
        F: FnOnce(StepContext) -> Result<(T, Amount), E>,
    {
        let step = self.0.try_step(step, |context| async {
            without_helping(|| action(StepContext(context)))
        });
        block_on(self.0.run().shared(), step)
    }

    /// What is left of the kept amount; 0 once the run is finished and settled. Does not block.
    pub fn left(&self) -> Amount {
        self.0.left()
    }
}

impl StepContext {
    /// Returns the context of the innermost step that the caller runs in, or `None` outside of any step. The context
    /// belongs to the thread of the step; another thread has none unless it is given a clone.
    pub fn current() -> Option<Self> {
        crate::run::StepContext::current().map(Self)
    }

    /// Returns the run, for steps inside of this one.
    pub fn run(&self) -> Run {
        Run(self.0.run().clone())
    }
}

/// The methods that do not block.
impl Deref for Run {
    type Target = crate::run::Run;

    fn deref(&self) -> &crate::run::Run {
        &self.0
    }
}

/// What does not block.
impl Deref for StepContext {
    type Target = crate::run::StepContext;

    fn deref(&self) -> &crate::run::StepContext {
        &self.0
    }
}
