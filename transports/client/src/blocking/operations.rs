//! The plain operations: one request and one answer each.

use cycles_proto::models::{
    BalanceParams, BalanceResponse, CommitRequest, CommitResponse, CyclesEvidenceEnvelope,
    CyclesEvidenceJwks, DecisionRequest, DecisionResponse, EventCreateRequest, EventCreateResponse,
    EvidenceId, HealthResponse, IdempotencyKey, ListReservationsParams, ReleaseRequest, ReleaseResponse,
    ReservationCreateRequest, ReservationCreateResponse, ReservationDetail, ReservationExtendRequest,
    ReservationExtendResponse, ReservationId, ReservationListResponse, ReservationSummary,
};
use cycles_proto::{Error, RawRequest, RawResponse};

use super::Client;

impl Client {
    /// Asks whether an action would be allowed (`decide`). Holds nothing: to be sure, reserve.
    ///
    /// # Errors
    /// Any [`Error`]. A refusal is no error here but a decision.
    pub fn decide(&self, request: &DecisionRequest) -> Result<DecisionResponse, Error> {
        self.wait(self.0.decide(request))
    }

    /// Holds budget for an action (`createReservation`), or with `dry_run` evaluates whether it could.
    /// What is held must be committed or released, or it stays held until the lease ends. The action may run
    /// only if the [decision](ReservationCreateResponse::decision) allows it.
    ///
    /// # Errors
    /// [`Error::BudgetExceeded`] or [`Error::Denied`] when a server refuses a live reservation, and any other
    /// [`Error`].
    pub fn create_reservation(
        &self,
        request: &ReservationCreateRequest,
    ) -> Result<ReservationCreateResponse, Error> {
        self.wait(self.0.create_reservation(request))
    }

    /// Charges what an action cost to its reservation (`commitReservation`).
    ///
    /// # Errors
    /// Any [`Error`]; see [`Error::outcome_is_unknown`] before giving up a cost.
    pub fn commit_reservation(
        &self,
        id: &ReservationId,
        request: &CommitRequest,
    ) -> Result<CommitResponse, Error> {
        self.wait(self.0.commit_reservation(id, request))
    }

    /// Gives back what a reservation holds (`releaseReservation`).
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

    /// Prolongs a reservation's lease (`extendReservation`).
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

    /// Looks at one reservation (`getReservation`).
    ///
    /// # Errors
    /// Any [`Error`]; an expired reservation is a 410 here, and a row in a list.
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

    /// Charges an action that was not reserved (`createEvent`).
    ///
    /// # Errors
    /// Any [`Error`]; see [`Error::outcome_is_unknown`] before giving up a cost.
    pub fn create_event(&self, request: &EventCreateRequest) -> Result<EventCreateResponse, Error> {
        self.wait(self.0.create_event(request))
    }

    /// Shows balances, a page at a time (`getBalances`).
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn get_balances(&self, params: &BalanceParams) -> Result<BalanceResponse, Error> {
        self.wait(self.0.get_balances(params))
    }

    /// Fetches a signed evidence envelope (`getEvidence`). It may not be there yet: a 404 shortly after the
    /// operation is no loss.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn get_evidence(&self, id: &EvidenceId) -> Result<CyclesEvidenceEnvelope, Error> {
        self.wait(self.0.get_evidence(id))
    }

    /// Fetches the keys that verify evidence (`getEvidenceJwks`).
    ///
    /// # Errors
    /// Any [`Error`]; a server that publishes none answers 404.
    pub fn get_evidence_jwks(&self) -> Result<CyclesEvidenceJwks, Error> {
        self.wait(self.0.get_evidence_jwks())
    }

    /// Asks whether the server is ready.
    ///
    /// # Errors
    /// Any [`Error`]; a server that is up but not ready is no error.
    pub fn health(&self) -> Result<HealthResponse, Error> {
        self.wait(self.0.health())
    }

    /// The reservation that was made under this key, however it ended, if the server still knows it.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn find_by_idempotency_key(
        &self,
        key: impl Into<IdempotencyKey>,
    ) -> Result<Option<ReservationSummary>, Error> {
        self.wait(self.0.find_by_idempotency_key(key))
    }

    /// Any operation, with its answer as it came: a status that says no is no error here.
    ///
    /// # Errors
    /// Only if there is no answer: [`Error::Config`], [`Error::Validation`] and [`Error::Transport`].
    pub fn raw<'a>(&self, request: impl Into<RawRequest<'a>>) -> Result<RawResponse, Error> {
        self.wait(self.0.raw(request))
    }
}
