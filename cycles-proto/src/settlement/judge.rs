//! What answers mean for a cost that is being settled.

use core::time::Duration;
use std::sync::Arc;

use super::Receipt;
use crate::journal::record::{JournalRecord, Mode, REMEMBERED, may_be_forgotten};
use crate::models::{
    Amount, CommitResponse, ErrorCode, EventCreateResponse, ReservationDetail, ReservationStatus,
};
use crate::outcome::Unsuccessful;
use crate::outcome::{ActualSource, Charged};
use crate::time::UnixMillis;
use crate::wire::reply::Verdict;

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
    /// No attempt in this run will succeed, but one in a later run may.
    Keep,
    /// The ledger refused the cost for good.
    Reject,
    /// The ledger has another cost instead of this one, or may already have this one: look up what it has.
    Compare(Why),
    /// The ledger does not know the reservation any more.
    Forgotten,
    /// Look up the reservation first.
    Look,
    /// The reservation has ended without our commit: charge an event.
    Event,
}

/// Why the cost is compared with what the ledger has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The reservation was finalized under another key. The comparison only shows how.
    Finalized,
    /// The key was used before with other bytes. The server also compares the order of the metadata's members, and
    /// other SDKs sort these, so the ledger may have this very cost.
    OtherBytes,
}

/// The reservation's status in the ledger, and what was charged to it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) status: ReservationStatus,
    pub(super) charged: Option<Amount>,
}

/// A move, and the reply that led to it, unless the reply was a success.
pub(super) type Judgement = (Move, Option<Unsuccessful>);

/// Whether the record is so old that the server may have forgotten its key.
pub(super) fn is_old(record: &JournalRecord, now: UnixMillis) -> bool {
    now.saturating_since(record.recorded_at()) > REMEMBERED
}

/// Whether sending the record might count the cost twice. The server remembers the key of an event for 7 days, so an
/// event that is older than 6 days, or more than a day in the future, is not sent. A commit is safe, because it names
/// its reservation.
pub(super) fn is_stale(record: &JournalRecord, now: UnixMillis) -> bool {
    record.mode() == Mode::Event && may_be_forgotten(record.recorded_at(), now)
}

/// What a settlement does when the ledger refuses it with this code. The match is exhaustive, so that every new code
/// needs a line. An unknown code, or one that does not fit a settlement, never sets money aside: the cost is kept,
/// reported, and tried again by a later run.
fn refused(code: &ErrorCode, mode: Mode) -> Move {
    match (code, mode) {
        // This client cannot change the answer: a person decides.
        (
            ErrorCode::InvalidRequest
            | ErrorCode::UnitMismatch
            | ErrorCode::BudgetExceeded
            | ErrorCode::BudgetClosed
            | ErrorCode::OverdraftLimitExceeded
            | ErrorCode::DebtOutstanding
            | ErrorCode::TenantClosed,
            Mode::Commit | Mode::Event,
        ) => Move::Reject,
        // A freeze may end, the key may be changed, and the server may recover.
        (
            ErrorCode::BudgetFrozen
            | ErrorCode::Unauthorized
            | ErrorCode::Forbidden
            | ErrorCode::LimitExceeded
            | ErrorCode::InternalError,
            Mode::Commit | Mode::Event,
        ) => Move::Keep,
        (ErrorCode::NotFound, Mode::Commit) => Move::Forgotten,
        // No scope has a budget for this event.
        (ErrorCode::NotFound, Mode::Event) => Move::Reject,
        // If it were our own key, the ledger would have repeated its answer.
        (ErrorCode::ReservationFinalized, Mode::Commit) => Move::Compare(Why::Finalized),
        (ErrorCode::IdempotencyMismatch, Mode::Commit) => Move::Compare(Why::OtherBytes),
        // The key was used for an event before, and events cannot be looked up. Under another key, the cost might
        // count twice.
        (ErrorCode::IdempotencyMismatch, Mode::Event) => Move::Reject,
        // If this is about the reservation, `commit` handles it as a verdict of its own.
        (ErrorCode::ReservationExpired, Mode::Commit) => Move::Look,
        // Codes that do not fit a commit, or do not fit an event, which names no reservation.
        (ErrorCode::MaxExtensionsExceeded, Mode::Commit | Mode::Event)
        | (ErrorCode::ReservationExpired | ErrorCode::ReservationFinalized, Mode::Event)
        | (ErrorCode::Unknown(_), Mode::Commit | Mode::Event) => Move::Keep,
    }
}

/// An answer that put the cost into the ledger. The settlement knows where the amount comes from.
const fn told<R>(response: R) -> Charged<R> {
    Charged::new(response, ActualSource::Action)
}

/// Judges the answer to a commit.
pub(super) fn commit(record: &JournalRecord, verdict: Verdict<CommitResponse>) -> Judgement {
    match verdict {
        Verdict::Success(mut reply) => {
            reply.actual = record.actual();
            (
                Move::Finish(Receipt::Committed(told(Some(Arc::new(reply))))),
                None,
            )
        }
        // The ledger looks for a commit under this key before it checks the time.
        Verdict::Expired {
            confirmed: true,
            reply,
        } => (Move::Event, Some(reply)),
        // This answer may not come from the ledger. In that case the reservation may not have ended, and the commit of
        // this attempt, or of another process with the same record, may still be applied in addition to the event.
        Verdict::Expired {
            confirmed: false,
            reply,
        } => (Move::Look, Some(reply)),
        Verdict::Rejected(reply) => {
            let next = match reply.code().map(|code| refused(code, Mode::Commit)) {
                None | Some(Move::Keep) => Move::Keep,
                // As with an expiry, a cost is not given up because of an answer that may not come from the ledger.
                Some(_) if reply.is_nameless() => Move::Look,
                Some(next) => next,
            };
            (next, Some(reply))
        }
        Verdict::Unauthorized(reply) => (unauthorized(&reply), Some(reply)),
        Verdict::Throttled(reply) => (throttled(&reply), Some(reply)),
        Verdict::NotSent(reply) => (not_done(&reply), Some(reply)),
        Verdict::Ambiguous(reply) => (open(&reply), Some(reply)),
    }
}

/// Judges the answer to an event.
pub(super) fn event(record: &JournalRecord, verdict: Verdict<EventCreateResponse>) -> Judgement {
    match verdict {
        Verdict::Success(mut reply) => {
            reply.actual = record.actual();
            (
                Move::Finish(Receipt::RecoveredViaEvent(told(Arc::new(reply)))),
                None,
            )
        }
        Verdict::Rejected(reply) => {
            let next = match reply.code().map(|code| refused(code, Mode::Event)) {
                Some(next) if !reply.is_nameless() => next,
                Some(_) | None => Move::Keep,
            };
            (next, Some(reply))
        }
        Verdict::Unauthorized(reply) => (unauthorized(&reply), Some(reply)),
        Verdict::Expired { reply, .. } => (Move::Keep, Some(reply)),
        Verdict::Throttled(reply) => (throttled(&reply), Some(reply)),
        Verdict::NotSent(reply) => (not_done(&reply), Some(reply)),
        Verdict::Ambiguous(reply) => (open(&reply), Some(reply)),
    }
}

/// Judges the answer to a lookup of a reservation that may have ended, and that an earlier attempt may have committed.
pub(super) fn look(verdict: Verdict<ReservationDetail>) -> Judgement {
    match verdict {
        Verdict::Success(detail) => match detail.status {
            // Commit again: the commit works, or the ledger repeats its answer to our key, or it says why not. The
            // status alone does not show whether an existing commit is ours.
            ReservationStatus::Active | ReservationStatus::Committed | ReservationStatus::Released => {
                (OPEN, None)
            }
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
        // Any other refusal is about the lookup, not about the cost.
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

/// Judges the answer to a lookup of what the ledger has instead of the cost.
pub(super) fn compare(
    why: Why,
    record: &JournalRecord,
    reply: Verdict<ReservationDetail>,
) -> (Judgement, Option<Found>) {
    let found = match &reply {
        Verdict::Success(detail) => Some(Found {
            status: detail.status.clone(),
            charged: detail.committed.clone(),
        }),
        Verdict::Expired { confirmed: true, .. } => Some(Found {
            status: ReservationStatus::Expired,
            charged: None,
        }),
        Verdict::Expired { .. }
        | Verdict::Rejected(_)
        | Verdict::Unauthorized(_)
        | Verdict::Throttled(_)
        | Verdict::NotSent(_)
        | Verdict::Ambiguous(_) => None,
    };
    let next = match (why, reply) {
        // The ledger's answer to the commit counts, whether or not the lookup explains it.
        (Why::Finalized, _) => Move::Reject,
        (Why::OtherBytes, Verdict::Success(detail)) => match detail.status {
            ReservationStatus::Committed
                if detail.committed.is_some() && detail.committed == record.actual() =>
            {
                Move::Finish(Receipt::Committed(told(None)))
            }
            // A person has to compare the amounts.
            ReservationStatus::Committed | ReservationStatus::Released | ReservationStatus::Expired => {
                Move::Reject
            }
            // As far as is known, nothing is charged to the reservation under any key.
            ReservationStatus::Active | ReservationStatus::Unknown(_) => OPEN,
        },
        (Why::OtherBytes, Verdict::Expired { confirmed: true, .. }) => Move::Reject,
        (Why::OtherBytes, Verdict::Unauthorized(reply)) => unauthorized(&reply),
        (Why::OtherBytes, Verdict::Throttled(reply)) => throttled(&reply),
        (Why::OtherBytes, Verdict::NotSent(reply)) => not_done(&reply),
        // A cost that may be in the ledger already is not given up.
        (
            Why::OtherBytes,
            Verdict::Expired { reply, .. } | Verdict::Rejected(reply) | Verdict::Ambiguous(reply),
        ) => open(&reply),
    };
    // The commit's error stays the last error.
    ((next, None), found)
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

/// The pause that the server asks for. A pause of 0 does not count and need not be recorded.
fn pause(reply: &Unsuccessful) -> Option<Duration> {
    reply.info.retry_after().filter(|pause| !pause.is_zero())
}

/// What to do if the API key is not accepted. A refused key will be refused again, but a server that cannot look the
/// key up may recover soon.
fn unauthorized(reply: &Unsuccessful) -> Move {
    if reply.is_outage() {
        not_done(reply)
    } else {
        Move::Keep
    }
}

/// What to do if the server throttles. Without a `Retry-After`, our own backoff applies.
fn throttled(reply: &Unsuccessful) -> Move {
    Move::TryAgain {
        may_be_done: false,
        pause: Some(reply.info.retry_after().unwrap_or_default()),
    }
}
