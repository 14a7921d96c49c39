//! The client: one method per operation.

use std::fmt;
use std::sync::Arc;

use cycles_proto::models::{
    BalanceParams, BalanceResponse, CommitRequest, CommitResponse, CyclesEvidenceEnvelope,
    CyclesEvidenceJwks, DecisionRequest, DecisionResponse, EventCreateRequest, EventCreateResponse,
    EvidenceId, HealthResponse, ListReservationsParams, ReleaseRequest, ReleaseResponse,
    ReservationCreateRequest, ReservationCreateResponse, ReservationDetail, ReservationExtendRequest,
    ReservationExtendResponse, ReservationId, ReservationListResponse,
};
use cycles_proto::reply::Reply;
use cycles_proto::{ConfigError, CyclesConfig, Error, Operation, Progress, Seed, TraceParent};
use tokio::time::Instant;

use crate::builder::CyclesClientBuilder;
use crate::http_client::HttpClient;
use crate::http_options::HttpOptions;

/// A client of a Cycles server. Clones are cheap and share their connections.
///
/// Its methods must be awaited in a tokio runtime with I/O and time enabled. In none at all they answer with
/// an error; in one without them tokio panics. A client may be used in several runtimes, one after the other
/// or at once.
#[derive(Clone)]
pub struct CyclesClient {
    state: Result<Ready, ConfigError>,
}

#[derive(Clone)]
struct Ready {
    config: Arc<CyclesConfig>,
    http: HttpClient,
}

impl CyclesClient {
    /// Starts a client from the API key and the server's address.
    pub fn builder(api_key: impl Into<String>, base_url: impl Into<String>) -> CyclesClientBuilder {
        CyclesClientBuilder::new(CyclesConfig::builder(api_key, base_url))
    }

    /// A client with this configuration.
    pub fn new(config: CyclesConfig) -> Self {
        Self::with_http(config, &HttpOptions::default())
    }

    /// A client with this configuration that reaches its server in this way. If it cannot, every call
    /// answers with the reason.
    pub fn with_http(config: CyclesConfig, options: &HttpOptions) -> Self {
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let config = Arc::new(config.for_adapter("tokio"));
        let state = HttpClient::new(&config, options).map(|http| Ready { config, http });
        Self { state }
    }

    pub(crate) fn unusable(error: ConfigError) -> Self {
        Self { state: Err(error) }
    }

    /// The configuration in use.
    ///
    /// # Errors
    /// [`Error::Config`] if the client was given one that cannot be used.
    pub fn config(&self) -> Result<&CyclesConfig, Error> {
        Ok(&self.ready()?.config)
    }

    /// A client on the same connections whose calls belong to the caller's trace.
    #[must_use]
    pub fn with_trace_parent(&self, parent: TraceParent) -> Self {
        let mut client = self.clone();
        if let Ok(ready) = &mut client.state {
            ready.config = Arc::new(ready.config.with_trace_parent(parent));
        }
        client
    }

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
    /// [`Error::BudgetExceeded`] when a server denies a live reservation as the protocol says, and any other
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

    fn ready(&self) -> Result<&Ready, Error> {
        self.state.as_ref().map_err(|error| error.clone().into())
    }

    async fn run<T: Reply>(
        &self,
        start: impl FnOnce(&Arc<CyclesConfig>, Seed) -> Result<Operation<T>, Error>,
    ) -> Result<T, Error> {
        let ready = self.ready()?;
        let mut operation = start(&ready.config, seed()?)?;
        require_runtime()?;
        let began = Instant::now();
        loop {
            let answer = ready.http.exchange(operation.call()).await;
            trace(&operation, &answer);
            match operation.handle(began.elapsed(), answer.as_ref().map_err(Clone::clone)) {
                Progress::Again(same) => operation = same,
                Progress::Done(result) => return result,
            }
        }
    }
}

impl fmt::Debug for CyclesClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CyclesClient")
            .field(&self.state.as_ref().map(|ready| &ready.config))
            .finish()
    }
}

/// 16 bytes of the operating system's randomness.
fn seed() -> Result<Seed, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| ConfigError::Adapter(format!("the system has no randomness: {error}")))?;
    Ok(Seed(bytes))
}

fn require_runtime() -> Result<(), Error> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Ok(()),
        Err(_) => Err(ConfigError::Adapter("no tokio runtime is running here".to_owned()).into()),
    }
}

fn trace<T: Reply>(
    operation: &Operation<T>,
    answer: &Result<http::Response<bytes::Bytes>, cycles_proto::Failure>,
) {
    let context = operation.context();
    match answer {
        Ok(response) => tracing::debug!(call = %context, status = response.status().as_u16(), "answered"),
        Err(failure) => tracing::debug!(call = %context, %failure, "no answer"),
    }
}
