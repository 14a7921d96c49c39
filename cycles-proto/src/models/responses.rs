//! What the server answers to the operations that change or ask the ledger.

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

/// The answer to `decide` (schema `DecisionResponse`). It holds nothing: a reservation made later may
/// still be refused.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct DecisionResponse {
    /// Whether the action would be allowed.
    pub decision: Decision,
    /// What to keep to when it is `ALLOW_WITH_CAPS`.
    #[serde(default)]
    pub caps: Option<Caps>,
    /// Why it is `DENY`.
    #[serde(default)]
    pub reason_code: Option<DecisionReasonCode>,
    /// When asking again may help, in milliseconds from now.
    #[serde(default, deserialize_with = "non_negative")]
    pub retry_after_ms: Option<i64>,
    /// The scopes that were looked at, broadest first.
    #[serde(default)]
    pub affected_scopes: Option<Vec<String>>,
    /// The evidence of the decision.
    #[serde(default)]
    pub cycles_evidence: Option<CyclesEvidenceRef>,
    /// What the transport saw.
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

/// The answer to a reservation, live or dry (schema `ReservationCreateResponse`).
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
    /// When the lease ends, on the server's clock.
    #[serde(default)]
    pub expires_at_ms: Option<UnixMillis>,
    /// How long the lease lasted when the answer was made. 0 on the replay of a key whose reservation is
    /// over: then nothing is held.
    #[serde(default)]
    pub remaining_ttl_ms: Option<u64>,
    /// The deepest scope.
    #[serde(default)]
    pub scope_path: Option<String>,
    /// All scopes, broadest first.
    pub affected_scopes: Vec<String>,
    /// What to keep to when it is `ALLOW_WITH_CAPS`.
    #[serde(default)]
    pub caps: Option<Caps>,
    /// The balances after the reservation; of a dry run, as they are.
    #[serde(default)]
    pub balances: Option<Vec<Balance>>,
    /// Why it is `DENY`.
    #[serde(default)]
    pub reason_code: Option<DecisionReasonCode>,
    /// When asking again may help, in milliseconds from now.
    #[serde(default, deserialize_with = "non_negative")]
    pub retry_after_ms: Option<i64>,
    /// The evidence of the reservation.
    #[serde(default)]
    pub cycles_evidence: Option<CyclesEvidenceRef>,
    /// What the transport saw.
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
    /// What was charged; less than the actual amount when `ALLOW_IF_AVAILABLE` capped it.
    pub charged: Amount,
    /// What the action cost, in a [receipt](crate::outcome::Receipt).
    #[serde(skip)]
    pub actual: Option<Amount>,
    /// What was given back, if less was charged than reserved.
    #[serde(default)]
    pub released: Option<Amount>,
    /// The balances after the commit.
    #[serde(default)]
    pub balances: Option<Vec<Balance>>,
    /// The evidence of the commit.
    #[serde(default)]
    pub cycles_evidence: Option<CyclesEvidenceRef>,
    /// What the transport saw.
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
    /// What was given back.
    pub released: Amount,
    /// The balances after the release.
    #[serde(default)]
    pub balances: Option<Vec<Balance>>,
    /// The evidence of the release.
    #[serde(default)]
    pub cycles_evidence: Option<CyclesEvidenceRef>,
    /// What the transport saw.
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
    /// When the lease ends now, on the server's clock.
    pub expires_at_ms: UnixMillis,
    /// How long the lease lasted when the answer was made.
    #[serde(default)]
    pub remaining_ttl_ms: Option<u64>,
    /// The balances, unchanged.
    #[serde(default)]
    pub balances: Option<Vec<Balance>>,
    /// What the transport saw.
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

/// The answer to a direct debit (schema `EventCreateResponse`).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct EventCreateResponse {
    /// `APPLIED`.
    pub status: EventStatus,
    /// The event.
    #[serde(deserialize_with = "not_empty")]
    pub event_id: EventId,
    /// What was charged, if that is less than the actual amount.
    #[serde(default)]
    pub charged: Option<Amount>,
    /// What the action cost, in a [receipt](crate::outcome::Receipt).
    #[serde(skip)]
    pub actual: Option<Amount>,
    /// The balances after the debit.
    #[serde(default)]
    pub balances: Option<Vec<Balance>>,
    /// What the transport saw.
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
    /// What the transport saw.
    #[serde(skip)]
    pub info: ResponseInfo,
}

shown_without_the_key!(HealthResponse { status, info });
