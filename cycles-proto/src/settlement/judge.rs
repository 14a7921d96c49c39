//! What an answer means for a cost that is being settled.

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;

use super::Receipt;
use crate::models::{CommitResponse, ErrorCode, EventCreateResponse, ReservationDetail, ReservationStatus};
use crate::record::{JournalRecord, Mode};
use crate::reply::{OperationKind, Unsuccessful, Verdict, verdict};
use crate::time::UnixMillis;

/// What to do next.
#[derive(Debug)]
pub(super) enum Move {
    /// The cost is in the ledger.
    Finish(Receipt),
    /// The outcome is open, or the server is busy and asks for a pause.
    TryAgain {
        may_be_done: bool,
        pause: Option<Duration>,
    },
    /// No attempt of this run will fare better; a later one may.
    Keep,
    /// The ledger refused for good.
    Reject,
    /// The ledger refused for good, because the reservation was finalized: see how.
    Explain,
    /// The ledger does not know the reservation any more.
    Forgotten,
    /// Look at the reservation first.
    Look,
    /// The reservation is over and was not committed by us.
    Event,
}

/// A move, and the reply that it answers if that was no success.
pub(super) type Judgement = (Move, Option<Unsuccessful>);

/// Whether the record is too old to be sure of what the server remembers.
pub(super) fn is_old(record: &JournalRecord, now: UnixMillis) -> bool {
    now.saturating_since(record.recorded_at()) > 6 * DAY
}

/// Whether sending the record might count twice. Of an event the server remembers the key for 7 days, so one
/// that is older than 6, or from the future by one, is not sent; a commit is safe, as it names its reservation.
pub(super) fn is_stale(record: &JournalRecord, now: UnixMillis) -> bool {
    let is_from_the_future = record.recorded_at().saturating_since(now) > DAY;
    record.mode() == Mode::Event && (is_old(record, now) || is_from_the_future)
}

const DAY: Duration = Duration::from_secs(86_400);

/// The answer to a commit.
pub(super) fn commit(response: &http::Response<Bytes>) -> Judgement {
    match verdict::<CommitResponse>(OperationKind::CommitReservation, response) {
        Verdict::Success(reply) => (Move::Finish(Receipt::Committed(Some(Arc::new(reply)))), None),
        // The ledger looks for a commit under this key before it looks at the clock.
        Verdict::Expired {
            confirmed: true,
            reply,
        } => (Move::Event, Some(reply)),
        // Something else may have said so. Then the reservation is not over, and a commit of this attempt, or of
        // another process with the same record, may yet be applied beside the event.
        Verdict::Expired {
            confirmed: false,
            reply,
        } => (Move::Look, Some(reply)),
        Verdict::Rejected(reply) => match reply.code() {
            _ if !reply.is_understood() => (Move::Keep, Some(reply)),
            // As with an expiry: a cost is not given up on a word that may be somebody else's.
            _ if reply.is_nameless() => (Move::Look, Some(reply)),
            Some(ErrorCode::NotFound) => (Move::Forgotten, Some(reply)),
            // Under our own key the ledger would have repeated its answer.
            Some(ErrorCode::ReservationFinalized) => (Move::Explain, Some(reply)),
            _ => (Move::Reject, Some(reply)),
        },
        Verdict::Unauthorized(reply) => (unauthorized(&reply), Some(reply)),
        Verdict::Throttled(reply) => (throttled(&reply), Some(reply)),
        Verdict::NotSent(reply) => (not_done(&reply), Some(reply)),
        Verdict::Ambiguous(reply) => (open(&reply), Some(reply)),
    }
}

/// The answer to an event.
pub(super) fn event(response: &http::Response<Bytes>) -> Judgement {
    match verdict::<EventCreateResponse>(OperationKind::CreateEvent, response) {
        Verdict::Success(reply) => (Move::Finish(Receipt::RecoveredViaEvent(Arc::new(reply))), None),
        Verdict::Rejected(reply) => match reply.code() {
            _ if !reply.is_understood() || reply.is_nameless() => (Move::Keep, Some(reply)),
            // A freeze ends; and a commit would not even have been asked.
            Some(ErrorCode::BudgetFrozen) => (Move::Keep, Some(reply)),
            _ => (Move::Reject, Some(reply)),
        },
        Verdict::Unauthorized(reply) => (unauthorized(&reply), Some(reply)),
        Verdict::Expired { reply, .. } => (Move::Keep, Some(reply)),
        Verdict::Throttled(reply) => (throttled(&reply), Some(reply)),
        Verdict::NotSent(reply) => (not_done(&reply), Some(reply)),
        Verdict::Ambiguous(reply) => (open(&reply), Some(reply)),
    }
}

/// The answer to a look at a reservation that may be over, and that an earlier attempt may have committed.
pub(super) fn look(response: &http::Response<Bytes>) -> Judgement {
    match verdict::<ReservationDetail>(OperationKind::GetReservation, response) {
        Verdict::Success(detail) => match detail.status {
            ReservationStatus::Committed => (Move::Finish(Receipt::Committed(None)), None),
            // The commit again: it is still to be had, or the ledger says in its own words why not.
            ReservationStatus::Active | ReservationStatus::Released => (OPEN, None),
            ReservationStatus::Expired => (Move::Event, None),
            ReservationStatus::Unknown(_) => (Move::Keep, None),
        },
        Verdict::Expired {
            confirmed: true,
            reply,
        } => (Move::Event, Some(reply)),
        Verdict::Unauthorized(reply) => (unauthorized(&reply), Some(reply)),
        Verdict::Throttled(reply) => (throttled(&reply), Some(reply)),
        Verdict::NotSent(reply) => (not_done(&reply), Some(reply)),
        // Any other refusal is of the look, and not of the cost.
        Verdict::Rejected(reply) if reply.code() == Some(&ErrorCode::NotFound) => {
            let next = match reply.is_nameless() {
                true => Move::Keep,
                false => Move::Forgotten,
            };
            (next, Some(reply))
        }
        Verdict::Rejected(reply) | Verdict::Expired { reply, .. } | Verdict::Ambiguous(reply) => {
            (open(&reply), Some(reply))
        }
    }
}

/// The state of a reservation that somebody else finalized, if the answer tells.
pub(super) fn found(response: &http::Response<Bytes>) -> Option<ReservationStatus> {
    match verdict::<ReservationDetail>(OperationKind::GetReservation, response) {
        Verdict::Success(detail) => Some(detail.status.clone()),
        Verdict::Expired { .. }
        | Verdict::Rejected(_)
        | Verdict::Unauthorized(_)
        | Verdict::Throttled(_)
        | Verdict::NotSent(_)
        | Verdict::Ambiguous(_) => None,
    }
}

const OPEN: Move = Move::TryAgain {
    may_be_done: true,
    pause: None,
};

fn open(reply: &Unsuccessful) -> Move {
    Move::TryAgain {
        may_be_done: true,
        pause: pause(reply),
    }
}

fn not_done(reply: &Unsuccessful) -> Move {
    Move::TryAgain {
        may_be_done: false,
        pause: pause(reply),
    }
}

/// A pause of no time is none, and nothing has to be remembered of it.
fn pause(reply: &Unsuccessful) -> Option<Duration> {
    reply.info.retry_after().filter(|pause| !pause.is_zero())
}

/// A key that is refused will be again; a server that cannot look it up may soon.
fn unauthorized(reply: &Unsuccessful) -> Move {
    if reply.is_outage() {
        not_done(reply)
    } else {
        Move::Keep
    }
}

/// Without a `Retry-After` the pause is our own.
fn throttled(reply: &Unsuccessful) -> Move {
    Move::TryAgain {
        may_be_done: false,
        pause: Some(reply.info.retry_after().unwrap_or_default()),
    }
}
