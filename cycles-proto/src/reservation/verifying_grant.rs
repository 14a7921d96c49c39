//! Verifying a grant that has no time left. This is what the replay of an old key looks like. Such a grant is accepted
//! only after an extension has succeeded, because an action must not run on budget that is not held. Looking up the
//! reservation proves nothing, because it stays `ACTIVE` after the end of its lease until the server's next sweep. If
//! the extension is refused, the reservation is looked up to find out why.

use core::time::Duration;

use super::Phase;
use super::common::{Attempt, Attempted, Common};
use super::heartbeat::encode_extension;
use super::reserving::Granted;
use crate::models::{
    InvalidRequest, ReservationDetail, ReservationExtendResponse, ReservationId, ReservationStatus,
};
use crate::outcome::{CallContext, Error, OperationKind, Outcome, ReleaseReason};
use crate::reservation::heartbeat::schedule::Observation;
use crate::step::Step;
use crate::time::Now;
use crate::url_path::reservation_path;
use crate::wire::reply::Verdict;
use crate::wire::{Encoded, Reads};

#[derive(Debug)]
pub(super) struct Verifying {
    question: Question,
    request: Encoded,
    ttl_ms: u64,
    granted: Option<Granted>,
    /// The call that was answered with the grant.
    asked: CallContext,
    /// How many times the current question has been asked.
    attempts: u8,
    attempt: Option<Attempt>,
    /// When the whole of the reservation is given up.
    until: Duration,
}

/// The questions to the server, in the order in which they are asked.
#[derive(Clone, Copy, Debug)]
enum Question {
    Extension,
    Look,
}

/// The answer to a question.
enum Found {
    /// The lease was extended.
    Extended(Observation),
    /// The extension was refused.
    Refused,
    /// The reservation has ended, with this status if known.
    Over(Option<ReservationStatus>),
    /// No answer, or one that decides nothing.
    Nothing,
}

impl Verifying {
    /// Returns an outcome instead if the reservation's id cannot be part of a request.
    pub(super) fn new(
        common: &Common,
        ttl_ms: u64,
        granted: Granted,
        asked: CallContext,
        until: Duration,
    ) -> Result<Self, Outcome> {
        let key = common.seed.idempotency_key("verify", 0);
        match encode_extension(common, &granted.id, key, ttl_ms) {
            Ok(request) => Ok(Self {
                question: Question::Extension,
                request,
                ttl_ms,
                granted: Some(granted),
                asked,
                attempts: 0,
                attempt: None,
                until,
            }),
            Err(_) => Err(stale(asked, None)),
        }
    }

    pub(super) fn poll(&mut self, common: &mut Common, now: Now) -> Step {
        if let Some(attempt) = self.attempt {
            return Step::Wait(Some(attempt.deadline));
        }
        let timeout = common.config.attempt_timeout();
        let (call, attempt) = common.start_attempt_until(&self.request, now, timeout, self.until);
        self.attempts += 1;
        self.attempt = Some(attempt);
        Step::Send(call)
    }

    pub(super) fn attempt(&self) -> Option<Attempt> {
        self.attempt
    }

    pub(super) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        self.attempt.as_mut()
    }

    pub(super) fn reads(&self) -> Reads {
        match self.question {
            Question::Extension => Reads::of::<ReservationExtendResponse>(OperationKind::ExtendReservation),
            Question::Look => Reads::of::<ReservationDetail>(OperationKind::GetReservation),
        }
    }

    /// Handles a caller that does not want the reservation any more.
    pub(super) fn abandon(&self, reason: ReleaseReason) -> Option<Phase> {
        let granted = self.granted.as_ref()?;
        Some(granted.unwanted(self.ttl_ms, reason))
    }

    pub(super) fn handle(&mut self, common: &mut Common, now: Now, answer: Attempted) -> Option<Phase> {
        if !Attempt::is(self.attempt, answer.ticket) {
            return None;
        }
        self.attempt = None;
        let found = match self.question {
            Question::Extension => extended(now, answer),
            Question::Look => looked(answer),
        };
        let has_time = now.mono < self.until;
        let status = match found {
            Found::Extended(observed) => {
                let granted = Granted {
                    observed,
                    ..self.granted.take()?
                };
                return Some(granted.held(common, self.ttl_ms));
            }
            Found::Nothing if self.attempts < 2 && common.config.retry().enabled && has_time => return None,
            Found::Nothing if !has_time && matches!(self.question, Question::Extension) => {
                let failure = common.config.reserve_timed_out();
                let error = Error::transport(self.asked.clone(), failure, true);
                return Some(Phase::ended(Outcome::NotReserved(Box::new(error))));
            }
            Found::Refused if !has_time => None,
            Found::Nothing => None,
            Found::Refused => match look(common, &self.granted.as_ref()?.id) {
                Ok(look) => {
                    (self.question, self.request, self.attempts) = (Question::Look, look, 0);
                    return None;
                }
                Err(_) => None,
            },
            Found::Over(status) => status,
        };
        // The reservation is not released, because the caller that reserved it may be settling it.
        Some(Phase::ended(stale(self.asked.clone(), status)))
    }
}

fn look(common: &Common, id: &ReservationId) -> Result<Encoded, InvalidRequest> {
    let path = reservation_path(id, "")?;
    let reads = Reads::of::<ReservationDetail>(OperationKind::GetReservation);
    Encoded::get(&common.config, reads, path, &common.seed)
}

fn extended(now: Now, answer: Attempted) -> Found {
    let Ok(verdict) = answer.said.verdict::<ReservationExtendResponse>() else {
        return Found::Nothing;
    };
    match verdict {
        Verdict::Success(response) if response.remaining_ttl_ms == Some(0) => Found::Refused,
        Verdict::Success(response) => Found::Extended(Observation {
            sent: answer.sent,
            received: now.mono,
            expires_at_ms: Some(response.expires_at()),
            remaining_ttl_ms: response.remaining_ttl_ms,
        }),
        Verdict::Ambiguous(_) | Verdict::NotSent(_) => Found::Nothing,
        Verdict::Expired { confirmed: true, .. } => Found::Over(Some(ReservationStatus::Expired)),
        Verdict::Expired { .. } | Verdict::Rejected(_) => Found::Refused,
        Verdict::Unauthorized(_) | Verdict::Throttled(_) => Found::Over(None),
    }
}

fn looked(answer: Attempted) -> Found {
    let Ok(verdict) = answer.said.verdict::<ReservationDetail>() else {
        return Found::Nothing;
    };
    match verdict {
        // The lease was not extended, so nothing proves that there is time left.
        Verdict::Success(detail) if detail.status == ReservationStatus::Active => Found::Over(None),
        Verdict::Success(detail) => Found::Over(Some(detail.status.clone())),
        Verdict::Ambiguous(_) | Verdict::NotSent(_) => Found::Nothing,
        Verdict::Expired { confirmed: true, .. } => Found::Over(Some(ReservationStatus::Expired)),
        Verdict::Expired { .. } | Verdict::Rejected(_) | Verdict::Unauthorized(_) | Verdict::Throttled(_) => {
            Found::Over(None)
        }
    }
}

fn stale(asked: CallContext, status: Option<ReservationStatus>) -> Outcome {
    let call = Box::new(asked);
    Outcome::NotReserved(Box::new(Error::StaleReplay { status, call }))
}
