//! Events, which are direct debits.

use serde::Serialize;

use super::{ActionRequestBuilder, Unset, check_key, check_metadata, check_policy, optional};
use crate::models::field_checks::{InvalidRequest, within};
use crate::models::{
    Action, Amount, CommitOveragePolicy, CyclesMetrics, IdempotencyKey, JsonObject, Subject,
};

/// Charges an action that has no reservation: a direct debit (schema `EventCreateRequest`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventCreateRequest {
    /// The idempotency key: a repeat under the same key is the same debit, not a second one. Default: a fresh key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
    /// The subject that spent.
    pub subject: Subject,
    /// The action.
    pub action: Action,
    /// The cost of the action.
    pub actual: Amount,
    /// What happens when the cost is more than the rest of the budget. Default: the tenant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overage_policy: Option<CommitOveragePolicy>,
    /// Metrics of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<CyclesMetrics>,
    /// When it happened by the caller's clock, in milliseconds since 1970. The server keeps it, but does not rely on
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_time_ms: Option<u64>,
    /// Free-form data to keep with the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
}

/// Builds an [`EventCreateRequest`].
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
    /// Sets the cost of the action.
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
    /// Builds the request.
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
