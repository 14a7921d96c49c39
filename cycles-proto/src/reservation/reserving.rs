//! Requesting the reservation. If the outcome is open, the request is repeated once, under the same key. All of it,
//! the wait for a place included, takes no longer than [`CyclesConfig::longest_reserve`].
//!
//! [`CyclesConfig::longest_reserve`]: crate::CyclesConfig::longest_reserve

use core::time::Duration;
use std::sync::Arc;

use super::Phase;
use super::common::{Attempt, Attempted, Common};
use super::held::Held;
use super::releasing::Releasing;
use super::verifying_grant::Verifying;
use crate::journal::record::Purpose;
use crate::models::{ReservationCreateRequest, ReservationCreateResponse, ReservationId};
use crate::outcome::{
    CallContext, Error, Event, FailureKind, OperationKind, Outcome, ReleaseReason, Released, ReservationInfo,
    Unsuccessful,
};
use crate::reservation::heartbeat::schedule::Observation;
use crate::step::Step;
use crate::time::Now;
use crate::wire::reply::Verdict;
use crate::wire::{Encoded, Reads};

#[derive(Debug)]
pub(super) struct Reserving {
    encoded: Encoded,
    ttl_ms: u64,
    kind: OperationKind,
    attempt: Option<Attempt>,
    /// When it is given up, once it has begun.
    until: Option<Duration>,
    /// Whether an attempt may have been acted on.
    may_be_done: bool,
    caller_left: bool,
}

/// An answer that names a reservation, and when its attempt was sent and answered.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) id: ReservationId,
    pub(super) response: ReservationCreateResponse,
    pub(super) observed: Observation,
}

impl Reserving {
    pub(super) fn new(common: &mut Common, mut request: ReservationCreateRequest) -> Result<Self, Error> {
        request.subject = request.subject.or(common.config.subject());
        let kind = OperationKind::CreateReservation {
            dry_run: request.dry_run,
        };
        let encoded = Encoded::post(
            &common.config,
            Reads::of::<ReservationCreateResponse>(kind),
            "/v1/reservations",
            &common.seed,
            &request,
        )
        .map_err(|problem| Error::invalid(kind, problem))?;
        let purpose = Arc::new(Purpose {
            subject: request.subject,
            action: request.action,
        });
        common.info = Some(ReservationInfo::new(purpose, Some(request.estimate)));
        let ttl_ms = request.ttl_ms.unwrap_or(DEFAULT_TTL_MS);
        Ok(Self {
            encoded,
            ttl_ms,
            kind,
            attempt: None,
            until: None,
            may_be_done: false,
            caller_left: false,
        })
    }

    pub(super) fn poll(&mut self, common: &mut Common, now: Now) -> Step {
        if let Some(attempt) = self.attempt {
            return Step::Wait(Some(attempt.deadline));
        }
        let timeout = common.config.attempt_timeout();
        let until = self.until(common, now);
        let (call, attempt) = common.start_attempt_until(&self.encoded, now, timeout, until);
        common.attempts_to_reserve += 1;
        self.attempt = Some(attempt);
        Step::Send(call)
    }

    /// When it is given up: its time starts with the first poll.
    fn until(&mut self, common: &Common, now: Now) -> Duration {
        let whole = common.config.longest_reserve();
        *self.until.get_or_insert_with(|| now.mono.saturating_add(whole))
    }

    pub(super) fn attempt(&self) -> Option<Attempt> {
        self.attempt
    }

    pub(super) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        self.attempt.as_mut()
    }

    /// Whether an attempt may have been acted on, so that there may be something to give back.
    pub(super) fn may_be_done(&self) -> bool {
        self.may_be_done
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.kind == OperationKind::CreateReservation { dry_run: true }
    }

    /// Handles a caller that does not want the reservation any more. If the reservation may have been made, the machine
    /// has to find out, so that it can be given back.
    pub(super) fn abandon(&mut self, common: &Common) -> Option<Phase> {
        self.caller_left = true;
        (common.attempts_to_reserve == 0).then(|| Phase::ended(Outcome::Released(Released::NothingHeld)))
    }

    pub(super) fn handle(&mut self, common: &mut Common, now: Now, answer: Attempted) -> Option<Phase> {
        let Some(attempt) = self.attempt.filter(|it| it.ticket == answer.ticket) else {
            // The attempt was given up, so only a grant matters.
            let granted = Granted::late(common, now, answer)?;
            return Some(self.decided(common, granted));
        };
        self.attempt = None;
        let has_time = now.mono < self.until(common, now);
        let sent = answer.sent;
        let (error, is_open, is_worth_repeating) = match answer.said.verdict::<ReservationCreateResponse>() {
            Ok(verdict) => match verdict {
                Verdict::Success(response) => return Some(self.answered(common, now, response, sent)),
                Verdict::Ambiguous(reply) => {
                    let is_worth_repeating = !reply.asks_for_a_pause();
                    (self.refused(common, reply), true, is_worth_repeating)
                }
                Verdict::Rejected(reply)
                | Verdict::Unauthorized(reply)
                | Verdict::Throttled(reply)
                | Verdict::NotSent(reply)
                | Verdict::Expired { reply, .. } => (self.refused(common, reply), false, false),
            },
            Err(failure) => {
                let is_open = failure.kind().may_have_been_sent();
                if self.caller_left && !is_open && !self.may_be_done {
                    return Some(Phase::ended(Outcome::Released(Released::NothingHeld)));
                }
                let failure = if failure.kind() == FailureKind::Timeout && !has_time {
                    common.config.reserve_timed_out()
                } else {
                    common.config.explained(failure, attempt.timeout)
                };
                let error = Error::transport(self.context(common), failure, self.may_be_done);
                (error, is_open, is_open)
            }
        };
        self.may_be_done |= is_open;
        let error = Box::new(error);
        let may_repeat = common.attempts_to_reserve < 2 && common.config.retry().enabled && has_time;
        if is_worth_repeating && may_repeat {
            common.events.push(Event::ReservingAgain { info: None, error });
            return None;
        }
        Some(Phase::ended(Outcome::NotReserved(error)))
    }

    fn answered(
        &self,
        common: &mut Common,
        now: Now,
        response: ReservationCreateResponse,
        sent: Option<Duration>,
    ) -> Phase {
        if self.is_dry_run() {
            return Phase::ended(Outcome::Evaluated(Box::new(response)));
        }
        match Granted::new(response, sent, now.mono) {
            Ok(granted) => self.decided(common, granted),
            Err(response) => Phase::ended(self.denied(common, *response)),
        }
    }

    /// Acts on a decision. An unknown decision is not a permission, and any budget that it may hold is given back.
    fn decided(&self, common: &mut Common, granted: Granted) -> Phase {
        if granted.response.decision.is_allowed() {
            return self.granted(common, granted);
        }
        let releasing = Releasing::of(&granted, self.ttl_ms, ReleaseReason::UNKNOWN_DECISION);
        let outcome = self.denied(common, granted.response);
        Phase::Releasing(Box::new(releasing.and_then(outcome)))
    }

    fn granted(&self, common: &mut Common, granted: Granted) -> Phase {
        if self.caller_left {
            return granted.unwanted(self.ttl_ms, ReleaseReason::ABANDONED);
        }
        if !granted.observed.is_over() {
            return granted.held(common, self.ttl_ms);
        }
        let until = self.until.unwrap_or(Duration::MAX);
        Verifying::new(common, self.ttl_ms, granted, self.context(common), until)
            .map_or_else(Phase::ended, |verifying| Phase::Verifying(Box::new(verifying)))
    }

    fn denied(&self, common: &Common, response: ReservationCreateResponse) -> Outcome {
        Outcome::NotReserved(Box::new(Error::denied(self.context(common), response)))
    }

    fn refused(&self, common: &Common, reply: Unsuccessful) -> Error {
        Error::of_reply(self.context(common), reply, self.may_be_done)
    }

    fn context(&self, common: &Common) -> CallContext {
        CallContext {
            is_recorded: false,
            server: common.config.server(),
            operation: self.kind,
            reservation_id: None,
            idempotency_key: self.encoded.idempotency_key().cloned(),
            trace_id: self.encoded.trace_id(&common.config),
            unit: common.estimate().ok().map(|estimate| estimate.unit.clone()),
            info: common.info.clone(),
        }
    }
}

impl Granted {
    /// Returns the answer as the error if it names no reservation.
    fn new(
        response: ReservationCreateResponse,
        sent: Option<Duration>,
        received: Duration,
    ) -> Result<Self, Box<ReservationCreateResponse>> {
        let Some(id) = response.reservation_id.clone() else {
            return Err(Box::new(response));
        };
        let observed = Observation {
            sent,
            received,
            expires_at_ms: response.expires_at(),
            remaining_ttl_ms: response.remaining_ttl_ms,
        };
        Ok(Self {
            id,
            response,
            observed,
        })
    }

    /// Whether the grant has no time left, like the replay of an old key.
    pub(super) fn is_old(&self) -> bool {
        self.observed.remaining_ttl_ms == Some(0)
    }

    /// Handles a grant whose caller has left. A reservation under an old key is already free, or belongs to another
    /// caller.
    pub(super) fn unwanted(&self, ttl_ms: u64, reason: ReleaseReason) -> Phase {
        if self.is_old() {
            return Phase::ended(Outcome::Released(Released::LeftToExpire(None)));
        }
        Phase::Releasing(Box::new(Releasing::of(self, ttl_ms, reason)))
    }

    /// Returns the grant, if there is one, in the answer to an attempt that nothing waits for any more.
    pub(super) fn late(common: &Common, now: Now, answer: Attempted) -> Option<Self> {
        let said = Some(answer.said).filter(|_| common.is_of_a_reservation(answer.ticket))?;
        match said.verdict::<ReservationCreateResponse>().ok()? {
            Verdict::Success(response) => Self::new(response, answer.sent, now.mono).ok(),
            Verdict::Rejected(_)
            | Verdict::Unauthorized(_)
            | Verdict::Throttled(_)
            | Verdict::NotSent(_)
            | Verdict::Ambiguous(_)
            | Verdict::Expired { .. } => None,
        }
    }

    /// Accepts the grant for the caller.
    pub(super) fn held(self, common: &mut Common, ttl_ms: u64) -> Phase {
        Phase::Held(Box::new(Held::new(common, ttl_ms, self)))
    }
}

/// The length of the lease that a server grants by default, in milliseconds.
pub(super) const DEFAULT_TTL_MS: u64 = 60_000;
