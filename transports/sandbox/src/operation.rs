//! The operations of the protocol and their short names in faults and logs.

use http::Method;

use crate::ledger::operation_of;

/// An operation of the protocol, a health probe, or an unknown path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `POST /v1/decide`.
    Decide,
    /// `POST /v1/reservations`.
    CreateReservation,
    /// `GET /v1/reservations/{reservation_id}`.
    GetReservation,
    /// `GET /v1/reservations`.
    ListReservations,
    /// `POST /v1/reservations/{reservation_id}/commit`.
    CommitReservation,
    /// `POST /v1/reservations/{reservation_id}/release`.
    ReleaseReservation,
    /// `POST /v1/reservations/{reservation_id}/extend`.
    ExtendReservation,
    /// `POST /v1/events`.
    CreateEvent,
    /// `GET /v1/balances`.
    GetBalances,
    /// `GET /v1/evidence/{evidence_id}`.
    GetEvidence,
    /// `GET /v1/.well-known/cycles-jwks.json`.
    GetEvidenceJwks,
    /// The probes.
    Health,
    /// Anything else.
    Unknown,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 13] = [
        Self::Decide,
        Self::CreateReservation,
        Self::GetReservation,
        Self::ListReservations,
        Self::CommitReservation,
        Self::ReleaseReservation,
        Self::ExtendReservation,
        Self::CreateEvent,
        Self::GetBalances,
        Self::GetEvidence,
        Self::GetEvidenceJwks,
        Self::Health,
        Self::Unknown,
    ];

    /// The operation that a request with this method and path asks for.
    pub fn of(method: &Method, path: &str) -> Self {
        operation_of(method, path)
    }

    /// The short name: one word, taken from the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::CreateReservation => "reserve",
            Self::GetReservation => "get",
            Self::ListReservations => "list",
            Self::CommitReservation => "commit",
            Self::ReleaseReservation => "release",
            Self::ExtendReservation => "extend",
            Self::CreateEvent => "event",
            Self::GetBalances => "balances",
            Self::GetEvidence => "evidence",
            Self::GetEvidenceJwks => "jwks",
            Self::Health => "health",
            Self::Unknown => "unknown",
        }
    }

    /// The operation with this short name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}
