//! An action guarded by a budget: what to reserve for it, what goes with its commit, and the ways it may end. The
//! adapters' `with_cycles` runs it.

use core::time::Duration;

use crate::config::Mode;
use crate::models::{
    Action, Amount, CommitOveragePolicy, CommitRequest, CyclesMetrics, IdempotencyKey, JsonObject,
    ReservationCreateRequest, Subject,
};
use crate::outcome::{ActionError, Error, Receipt};

pub use crate::dispatch::OnError;

/// The error type of an action in `with_cycles`, into which `?` converts any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The settings of a guarded action: what to reserve for it, and how to guard it.
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
    max_lease_age: Option<Duration>,
    on_error: Option<OnError>,
    mode: Option<Mode>,
    notes: CommitNotes,
}

/// What happens when the lease is lost while the action runs. The action's value is never lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeartbeatPolicy {
    /// The action continues, and observers are notified.
    #[default]
    Warn,
    /// The action continues, and its receipt is a [`LeaseLost`](Receipt::LeaseLost).
    FailOnFinalize,
    /// The action is dropped at its next await, and what it has spent is charged. A blocking action cannot be dropped:
    /// it continues as with [`FailOnFinalize`](Self::FailOnFinalize), and can check its lease itself.
    Cancel,
}

impl HeartbeatPolicy {
    /// Returns the receipt to give to the caller, depending on whether the lease was lost while the action ran.
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
    /// Creates settings that reserve `estimate` for an action called `unknown`, for the configuration's subject.
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
            max_lease_age: None,
            on_error: None,
            mode: None,
            notes: CommitNotes::default(),
        }
    }

    /// Sets the action's kind (`llm.completion`) and name (`gpt-4o`).
    pub fn action(mut self, kind: impl Into<String>, name: impl Into<String>) -> Self {
        let tags = self.action.tags.take();
        self.action = Action::new(kind, name);
        self.action.tags = tags;
        self
    }

    /// Sets the action's tags, for policies and reports.
    pub fn action_tags(mut self, tags: impl IntoIterator<Item = String>) -> Self {
        self.action = self.action.with_tags(tags);
        self
    }

    /// Sets who spends. Levels that are left out come from the configuration.
    pub fn subject(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// Sets how long a lease lasts, and by how much each beat extends it, in milliseconds. Default: 60,000.
    pub fn ttl_ms(mut self, ms: u64) -> Self {
        self.ttl_ms = Some(ms);
        self
    }

    /// Sets how long after the lease a commit is still accepted, in milliseconds. Default: the server's.
    pub fn grace_period_ms(mut self, ms: u64) -> Self {
        self.grace_period_ms = Some(ms);
        self
    }

    /// Sets what happens when the action costs more than the estimate. Default: the tenant's.
    pub fn overage_policy(mut self, policy: CommitOveragePolicy) -> Self {
        self.overage_policy = Some(policy);
        self
    }

    /// Sets the idempotency key: a repeat under the same key is the same reservation, not a second one. Default: a
    /// fresh key.
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// Sets whether to evaluate only. If so, the action does not run, and [`Error::DryRun`] has the decision.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets what happens when the lease is lost.
    pub fn heartbeat(mut self, policy: HeartbeatPolicy) -> Self {
        self.heartbeat = policy;
        self
    }

    /// Sets the age at which the heartbeat stops if the action is still running, counted from the grant. The lease then
    /// runs out, with the [consequences](Self::heartbeat) of any lost lease. Default: the client's
    /// [`max_lease_age`](crate::config::Settings::max_lease_age).
    pub fn max_lease_age(mut self, age: Duration) -> Self {
        self.max_lease_age = Some(age);
        self
    }

    /// Sets what is charged if the action is dispatched and then ends without a cost: it fails, panics, times out or is
    /// dropped. Default: [`OnError::Estimate`], the estimate unless the action had spent something. An action that was
    /// not dispatched gives its budget back, whatever is set here.
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = Some(on_error);
        self
    }

    /// Sets whether the ledger's decision about this action is obeyed or only reported, whatever the client's
    /// [mode](crate::config::Settings::mode) is: [`Mode::Enforce`] pins an action that must never run without a budget.
    /// Default: the client's mode.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Sets the metrics of the commit, unless the action sets its own.
    pub fn metrics(mut self, metrics: CyclesMetrics) -> Self {
        self.notes.set_metrics(metrics);
        self
    }

    /// Sets the metadata that the ledger keeps with the commit; the action may add to it.
    pub fn metadata(mut self, metadata: impl Into<JsonObject>) -> Self {
        self.notes.set_metadata(metadata.into());
        self
    }

    /// The reservation request for the action.
    pub fn request(&self) -> ReservationCreateRequest {
        // Names all settings, so that a new one cannot be forgotten.
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
            max_lease_age: _,
            on_error: _,
            mode: _,
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

    /// The amount to reserve.
    pub fn estimate(&self) -> &Amount {
        &self.estimate
    }

    /// What happens when the lease is lost.
    pub fn policy(&self) -> HeartbeatPolicy {
        self.heartbeat
    }

    /// The age at which the heartbeat stops, if it is set.
    pub fn lease_age(&self) -> Option<Duration> {
        self.max_lease_age
    }

    /// What is charged if the action is dispatched and ends without a cost, if that is set.
    pub fn error_policy(&self) -> Option<OnError> {
        self.on_error
    }

    /// The action's own mode, if it is set.
    pub fn own_mode(&self) -> Option<Mode> {
        self.mode
    }

    /// The notes that go with the commit, before the action adds to them.
    pub fn notes(&self) -> &CommitNotes {
        &self.notes
    }
}

/// The metrics and metadata that go with the commit of a guarded action.
#[derive(Clone, Debug, Default)]
pub struct CommitNotes {
    metrics: Option<CyclesMetrics>,
    metadata: Option<JsonObject>,
}

impl CommitNotes {
    /// What the action consumed, if that was set.
    pub fn metrics(&self) -> Option<&CyclesMetrics> {
        self.metrics.as_ref()
    }

    /// Sets what the action consumed, in place of what was set before.
    pub fn set_metrics(&mut self, metrics: CyclesMetrics) {
        self.metrics = Some(metrics);
    }

    /// Sets the metadata of the commit, in place of what was set before.
    pub fn set_metadata(&mut self, metadata: JsonObject) {
        self.metadata = Some(metadata);
    }

    /// Adds a member to the metadata of the commit.
    pub fn insert_metadata(&mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) {
        self.metadata.get_or_insert_default().insert(name, value);
    }

    /// Overrides these notes with whatever `other` sets.
    pub(crate) fn add(&mut self, other: Self) {
        self.metrics = other.metrics.or(self.metrics.take());
        self.metadata = other.metadata.or(self.metadata.take());
    }

    /// Builds the commit of an action that cost `actual` and took `latency`, which is used if the metrics have none.
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

/// Why an action returned no value.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotCompleted<E> {
    /// Nothing was reserved, and the action did not run.
    #[error(transparent)]
    NotReserved(Error),
    /// The action failed with its own error. If it had spent something, that is charged; if it was dispatched, its
    /// [policy](WithCyclesConfig::on_error) says what is; if neither, its budget is given back.
    #[error("the action failed: {0}")]
    Action(E),
    /// The action was dropped: its lease was lost and the policy is [`HeartbeatPolicy::Cancel`], or the client was closed
    /// in a way that stops actions ([`Error::Stopped`]). It is charged like an action that failed.
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
