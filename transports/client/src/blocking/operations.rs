//! The low-level operations: one request and one response each.

use cycles_proto::models::{
    ApiResponse, BalanceParams, BalanceResponse, CommitRequest, CommitResponse, CyclesEvidenceEnvelope,
    CyclesEvidenceJwks, DecisionRequest, DecisionResponse, EventCreateRequest, EventCreateResponse,
    EvidenceId, HealthResponse, IdempotencyKey, ListReservationsParams, ReleaseRequest, ReleaseResponse,
    ReservationCreateRequest, ReservationCreateResponse, ReservationDetail, ReservationExtendRequest,
    ReservationExtendResponse, ReservationId, ReservationListResponse, ReservationSummary,
};
use cycles_proto::{Error, RawRequest, RawResponse};

use super::Client;

/// Low-level operations: one request and one response each. Each blocks until the response has arrived, or the attempt
/// times out.
impl Client {
    /// Asks whether an action would be allowed (`decide`). Does not hold budget: reserve to be sure.
    ///
    /// # Errors
    /// Any [`Error`]. A denial is not an error here, but a decision.
    pub fn decide(&self, request: &DecisionRequest) -> Result<DecisionResponse, Error> {
        self.wait(self.0.decide(request))
    }

    /// Reserves budget for an action (`createReservation`), or, with `dry_run`, evaluates whether that is possible. The
    /// budget stays held until the reservation is committed or released, or until its lease ends; nothing extends the
    /// lease. The action may run only if the [decision](ReservationCreateResponse::decision) allows it.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::BudgetExceeded`] or [`Error::Denied`] if the server denies a reservation that is not a
    /// dry run.
    pub fn create_reservation(
        &self,
        request: &ReservationCreateRequest,
    ) -> Result<ReservationCreateResponse, Error> {
        self.wait(self.0.create_reservation(request))
    }

    /// Like [`create_reservation`](Self::create_reservation), but also returns the metadata from the response's
    /// headers.
    ///
    /// # Errors
    /// The same errors as [`create_reservation`](Self::create_reservation).
    pub fn create_reservation_with_metadata(
        &self,
        request: &ReservationCreateRequest,
    ) -> Result<ApiResponse<ReservationCreateResponse>, Error> {
        self.wait(self.0.create_reservation_with_metadata(request))
    }

    /// Charges the cost of an action to its reservation (`commitReservation`). The cost is not recorded in the journal.
    ///
    /// # Errors
    /// Any [`Error`]; check [`Error::outcome_is_unknown`] before giving up on a cost.
    pub fn commit_reservation(
        &self,
        id: &ReservationId,
        request: &CommitRequest,
    ) -> Result<CommitResponse, Error> {
        self.wait(self.0.commit_reservation(id, request))
    }

    /// Gives back the budget of a reservation (`releaseReservation`).
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn release_reservation(
        &self,
        id: &ReservationId,
        request: &ReleaseRequest,
    ) -> Result<ReleaseResponse, Error> {
        self.wait(self.0.release_reservation(id, request))
    }

    /// Extends the lease of a reservation (`extendReservation`).
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn extend_reservation(
        &self,
        id: &ReservationId,
        request: &ReservationExtendRequest,
    ) -> Result<ReservationExtendResponse, Error> {
        self.wait(self.0.extend_reservation(id, request))
    }

    /// Fetches one reservation (`getReservation`).
    ///
    /// # Errors
    /// Any [`Error`]; an expired reservation is a 410 here, but lists still contain it.
    pub fn get_reservation(&self, id: &ReservationId) -> Result<ReservationDetail, Error> {
        self.wait(self.0.get_reservation(id))
    }

    /// Lists reservations, a page at a time (`listReservations`).
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn list_reservations(
        &self,
        params: &ListReservationsParams,
    ) -> Result<ReservationListResponse, Error> {
        self.wait(self.0.list_reservations(params))
    }

    /// Charges an action that was not reserved (`createEvent`). The cost is not recorded in the journal.
    ///
    /// # Errors
    /// Any [`Error`]; check [`Error::outcome_is_unknown`] before giving up on a cost.
    pub fn create_event(&self, request: &EventCreateRequest) -> Result<EventCreateResponse, Error> {
        self.wait(self.0.create_event(request))
    }

    /// Lists balances, a page at a time (`getBalances`).
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn get_balances(&self, params: &BalanceParams) -> Result<BalanceResponse, Error> {
        self.wait(self.0.get_balances(params))
    }

    /// Fetches a signed evidence envelope (`getEvidence`). Shortly after the operation, it may not exist yet: a 404
    /// then does not mean that the evidence is lost.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn get_evidence(&self, id: &EvidenceId) -> Result<CyclesEvidenceEnvelope, Error> {
        self.wait(self.0.get_evidence(id))
    }

    /// Fetches the keys that verify evidence (`getEvidenceJwks`).
    ///
    /// # Errors
    /// Any [`Error`]; a server that publishes no keys returns 404.
    pub fn get_evidence_jwks(&self) -> Result<CyclesEvidenceJwks, Error> {
        self.wait(self.0.get_evidence_jwks())
    }

    /// Asks whether the server is ready.
    ///
    /// # Errors
    /// Any [`Error`]; a server that is up but not ready is not an error.
    pub fn health(&self) -> Result<HealthResponse, Error> {
        self.wait(self.0.health())
    }

    /// Finds the reservation that was made with this key, whatever its state. Returns `None` if the server does not
    /// know it, or no longer does.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn find_by_idempotency_key(
        &self,
        key: impl Into<IdempotencyKey>,
    ) -> Result<Option<ReservationSummary>, Error> {
        self.wait(self.0.find_by_idempotency_key(key))
    }

    /// Runs any operation and returns the raw response. An error status is not an error here.
    ///
    /// # Errors
    /// Only if there is no response: [`Error::Config`], [`Error::Validation`] and [`Error::Transport`].
    pub fn raw<'a>(&self, request: impl Into<RawRequest<'a>>) -> Result<RawResponse, Error> {
        self.wait(self.0.raw(request))
    }
}
