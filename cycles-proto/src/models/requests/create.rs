//! Requests before an action: reservations and decisions.

use serde::Serialize;

use super::{ActionRequestBuilder, DAY_MS, Unset, check_key, check_metadata, check_policy, optional};
use crate::models::field_checks::{InvalidRequest, within};
use crate::models::{Action, Amount, CommitOveragePolicy, IdempotencyKey, JsonObject, Subject};

/// Asks for budget before an action (schema `ReservationCreateRequest`).
///
/// ```
/// use cycles_proto::models::*;
///
/// let request = ReservationCreateRequest::builder()
///     .subject(Subject::tenant("acme-corp"))
///     .action(Action::new("llm.completion", "gpt-4o"))
///     .estimate(Amount::tokens(2000))
///     .ttl_ms(30_000_u64)
///     .build();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReservationCreateRequest {
    /// The idempotency key: a repeat under the same key is the same reservation, not a second one. Default: a fresh
    /// key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
    /// The subject that spends.
    pub subject: Subject,
    /// The action.
    pub action: Action,
    /// The highest expected cost, which is held.
    pub estimate: Amount,
    /// How long the lease lasts, 1,000 to 86,400,000 ms. The server's default is 60,000, and it may grant less (the
    /// reference server at most an hour).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// How long after the lease a commit is still accepted, 0 to 60,000 ms. The server's default is 5,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period_ms: Option<u64>,
    /// What happens when the action costs more than the estimate. Default: the tenant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overage_policy: Option<CommitOveragePolicy>,
    /// Whether to evaluate only: nothing is held and no reservation is made.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub dry_run: bool,
    /// Free-form data to keep with the reservation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
}

/// Builds a [`ReservationCreateRequest`].
pub type ReservationCreateRequestBuilder<S = Unset, A = Unset, C = Unset> =
    ActionRequestBuilder<ReservationOptions, S, A, C>;

/// The optional fields of a [`ReservationCreateRequest`] while it is built.
#[derive(Clone, Debug, Default)]
pub struct ReservationOptions {
    idempotency_key: Option<IdempotencyKey>,
    ttl_ms: Option<u64>,
    grace_period_ms: Option<u64>,
    overage_policy: Option<CommitOveragePolicy>,
    dry_run: Option<bool>,
    metadata: Option<JsonObject>,
}

impl ReservationCreateRequest {
    /// Starts a request; subject, action and estimate are required.
    pub fn builder() -> ReservationCreateRequestBuilder {
        ActionRequestBuilder::new()
    }

    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        check_key(&self.idempotency_key)?;
        self.subject.check()?;
        self.action.check()?;
        self.estimate.check("estimate")?;
        within("ttl_ms", self.ttl_ms.unwrap_or(60_000), 1_000..=DAY_MS)?;
        within("grace_period_ms", self.grace_period_ms.unwrap_or(0), 0..=60_000)?;
        check_policy(&self.overage_policy)?;
        check_metadata(&self.metadata)
    }
}

impl<S, A, C> ReservationCreateRequestBuilder<S, A, C> {
    /// Sets the highest expected cost of the action, which is held.
    pub fn estimate(self, estimate: Amount) -> ReservationCreateRequestBuilder<S, A, Amount> {
        self.amount(estimate)
    }

    optional! { options, ReservationCreateRequest:
        idempotency_key: IdempotencyKey,
        ttl_ms: u64,
        grace_period_ms: u64,
        overage_policy: CommitOveragePolicy,
        dry_run: bool,
        metadata: into JsonObject,
    }
}

impl ReservationCreateRequestBuilder<Subject, Action, Amount> {
    /// Builds the request.
    pub fn build(self) -> ReservationCreateRequest {
        let Self {
            subject,
            action,
            amount: estimate,
            options,
        } = self;
        let ReservationOptions {
            idempotency_key,
            ttl_ms,
            grace_period_ms,
            overage_policy,
            dry_run,
            metadata,
        } = options;
        ReservationCreateRequest {
            idempotency_key,
            subject,
            action,
            estimate,
            ttl_ms,
            grace_period_ms,
            overage_policy,
            dry_run: dry_run.unwrap_or(false),
            metadata,
        }
    }
}

/// Asks whether an action would be allowed, without holding anything (schema `DecisionRequest`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DecisionRequest {
    /// The idempotency key. Default: a fresh key. The server remembers its answer under each key, so the answer to a
    /// repeated request does not reflect the current budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
    /// The subject that would spend.
    pub subject: Subject,
    /// The action that would run.
    pub action: Action,
    /// The highest expected cost.
    pub estimate: Amount,
    /// Free-form data to keep with the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
}

/// Builds a [`DecisionRequest`].
pub type DecisionRequestBuilder<S = Unset, A = Unset, C = Unset> =
    ActionRequestBuilder<DecisionOptions, S, A, C>;

/// The optional fields of a [`DecisionRequest`] while it is built.
#[derive(Clone, Debug, Default)]
pub struct DecisionOptions {
    idempotency_key: Option<IdempotencyKey>,
    metadata: Option<JsonObject>,
}

impl DecisionRequest {
    /// Starts a request; subject, action and estimate are required.
    pub fn builder() -> DecisionRequestBuilder {
        ActionRequestBuilder::new()
    }

    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        check_key(&self.idempotency_key)?;
        self.subject.check()?;
        self.action.check()?;
        self.estimate.check("estimate")?;
        check_metadata(&self.metadata)
    }
}

impl<S, A, C> DecisionRequestBuilder<S, A, C> {
    /// Sets the highest expected cost of the action.
    pub fn estimate(self, estimate: Amount) -> DecisionRequestBuilder<S, A, Amount> {
        self.amount(estimate)
    }

    optional! { options, DecisionRequest: idempotency_key: IdempotencyKey, metadata: into JsonObject, }
}

impl DecisionRequestBuilder<Subject, Action, Amount> {
    /// Builds the request.
    pub fn build(self) -> DecisionRequest {
        let Self {
            subject,
            action,
            amount: estimate,
            options,
        } = self;
        let DecisionOptions {
            idempotency_key,
            metadata,
        } = options;
        DecisionRequest {
            idempotency_key,
            subject,
            action,
            estimate,
            metadata,
        }
    }
}
