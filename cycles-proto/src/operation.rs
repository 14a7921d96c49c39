//! Operations that are one request and one answer.
//!
//! An [`Operation`] is a machine with a single thing to do at a time: make its [`call`](Operation::call),
//! hand the answer to [`handle`](Operation::handle), and do so again if it says so.
//!
//! The retry rule, the same for all: an answer that leaves the outcome open (a lost connection, 5xx, a
//! success that cannot be read) is followed by one repetition at once, with the same key and the same
//! bytes, as long as at least half of the attempt's time is left; both together take no longer than one
//! attempt may. What never left, what was refused and what was throttled is not repeated, and nothing is
//! with [`RetryPolicy::enabled`](crate::config::RetryPolicy::enabled) off.

use core::marker::PhantomData;
use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;

use crate::call::{Call, Failure, FailureKind, Ticket};
use crate::config::CyclesConfig;
use crate::encode::{Encoded, Post, balances_path, evidence_path, list_path, reservation_path};
use crate::error::{CallContext, Error};
use crate::keys::Seed;
use crate::models::{
    BalanceParams, BalanceResponse, CommitRequest, CommitResponse, CyclesEvidenceEnvelope,
    CyclesEvidenceJwks, DecisionRequest, DecisionResponse, EventCreateRequest, EventCreateResponse,
    EvidenceId, HealthResponse, InvalidRequest, ListReservationsParams, ReleaseRequest, ReleaseResponse,
    ReservationCreateRequest, ReservationCreateResponse, ReservationDetail, ReservationExtendRequest,
    ReservationExtendResponse, ReservationId, ReservationListResponse,
};
use crate::reply::{OperationKind, Reply, Verdict, verdict};

/// One operation, from its request to its result of type `T`.
#[derive(Clone, Debug)]
#[must_use = "an operation does nothing until its call is made"]
pub struct Operation<T> {
    config: Arc<CyclesConfig>,
    context: CallContext,
    encoded: Encoded,
    attempt: u64,
    timeout: Duration,
    result: PhantomData<fn() -> T>,
}

/// What follows an answer.
#[derive(Clone, Debug)]
#[must_use = "an operation that goes on must be called again"]
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once; a box would be an allocation for nothing"
)]
pub enum Progress<T> {
    /// Make the operation's call again.
    Again(Operation<T>),
    /// It is over.
    Done(Result<T, Error>),
}

impl<T: Reply> Operation<T> {
    /// The call to make now. Each one has the same request.
    pub fn call(&self) -> Call {
        self.encoded
            .call(&self.config, Ticket(self.attempt), self.timeout)
    }

    /// What is asked.
    pub fn context(&self) -> &CallContext {
        &self.context
    }

    /// Takes the answer to the call. `elapsed` is the time since the operation's first call was made.
    pub fn handle(
        mut self,
        elapsed: Duration,
        answer: Result<&http::Response<Bytes>, Failure>,
    ) -> Progress<T> {
        let (result, may_repeat) = match answer {
            Ok(response) => {
                let verdict = self.judge(response);
                let ambiguous = matches!(verdict, Verdict::Ambiguous(_));
                (Error::of(self.context.clone(), verdict), ambiguous)
            }
            Err(failure) => {
                let lost = failure.kind() == FailureKind::Lost;
                (
                    Err(Error::transport(self.context.clone(), self.redacted(failure))),
                    lost,
                )
            }
        };
        let whole = self.config.attempt_timeout();
        if !may_repeat || self.attempt > 0 || elapsed > whole / 2 || !self.config.retry().enabled {
            return Progress::Done(result);
        }
        self.attempt += 1;
        self.timeout = whole - elapsed;
        Progress::Again(self)
    }

    /// The verdict, from which the API key is kept out even if the answer repeats it.
    fn judge(&self, response: &http::Response<Bytes>) -> Verdict<T> {
        let verdict = verdict(self.context.operation, response);
        if matches!(verdict, Verdict::Success(_)) {
            return verdict;
        }
        let key = self.config.api_key();
        let in_headers = response
            .headers()
            .values()
            .any(|value| key.is_in(value.as_bytes()));
        if !in_headers && !key.is_in(response.body()) {
            return verdict;
        }
        let text = key.redact(&String::from_utf8_lossy(response.body()));
        let mut redacted = http::Response::new(Bytes::from(text));
        *redacted.status_mut() = response.status();
        let headers = response
            .headers()
            .iter()
            .filter(|(_, value)| !key.is_in(value.as_bytes()));
        redacted
            .headers_mut()
            .extend(headers.map(|(name, value)| (name.clone(), value.clone())));
        crate::reply::verdict(self.context.operation, &redacted)
    }

    fn redacted(&self, failure: Failure) -> Failure {
        let detail = self.config.api_key().redact(failure.detail());
        failure.with_detail(detail)
    }
}

impl Operation<DecisionResponse> {
    /// Asks whether an action would be allowed; holds nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the request breaks a limit. So for all operations.
    pub fn decide(config: &Arc<CyclesConfig>, request: &DecisionRequest, seed: Seed) -> Result<Self, Error> {
        Self::post(config, OperationKind::Decide, path("/v1/decide"), request, seed)
    }
}

impl Operation<ReservationCreateResponse> {
    /// Holds budget for an action, or evaluates whether it could.
    ///
    /// # Errors
    /// [`Error::Invalid`].
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
    /// [`Error::Invalid`].
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
    /// Gives back what a reservation holds.
    ///
    /// # Errors
    /// [`Error::Invalid`].
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
    /// Prolongs a reservation's lease.
    ///
    /// # Errors
    /// [`Error::Invalid`].
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
    /// Charges an action that was not reserved.
    ///
    /// # Errors
    /// [`Error::Invalid`].
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
    /// Looks at one reservation.
    ///
    /// # Errors
    /// [`Error::Invalid`].
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
    /// Lists reservations, a page at a time.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn list_reservations(
        config: &Arc<CyclesConfig>,
        params: &ListReservationsParams,
        seed: Seed,
    ) -> Result<Self, Error> {
        Self::get(config, OperationKind::ListReservations, list_path(params), seed)
    }
}

impl Operation<BalanceResponse> {
    /// Shows balances, a page at a time.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn get_balances(
        config: &Arc<CyclesConfig>,
        params: &BalanceParams,
        seed: Seed,
    ) -> Result<Self, Error> {
        Self::get(config, OperationKind::GetBalances, balances_path(params), seed)
    }
}

impl Operation<CyclesEvidenceEnvelope> {
    /// Fetches a signed envelope. It is public: no key is sent.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn get_evidence(config: &Arc<CyclesConfig>, id: &EvidenceId, seed: Seed) -> Result<Self, Error> {
        Self::get(config, OperationKind::GetEvidence, evidence_path(id), seed)
    }
}

impl Operation<CyclesEvidenceJwks> {
    /// Fetches the keys that verify evidence. They are public: no key is sent.
    ///
    /// # Errors
    /// [`Error::Invalid`].
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
    /// Asks whether the server is ready. It is public: no key is sent.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn health(config: &Arc<CyclesConfig>, seed: Seed) -> Result<Self, Error> {
        Self::get(
            config,
            OperationKind::Health,
            path("/actuator/health/readiness"),
            seed,
        )
    }
}

impl<T> Operation<T> {
    fn post(
        config: &Arc<CyclesConfig>,
        kind: OperationKind,
        path: Result<String, InvalidRequest>,
        request: &impl Post,
        seed: Seed,
    ) -> Result<Self, Error> {
        let encoded = path.and_then(|path| Encoded::post(config, &path, &seed, request));
        let mut operation = Self::new(config, kind, encoded)?;
        operation.context.unit = request.amount().map(|amount| amount.unit.clone());
        Ok(operation)
    }

    fn get(
        config: &Arc<CyclesConfig>,
        kind: OperationKind,
        path: Result<String, InvalidRequest>,
        seed: Seed,
    ) -> Result<Self, Error> {
        let encoded = path.and_then(|path| Encoded::get(config, &path, &seed, kind.is_public()));
        Self::new(config, kind, encoded)
    }

    fn new(
        config: &Arc<CyclesConfig>,
        kind: OperationKind,
        encoded: Result<Encoded, InvalidRequest>,
    ) -> Result<Self, Error> {
        let encoded = encoded.map_err(|problem| Error::invalid(kind, problem))?;
        let context = CallContext {
            operation: kind,
            reservation_id: None,
            idempotency_key: encoded.idempotency_key().cloned(),
            trace_id: encoded.trace_id(config).map(str::to_owned),
            unit: None,
        };
        let timeout = config.attempt_timeout();
        let config = Arc::clone(config);
        Ok(Self {
            config,
            context,
            encoded,
            attempt: 0,
            timeout,
            result: PhantomData,
        })
    }

    fn about(mut self, id: &ReservationId) -> Self {
        self.context.reservation_id = Some(id.clone());
        self
    }
}

/// A path that needs no check.
fn path(path: &str) -> Result<String, InvalidRequest> {
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests;
