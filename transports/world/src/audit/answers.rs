//! The obligations that an answer creates for a session.

use std::time::Duration;

use bytes::Bytes;
use cycles_proto::{Failure, Now, Ticket};
use cycles_sandbox::Operation;
use http::Response;
use serde::Deserialize;

use super::{Attempt, ReservationWatch};
use crate::job::Job;

/// The result of an attempt, as delivered to a session.
#[derive(Clone, Debug)]
pub(crate) enum AttemptResult {
    Response(Response<Bytes>),
    Failure(Failure),
}

/// The relevant members of a response's body.
#[derive(Default, Deserialize)]
struct Said {
    error: Option<String>,
    request_id: Option<String>,
    message: Option<String>,
    status: Option<String>,
    expires_at_ms: Option<u64>,
    remaining_ttl_ms: Option<u64>,
    reservation_id: Option<serde::de::IgnoredAny>,
    event_id: Option<String>,
    charged: Option<serde::de::IgnoredAny>,
}

/// The meaning of an attempt's result.
enum Meaning {
    /// The request was carried out, and the answer has the expected content.
    Done,
    Throttled(Option<Duration>),
    /// The reservation is over; `named` is whether the answer names the request.
    Over {
        named: bool,
    },
    /// Another request had already ended the reservation.
    Finalized,
    /// The request may have been carried out.
    Open,
    /// The request never left.
    NotSent,
    /// The request was refused.
    Refused,
}

impl ReservationWatch {
    /// Notes the result of an attempt. Only the first result counts. `is_held` is whether the action runs or its cost
    /// is being settled.
    pub(crate) fn note_result(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: &AttemptResult,
        is_held: bool,
        job: &Job,
    ) {
        let Some(attempt) = self.attempts.remove(&ticket) else {
            return;
        };
        if let AttemptResult::Response(response) = result
            && attempt.deadline >= now.mono
        {
            self.note_lease(&attempt, response);
        }
        let meaning = match result {
            AttemptResult::Response(_) if attempt.is_beat && attempt.deadline < now.mono => Meaning::Open,
            AttemptResult::Response(response) => meaning_of(attempt.operation, response),
            AttemptResult::Failure(failure) if failure.kind().may_have_been_sent() => Meaning::Open,
            AttemptResult::Failure(_) => Meaning::NotSent,
        };
        self.judge(now, &attempt, &meaning, is_held, job);
    }

    /// Notes how long a lease lasts, from an answer that grants or extends it. The time counts from when the request
    /// was sent.
    fn note_lease(&mut self, attempt: &Attempt, response: &Response<Bytes>) {
        let said: Said = serde_json::from_slice(response.body()).unwrap_or_default();
        let is_of = |operation| attempt.operation == operation;
        let is_granted = is_of(Operation::CreateReservation) && said.reservation_id.is_some()
            || is_of(Operation::ExtendReservation) && said.status.as_deref() == Some("ACTIVE");
        if response.status() == 200 && is_granted {
            let remaining = said.remaining_ttl_ms.map(Duration::from_millis);
            self.lease.note_length(attempt.sent, remaining);
        }
    }

    /// Notes that an attempt begins, or that its beginning is reported, later than it was handed out.
    pub(crate) fn note_beginning(&mut self, now: Now, ticket: Ticket) {
        if let Some(attempt) = self.attempts.get_mut(&ticket) {
            attempt.sent = attempt.sent.max(now.mono);
        }
    }

    /// Notes that an attempt is withdrawn: its answer is no longer wanted.
    pub(crate) fn note_withdrawn(&mut self, now: Now, ticket: Ticket, is_held: bool, job: &Job) {
        if let Some(attempt) = self.attempts.remove(&ticket) {
            self.judge(now, &attempt, &Meaning::Open, is_held, job);
        }
    }

    /// Treats attempts past their deadline as failed, because the session is polled.
    pub(super) fn expire_attempts(&mut self, now: Now, is_held: bool, job: &Job) {
        while let Some((&ticket, _)) = self
            .attempts
            .iter()
            .find(|(_, attempt)| attempt.deadline <= now.mono)
        {
            if let Some(attempt) = self.attempts.remove(&ticket) {
                self.judge(now, &attempt, &Meaning::Open, is_held, job);
            }
        }
    }

    fn judge(&mut self, now: Now, attempt: &Attempt, meaning: &Meaning, is_held: bool, job: &Job) {
        const HOUR: Duration = Duration::from_secs(3_600);
        match (attempt.operation, meaning) {
            (Operation::CommitReservation | Operation::GetReservation, Meaning::Over { named: true }) => {
                self.may_charge_event = true;
            }
            (Operation::CommitReservation | Operation::CreateEvent, Meaning::Throttled(Some(pause))) => {
                let pause = (*pause).min(HOUR);
                self.settle_floor = Some(now.mono.saturating_add(pause));
                self.owed_pause = Some(now.wall.saturating_add(pause));
            }
            (Operation::ReleaseReservation, Meaning::Throttled(Some(pause))) => {
                self.release_floor = Some(now.mono.saturating_add((*pause).min(HOUR)));
            }
            (Operation::ExtendReservation, meaning) if attempt.is_beat && is_held => {
                if matches!(meaning, Meaning::Over { .. } | Meaning::Finalized) {
                    self.lease.note_end();
                }
                if let Meaning::Throttled(Some(pause)) = meaning {
                    self.beat_floor = Some(now.mono.saturating_add(*pause));
                }
                // A settlement in progress may have ended the reservation.
                let is_normal =
                    job.cost.is_some() && matches!(meaning, Meaning::Over { .. } | Meaning::Finalized);
                self.owes_beat_event |= !matches!(meaning, Meaning::Done) && !is_normal;
            }
            _ => {}
        }
    }
}

/// Whether an answer refuses the key.
pub(crate) fn is_refused(result: &AttemptResult) -> bool {
    let AttemptResult::Response(response) = result else {
        return false;
    };
    let said: Said = serde_json::from_slice(response.body()).unwrap_or_default();
    response.status() == 401 && said.message.as_deref() != Some("INTERNAL_ERROR")
}

fn meaning_of(operation: Operation, response: &Response<Bytes>) -> Meaning {
    let status = response.status().as_u16();
    let said: Option<Said> = serde_json::from_slice(response.body()).ok();
    if (200..300).contains(&status) {
        return succeeded(operation, status, &said.unwrap_or_default());
    }
    let said = said.unwrap_or_default();
    let code = said.error.as_deref();
    if status == 429 || code == Some("LIMIT_EXCEEDED") {
        let pause = response.headers().get("retry-after");
        let pause = pause.and_then(|pause| pause.to_str().ok()?.parse().ok());
        return Meaning::Throttled(pause.map(Duration::from_secs));
    }
    match (status, code) {
        (500.., _) => Meaning::Open,
        (401, _) if said.message.as_deref() == Some("INTERNAL_ERROR") => Meaning::Refused,
        (_, Some("RESERVATION_EXPIRED")) => Meaning::Over {
            named: said.request_id.is_some(),
        },
        (410, _) => Meaning::Over { named: false },
        (_, Some("RESERVATION_FINALIZED")) => Meaning::Finalized,
        _ => Meaning::Refused,
    }
}

/// The meaning of a 2xx answer: a success only if it has the operation's own status and the expected content.
fn succeeded(operation: Operation, status: u16, said: &Said) -> Meaning {
    let state = said.status.as_deref();
    if operation == Operation::GetReservation && state == Some("EXPIRED") {
        return Meaning::Over { named: true };
    }
    let expected = if operation == Operation::CreateEvent {
        201
    } else {
        200
    };
    let says = |wanted: &str, has_it: bool| state == Some(wanted) && has_it;
    let is_done = status == expected
        && (operation != Operation::CommitReservation || says("COMMITTED", said.charged.is_some()))
        && (operation != Operation::CreateEvent || says("APPLIED", said.event_id.is_some()))
        && (operation != Operation::ExtendReservation || says("ACTIVE", said.expires_at_ms.is_some()));
    if is_done { Meaning::Done } else { Meaning::Open }
}
