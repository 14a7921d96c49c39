//! The direct debit.

use serde::Serialize;

use super::{ActionRequestBuilder, Unset, check_key, check_metadata, check_policy, optional};
use crate::models::limits::{InvalidRequest, within};
use crate::models::{
    Action, Amount, CommitOveragePolicy, CyclesMetrics, IdempotencyKey, JsonObject, Subject,
};

/// Charges an action that was not reserved: a direct debit (schema `EventCreateRequest`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventCreateRequest {
    /// What makes a repeat the same debit; a fresh one if none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
    /// Who spent.
    pub subject: Subject,
    /// What was done.
    pub action: Action,
    /// What it cost.
    pub actual: Amount,
    /// What happens when it cost more than remains; the tenant's default if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overage_policy: Option<CommitOveragePolicy>,
    /// What it consumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<CyclesMetrics>,
    /// When it happened by the caller's clock, in milliseconds since 1970; kept, never relied on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_time_ms: Option<u64>,
    /// Anything worth keeping with the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
}

/// Makes an [`EventCreateRequest`].
pub type EventCreateRequestBuilder<S = Unset, A = Unset, C = Unset> =
    ActionRequestBuilder<EventOptions, S, A, C>;

/// The optional fields of an [`EventCreateRequest`] while it is built.
#[derive(Clone, Debug, Default)]
pub struct EventOptions {
    idempotency_key: Option<IdempotencyKey>,
    overage_policy: Option<CommitOveragePolicy>,
    metrics: Option<CyclesMetrics>,
    client_time_ms: Option<u64>,
    metadata: Option<JsonObject>,
}

impl EventCreateRequest {
    /// Starts a request; subject, action and actual amount are required.
    pub fn builder() -> EventCreateRequestBuilder {
        ActionRequestBuilder::new()
    }

    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        check_key(&self.idempotency_key)?;
        self.subject.check()?;
        self.action.check()?;
        self.actual.check("actual")?;
        self.metrics.as_ref().map_or(Ok(()), CyclesMetrics::check)?;
        within(
            "client_time_ms",
            self.client_time_ms.unwrap_or(0),
            0..=i64::MAX.unsigned_abs(),
        )?;
        check_policy(&self.overage_policy)?;
        check_metadata(&self.metadata)
    }
}

impl<S, A, C> EventCreateRequestBuilder<S, A, C> {
    /// What the action cost.
    pub fn actual(self, actual: Amount) -> EventCreateRequestBuilder<S, A, Amount> {
        self.amount(actual)
    }

    optional! { options, EventCreateRequest:
        idempotency_key: IdempotencyKey,
        overage_policy: CommitOveragePolicy,
        metrics: CyclesMetrics,
        client_time_ms: u64,
        metadata: into JsonObject,
    }
}

impl EventCreateRequestBuilder<Subject, Action, Amount> {
    /// The request.
    pub fn build(self) -> EventCreateRequest {
        let Self {
            subject,
            action,
            amount: actual,
            options,
        } = self;
        let EventOptions {
            idempotency_key,
            overage_policy,
            metrics,
            client_time_ms,
            metadata,
        } = options;
        EventCreateRequest {
            idempotency_key,
            subject,
            action,
            actual,
            overage_policy,
            metrics,
            client_time_ms,
            metadata,
        }
    }
}
