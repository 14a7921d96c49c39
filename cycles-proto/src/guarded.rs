//! An action guarded by a budget: what is reserved for it, what goes with its commit, and how it may end. The
//! adapters' `with_cycles` runs it.

use core::time::Duration;

use crate::models::{
    Action, Amount, CommitOveragePolicy, CommitRequest, CyclesMetrics, IdempotencyKey, JsonObject,
    ReservationCreateRequest, Subject,
};
use crate::outcome::{ActionError, Error, Receipt};

/// The error of an action in `with_cycles`: whatever `?` makes of it.
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
    notes: CommitNotes,
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
    /// The action is dropped at its next await; what it had spent is charged. One that blocks its thread cannot
    /// be dropped: it goes on as with [`FailOnFinalize`](Self::FailOnFinalize), and may ask its lease.
    Cancel,
}

impl HeartbeatPolicy {
    /// What the receipt of an action says, if the lease was or was not lost while it ran.
    #[must_use]
    pub fn receipt(self, receipt: Receipt, lease_was_lost: bool) -> Receipt {
        if lease_was_lost && self != Self::Warn {
            Receipt::LeaseLost(Box::new(receipt))
        } else {
            receipt
        }
    }
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
            notes: CommitNotes::default(),
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
    pub fn action_tags(mut self, tags: impl IntoIterator<Item = String>) -> Self {
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
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
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
        self.notes.set_metrics(metrics);
        self
    }

    /// What is kept with the commit; the action may add to it.
    pub fn metadata(mut self, metadata: impl Into<JsonObject>) -> Self {
        self.notes.set_metadata(metadata.into());
        self
    }

    /// The reservation to make for it.
    pub fn request(&self) -> ReservationCreateRequest {
        // All settings by their names: one that is added later has its place here or says that it has none.
        let Self {
            estimate,
            action,
            subject,
            ttl_ms,
            grace_period_ms,
            overage_policy,
            idempotency_key,
            dry_run,
            heartbeat: _,
            notes: _,
        } = self;
        ReservationCreateRequest {
            idempotency_key: idempotency_key.clone(),
            subject: subject.clone(),
            action: action.clone(),
            estimate: estimate.clone(),
            ttl_ms: *ttl_ms,
            grace_period_ms: *grace_period_ms,
            overage_policy: overage_policy.clone(),
            dry_run: *dry_run,
            metadata: None,
        }
    }

    /// What is reserved.
    pub fn estimate(&self) -> &Amount {
        &self.estimate
    }

    /// What happens when the lease is lost.
    pub fn policy(&self) -> HeartbeatPolicy {
        self.heartbeat
    }

    /// What goes with the commit before the action adds to it.
    pub fn notes(&self) -> &CommitNotes {
        &self.notes
    }
}

/// What goes with the commit of a guarded action beside the amount.
#[derive(Clone, Debug, Default)]
pub struct CommitNotes {
    metrics: Option<CyclesMetrics>,
    metadata: Option<JsonObject>,
}

impl CommitNotes {
    /// What the action consumed, in place of what was set before.
    pub fn set_metrics(&mut self, metrics: CyclesMetrics) {
        self.metrics = Some(metrics);
    }

    /// What is kept with the commit, in place of what was set before.
    pub fn set_metadata(&mut self, metadata: JsonObject) {
        self.metadata = Some(metadata);
    }

    /// Adds to what is kept with the commit.
    pub fn insert_metadata(&mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) {
        self.metadata.get_or_insert_default().insert(name, value);
    }

    /// Sets what the other ones set.
    pub(crate) fn add(&mut self, other: Self) {
        self.metrics = other.metrics.or(self.metrics.take());
        self.metadata = other.metadata.or(self.metadata.take());
    }

    /// The commit of an action that cost `actual` and took `latency`, which is filled in if the metrics do not
    /// tell.
    pub fn commit(self, actual: Amount, latency: Duration) -> CommitRequest {
        let Self { metrics, metadata } = self;
        let mut metrics = metrics.unwrap_or_default();
        let latency_ms = i64::try_from(latency.as_millis()).ok();
        metrics.latency_ms = metrics
            .latency_ms
            .or(latency_ms.filter(|ms| *ms <= i64::from(i32::MAX)));
        CommitRequest {
            idempotency_key: None,
            actual,
            metrics: Some(metrics),
            metadata,
        }
    }
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

impl<E: Into<BoxError>> From<NotCompleted<E>> for Error {
    fn from(why: NotCompleted<E>) -> Self {
        match why {
            NotCompleted::NotReserved(error) | NotCompleted::Cancelled(error) => error,
            NotCompleted::Action(error) => Self::Action(ActionError::from(error.into())),
        }
    }
}

#[cfg(test)]
mod tests;
