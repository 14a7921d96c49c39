//! The settings of a run, and what a step asks for.

use core::time::Duration;

use super::RunOptions;
use crate::config::Mode;
use crate::models::{
    Amount, CommitOveragePolicy, IdempotencyKey, JsonObject, ReservationCreateRequest, Subject,
};
use crate::with_cycles_config::{OnError, WithCyclesConfig};

/// How often a server extends a lease by default, plus the lease itself.
const LEASES: u64 = 11;

const DEFAULT_TTL_MS: u64 = 60_000;
const LONGEST_TTL_MS: u64 = 86_400_000;

/// The settings of a run: what to reserve for all of its steps, and how long it may last.
///
/// A server extends a lease 10 times by default, so a run lasts at most 11 times as long as one lease. Unless you set
/// [`ttl_ms`](Self::ttl_ms), the lease is as long as [`max_duration`](Self::max_duration) needs, but at least a minute.
#[derive(Clone, Debug)]
#[must_use = "settings do nothing by themselves"]
pub struct RunConfig {
    guarded: WithCyclesConfig,
    ttl_ms: Option<u64>,
    max_duration: Option<Duration>,
    commit_key: Option<IdempotencyKey>,
    metadata: Option<JsonObject>,
    on_error: OnError,
}

impl RunConfig {
    /// Creates settings that reserve this amount for an action called `unknown`, for the configuration's subject.
    pub fn new(reserve: Amount) -> Self {
        Self {
            guarded: WithCyclesConfig::new(reserve),
            ttl_ms: None,
            max_duration: None,
            commit_key: None,
            metadata: None,
            on_error: OnError::default(),
        }
    }

    /// Sets the kind (`agent.run`) and the name (`research`) of the action that the run is for.
    pub fn action(mut self, kind: impl Into<String>, name: impl Into<String>) -> Self {
        self.guarded = self.guarded.action(kind, name);
        self
    }

    /// Sets the action's tags, for policies and reports.
    pub fn action_tags(mut self, tags: impl IntoIterator<Item = String>) -> Self {
        self.guarded = self.guarded.action_tags(tags);
        self
    }

    /// Sets who spends. Levels that are left out come from the configuration.
    pub fn subject(mut self, subject: Subject) -> Self {
        self.guarded = self.guarded.subject(subject);
        self
    }

    /// Sets how long the run may last from its grant on. Then it starts no more steps and its lease is not extended any
    /// more; steps that are open go on, and all that was spent is charged. Default: 11 times the lease, which is 11
    /// minutes.
    pub fn max_duration(mut self, most: Duration) -> Self {
        self.max_duration = Some(most);
        self
    }

    /// Sets how long a lease lasts, and by how much each beat extends it, in milliseconds. Default: an eleventh of
    /// [`max_duration`](Self::max_duration), but at least 60,000 and at most a day.
    pub fn ttl_ms(mut self, ms: u64) -> Self {
        self.ttl_ms = Some(ms);
        self
    }

    /// Sets how long after the lease a commit is still accepted, in milliseconds. Default: the server's.
    pub fn grace_period_ms(mut self, ms: u64) -> Self {
        self.guarded = self.guarded.grace_period_ms(ms);
        self
    }

    /// Sets what happens when the steps cost more than is reserved. Default: the tenant's.
    pub fn overage_policy(mut self, policy: CommitOveragePolicy) -> Self {
        self.guarded = self.guarded.overage_policy(policy);
        self
    }

    /// Sets the idempotency key of the reservation: a repeat under the same key is the same reservation, not a second
    /// one. Default: a fresh key.
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.guarded = self.guarded.idempotency_key(key);
        self
    }

    /// Sets the key that the total is committed under. Default: a fresh key.
    pub fn commit_key(mut self, key: IdempotencyKey) -> Self {
        self.commit_key = Some(key);
        self
    }

    /// Sets whether to evaluate only. If so, the run does not begin, and [`Error::DryRun`](crate::Error::DryRun) has the
    /// decision.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.guarded = self.guarded.dry_run(dry_run);
        self
    }

    /// Sets whether decisions about this run and its steps are obeyed or only reported, whatever the client's
    /// [mode](crate::config::Settings::mode) is. In [`Mode::Shadow`], no step is refused because too little is left or
    /// the run has lasted too long: [`Event::ShadowExhausted`](crate::Event::ShadowExhausted) reports it. Default: the
    /// client's mode.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.guarded = self.guarded.mode(mode);
        self
    }

    /// Sets the metadata that the ledger keeps with the commit. The client adds the member `cycles_run`: how many steps
    /// there were, and what those under each of the first 32 names cost.
    pub fn metadata(mut self, metadata: impl Into<JsonObject>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    /// Sets what is charged for a step that was dispatched and then ended without a cost: it failed, panicked, timed out
    /// or was dropped. A [step](Step::on_error) may say otherwise. Default: [`OnError::Estimate`], the step's estimate
    /// unless it had spent something.
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// The length of the lease in milliseconds.
    fn lease_ms(&self) -> u64 {
        self.ttl_ms.unwrap_or_else(|| {
            let most = self
                .max_duration
                .map_or(0, |most| most.as_nanos().div_ceil(1_000_000));
            let share = u64::try_from(most.div_ceil(LEASES.into())).unwrap_or(u64::MAX);
            share.clamp(DEFAULT_TTL_MS, LONGEST_TTL_MS)
        })
    }

    /// The reservation request for the run.
    pub fn request(&self) -> ReservationCreateRequest {
        self.guarded.clone().ttl_ms(self.lease_ms()).request()
    }

    /// The run's own mode, if it is set.
    pub fn own_mode(&self) -> Option<Mode> {
        self.guarded.own_mode()
    }

    /// How the run is run and settled.
    pub fn options(&self) -> RunOptions {
        let longest = Duration::from_millis(self.lease_ms().saturating_mul(LEASES));
        RunOptions {
            max_duration: self.max_duration.unwrap_or(longest),
            commit_key: self.commit_key.clone(),
            metadata: self.metadata.clone(),
            on_error: self.on_error,
        }
    }
}

/// What a step of a run asks for. An [`Amount`] is a step without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a step does nothing by itself"]
pub struct Step {
    estimate: Amount,
    name: Option<String>,
    on_error: Option<OnError>,
}

impl Step {
    /// Creates a step that costs about this much, in the unit of the run. It begins only if that much is left.
    pub fn new(estimate: Amount) -> Self {
        Self {
            estimate,
            name: None,
            on_error: None,
        }
    }

    /// Sets the name, under which the steps are counted in the metadata of the commit. Only the first 32 names of a run
    /// are counted one by one, so use few: the tool's name, not the query.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets what is charged if the step is dispatched and then ends without a cost. Default: what the
    /// [run](RunConfig::on_error) says, which is the step's estimate by default.
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = Some(on_error);
        self
    }

    /// Sets or removes the name.
    #[doc(hidden)]
    pub fn named(mut self, name: Option<String>) -> Self {
        self.name = name;
        self
    }

    /// The amount that is set aside while the step runs.
    pub fn estimate(&self) -> &Amount {
        &self.estimate
    }

    /// What is charged if it is dispatched and ends without a cost, if that is set.
    pub fn error_policy(&self) -> Option<OnError> {
        self.on_error
    }

    /// The name, if it has one.
    pub fn step_name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl From<Amount> for Step {
    fn from(estimate: Amount) -> Self {
        Self::new(estimate)
    }
}
