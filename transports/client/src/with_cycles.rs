//! Reserve, run, settle: an action guarded by a budget.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::time::Duration;

use cycles_proto::lifecycle::ReleaseReason;
use cycles_proto::models::{
    Action, Amount, CommitOveragePolicy, CommitRequest, CyclesMetrics, IdempotencyKey, JsonObject,
    ReservationCreateRequest, Subject,
};
use cycles_proto::{ActionError, Error, InvalidCommit, Receipt};
use futures::future::{Either, select};

use crate::client::CyclesClient;
use crate::context::{GuardContext, Notes};
use crate::guard::ReservationGuard;
use crate::runtime::Runtime;

/// The error of an action in [`with_cycles`]: whatever `?` makes of it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is reserved for an action, and how it is guarded.
#[derive(Clone, Debug)]
#[must_use = "settings do nothing by themselves"]
pub struct WithCyclesConfig {
    estimate: Amount,
    action: Action,
    subject: Subject,
    ttl_ms: Option<u64>,
    grace_period_ms: Option<u64>,
    overage_policy: Option<CommitOveragePolicy>,
    idempotency_key: Option<IdempotencyKey>,
    dry_run: bool,
    heartbeat: HeartbeatPolicy,
    notes: Notes,
}

/// What happens when the lease is lost while the action runs. Its value is never lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeartbeatPolicy {
    /// The action goes on, and observers are told.
    #[default]
    Warn,
    /// The action goes on, and its receipt says [`LeaseLost`](Receipt::LeaseLost).
    FailOnFinalize,
    /// The action is dropped at its next await; what it had spent is charged.
    Cancel,
}

impl WithCyclesConfig {
    /// Reserves `estimate` for an action called `unknown`, by the configuration's subject.
    pub fn new(estimate: Amount) -> Self {
        Self {
            estimate,
            action: Action::new("unknown", "unknown"),
            subject: Subject::default(),
            ttl_ms: None,
            grace_period_ms: None,
            overage_policy: None,
            idempotency_key: None,
            dry_run: false,
            heartbeat: HeartbeatPolicy::default(),
            notes: Notes::default(),
        }
    }

    /// What is done: its kind (`llm.completion`) and its name (`gpt-4o`).
    pub fn action(mut self, kind: impl Into<String>, name: impl Into<String>) -> Self {
        let tags = self.action.tags.take();
        self.action = Action::new(kind, name);
        self.action.tags = tags;
        self
    }

    /// What the action is found by in reports.
    pub fn action_tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.action = self.action.with_tags(tags);
        self
    }

    /// Who spends. What is left out is taken from the configuration.
    pub fn subject(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// How long a lease lasts, and how much it is prolonged by, in milliseconds; 60,000 if not given.
    pub fn ttl_ms(mut self, ms: u64) -> Self {
        self.ttl_ms = Some(ms);
        self
    }

    /// How long after the lease a commit is still taken, in milliseconds; the server's default if not given.
    pub fn grace_period_ms(mut self, ms: u64) -> Self {
        self.grace_period_ms = Some(ms);
        self
    }

    /// What happens when the action costs more than the estimate; the tenant's default if not given.
    pub fn overage_policy(mut self, policy: CommitOveragePolicy) -> Self {
        self.overage_policy = Some(policy);
        self
    }

    /// What makes a repetition the same reservation; a fresh one if not given.
    pub fn idempotency_key(mut self, key: impl Into<IdempotencyKey>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Only evaluates: the action does not run, and [`Error::DryRun`] has the decision.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// What happens when the lease is lost.
    pub fn heartbeat(mut self, policy: HeartbeatPolicy) -> Self {
        self.heartbeat = policy;
        self
    }

    /// What goes with the commit, unless the action sets its own.
    pub fn metrics(mut self, metrics: CyclesMetrics) -> Self {
        self.notes.metrics = Some(metrics);
        self
    }

    /// What is kept with the commit; the action may add to it.
    pub fn metadata(mut self, metadata: impl Into<JsonObject>) -> Self {
        self.notes.metadata = Some(metadata.into());
        self
    }

    fn request(&self) -> ReservationCreateRequest {
        let mut request = ReservationCreateRequest::builder()
            .subject(self.subject.clone())
            .action(self.action.clone())
            .estimate(self.estimate.clone())
            .dry_run(self.dry_run)
            .build();
        request.ttl_ms = self.ttl_ms;
        request.grace_period_ms = self.grace_period_ms;
        request.overage_policy = self.overage_policy.clone();
        request.idempotency_key = self.idempotency_key.clone();
        request
    }
}

/// An action that ended well, and what became of its cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Completed<T> {
    /// What the action returned.
    pub value: T,
    /// What became of its cost; an error if the action returned one that cannot be charged to its reservation.
    pub receipt: Result<Receipt, InvalidCommit>,
    /// Whether the lease was lost while it ran.
    pub lease_was_lost: bool,
}

/// Why an action has no value.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotCompleted<E> {
    /// Nothing was reserved, and the action did not run.
    #[error(transparent)]
    NotReserved(Error),
    /// The action failed with its own error. What it had spent is charged, else its budget is given back.
    #[error("the action failed: {0}")]
    Action(E),
    /// The lease was lost and the action was dropped, as [`HeartbeatPolicy::Cancel`] asks. What it had spent is
    /// charged.
    #[error(transparent)]
    Cancelled(Error),
}

/// Runs an action on reserved budget: its lease is kept alive while it runs, and what it returns beside its
/// value is what is charged. If it fails the budget is given back.
///
/// The value of an action that ended well is always returned. Trouble with its settlement goes to observers
/// and the log; [`try_with_cycles`] returns it beside the value.
///
/// The action stays in the caller's task: it needs to be neither `Send` nor `'static`. Dropping the future
/// drops the action, and charges what it had [spent](GuardContext::spent) or gives the budget back.
///
/// # Errors
/// Any [`Error`] if nothing was reserved: the action did not run then. [`Error::Action`] with the action's own.
pub async fn with_cycles<R, T, F, A>(
    client: &CyclesClient<R>,
    config: WithCyclesConfig,
    action: F,
) -> Result<T, Error>
where
    R: Runtime,
    F: FnOnce(GuardContext) -> A,
    A: Future<Output = Result<(T, Amount), BoxError>>,
{
    match try_with_cycles(client, config, action).await {
        Ok(completed) => Ok(completed.value),
        Err(NotCompleted::NotReserved(error) | NotCompleted::Cancelled(error)) => Err(error),
        Err(NotCompleted::Action(error)) => Err(Error::Action(ActionError::from(error))),
    }
}

/// As [`with_cycles`], with the action's own error type, and with the receipt beside the value.
///
/// # Errors
/// [`NotCompleted`] if the action did not run, failed, or was stopped.
pub async fn try_with_cycles<R, T, E, F, A>(
    client: &CyclesClient<R>,
    config: WithCyclesConfig,
    action: F,
) -> Result<Completed<T>, NotCompleted<E>>
where
    R: Runtime,
    F: FnOnce(GuardContext) -> A,
    A: Future<Output = Result<(T, Amount), E>>,
{
    let guard = client
        .reserve(config.request())
        .await
        .map_err(NotCompleted::NotReserved)?;
    let (id, response) = (guard.reservation_id().clone(), guard.response());
    let slot = std::sync::Arc::clone(&guard.life.slot);
    let context = GuardContext::new(slot, id, response, config.estimate, config.notes);
    let began = guard.life.now().mono;
    let ended = run(action(context.clone()), &context, config.heartbeat).await;
    match ended {
        Some(Ok((value, actual))) => {
            // In the same poll in which the action ended: nothing comes between the cost and the machine.
            let latency = guard.life.now().mono.saturating_sub(began);
            let commit = commit_request(actual, &context, latency);
            Ok(settle(guard, commit, &context, config.heartbeat, value).await)
        }
        Some(Err(error)) => {
            let _ = guard.release(ReleaseReason::ACTION_FAILED).await;
            Err(NotCompleted::Action(error))
        }
        None => {
            let lost = Error::LeaseLost(guard.reservation_id().clone());
            let _ = guard.release(ReleaseReason::ABANDONED).await;
            Err(NotCompleted::Cancelled(lost))
        }
    }
}

/// The action's end; nothing if it was stopped because the lease is lost.
async fn run<A: Future>(action: A, context: &GuardContext, policy: HeartbeatPolicy) -> Option<A::Output> {
    if policy != HeartbeatPolicy::Cancel {
        return Some(action.await);
    }
    let lease = context.lease();
    // An action that has ended is never stopped: it is looked at first.
    match select(pin!(action), pin!(lease.lost())).await {
        Either::Left((ended, _)) => Some(ended),
        Either::Right(_) => None,
    }
}

fn commit_request(actual: Amount, context: &GuardContext, latency: Duration) -> CommitRequest {
    let Notes { metrics, metadata } = context.notes().clone();
    let mut metrics = metrics.unwrap_or_default();
    let latency_ms = i64::try_from(latency.as_millis()).ok();
    metrics.latency_ms = metrics
        .latency_ms
        .or(latency_ms.filter(|ms| *ms <= i64::from(i32::MAX)));
    let mut request = CommitRequest::builder().actual(actual).metrics(metrics).build();
    request.metadata = metadata;
    request
}

async fn settle<R: Runtime, T>(
    guard: ReservationGuard<R>,
    request: CommitRequest,
    context: &GuardContext,
    policy: HeartbeatPolicy,
    value: T,
) -> Completed<T> {
    let lease_was_lost = context.lease().is_lost();
    let committing = guard.commit(request);
    let receipt = poll_fn(|cx| committing.poll_receipt(cx)).await;
    if let Err(error) = &receipt {
        tracing::error!(reservation = context.reservation_id.as_str(), %error, "the cost of an action was not taken");
    }
    let receipt = match receipt {
        Ok(receipt) if lease_was_lost && policy == HeartbeatPolicy::FailOnFinalize => {
            Ok(Receipt::LeaseLost(Box::new(receipt)))
        }
        other => other,
    };
    Completed {
        value,
        receipt,
        lease_was_lost,
    }
}
