//! Giving back budget that was not spent. The same request is repeated until it is confirmed or the lease has ended;
//! the end of the lease also frees the budget. There is nothing to lose, so nothing is recorded.

use core::time::Duration;

use super::Phase;
use super::common::{Attempt, Attempted, Common};
use super::reserving::Granted;
use crate::backoff::Backoff;
use crate::config::RetryPolicy;
use crate::models::{IdempotencyKey, ReleaseRequest, ReleaseResponse, ReservationId};
use crate::outcome::{Error, Event, OperationKind, Outcome, ReleaseReason, Released};
use crate::step::Step;
use crate::time::Now;
use crate::url_path::reservation_path;
use crate::wire::reply::Verdict;
use crate::wire::{Encoded, Reads};

#[derive(Debug)]
pub(super) struct Releasing {
    id: ReservationId,
    reason: ReleaseReason,
    /// When the budget becomes free anyway.
    until: Duration,
    backoff: Option<Backoff>,
    may_be_done: bool,
    stage: Stage,
    /// How the reservation ends, whatever the result of the release.
    then: Option<Outcome>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Due(Duration),
    InFlight(Attempt),
}

impl Releasing {
    pub(super) fn new(id: ReservationId, reason: ReleaseReason, until: Duration) -> Self {
        Self {
            id,
            reason,
            until,
            backoff: None,
            may_be_done: false,
            stage: Stage::Due(Duration::ZERO),
            then: None,
        }
    }

    /// Releases a grant that is not wanted.
    pub(super) fn of(granted: &Granted, ttl_ms: u64, reason: ReleaseReason) -> Self {
        let lasts = Duration::from_millis(granted.observed.remaining_ttl_ms.unwrap_or(ttl_ms));
        let until = granted.observed.received.saturating_add(lasts);
        Self::new(granted.id.clone(), reason, until)
    }

    /// Sets an outcome that is already reported or decided.
    pub(super) fn and_then(self, outcome: Outcome) -> Self {
        Self {
            then: Some(outcome),
            ..self
        }
    }

    /// The reservation, and why it is given back.
    pub(super) fn what(&self) -> (&ReservationId, &ReleaseReason) {
        (&self.id, &self.reason)
    }

    /// The outcome that is already decided, if any, whatever the result of the release.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.then.as_ref()
    }

    pub(super) fn poll(&mut self, common: &mut Common, now: Now) -> Result<Step, Phase> {
        match self.stage {
            Stage::Due(at) if at > now.mono => return Ok(Step::Wait(Some(at))),
            Stage::InFlight(attempt) => return Ok(Step::Wait(Some(attempt.deadline))),
            Stage::Due(_) => {}
        }
        let encoded = match self.encode(common) {
            Ok(encoded) => encoded,
            Err(error) => return Err(self.ended(Released::LeftToExpire(Some(Box::new(error))))),
        };
        let timeout = common.config.attempt_timeout();
        let (call, attempt) = common.start_attempt(&encoded, now, timeout);
        self.backoff.get_or_insert_with(|| Backoff::new(common.seed));
        self.stage = Stage::InFlight(attempt);
        Ok(Step::Send(call))
    }

    pub(super) fn attempt(&self) -> Option<Attempt> {
        match self.stage {
            Stage::InFlight(attempt) => Some(attempt),
            Stage::Due(_) => None,
        }
    }

    pub(super) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match &mut self.stage {
            Stage::InFlight(attempt) => Some(attempt),
            Stage::Due(_) => None,
        }
    }

    pub(super) fn handle(&mut self, common: &mut Common, now: Now, answer: Attempted) -> Option<Phase> {
        match self.stage {
            Stage::InFlight(attempt) if attempt.ticket == answer.ticket => {}
            Stage::InFlight(_) | Stage::Due(_) => return None,
        }
        let timeout = common.config.attempt_timeout();
        let kind = OperationKind::ReleaseReservation;
        let context = common.context(kind, &self.id, Some(&key(common)));
        let (error, pause) = match answer.said.verdict::<ReleaseResponse>() {
            Err(failure) => {
                let may_have_been_sent = failure.kind().may_have_been_sent();
                let failure = common.config.explained(failure, timeout);
                let error = Error::transport(context, failure, self.may_be_done);
                self.may_be_done |= may_have_been_sent;
                (error, Some(Duration::ZERO))
            }
            Ok(verdict) => {
                let (reply, pause) = match verdict {
                    Verdict::Success(reply) => {
                        return Some(self.ended(Released::Confirmed(Box::new(reply))));
                    }
                    Verdict::Throttled(reply) | Verdict::Ambiguous(reply) | Verdict::NotSent(reply) => {
                        let pause = reply.info.retry_after().unwrap_or_default();
                        (reply, Some(pause))
                    }
                    Verdict::Unauthorized(reply) if reply.is_outage() => (reply, Some(Duration::ZERO)),
                    Verdict::Unauthorized(reply)
                    | Verdict::Rejected(reply)
                    | Verdict::Expired { reply, .. } => (reply, None),
                };
                let error = Error::of_reply(context, reply, self.may_be_done);
                self.may_be_done |= error.outcome_is_unknown();
                (error, pause)
            }
        };
        self.failed(common, now, Box::new(error), pause)
    }

    fn failed(
        &mut self,
        common: &mut Common,
        now: Now,
        error: Box<Error>,
        pause: Option<Duration>,
    ) -> Option<Phase> {
        // Retries as often as time permits, unless retries are off.
        let policy = RetryPolicy {
            max_attempts: u32::MAX,
            ..common.config.retry().clone()
        };
        let backoff = self.backoff.get_or_insert_with(|| Backoff::new(common.seed));
        let retry_in = pause
            .and_then(|pause| backoff.next(&policy, Some(pause)))
            // There is no maximum number of attempts, so a policy without waits would repeat them without a pause.
            .map(|wait| wait.max(SHORTEST_WAIT))
            .filter(|wait| now.mono.saturating_add(*wait) < self.until);
        common.events.push(Event::ReleaseFailed {
            info: None,
            reservation_id: self.id.clone(),
            error: error.clone(),
            retry_in,
        });
        match retry_in {
            Some(wait) => {
                self.stage = Stage::Due(now.mono.saturating_add(wait));
                None
            }
            None => Some(self.ended(Released::LeftToExpire(Some(error)))),
        }
    }

    fn ended(&mut self, released: Released) -> Phase {
        Phase::ended(self.then.take().unwrap_or(Outcome::Released(released)))
    }

    fn encode(&self, common: &Common) -> Result<Encoded, Error> {
        let request = ReleaseRequest {
            idempotency_key: Some(key(common)),
            reason: Some(self.reason.as_str().to_owned()),
        };
        let reads = Reads::of::<ReleaseResponse>(OperationKind::ReleaseReservation);
        reservation_path(&self.id, "/release")
            .and_then(|path| Encoded::post(&common.config, reads, path, &common.seed, &request))
            .map_err(|problem| Error::invalid(OperationKind::ReleaseReservation, problem))
    }
}

const SHORTEST_WAIT: Duration = Duration::from_millis(100);

fn key(common: &Common) -> IdempotencyKey {
    common.seed.idempotency_key("release", 0)
}
