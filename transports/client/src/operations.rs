//! The low-level operations: one request and one response each.

use std::sync::Arc;

use cycles_proto::models::{
    ApiResponse, BalanceParams, BalanceResponse, CommitRequest, CommitResponse, CyclesEvidenceEnvelope,
    CyclesEvidenceJwks, DecisionRequest, DecisionResponse, EventCreateRequest, EventCreateResponse,
    EvidenceId, HealthResponse, IdempotencyKey, ListReservationsParams, ReleaseRequest, ReleaseResponse,
    ReservationCreateRequest, ReservationCreateResponse, ReservationDetail, ReservationExtendRequest,
    ReservationExtendResponse, ReservationId, ReservationListResponse, ReservationSummary,
};
use cycles_proto::session::Key;
use cycles_proto::{CyclesConfig, Error, Operation, RawRequest, RawResponse, Seed};

use crate::client::Client;
use crate::engine::Waiting;

/// Low-level operations: one request and one response each.
///
/// If the future of an operation is dropped, its call is withdrawn: if the call had not begun, it is not sent;
/// otherwise the server may have executed it.
impl Client {
    /// Asks whether an action would be allowed (`decide`). Does not hold budget: reserve to be sure.
    ///
    /// # Errors
    /// Any [`Error`]. A denial is not an error here, but a decision.
    pub async fn decide(&self, request: &DecisionRequest) -> Result<DecisionResponse, Error> {
        self.make(|config, seed| Operation::decide(config, request, seed))
            .await
    }

    /// Reserves budget for an action (`createReservation`), or, with `dry_run`, evaluates whether that is possible. The
    /// budget stays held until the reservation is committed or released, or until its lease ends; nothing extends the
    /// lease. The action may run only if the [decision](ReservationCreateResponse::decision) allows it.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::BudgetExceeded`] or [`Error::Denied`] if the server denies a reservation that is not a
    /// dry run.
    pub async fn create_reservation(
        &self,
        request: &ReservationCreateRequest,
    ) -> Result<ReservationCreateResponse, Error> {
        self.make(|config, seed| Operation::create_reservation(config, request, seed))
            .await
    }

    /// Like [`create_reservation`](Self::create_reservation), but also returns the metadata from the response's
    /// headers.
    ///
    /// # Errors
    /// The same errors as [`create_reservation`](Self::create_reservation).
    pub async fn create_reservation_with_metadata(
        &self,
        request: &ReservationCreateRequest,
    ) -> Result<ApiResponse<ReservationCreateResponse>, Error> {
        let made = self.create_reservation(request).await?;
        let info = made.info.clone();
        Ok(ApiResponse::new(made, &info))
    }

    /// Charges the cost of an action to its reservation (`commitReservation`). The cost is not recorded in the journal.
    ///
    /// # Errors
    /// Any [`Error`]; check [`Error::outcome_is_unknown`] before giving up on a cost.
    pub async fn commit_reservation(
        &self,
        id: &ReservationId,
        request: &CommitRequest,
    ) -> Result<CommitResponse, Error> {
        self.make(|config, seed| Operation::commit_reservation(config, id, request, seed))
            .await
    }

    /// Gives back the budget of a reservation (`releaseReservation`).
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn release_reservation(
        &self,
        id: &ReservationId,
        request: &ReleaseRequest,
    ) -> Result<ReleaseResponse, Error> {
        self.make(|config, seed| Operation::release_reservation(config, id, request, seed))
            .await
    }

    /// Extends the lease of a reservation (`extendReservation`).
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn extend_reservation(
        &self,
        id: &ReservationId,
        request: &ReservationExtendRequest,
    ) -> Result<ReservationExtendResponse, Error> {
        self.make(|config, seed| Operation::extend_reservation(config, id, request, seed))
            .await
    }

    /// Fetches one reservation (`getReservation`).
    ///
    /// # Errors
    /// Any [`Error`]; an expired reservation is a 410 here, but lists still contain it.
    pub async fn get_reservation(&self, id: &ReservationId) -> Result<ReservationDetail, Error> {
        self.make(|config, seed| Operation::get_reservation(config, id, seed))
            .await
    }

    /// Lists reservations, a page at a time (`listReservations`).
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn list_reservations(
        &self,
        params: &ListReservationsParams,
    ) -> Result<ReservationListResponse, Error> {
        self.make(|config, seed| Operation::list_reservations(config, params, seed))
            .await
    }

    /// Charges an action that was not reserved (`createEvent`). The cost is not recorded in the journal.
    ///
    /// # Errors
    /// Any [`Error`]; check [`Error::outcome_is_unknown`] before giving up on a cost.
    pub async fn create_event(&self, request: &EventCreateRequest) -> Result<EventCreateResponse, Error> {
        self.make(|config, seed| Operation::create_event(config, request, seed))
            .await
    }

    /// Lists balances, a page at a time (`getBalances`).
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn get_balances(&self, params: &BalanceParams) -> Result<BalanceResponse, Error> {
        self.make(|config, seed| Operation::get_balances(config, params, seed))
            .await
    }

    /// Fetches a signed evidence envelope (`getEvidence`). Shortly after the operation, it may not exist yet: a 404
    /// then does not mean that the evidence is lost.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn get_evidence(&self, id: &EvidenceId) -> Result<CyclesEvidenceEnvelope, Error> {
        self.make(|config, seed| Operation::get_evidence(config, id, seed))
            .await
    }

    /// Fetches the keys that verify evidence (`getEvidenceJwks`).
    ///
    /// # Errors
    /// Any [`Error`]; a server that publishes no keys returns 404.
    pub async fn get_evidence_jwks(&self) -> Result<CyclesEvidenceJwks, Error> {
        self.make(Operation::get_evidence_jwks).await
    }

    /// Asks whether the server is ready.
    ///
    /// # Errors
    /// Any [`Error`]; a server that is up but not ready is not an error.
    pub async fn health(&self) -> Result<HealthResponse, Error> {
        self.make(Operation::health).await
    }

    /// Finds the reservation that was made with this key, whatever its state. Returns `None` if the server does not
    /// know it, or no longer does.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn find_by_idempotency_key(
        &self,
        key: impl Into<IdempotencyKey>,
    ) -> Result<Option<ReservationSummary>, Error> {
        let params = ListReservationsParams {
            idempotency_key: Some(key.into()),
            ..Default::default()
        };
        Ok(self
            .list_reservations(&params)
            .await?
            .reservations
            .into_iter()
            .next())
    }

    /// Runs any operation and returns the raw response. An error status is not an error here.
    ///
    /// # Errors
    /// Only if there is no response: [`Error::Config`], [`Error::Validation`] and [`Error::Transport`].
    pub async fn raw<'a>(&self, request: impl Into<RawRequest<'a>>) -> Result<RawResponse, Error> {
        let request = request.into();
        self.make(|config, seed| Operation::raw(config, request, seed))
            .await
    }

    async fn make<T: core::fmt::Debug + Send + 'static>(
        &self,
        start: impl FnOnce(&Arc<CyclesConfig>, Seed) -> Result<Operation<T>, Error>,
    ) -> Result<T, Error> {
        let ready = self.ready()?;
        let operation = start(ready.caller.config(), crate::sync::seed()?)?;
        let shared = ready.engine.shared();
        let key = shared.call(&ready.caller_here(), operation)?;
        let waiting = Waiting::new(shared, Key::Call(key.id()));
        waiting.until(|session| session.answer(key)).await
    }
}
