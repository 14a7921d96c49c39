//! The operations of the protocol.

/// An operation of the protocol, named after its `operationId`, or the readiness probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OperationKind {
    /// `POST /v1/decide`.
    Decide,
    /// `POST /v1/reservations`.
    CreateReservation {
        /// Whether it is a dry run, which only evaluates and reserves nothing.
        dry_run: bool,
    },
    /// `POST /v1/reservations/{reservation_id}/commit`.
    CommitReservation,
    /// `POST /v1/reservations/{reservation_id}/release`.
    ReleaseReservation,
    /// `POST /v1/reservations/{reservation_id}/extend`.
    ExtendReservation,
    /// `GET /v1/reservations/{reservation_id}`.
    GetReservation,
    /// `GET /v1/reservations`.
    ListReservations,
    /// `POST /v1/events`.
    CreateEvent,
    /// `GET /v1/balances`.
    GetBalances,
    /// `GET /v1/evidence/{evidence_id}`.
    GetEvidence,
    /// `GET /v1/.well-known/cycles-jwks.json`.
    GetEvidenceJwks,
    /// `GET /actuator/health/readiness`.
    Health,
}

impl OperationKind {
    /// The protocol's name for the operation.
    pub fn operation_id(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::CreateReservation { .. } => "createReservation",
            Self::CommitReservation => "commitReservation",
            Self::ReleaseReservation => "releaseReservation",
            Self::ExtendReservation => "extendReservation",
            Self::GetReservation => "getReservation",
            Self::ListReservations => "listReservations",
            Self::CreateEvent => "createEvent",
            Self::GetBalances => "getBalances",
            Self::GetEvidence => "getEvidence",
            Self::GetEvidenceJwks => "getEvidenceJwks",
            Self::Health => "health",
        }
    }

    /// Whether the operation can change the ledger.
    pub fn changes_the_ledger(self) -> bool {
        match self {
            Self::CreateReservation { dry_run } => !dry_run,
            Self::CommitReservation
            | Self::ReleaseReservation
            | Self::ExtendReservation
            | Self::CreateEvent => true,
            Self::Decide
            | Self::GetReservation
            | Self::ListReservations
            | Self::GetBalances
            | Self::GetEvidence
            | Self::GetEvidenceJwks
            | Self::Health => false,
        }
    }

    /// Whether the operation needs no API key.
    pub fn is_public(self) -> bool {
        matches!(self, Self::GetEvidence | Self::GetEvidenceJwks | Self::Health)
    }

    pub(crate) fn names_a_reservation(self) -> bool {
        matches!(
            self,
            Self::CommitReservation
                | Self::ReleaseReservation
                | Self::ExtendReservation
                | Self::GetReservation
        )
    }

    pub(crate) fn succeeds_with(self, status: u16) -> bool {
        match self {
            Self::CreateEvent => status == 201,
            // A server that is not ready answers with 503.
            Self::Health => status == 200 || status == 503,
            Self::Decide
            | Self::CreateReservation { .. }
            | Self::CommitReservation
            | Self::ReleaseReservation
            | Self::ExtendReservation
            | Self::GetReservation
            | Self::ListReservations
            | Self::GetBalances
            | Self::GetEvidence
            | Self::GetEvidenceJwks => status == 200,
        }
    }
}
