//! The question what the ledger would decide: one dry run, under a key of its own. The caller's key is never sent, because
//! dry runs and real requests share their keys, and an answer sticks to its key for a day.

use super::super::common::{Attempt, Attempted, Common};
use crate::models::{ReservationCreateRequest, ReservationCreateResponse};
use crate::outcome::{CallContext, Error, FailureKind, OperationKind, ShadowDecision};
use crate::time::Now;
use crate::wire::reply::Verdict;
use crate::wire::{Call, Encoded, Reads, Urgency};

const KIND: OperationKind = OperationKind::CreateReservation { dry_run: true };

#[derive(Debug)]
pub(super) struct Check {
    /// The request, until it is answered or given up.
    encoded: Option<Encoded>,
    attempt: Option<Attempt>,
    attempts: u32,
    decision: Option<ShadowDecision>,
}

impl Check {
    /// Encodes the dry run. If the request breaks a limit, there is nothing to ask.
    pub(super) fn new(common: &Common, request: ReservationCreateRequest) -> Self {
        let checked = request.check();
        let dry_run = ReservationCreateRequest {
            idempotency_key: None,
            dry_run: true,
            ..request
        };
        let reads = Reads::of::<ReservationCreateResponse>(KIND);
        let encoded = checked
            .and_then(|()| Encoded::post(&common.config, reads, "/v1/reservations", &common.seed, &dry_run));
        let mut check = Self {
            encoded: None,
            attempt: None,
            attempts: 0,
            decision: None,
        };
        match encoded {
            Ok(encoded) => check.encoded = Some(encoded),
            // As it would have been told if it were enforced.
            Err(problem) => {
                let kind = OperationKind::CreateReservation { dry_run: false };
                check.give_up(Error::invalid(kind, problem));
            }
        }
        check
    }

    pub(super) fn reads() -> Reads {
        Reads::of::<ReservationCreateResponse>(KIND)
    }

    /// Returns the call to make, if it is to be made now.
    pub(super) fn poll(&mut self, common: &mut Common, now: Now) -> Option<Call> {
        let encoded = self.encoded.as_ref().filter(|_| self.attempt.is_none())?;
        let timeout = common.config.attempt_timeout();
        let (call, attempt) = common.start_attempt(encoded, now, timeout);
        self.attempt = Some(attempt);
        self.attempts += 1;
        let urgency = Urgency::Check;
        Some(Call { urgency, ..call })
    }

    pub(super) fn attempt(&self) -> Option<Attempt> {
        self.attempt
    }

    pub(super) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        self.attempt.as_mut()
    }

    pub(super) fn handle(&mut self, common: &Common, answer: Attempted) {
        let Some(attempt) = self.attempt.filter(|it| it.ticket == answer.ticket) else {
            return;
        };
        self.attempt = None;
        let decision = match answer.said.verdict::<ReservationCreateResponse>() {
            Ok(Verdict::Success(response)) if response.decision.is_allowed() => {
                ShadowDecision::Allowed(Box::new(response))
            }
            // An unknown decision is not a permission.
            Ok(Verdict::Success(response)) => {
                ShadowDecision::Denied(Box::new(Error::denied(self.context(common), response)))
            }
            Ok(
                Verdict::Ambiguous(reply)
                | Verdict::Rejected(reply)
                | Verdict::Unauthorized(reply)
                | Verdict::Throttled(reply)
                | Verdict::NotSent(reply)
                | Verdict::Expired { reply, .. },
            ) => {
                let error = Box::new(Error::of_reply(self.context(common), reply, false));
                match error.is_denied() {
                    true => ShadowDecision::Denied(error),
                    false => ShadowDecision::Unknown(error),
                }
            }
            // An idle connection that was dropped says nothing about the server, and asking again costs nobody time.
            Err(failure) if failure.kind() == FailureKind::Lost && self.may_repeat(common) => return,
            Err(failure) => {
                let failure = common.config.explained(failure, attempt.timeout);
                let error = Error::transport(self.context(common), failure, false);
                ShadowDecision::Unknown(Box::new(error))
            }
        };
        self.decide(decision);
    }

    fn may_repeat(&self, common: &Common) -> bool {
        self.attempts < 2 && common.config.retry().enabled
    }

    /// Waits no longer for a decision.
    pub(super) fn give_up(&mut self, error: Error) {
        if self.decision.is_none() {
            self.attempt = None;
            self.decide(ShadowDecision::Unknown(Box::new(error)));
        }
    }

    fn decide(&mut self, decision: ShadowDecision) {
        self.encoded = None;
        self.decision = Some(decision);
    }

    pub(super) fn is_over(&self) -> bool {
        self.decision.is_some()
    }

    pub(super) fn decision(&self) -> Option<&ShadowDecision> {
        self.decision.as_ref()
    }

    fn context(&self, common: &Common) -> CallContext {
        let encoded = self.encoded.as_ref();
        CallContext {
            is_recorded: false,
            server: common.config.server(),
            operation: KIND,
            reservation_id: None,
            idempotency_key: encoded.and_then(Encoded::idempotency_key).cloned(),
            trace_id: encoded.and_then(|encoded| encoded.trace_id(&common.config)),
            unit: common.estimate().ok().map(|estimate| estimate.unit.clone()),
            info: common.info.clone(),
        }
    }
}
