//! What an answer means for a cost that is being settled.

use core::time::Duration;
use std::sync::Arc;

use super::Receipt;
use crate::journal::record::{JournalRecord, Mode};
use crate::models::{
    Amount, CommitResponse, ErrorCode, EventCreateResponse, ReservationDetail, ReservationStatus,
};
use crate::outcome::Unsuccessful;
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
    /// No attempt of this run will fare better; a later one may.
    Keep,
    /// The ledger refused for good.
    Reject,
    /// The ledger has another cost in place of this one, or may have this one: see what it has.
    Compare(Why),
    /// The ledger does not know the reservation any more.
    Forgotten,
    /// Look at the reservation first.
    Look,
    /// The reservation is over and was not committed by us.
    Event,
}

/// Why what the ledger has is compared with the cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The reservation was finalized under another key. What is found only tells how.
    Finalized,
    /// The key was answered before, for other bytes. The server compares metadata by the order of its members, which
    /// other SDKs sort: it may be this cost that it has.
    OtherBytes,
}

/// How the ledger has the reservation, and what it charged to it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) status: ReservationStatus,
    pub(super) charged: Option<Amount>,
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

/// What a settlement does when the ledger refuses it with this code: the whole table, so that a code that is added has
/// its line. What is not known, and what is no answer to a settlement, never sets money aside: it is kept, told, and
/// tried again by a later run.
fn refused(code: &ErrorCode, mode: Mode) -> Move {
    match (code, mode) {
        // Nothing that this client could do would change it: a person decides.
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
        // A freeze ends, another key may be allowed, and the server gets better.
        (
            ErrorCode::BudgetFrozen
            | ErrorCode::Unauthorized
            | ErrorCode::Forbidden
            | ErrorCode::LimitExceeded
            | ErrorCode::InternalError,
            Mode::Commit | Mode::Event,
        ) => Move::Keep,
        (ErrorCode::NotFound, Mode::Commit) => Move::Forgotten,
        // No scope has a budget.
        (ErrorCode::NotFound, Mode::Event) => Move::Reject,
        // Under our own key the ledger would have repeated its answer.
        (ErrorCode::ReservationFinalized, Mode::Commit) => Move::Compare(Why::Finalized),
        (ErrorCode::IdempotencyMismatch, Mode::Commit) => Move::Compare(Why::OtherBytes),
        // The key of the event was answered too, and events cannot be looked at: sent again under another key the
        // cost might count twice.
        (ErrorCode::IdempotencyMismatch, Mode::Event) => Move::Reject,
        // A verdict of its own, where it is about the reservation.
        (ErrorCode::ReservationExpired, Mode::Commit) => Move::Look,
        // No answer to a commit, or to an event, which names no reservation.
        (ErrorCode::MaxExtensionsExceeded, Mode::Commit | Mode::Event)
        | (ErrorCode::ReservationExpired | ErrorCode::ReservationFinalized, Mode::Event)
        | (ErrorCode::Unknown(_), Mode::Commit | Mode::Event) => Move::Keep,
    }
}

/// The answer to a commit.
pub(super) fn commit(record: &JournalRecord, verdict: Verdict<CommitResponse>) -> Judgement {
    match verdict {
        Verdict::Success(mut reply) => {
            reply.actual = record.actual();
            (Move::Finish(Receipt::Committed(Some(Arc::new(reply)))), None)
        }
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
        Verdict::Rejected(reply) => {
            let next = match reply.code().map(|code| refused(code, Mode::Commit)) {
                None | Some(Move::Keep) => Move::Keep,
                // As with an expiry: a cost is not given up on a word that may be somebody else's.
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

/// The answer to an event.
pub(super) fn event(record: &JournalRecord, verdict: Verdict<EventCreateResponse>) -> Judgement {
    match verdict {
        Verdict::Success(mut reply) => {
            reply.actual = record.actual();
            (Move::Finish(Receipt::RecoveredViaEvent(Arc::new(reply))), None)
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

/// The answer to a look at a reservation that may be over, and that an earlier attempt may have committed.
pub(super) fn look(verdict: Verdict<ReservationDetail>) -> Judgement {
    match verdict {
        Verdict::Success(detail) => match detail.status {
            // The commit again: it is still to be had, or the ledger repeats its answer to our key, or it says in its
            // own words why not. Whether a commit that it has is ours, its state does not tell.
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

/// The answer to a look at what the ledger has in place of the cost, and what that is.
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
        // What the ledger said of the commit is what counts, whether or not it can be explained.
        (Why::Finalized, _) => Move::Reject,
        (Why::OtherBytes, Verdict::Success(detail)) => match detail.status {
            ReservationStatus::Committed
                if detail.committed.is_some() && detail.committed == record.actual() =>
            {
                Move::Finish(Receipt::Committed(None))
            }
            // A person compares the amounts.
            ReservationStatus::Committed | ReservationStatus::Released | ReservationStatus::Expired => {
                Move::Reject
            }
            // Under no key is anything charged to it, as far as one can tell.
            ReservationStatus::Active | ReservationStatus::Unknown(_) => OPEN,
        },
        (Why::OtherBytes, Verdict::Expired { confirmed: true, .. }) => Move::Reject,
        (Why::OtherBytes, Verdict::Unauthorized(reply)) => unauthorized(&reply),
        (Why::OtherBytes, Verdict::Throttled(reply)) => throttled(&reply),
        (Why::OtherBytes, Verdict::NotSent(reply)) => not_done(&reply),
        // Nothing is given up that may be in the ledger already.
        (
            Why::OtherBytes,
            Verdict::Expired { reply, .. } | Verdict::Rejected(reply) | Verdict::Ambiguous(reply),
        ) => open(&reply),
    };
    // The error stays that of the commit.
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
