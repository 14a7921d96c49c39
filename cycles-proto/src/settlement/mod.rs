//! The settlement of a known cost. Its record is stored, and the commit is repeated until it counts. If the reservation
//! has ended, an event takes the place of the commit.
//!
//! ```text
//! Store(record) ─► Send(commit) ─► success ─► Store(remove) ─► Committed
//!       ▲              │ ▲
//!       │              │ └─ open outcome: the same bytes after a backoff; then Pending
//!       │              ├─ throttled: the pause is stored first
//!       │              ├─ expired ─► Store(event mode) ─► Send(event) ─► RecoveredViaEvent
//!       │              ├─ perhaps expired: GET decides
//!       │              ├─ finalized under another key ─► GET tells how ─► Rejected
//!       │              ├─ this key was answered for other bytes ─► GET: the same amount ─► Committed, else Rejected
//!       │              ├─ unauthorized, or not understood ─► Pending, the record stays
//!       └──────────────┴─ refused for good ─► Store(set aside) ─► Rejected
//! ```
//!
//! Invariants: nothing is sent before its record was stored, or before the failure to store it was reported; every
//! attempt sends the bytes of the record; no event is sent while a commit of the same reservation may have been
//! applied; and a cost is never given up for a release.

mod as_event;
mod attempt;
mod judge;
mod telling;

use core::time::Duration;
use std::sync::Arc;

use self::attempt::{Request, SettlementAttempt};
use self::judge::{Found, Move};
use crate::backoff::Backoff;
use crate::config::CyclesConfig;
use crate::idempotency::Seed;
use crate::journal::JournalWrite;
use crate::journal::record::{JournalRecord, Mode};
use crate::models::ReservationId;
use crate::outcome::{
    ActualSource, Aside, Error, Event, Failure, FailureKind, Receipt, ReservationInfo, StoreFailure,
};
use crate::step::{Events, Step};
use crate::ticket::{Ticket, Tickets};
use crate::time::{Now, UnixMillis};
use crate::wire::{Answer, Reads};

/// One known cost on its way into the ledger.
#[derive(Debug)]
pub struct Settlement {
    config: Arc<CyclesConfig>,
    seed: Seed,
    record: JournalRecord,
    backoff: Backoff,
    /// Whether an attempt in the record's current mode may have been acted on without our knowledge.
    may_have_counted: bool,
    /// Whether the cost has no record: the journal is off, or no write of the record has succeeded. A record that could
    /// not be changed still exists unchanged.
    only_in_memory: bool,
    /// Whether the last change to the journal was made.
    was_stored: bool,
    /// Whether an attempt left the outcome open, so that another follows after a wait.
    was_tried: bool,
    /// Whether the cost is known to be unsettled: an attempt failed, or an earlier run left it.
    is_late: bool,
    /// Whether to send the cost even if the server may have forgotten the key.
    force: bool,
    /// Whether to leave the cost to a later scan of the journal if a pause is longer than all of our own waits. Set
    /// only for a cost that an earlier run left.
    leaves_pauses: bool,
    /// The last error.
    last_error: Option<Box<Error>>,
    /// What the reservation was for; `None` if the record does not say so.
    info: Option<ReservationInfo>,
    source: ActualSource,
    /// What the ledger has instead of the cost, if that was looked up.
    found: Option<Found>,
    tickets: Tickets,
    events: Events,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// A change to the journal has to be made.
    Write(Box<JournalWrite>, Then),
    Writing(Ticket, Then),
    /// An attempt has to be made at this time.
    Attempt(Request, Duration),
    InFlight(Request, SettlementAttempt),
    Done(Receipt),
}

/// What to do after a change to the journal.
#[derive(Clone, Debug)]
enum Then {
    Settle(Duration),
    /// Leave the next attempt, which is due at this time, to a later run, provided that the pause until then is
    /// recorded.
    Leave(Duration),
    /// This machine makes no further attempt. Only now is it known whether the cost is recorded.
    Keep,
    Finish(Receipt),
}

impl Settlement {
    /// Settles a new cost, whose record is not stored yet.
    pub fn new(config: Arc<CyclesConfig>, record: JournalRecord, seed: Seed, now: Now) -> Self {
        let stage = if config.journal_enabled {
            Stage::Write(
                Box::new(JournalWrite::Put(record.clone())),
                Then::Settle(now.mono),
            )
        } else {
            Stage::Attempt(Request::Settle, now.mono)
        };
        Self::at(config, record, seed, stage)
    }

    /// Settles a cost from the record that an earlier run left. With `force`, the cost is sent even if the server may
    /// have forgotten the key.
    pub fn resume(
        config: Arc<CyclesConfig>,
        record: JournalRecord,
        seed: Seed,
        now: Now,
        force: bool,
    ) -> Self {
        let stage = if !force && judge::is_stale(&record, now.wall) {
            let aside = JournalWrite::SetAside(record.clone(), Aside::Stale);
            Stage::Write(Box::new(aside), Then::Finish(Receipt::Stale))
        } else {
            Stage::Attempt(Request::Settle, not_before(&record, now))
        };
        let info = record
            .purpose()
            .map(|purpose| ReservationInfo::new(Arc::new(purpose), None));
        let source = record.actual_source();
        Self {
            // The earlier run may have sent the cost.
            may_have_counted: true,
            only_in_memory: !config.journal_enabled,
            is_late: true,
            force,
            leaves_pauses: !force,
            ..Self::at(Arc::clone(&config), record, seed, stage).about(info, source)
        }
    }

    fn at(config: Arc<CyclesConfig>, record: JournalRecord, seed: Seed, stage: Stage) -> Self {
        Self {
            config,
            seed,
            record,
            backoff: Backoff::new(seed),
            may_have_counted: false,
            only_in_memory: true,
            was_stored: false,
            was_tried: false,
            is_late: false,
            force: false,
            leaves_pauses: false,
            last_error: None,
            info: None,
            source: ActualSource::Action,
            found: None,
            tickets: Tickets::of_a_settlement(),
            events: Events::default(),
            stage,
        }
    }

    /// The reservation that the cost belongs to.
    pub fn reservation_id(&self) -> &ReservationId {
        self.record.reservation_id()
    }

    /// The receipt, once the settlement is over.
    pub fn outcome(&self) -> Option<&Receipt> {
        match &self.stage {
            Stage::Done(settled) => Some(settled),
            Stage::Write(..) | Stage::Writing(..) | Stage::Attempt(..) | Stage::InFlight(..) => None,
        }
    }

    /// The receipt for a caller that waits for the cost: its result, even if the record is not removed yet; or, once
    /// the settlement waits for another attempt, a [pending](Receipt::Pending) receipt with the cost safe in its
    /// record. An answer that leads at once to an event or to a lookup of the reservation does not count as such a
    /// wait. Without a record, the caller waits for the final result.
    pub fn receipt(&self) -> Option<Receipt> {
        let decided = match &self.stage {
            Stage::Done(receipt) => Some(receipt),
            // If there is no record to set aside, the receipt also has to say whether one could be written.
            Stage::Write(_, Then::Finish(receipt)) | Stage::Writing(_, Then::Finish(receipt)) => {
                Some(receipt).filter(|receipt| receipt.aside().is_none() || !self.only_in_memory)
            }
            Stage::Write(..) | Stage::Writing(..) | Stage::Attempt(..) | Stage::InFlight(..) => None,
        };
        let is_safe = self.was_tried && !self.only_in_memory;
        decided.cloned().or_else(|| is_safe.then(|| self.pending()))
    }

    /// Returns the next thing to do.
    pub fn poll(&mut self, now: Now) -> Step {
        if let Stage::InFlight(request, attempt) = &self.stage
            && now.mono >= attempt.deadline
        {
            let request = *request;
            self.attempt_failed(now, request, Failure::new(FailureKind::Timeout));
        }
        if let Some(event) = self.events.pop() {
            return Step::Notify(event);
        }
        match &self.stage {
            Stage::Write(_, then) if !self.config.journal_enabled => {
                let then = then.clone();
                self.go_on(then);
                self.poll(now)
            }
            Stage::Write(write, then) => {
                let (write, then) = (write.clone(), then.clone());
                self.write(*write, then)
            }
            Stage::Writing(..) => Step::Wait(None),
            Stage::Attempt(_, at) if *at > now.mono => Step::Wait(Some(*at)),
            // A record ages while it waits, and the record of a commit is older than the event that replaces it.
            Stage::Attempt(Request::Settle, _) if !self.force && judge::is_stale(&self.record, now.wall) => {
                self.set_aside(Aside::Stale, Receipt::Stale);
                self.poll(now)
            }
            Stage::Attempt(request, _) => {
                let request = *request;
                self.send(now, request)
            }
            Stage::InFlight(_, attempt) => Step::Wait(Some(attempt.deadline)),
            Stage::Done(_) => Step::Done,
        }
    }

    /// Reports the result of a call.
    pub fn handle(&mut self, now: Now, ticket: Ticket, answer: Answer) {
        let Some(request) = self.landed(ticket) else {
            return;
        };
        let judged = match (request, self.record.mode()) {
            (Request::Look, _) => answer.verdict().map(judge::look),
            (Request::Compare(why), _) => answer.verdict().map(|verdict| {
                let (judgement, found) = judge::compare(why, &self.record, verdict);
                self.found = found;
                judgement
            }),
            (Request::Settle, Mode::Commit) => answer
                .verdict()
                .map(|verdict| judge::commit(&self.record, verdict)),
            (Request::Settle, Mode::Event) => answer
                .verdict()
                .map(|verdict| judge::event(&self.record, verdict)),
        };
        let (next, reply) = match judged {
            Ok(judgement) => judgement,
            Err(failure) => return self.attempt_failed(now, request, failure),
        };
        if let Some(reply) = reply {
            let error = Error::of_reply(self.context(request), reply, self.may_have_counted);
            self.last_error = Some(Box::new(error));
        }
        self.apply(now, request, next);
    }

    /// Notes that a call got a place: its time starts now. Returns whether it may still be sent: the record may have
    /// become stale while the call waited, because the machine was asleep.
    pub(crate) fn placed(&mut self, now: Now, ticket: Ticket) -> bool {
        let is_stale = !self.force && judge::is_stale(&self.record, now.wall);
        let timeout = self.config.attempt_timeout();
        let Stage::InFlight(request, attempt) = &mut self.stage else {
            return true;
        };
        if attempt.ticket != ticket {
            return true;
        }
        attempt.deadline = now.mono.saturating_add(timeout);
        if *request == Request::Settle && is_stale {
            self.set_aside(Aside::Stale, Receipt::Stale);
            return false;
        }
        true
    }

    /// Whether the cost is neither settled nor in a record.
    pub(crate) fn is_only_in_memory(&self) -> bool {
        self.only_in_memory && !matches!(self.stage, Stage::Done(_))
    }

    /// Whether the settlement waits for the answer to this call.
    pub(crate) fn awaits(&self, ticket: Ticket) -> bool {
        self.landed(ticket).is_some()
    }

    /// Notes that a record was written after its deadline.
    pub(crate) fn note_late_record(&mut self) {
        self.only_in_memory &= matches!(self.stage, Stage::Done(_));
    }

    /// How to read the answer to the call that is under way.
    pub(crate) fn reads(&self) -> Reads {
        let request = match &self.stage {
            Stage::InFlight(request, _) => *request,
            Stage::Write(..) | Stage::Writing(..) | Stage::Attempt(..) | Stage::Done(_) => Request::Settle,
        };
        self.reads_of(request)
    }

    /// Reports that a change to the journal was made, or why it could not be made. Returns whether this gave the cost a
    /// record, which has taken the place of a mark.
    pub fn handle_stored(&mut self, ticket: Ticket, stored: Result<(), StoreFailure>) -> bool {
        let then = match &self.stage {
            Stage::Writing(waited_for, then) if *waited_for == ticket => then.clone(),
            Stage::Write(..)
            | Stage::Writing(..)
            | Stage::Attempt(..)
            | Stage::InFlight(..)
            | Stage::Done(_) => return false,
        };
        let is_made = stored.as_ref().map_or_else(|failure| failure.is_made, |()| true);
        self.only_in_memory &= !is_made;
        let then = match then {
            Then::Leave(_) if is_made => Then::Keep,
            Then::Leave(at) => Then::Settle(at),
            then @ (Then::Settle(_) | Then::Keep | Then::Finish(_)) => then,
        };
        self.was_stored = is_made;
        let is_over = matches!(&then, Then::Finish(receipt) if receipt.is_settled());
        match stored {
            // A failed write may still have left a file, so removing it was only a precaution.
            Err(_) if is_over && self.only_in_memory => {}
            Err(failure) => {
                let reservation_id = self.reservation_id().clone();
                self.events.push(Event::JournalFailed {
                    info: None,
                    reservation_id,
                    failure,
                });
            }
            Ok(()) => {}
        }
        self.go_on(then);
        is_made && !is_over
    }

    fn go_on(&mut self, then: Then) {
        self.stage = match then {
            Then::Settle(at) | Then::Leave(at) => Stage::Attempt(Request::Settle, at),
            Then::Keep => self.finish(self.pending()),
            Then::Finish(receipt) => self.finish(receipt.stored(!self.only_in_memory, || self.pending())),
        };
    }

    fn write(&mut self, write: JournalWrite, then: Then) -> Step {
        let ticket = self.tickets.take();
        self.stage = Stage::Writing(ticket, then);
        Step::Store(ticket, write)
    }

    fn apply(&mut self, now: Now, request: Request, next: Move) {
        match next {
            Move::Finish(settled) => {
                let settled = settled.with_source(self.source);
                let write = JournalWrite::Remove(self.record.clone());
                self.stage = Stage::Write(Box::new(write), Then::Finish(settled));
            }
            Move::TryAgain { may_be_done, pause } => {
                self.may_have_counted |= request == Request::Settle && may_be_done;
                self.try_again(now, pause);
            }
            // Without a record, no later run could try again.
            Move::Keep if self.only_in_memory => self.try_again(now, None),
            Move::Keep => {
                self.tell(self.open_error(), None);
                self.go_on(Then::Keep);
            }
            // The ledger forgets reservations a month after they end.
            Move::Forgotten if judge::is_old(&self.record, now.wall) => {
                self.tell(self.last_error.clone(), None);
                self.set_aside(Aside::Stale, Receipt::Stale);
            }
            Move::Reject | Move::Forgotten => {
                self.tell(self.last_error.clone(), None);
                let (error, found) = (self.last_error.clone(), self.found.take());
                let (found, charged) = found.map(|found| (found.status, found.charged)).unzip();
                let rejected = Receipt::Rejected {
                    error,
                    actual: self.record.actual(),
                    found,
                    charged: charged.flatten(),
                    is_recorded: !self.only_in_memory,
                };
                self.set_aside(Aside::Rejected, rejected);
            }
            Move::Look => self.stage = Stage::Attempt(Request::Look, now.mono),
            Move::Compare(why) => {
                // The result of the comparison is reported by an event in any case.
                self.is_late = true;
                self.stage = Stage::Attempt(Request::Compare(why), now.mono);
            }
            Move::Event => self.switch_to_event(now),
        }
    }

    fn switch_to_event(&mut self, now: Now) {
        let Some(record) = self.record.clone().into_event() else {
            // Other SDKs write records without an event body; a person has to settle such a cost.
            self.tell(self.last_error.clone(), None);
            self.go_on(Then::Keep);
            return;
        };
        self.record = record;
        self.is_late = true;
        self.may_have_counted = false;
        self.backoff = Backoff::new(self.seed);
        let reservation_id = self.reservation_id().clone();
        self.events.push(Event::SettlingByEvent {
            info: None,
            reservation_id,
        });
        let put = JournalWrite::Put(self.record.clone());
        self.stage = Stage::Write(Box::new(put), Then::Settle(now.mono));
    }

    /// Plans another attempt after a wait. A pause that the server asked for is stored first, and so is a record that
    /// could not be stored before.
    fn try_again(&mut self, now: Now, pause: Option<Duration>) {
        self.was_tried = true;
        self.is_late = true;
        let wait = self.backoff.next(self.config.retry(), pause);
        self.tell(self.open_error(), wait);
        let longest = self.config.retry().max_delay;
        let then = match wait {
            Some(wait) if self.leaves_pauses && wait > longest => Then::Leave(now.mono.saturating_add(wait)),
            Some(wait) => Then::Settle(now.mono.saturating_add(wait)),
            None => Then::Keep,
        };
        if let Some(pause) = pause {
            let floor = now.wall.saturating_add(wait.unwrap_or(pause));
            self.record = self.record.clone().with_not_before(floor);
        }
        if pause.is_some() || self.only_in_memory {
            self.stage = Stage::Write(Box::new(JournalWrite::Put(self.record.clone())), then);
        } else {
            self.go_on(then);
        }
    }

    fn set_aside(&mut self, aside: Aside, settled: Receipt) {
        let write = JournalWrite::SetAside(self.record.clone(), aside);
        self.stage = Stage::Write(Box::new(write), Then::Finish(settled));
    }
}

/// The earliest time at which the record may be sent, on the monotonic clock.
fn not_before(record: &JournalRecord, now: Now) -> Duration {
    let floor = record.not_before(now.wall).unwrap_or(UnixMillis(0));
    now.mono.saturating_add(floor.saturating_since(now.wall))
}

#[cfg(test)]
mod tests;
