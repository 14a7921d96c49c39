//! The endpoints: one constructor for each operation, with its method, path and query.

use std::sync::Arc;

use super::Operation;
use crate::config::CyclesConfig;
use crate::idempotency::Seed;
use crate::models::{
    BalanceParams, BalanceResponse, CommitRequest, CommitResponse, CyclesEvidenceEnvelope,
    CyclesEvidenceJwks, DecisionRequest, DecisionResponse, EventCreateRequest, EventCreateResponse,
    EvidenceId, HealthResponse, InvalidRequest, ListReservationsParams, ReleaseRequest, ReleaseResponse,
    ReservationCreateRequest, ReservationCreateResponse, ReservationDetail, ReservationExtendRequest,
    ReservationExtendResponse, ReservationId, ReservationListResponse,
};
use crate::outcome::{Error, OperationKind};
use crate::url_path::{balances_path, evidence_path, list_path, reservation_path};

impl Operation<DecisionResponse> {
    /// Asks whether an action would be allowed, without holding budget.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    pub fn decide(config: &Arc<CyclesConfig>, request: &DecisionRequest, seed: Seed) -> Result<Self, Error> {
        Self::post(config, OperationKind::Decide, path("/v1/decide"), request, seed)
    }
}

impl Operation<ReservationCreateResponse> {
    /// Holds budget for an action, or evaluates whether it could be held.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    pub fn create_reservation(
        config: &Arc<CyclesConfig>,
        request: &ReservationCreateRequest,
        seed: Seed,
    ) -> Result<Self, Error> {
        let kind = OperationKind::CreateReservation {
            dry_run: request.dry_run,
        };
        Self::post(config, kind, path("/v1/reservations"), request, seed)
    }
}

impl Operation<CommitResponse> {
    /// Charges the actual cost of an action to its reservation.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    pub fn commit_reservation(
        config: &Arc<CyclesConfig>,
        id: &ReservationId,
        request: &CommitRequest,
        seed: Seed,
    ) -> Result<Self, Error> {
        Self::post(
            config,
            OperationKind::CommitReservation,
            reservation_path(id, "/commit"),
            request,
            seed,
        )
        .map(|operation| operation.about(id))
    }
}

impl Operation<ReleaseResponse> {
    /// Gives back the budget of a reservation.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    pub fn release_reservation(
        config: &Arc<CyclesConfig>,
        id: &ReservationId,
        request: &ReleaseRequest,
        seed: Seed,
    ) -> Result<Self, Error> {
        Self::post(
            config,
            OperationKind::ReleaseReservation,
            reservation_path(id, "/release"),
            request,
            seed,
        )
        .map(|operation| operation.about(id))
    }
}

impl Operation<ReservationExtendResponse> {
    /// Extends a reservation's lease.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    pub fn extend_reservation(
        config: &Arc<CyclesConfig>,
        id: &ReservationId,
        request: &ReservationExtendRequest,
        seed: Seed,
    ) -> Result<Self, Error> {
        Self::post(
            config,
            OperationKind::ExtendReservation,
            reservation_path(id, "/extend"),
            request,
            seed,
        )
        .map(|operation| operation.about(id))
    }
}

impl Operation<EventCreateResponse> {
    /// Charges an action that has no reservation.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    pub fn create_event(
        config: &Arc<CyclesConfig>,
        request: &EventCreateRequest,
        seed: Seed,
    ) -> Result<Self, Error> {
        Self::post(
            config,
            OperationKind::CreateEvent,
            path("/v1/events"),
            request,
            seed,
        )
    }
}

impl Operation<ReservationDetail> {
    /// Fetches one reservation.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    pub fn get_reservation(
        config: &Arc<CyclesConfig>,
        id: &ReservationId,
        seed: Seed,
    ) -> Result<Self, Error> {
        Self::get(
            config,
            OperationKind::GetReservation,
            reservation_path(id, ""),
            seed,
        )
        .map(|operation| operation.about(id))
    }
}

impl Operation<ReservationListResponse> {
    /// Lists reservations, one page at a time.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    pub fn list_reservations(
        config: &Arc<CyclesConfig>,
        params: &ListReservationsParams,
        seed: Seed,
    ) -> Result<Self, Error> {
        Self::get(config, OperationKind::ListReservations, list_path(params), seed)
    }
}

impl Operation<BalanceResponse> {
    /// Fetches balances, one page at a time.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    pub fn get_balances(
        config: &Arc<CyclesConfig>,
        params: &BalanceParams,
        seed: Seed,
    ) -> Result<Self, Error> {
        Self::get(config, OperationKind::GetBalances, balances_path(params), seed)
    }
}

impl Operation<CyclesEvidenceEnvelope> {
    /// Fetches a signed envelope. The envelope is public, so no API key is sent.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    pub fn get_evidence(config: &Arc<CyclesConfig>, id: &EvidenceId, seed: Seed) -> Result<Self, Error> {
        Self::get(config, OperationKind::GetEvidence, evidence_path(id), seed)
    }
}

impl Operation<CyclesEvidenceJwks> {
    /// Fetches the keys that verify evidence. They are public, so no API key is sent.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    pub fn get_evidence_jwks(config: &Arc<CyclesConfig>, seed: Seed) -> Result<Self, Error> {
        Self::get(
            config,
            OperationKind::GetEvidenceJwks,
            path("/v1/.well-known/cycles-jwks.json"),
            seed,
        )
    }
}

impl Operation<HealthResponse> {
    /// Asks whether the server is ready. The endpoint is public, so no API key is sent.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit.
    pub fn health(config: &Arc<CyclesConfig>, seed: Seed) -> Result<Self, Error> {
        Self::get(
            config,
            OperationKind::Health,
            path("/actuator/health/readiness"),
            seed,
        )
    }
}

/// A path that needs no check.
fn path(path: &'static str) -> Result<&'static str, InvalidRequest> {
    Ok(path)
}
