//! Requests about an existing reservation: commit, release, extend.

use serde::Serialize;

use super::{DAY_MS, Unset, check_key, check_metadata, optional};
use crate::models::field_checks::{InvalidRequest, length, within};
use crate::models::{Amount, CyclesMetrics, IdempotencyKey, JsonObject};

/// Charges the actual cost of an action to its reservation (schema `CommitRequest`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CommitRequest {
    /// The idempotency key: a repeat under the same key is the same commit, not a second one. Default: a fresh key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
    /// The cost of the action, in the unit of the estimate.
    pub actual: Amount,
    /// Metrics of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<CyclesMetrics>,
    /// Free-form data to keep with the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
}

/// The maximum size of metadata in bytes. With more, a proxy may refuse the whole commit.
const MAX_METADATA: usize = 512 * 1024;

/// Builds a [`CommitRequest`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CommitRequestBuilder<C = Unset> {
    actual: C,
    options: CommitOptions,
}

#[derive(Clone, Debug, Default)]
struct CommitOptions {
    idempotency_key: Option<IdempotencyKey>,
    metrics: Option<CyclesMetrics>,
    metadata: Option<JsonObject>,
}

impl CommitRequest {
    /// Starts a request; the actual amount is required.
    pub fn builder() -> CommitRequestBuilder {
        CommitRequestBuilder {
            actual: Unset,
            options: CommitOptions::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        check_key(&self.idempotency_key)?;
        self.actual.check("actual")?;
        self.metrics.as_ref().map_or(Ok(()), CyclesMetrics::check)?;
        check_metadata(&self.metadata)
    }

    /// Removes whatever breaks a limit, except the amount and the key, and returns what it removed.
    pub(crate) fn trim(&mut self) -> impl Iterator<Item = InvalidRequest> + use<> {
        let custom = self.metrics.as_mut().and_then(|metrics| metrics.custom.as_mut());
        let deep = [(custom, "metrics.custom"), (self.metadata.as_mut(), "metadata")]
            .map(|(object, field)| object.and_then(|object| object.leave_out_deep(field)));
        let metrics = self.metrics.take_if(|metrics| metrics.check().is_err());
        let metadata = self.metadata.take_if(|metadata| metadata.size() > MAX_METADATA);
        let metrics = metrics.and_then(|metrics| metrics.check().err());
        let metadata = metadata.map(|metadata| {
            let problem = format!(
                "has {} bytes: at most {MAX_METADATA} are allowed",
                metadata.size()
            );
            InvalidRequest::new("metadata", problem)
        });
        deep.into_iter().flatten().chain(metrics).chain(metadata)
    }

    /// The size in bytes of the members without a fixed limit: the metadata and the custom metrics.
    pub(crate) fn bulk(&self) -> usize {
        let custom = self.metrics.as_ref().and_then(|metrics| metrics.custom.as_ref());
        [custom, self.metadata.as_ref()]
            .into_iter()
            .flatten()
            .map(JsonObject::size)
            .sum()
    }

    /// Removes the metadata or the custom metrics, whichever is larger, because the record would otherwise be too
    /// large. Returns what it removed.
    pub(crate) fn leave_out_bulk(&mut self, record: usize, limit: usize) -> Option<InvalidRequest> {
        let size = |object: &Option<JsonObject>| object.as_ref().map(JsonObject::size);
        let custom = self.metrics.as_mut().map(|metrics| &mut metrics.custom);
        let field = match (custom, &mut self.metadata) {
            (Some(custom @ Some(_)), metadata) if size(custom) >= size(metadata) => {
                *custom = None;
                "metrics.custom"
            }
            (_, metadata @ Some(_)) => {
                *metadata = None;
                "metadata"
            }
            (_, None) => return None,
        };
        let problem =
            format!("makes the record of the cost {record} bytes long: at most {limit} bytes can be stored");
        Some(InvalidRequest::new(field, problem))
    }
}

impl<C> CommitRequestBuilder<C> {
    /// Sets [`CommitRequest::actual`].
    pub fn actual(self, actual: Amount) -> CommitRequestBuilder<Amount> {
        CommitRequestBuilder {
            actual,
            options: self.options,
        }
    }

    optional! { options, CommitRequest:
        idempotency_key: IdempotencyKey,
        metrics: CyclesMetrics,
        metadata: into JsonObject,
    }
}

impl CommitRequestBuilder<Amount> {
    /// Builds the request.
    pub fn build(self) -> CommitRequest {
        let CommitOptions {
            idempotency_key,
            metrics,
            metadata,
        } = self.options;
        CommitRequest {
            idempotency_key,
            actual: self.actual,
            metrics,
            metadata,
        }
    }
}

/// Gives back the budget of a reservation, because nothing was spent (schema `ReleaseRequest`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReleaseRequest {
    /// The idempotency key: a repeat under the same key is the same release, not a second one. Default: a fresh key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
    /// The reason, at most 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Builds a [`ReleaseRequest`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct ReleaseRequestBuilder {
    request: ReleaseRequest,
}

impl ReleaseRequest {
    /// Creates a release with this reason.
    pub fn new(reason: Option<String>) -> Self {
        Self {
            idempotency_key: None,
            reason,
        }
    }

    /// Starts a request; nothing is required.
    pub fn builder() -> ReleaseRequestBuilder {
        ReleaseRequestBuilder::default()
    }

    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        check_key(&self.idempotency_key)?;
        length("reason", self.reason.as_deref().unwrap_or(""), 0, 256)
    }
}

impl ReleaseRequestBuilder {
    optional! { request, ReleaseRequest: idempotency_key: IdempotencyKey, reason: into String, }

    /// Builds the request.
    pub fn build(self) -> ReleaseRequest {
        self.request
    }
}

/// Extends a reservation's lease (schema `ReservationExtendRequest`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReservationExtendRequest {
    /// The idempotency key: a repeat under the same key is the same extension, not a second one. Default: a fresh key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
    /// By how much to extend the lease, 1 to 86,400,000 ms, counted from its current end and not from the time of the
    /// call.
    pub extend_by_ms: u64,
    /// Free-form data to keep with the extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObject>,
}

/// Builds a [`ReservationExtendRequest`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ReservationExtendRequestBuilder {
    request: ReservationExtendRequest,
}

impl ReservationExtendRequest {
    /// Creates an extension by this many milliseconds.
    pub fn new(extend_by_ms: u64) -> Self {
        Self {
            idempotency_key: None,
            extend_by_ms,
            metadata: None,
        }
    }

    /// Starts a request for an extension by this many milliseconds.
    pub fn builder(extend_by_ms: u64) -> ReservationExtendRequestBuilder {
        ReservationExtendRequestBuilder {
            request: Self::new(extend_by_ms),
        }
    }

    pub(crate) fn check(&self) -> Result<(), InvalidRequest> {
        check_key(&self.idempotency_key)?;
        within("extend_by_ms", self.extend_by_ms, 1..=DAY_MS)?;
        check_metadata(&self.metadata)
    }
}

impl ReservationExtendRequestBuilder {
    optional! { request, ReservationExtendRequest:
        idempotency_key: IdempotencyKey,
        metadata: into JsonObject,
    }

    /// Builds the request.
    pub fn build(self) -> ReservationExtendRequest {
        self.request
    }
}
