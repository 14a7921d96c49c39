//! The server's answers to operations that change or query the ledger.

use core::time::Duration;

use serde::Deserialize;

use super::amount::Amount;
use super::balance::Balance;
use super::caps::Caps;
use super::codes::{Decision, DecisionReasonCode, EventStatus, HealthStatus, ReservationStatus};
use super::decode::{non_negative, not_empty};
use super::evidence::CyclesEvidenceRef;
use super::ids::{EventId, ReservationId};
use super::response_info::{ResponseInfo, shown_without_the_key};
use crate::time::UnixMillis;

/// The answer to `decide` (schema `DecisionResponse`). No budget is held: a later reservation may still be refused.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct DecisionResponse {
    /// Whether the action would be allowed.
    pub decision: Decision,
    /// The limits to keep to if the decision is `ALLOW_WITH_CAPS`.
    #[serde(default)]
    pub caps: Option<Caps>,
    /// The reason if the decision is `DENY`.
    #[serde(default)]
    pub reason_code: Option<DecisionReasonCode>,
    /// How long to wait before another try, in milliseconds.
    #[serde(default, deserialize_with = "non_negative")]
    pub retry_after_ms: Option<i64>,
    /// The scopes that were checked, broadest first.
    #[serde(default)]
    pub affected_scopes: Option<Vec<String>>,
    /// The evidence of the decision.
    #[serde(default)]
    pub cycles_evidence: Option<CyclesEvidenceRef>,
    /// Status, headers and body of the response.
    #[serde(skip)]
    pub info: ResponseInfo,
}

shown_without_the_key!(DecisionResponse {
    decision,
    caps,
    reason_code,
    retry_after_ms,
    affected_scopes,
    cycles_evidence,
    info
});

/// The answer to a reservation or its dry run (schema `ReservationCreateResponse`).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ReservationCreateResponse {
    /// Whether the action may run; run it only if [`Decision::is_allowed`].
    pub decision: Decision,
    /// The reservation; absent on a dry run and on `DENY`.
    #[serde(default)]
    pub reservation_id: Option<ReservationId>,
    /// The amount that is held.
    #[serde(default)]
    pub reserved: Option<Amount>,
    /// When the lease ends, in Unix milliseconds on the server's clock.
    #[serde(default)]
    pub expires_at_ms: Option<u64>,
    /// How long the lease had left when the answer was made, in milliseconds. 0 if the key was used before and that
    /// reservation has ended: nothing is held then.
    #[serde(default)]
    pub remaining_ttl_ms: Option<u64>,
    /// The deepest scope.
    #[serde(default)]
    pub scope_path: Option<String>,
    /// All scopes, broadest first.
    pub affected_scopes: Vec<String>,
    /// The limits to keep to if the decision is `ALLOW_WITH_CAPS`.
    #[serde(default)]
    pub caps: Option<Caps>,
    /// The balances after the reservation; after a dry run, the current ones.
    #[serde(default)]
    pub balances: Option<Vec<Balance>>,
    /// The reason if the decision is `DENY`.
    #[serde(default)]
    pub reason_code: Option<DecisionReasonCode>,
    /// How long to wait before another try, in milliseconds.
    #[serde(default, deserialize_with = "non_negative")]
    pub retry_after_ms: Option<i64>,
    /// The evidence of the reservation.
    #[serde(default)]
    pub cycles_evidence: Option<CyclesEvidenceRef>,
    /// Status, headers and body of the response.
    #[serde(skip)]
    pub info: ResponseInfo,
}

shown_without_the_key!(ReservationCreateResponse {
    decision,
    reservation_id,
    reserved,
    expires_at_ms,
    remaining_ttl_ms,
    scope_path,
    affected_scopes,
    caps,
    balances,
    reason_code,
    retry_after_ms,
    cycles_evidence,
    info
});

impl ReservationCreateResponse {
    /// [`expires_at_ms`](Self::expires_at_ms) as a time.
    pub fn expires_at(&self) -> Option<UnixMillis> {
        self.expires_at_ms.map(UnixMillis)
    }

    /// [`retry_after_ms`](Self::retry_after_ms) as a duration.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms
            .map(|ms| Duration::from_millis(ms.unsigned_abs()))
    }
}

/// The answer to a commit (schema `CommitResponse`).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct CommitResponse {
    /// `COMMITTED`.
    pub status: ReservationStatus,
    /// The amount that was charged; less than the actual amount if `ALLOW_IF_AVAILABLE` capped it.
    pub charged: Amount,
    /// The cost of the action; set in a [receipt](crate::outcome::Receipt) only.
    #[serde(skip)]
    pub actual: Option<Amount>,
    /// The amount that was given back, if less was charged than reserved.
    #[serde(default)]
    pub released: Option<Amount>,
    /// The balances after the commit.
    #[serde(default)]
    pub balances: Option<Vec<Balance>>,
    /// The evidence of the commit.
    #[serde(default)]
    pub cycles_evidence: Option<CyclesEvidenceRef>,
    /// Status, headers and body of the response.
    #[serde(skip)]
    pub info: ResponseInfo,
}

shown_without_the_key!(CommitResponse {
    status,
    charged,
    actual,
    released,
    balances,
    cycles_evidence,
    info
});

/// The answer to a release (schema `ReleaseResponse`).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ReleaseResponse {
    /// `RELEASED`.
    pub status: ReservationStatus,
    /// The amount that was given back.
    pub released: Amount,
    /// The balances after the release.
    #[serde(default)]
    pub balances: Option<Vec<Balance>>,
    /// The evidence of the release.
    #[serde(default)]
    pub cycles_evidence: Option<CyclesEvidenceRef>,
    /// Status, headers and body of the response.
    #[serde(skip)]
    pub info: ResponseInfo,
}

shown_without_the_key!(ReleaseResponse {
    status,
    released,
    balances,
    cycles_evidence,
    info
});

/// The answer to an extension (schema `ReservationExtendResponse`).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ReservationExtendResponse {
    /// `ACTIVE`.
    pub status: ReservationStatus,
    /// When the lease ends now, in Unix milliseconds on the server's clock.
    pub expires_at_ms: u64,
    /// How long the lease had left when the answer was made, in milliseconds.
    #[serde(default)]
    pub remaining_ttl_ms: Option<u64>,
    /// The balances, unchanged.
    #[serde(default)]
    pub balances: Option<Vec<Balance>>,
    /// Status, headers and body of the response.
    #[serde(skip)]
    pub info: ResponseInfo,
}

shown_without_the_key!(ReservationExtendResponse {
    status,
    expires_at_ms,
    remaining_ttl_ms,
    balances,
    info
});

impl ReservationExtendResponse {
    /// [`expires_at_ms`](Self::expires_at_ms) as a time.
    pub fn expires_at(&self) -> UnixMillis {
        UnixMillis(self.expires_at_ms)
    }
}

/// The answer to a direct debit (schema `EventCreateResponse`).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct EventCreateResponse {
    /// `APPLIED`.
    pub status: EventStatus,
    /// The event.
    #[serde(deserialize_with = "not_empty")]
    pub event_id: EventId,
    /// The amount that was charged, if it is less than the actual amount.
    #[serde(default)]
    pub charged: Option<Amount>,
    /// The cost of the action; set in a [receipt](crate::outcome::Receipt) only.
    #[serde(skip)]
    pub actual: Option<Amount>,
    /// The balances after the debit.
    #[serde(default)]
    pub balances: Option<Vec<Balance>>,
    /// Status, headers and body of the response.
    #[serde(skip)]
    pub info: ResponseInfo,
}

shown_without_the_key!(EventCreateResponse {
    status,
    event_id,
    charged,
    actual,
    balances,
    info
});

/// The answer of the readiness probe.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct HealthResponse {
    /// Whether the server is ready.
    pub status: HealthStatus,
    /// Status, headers and body of the response.
    #[serde(skip)]
    pub info: ResponseInfo,
}

shown_without_the_key!(HealthResponse { status, info });
