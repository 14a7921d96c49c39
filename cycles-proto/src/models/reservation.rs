//! Reservations as the server reports them.

use serde::Deserialize;

use super::action::Action;
use super::amount::Amount;
use super::codes::ReservationStatus;
use super::decode::if_valid;
use super::evidence::ReservationEvidence;
use super::ids::{IdempotencyKey, ReservationId};
use super::json_object::JsonObject;
use super::response_info::{ResponseInfo, shown_without_the_key};
use super::subject::Subject;
use crate::time::UnixMillis;

/// A reservation in a list (schema `ReservationSummary`).
///
/// `metadata`, `committed_metadata` and `evidence` are present only if
/// [`ListReservationsParams::include`](super::ListReservationsParams::include) asks for them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ReservationSummary {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// Its state.
    pub status: ReservationStatus,
    /// The key that it was created under, if the server keeps it.
    #[serde(default)]
    pub idempotency_key: Option<IdempotencyKey>,
    /// The subject that spends.
    pub subject: Subject,
    /// The action.
    pub action: Action,
    /// The amount that was reserved.
    pub reserved: Amount,
    /// The amount that was charged, once committed.
    #[serde(default)]
    pub committed: Option<Amount>,
    /// When it was created, in Unix milliseconds on the server's clock.
    pub created_at_ms: u64,
    /// When its lease ends, in Unix milliseconds on the server's clock.
    pub expires_at_ms: u64,
    /// When it was committed or released, in Unix milliseconds on the server's clock.
    #[serde(default)]
    pub finalized_at_ms: Option<u64>,
    /// Its deepest scope.
    pub scope_path: String,
    /// All its scopes, broadest first.
    pub affected_scopes: Vec<String>,
    /// Metadata of the reservation.
    #[serde(default)]
    pub metadata: Option<JsonObject>,
    /// Metadata of the commit.
    #[serde(default)]
    pub committed_metadata: Option<JsonObject>,
    /// Evidence of its operations.
    #[serde(default, deserialize_with = "if_valid")]
    pub evidence: Option<ReservationEvidence>,
}

impl ReservationSummary {
    /// [`created_at_ms`](Self::created_at_ms) as a time.
    pub fn created_at(&self) -> UnixMillis {
        UnixMillis(self.created_at_ms)
    }

    /// [`expires_at_ms`](Self::expires_at_ms) as a time.
    pub fn expires_at(&self) -> UnixMillis {
        UnixMillis(self.expires_at_ms)
    }

    /// [`finalized_at_ms`](Self::finalized_at_ms) as a time.
    pub fn finalized_at(&self) -> Option<UnixMillis> {
        self.finalized_at_ms.map(UnixMillis)
    }
}

/// One reservation (schema `ReservationDetail`). It derefs to a summary, and so has all members of one.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReservationDetail {
    /// The reservation.
    pub reservation: ReservationSummary,
    /// Status, headers and body of the response.
    pub info: ResponseInfo,
}

shown_without_the_key!(ReservationDetail { reservation, info });

impl core::ops::Deref for ReservationDetail {
    type Target = ReservationSummary;

    fn deref(&self) -> &ReservationSummary {
        &self.reservation
    }
}

impl<'de> Deserialize<'de> for ReservationDetail {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reservation = ReservationSummary::deserialize(deserializer)?;
        Ok(Self {
            reservation,
            info: ResponseInfo::default(),
        })
    }
}

/// A page of reservations (schema `ReservationListResponse`).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ReservationListResponse {
    /// The reservations, sorted as requested, or else in an order of the server's choice.
    pub reservations: Vec<ReservationSummary>,
    /// The cursor of the next page.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// Whether there may be another page.
    #[serde(default)]
    pub has_more: Option<bool>,
    /// Status, headers and body of the response.
    #[serde(skip)]
    pub info: ResponseInfo,
}

shown_without_the_key!(ReservationListResponse {
    reservations,
    next_cursor,
    has_more,
    info
});
