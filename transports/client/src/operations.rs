//! The plain operations: one request and one answer each.

use std::sync::Arc;

use cycles_proto::models::{
    BalanceParams, BalanceResponse, CommitRequest, CommitResponse, CyclesEvidenceEnvelope,
    CyclesEvidenceJwks, DecisionRequest, DecisionResponse, EventCreateRequest, EventCreateResponse,
    EvidenceId, HealthResponse, IdempotencyKey, ListReservationsParams, ReleaseRequest, ReleaseResponse,
    ReservationCreateRequest, ReservationCreateResponse, ReservationDetail, ReservationExtendRequest,
    ReservationExtendResponse, ReservationId, ReservationListResponse, ReservationSummary,
};
use cycles_proto::session::Key;
use cycles_proto::{CyclesConfig, Error, Operation, RawRequest, RawResponse, Seed};

use crate::client::Client;
use crate::engine::Waiting;

impl Client {
    /// Asks whether an action would be allowed (`decide`). Holds nothing: to be sure, reserve.
    ///
    /// # Errors
    /// Any [`Error`]. A refusal is no error here but a decision.
    pub async fn decide(&self, request: &DecisionRequest) -> Result<DecisionResponse, Error> {
        self.run(|config, seed| Operation::decide(config, request, seed))
            .await
    }

    /// Holds budget for an action (`createReservation`), or with `dry_run` evaluates whether it could.
    /// What is held must be committed or released, or it stays held until the lease ends. The action may run
    /// only if the [decision](ReservationCreateResponse::decision) allows it.
    ///
    /// # Errors
    /// [`Error::BudgetExceeded`] or [`Error::Denied`] when a server refuses a live reservation, and any other
    /// [`Error`].
    pub async fn create_reservation(
        &self,
        request: &ReservationCreateRequest,
    ) -> Result<ReservationCreateResponse, Error> {
        self.run(|config, seed| Operation::create_reservation(config, request, seed))
            .await
    }

    /// Charges what an action cost to its reservation (`commitReservation`).
    ///
    /// # Errors
    /// Any [`Error`]; see [`Error::outcome_is_unknown`] before giving up a cost.
    pub async fn commit_reservation(
        &self,
        id: &ReservationId,
        request: &CommitRequest,
    ) -> Result<CommitResponse, Error> {
        self.run(|config, seed| Operation::commit_reservation(config, id, request, seed))
            .await
    }

    /// Gives back what a reservation holds (`releaseReservation`).
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn release_reservation(
        &self,
        id: &ReservationId,
        request: &ReleaseRequest,
    ) -> Result<ReleaseResponse, Error> {
        self.run(|config, seed| Operation::release_reservation(config, id, request, seed))
            .await
    }

    /// Prolongs a reservation's lease (`extendReservation`).
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn extend_reservation(
        &self,
        id: &ReservationId,
        request: &ReservationExtendRequest,
    ) -> Result<ReservationExtendResponse, Error> {
        self.run(|config, seed| Operation::extend_reservation(config, id, request, seed))
            .await
    }

    /// Looks at one reservation (`getReservation`).
    ///
    /// # Errors
    /// Any [`Error`]; an expired reservation is a 410 here, and a row in a list.
    pub async fn get_reservation(&self, id: &ReservationId) -> Result<ReservationDetail, Error> {
        self.run(|config, seed| Operation::get_reservation(config, id, seed))
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
        self.run(|config, seed| Operation::list_reservations(config, params, seed))
            .await
    }

    /// Charges an action that was not reserved (`createEvent`).
    ///
    /// # Errors
    /// Any [`Error`]; see [`Error::outcome_is_unknown`] before giving up a cost.
    pub async fn create_event(&self, request: &EventCreateRequest) -> Result<EventCreateResponse, Error> {
        self.run(|config, seed| Operation::create_event(config, request, seed))
            .await
    }

    /// Shows balances, a page at a time (`getBalances`).
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn get_balances(&self, params: &BalanceParams) -> Result<BalanceResponse, Error> {
        self.run(|config, seed| Operation::get_balances(config, params, seed))
            .await
    }

    /// Fetches a signed evidence envelope (`getEvidence`). It may not be there yet: a 404 shortly after the
    /// operation is no loss.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn get_evidence(&self, id: &EvidenceId) -> Result<CyclesEvidenceEnvelope, Error> {
        self.run(|config, seed| Operation::get_evidence(config, id, seed))
            .await
    }

    /// Fetches the keys that verify evidence (`getEvidenceJwks`).
    ///
    /// # Errors
    /// Any [`Error`]; a server that publishes none answers 404.
    pub async fn get_evidence_jwks(&self) -> Result<CyclesEvidenceJwks, Error> {
        self.run(Operation::get_evidence_jwks).await
    }

    /// Asks whether the server is ready.
    ///
    /// # Errors
    /// Any [`Error`]; a server that is up but not ready is no error.
    pub async fn health(&self) -> Result<HealthResponse, Error> {
        self.run(Operation::health).await
    }

    /// The reservation that was made under this key, however it ended, if the server still knows it.
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

    /// Any operation, with its answer as it came: a status that says no is no error here.
    ///
    /// # Errors
    /// Only if there is no answer: [`Error::Config`], [`Error::Validation`] and [`Error::Transport`].
    pub async fn raw<'a>(&self, request: impl Into<RawRequest<'a>>) -> Result<RawResponse, Error> {
        let request = request.into();
        self.run(|config, seed| Operation::raw(config, request, seed))
            .await
    }

    async fn run<T: core::fmt::Debug + Send + 'static>(
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
