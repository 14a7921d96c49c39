//! The ledger: everything about the server that a client can observe over HTTP, as one function of its state, the time
//! and a request.

mod address_check;
mod admin;
mod assertions;
mod auth;
mod body;
mod books;
mod budget_syntax;
mod canonical;
mod coerce;
mod config;
mod cursor;
mod decide;
mod dump;
mod error;
mod event;
mod evidence;
mod extend;
mod idempotency;
mod json;
mod list;
mod operator;
mod order;
mod packed;
mod public;
mod query;
mod replies;
mod reply;
mod requests;
mod reservations;
mod reserve;
mod route;
mod scope;
mod settle;
mod shared_types;
mod sweep;
mod tenants;
mod timestamp;
mod trace;
mod wire_enums;

use std::collections::BTreeMap;

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use http::{Request, Response};

use self::address_check::AddressRefusal;
use self::admin::{FundReply, FundRequest};
use self::auth::{Caller, Keys, Throttle};
use self::books::Books;
use self::error::{Code, Refusal};
use self::evidence::Evidence;
use self::idempotency::Answers;
use self::public::Published;
use self::replies::{DecideReply, EventReply, ExtendReply, ReserveReply};
use self::reply::{Envelope, ErrorBody, Reply};
use self::requests::{DecideRequest, EventRequest, ExtendRequest, ReserveRequest};
use self::reservations::Reservations;
use self::route::{Access, Route};
use self::sweep::Sweeper;
use self::tenants::Tenants;
use crate::operation::Operation;
use crate::seed::Seed;

pub use self::books::BudgetState;
pub use self::budget_syntax::BudgetSyntax;
pub use self::config::{ApiKey, Budget, Tenant};
pub use self::operator::{Funding, OperatorError, ReservationState};
pub use self::wire_enums::{BudgetStatus, KeyStatus, OveragePolicy, ReservationStatus, TenantStatus, Unit};

/// A Cycles server without sockets: it takes a time and a request, and returns the response.
///
/// It reads no clock, draws no randomness and does no I/O, so the same seed, set-up and requests at the same times give
/// the same answers, byte for byte. Times should not go back; if they do, expired reservations stay expired.
#[derive(Clone, Debug)]
pub struct Ledger {
    seed: Seed,
    tenants: Tenants,
    keys: Keys,
    books: Books,
    reservations: Reservations,
    decided: Answers<DecideRequest, DecideReply>,
    /// Shared by live and dry runs. An answer that could not be built is stored as `None`.
    reserved: Answers<ReserveRequest, Option<ReserveReply>>,
    extended: Answers<ExtendRequest, ExtendReply>,
    recorded: Answers<EventRequest, EventReply>,
    events_applied: u64,
    /// How many of the events that are not kept whole charged the cost of a reservation.
    recovered: BTreeMap<String, usize>,
    /// How many reservations and events there were when everything was denied.
    denied_at: (u64, u64),
    sweeper: Sweeper,
    throttle: Throttle,
    published: Published,
    evidence: Evidence,
    /// By idempotency key alone, because the admin plane has one namespace for all budgets.
    funded: Answers<FundRequest, FundReply>,
}

impl Ledger {
    /// An empty ledger, without tenants, keys, budgets or an admin key. Its ids are derived from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed: Seed::new(seed),
            tenants: Tenants::default(),
            keys: Keys::default(),
            books: Books::default(),
            reservations: Reservations::default(),
            decided: Answers::default(),
            reserved: Answers::default(),
            extended: Answers::default(),
            recorded: Answers::default(),
            events_applied: 0,
            recovered: BTreeMap::new(),
            denied_at: (0, 0),
            sweeper: Sweeper::default(),
            throttle: Throttle::new(300),
            published: Published::default(),
            evidence: Evidence::default(),
            funded: Answers::default(),
        }
    }

    /// Answers `request` as of `now`, after running whatever is due by then: the sweep, and forgetting old keys.
    ///
    /// Every request gets a response, whatever its bytes; errors are error bodies with their status.
    pub fn handle(&mut self, now: UnixMillis, request: &Request<Bytes>) -> Response<Bytes> {
        let now = millis(now);
        self.pass_time(now);
        let mut envelope = Envelope {
            request_id: self.seed.uuid(),
            trace_id: trace::select(request.headers()).unwrap_or_else(|| self.seed.trace_id()),
            versioned: request.uri().path().starts_with("/v1/"),
            ..Envelope::default()
        };
        if let Some(refusal) = AddressRefusal::of(request.uri()) {
            let mut response = refusal.response();
            if refusal == AddressRefusal::Firewall {
                reply::identify(&envelope, response.headers_mut());
            }
            return response;
        }
        self.evidence.begin(&envelope.trace_id);
        let outcome = self.answer(now, request, &mut envelope);
        let reply = outcome.unwrap_or_else(|refusal| {
            let attest = |body: &ErrorBody<'_>| {
                let attested = envelope.attested.as_ref()?;
                self.evidence.attest_refusal(now, attested, refusal.code, body)
            };
            reply::refused(&envelope, &refusal, attest)
        });
        reply::render(&envelope, reply)
    }

    /// Answers `request`, and records in `envelope` how far processing got.
    fn answer(
        &mut self,
        now: i64,
        request: &Request<Bytes>,
        envelope: &mut Envelope,
    ) -> Result<Reply, Refusal> {
        let path = request.uri().path();
        let access = Access::of(path);
        let route = Route::of(request.method(), path);
        if access == Access::Throttled
            && let Err(throttled) = self.throttle.admit(now)
        {
            envelope.throttled = Some(throttled);
            let wait = throttled.retry_after_s;
            return Err(Refusal::new(
                Code::LimitExceeded,
                format!("Rate limit exceeded for public endpoint; retry after {wait}s"),
            ));
        }
        let caller = self
            .keys
            .authenticate(now, request.headers(), access, &route, &self.tenants)?;
        if let Caller::Tenant(tenant) = &caller {
            envelope.tenant = Some(tenant.clone());
        }
        envelope.past_filters = true;
        match route {
            Route::Decide => {
                let body = body::read(request, None)?;
                envelope.attested = self.evidence.note("POST /v1/decide", None, &body);
                self.decide(now, caller.tenant()?, &body)
            }
            Route::Reserve => {
                let body = body::read(request, None)?;
                envelope.attested = self.evidence.note("POST /v1/reservations", None, &body);
                self.reserve(now, caller.tenant()?, body)
            }
            Route::List => self.list(&caller, request.uri()),
            Route::Get(id) => self.reservation_detail(&caller, &id),
            Route::Commit(id) => {
                let body = body::read(request, Some(&id))?;
                let endpoint = "POST /v1/reservations/{reservation_id}/commit";
                envelope.attested = self.evidence.note(endpoint, Some(&id), &body);
                self.commit(now, &caller, &id, body)
            }
            Route::Release(id) => {
                let body = body::read(request, Some(&id))?;
                let endpoint = "POST /v1/reservations/{reservation_id}/release";
                envelope.attested = self.evidence.note(endpoint, Some(&id), &body);
                self.release(now, &caller, &id, body)
            }
            Route::Extend(id) => self.extend(now, &caller, &id, body::read(request, Some(&id))?),
            Route::Event => self.record(now, caller.tenant()?, body::read(request, None)?),
            Route::Balances => self.balances(caller.tenant()?, request.uri()),
            Route::Evidence(id) => self.published.evidence(&id),
            Route::Jwks => self.published.jwks(),
            Route::Health => public::health(),
            Route::Unknown => Err(Refusal::internal()),
        }
    }
}

/// The operation for a method and a path.
pub(crate) fn operation_of(method: &http::Method, path: &str) -> Operation {
    Route::of(method, path).operation()
}

/// Converts to signed milliseconds, as used inside the ledger and on the wire; a time beyond their range becomes the
/// latest.
fn millis(time: UnixMillis) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}
