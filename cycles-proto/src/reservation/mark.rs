//! The durable mark of an action whose request has left: a file that still says so if this process dies.
//!
//! The mark exists as long as nobody knows the cost. The record of a known cost takes its place, in one step. If the
//! action turns out to cost nothing, it is removed; if the action ends and its cost stays unknown, it is left behind for
//! a person.

use super::Reservation;
use super::common::Common;
use super::held::Held;
use crate::dispatch::Dispatches;
use crate::journal::JournalWrite;
use crate::journal::record::JournalRecord;
use crate::meter::estimated;
use crate::models::{CommitRequest, IdempotencyKey};
use crate::outcome::{Event, InvalidCommit, NotMarked, Outcome, StoreFailure};
use crate::step::Step;
use crate::ticket::Ticket;
use crate::time::Now;

/// The mark of an action. Its changes are made one after another.
#[derive(Debug)]
pub(super) struct Mark {
    /// The record of the estimate; or the total of a run that has ended, of which the marks of its steps are a part.
    record: JournalRecord,
    /// Whether it covers all that may have been spent without being charged.
    is_all: bool,
    /// What is to be done next.
    next: Option<Change>,
    /// What is being done.
    storing: Option<(Ticket, Change)>,
    /// Whether the mark was written, once that is known.
    written: Option<Result<(), StoreFailure>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Put,
    Remove,
    Leave,
}

impl Mark {
    fn new(record: JournalRecord) -> Self {
        Self {
            record,
            is_all: true,
            next: Some(Change::Put),
            storing: None,
            written: None,
        }
    }

    /// The stored total of a run that ends without a record of its cost: what it says about dispatched steps is all that
    /// is known.
    pub(super) fn of_run(total: JournalRecord, is_all: bool) -> Self {
        Self {
            record: total,
            is_all,
            next: None,
            storing: None,
            written: Some(Ok(())),
        }
    }

    /// Has the mark written again, unless it is still there because its removal has not begun.
    fn put_again(&mut self) {
        let is_there = self.storing.is_none() && matches!(self.written, Some(Ok(())));
        self.next = Some(Change::Put).filter(|_| !is_there);
    }

    /// Whether the mark is, or will be, on disk.
    fn stands(&self) -> bool {
        let last = self.next.or(self.storing.map(|(_, change)| change));
        match last {
            Some(change) => change == Change::Put,
            None => matches!(self.written, Some(Ok(()))),
        }
    }
}

impl Common {
    /// The key of the mark, if there may be a file of it.
    pub(super) fn mark_key(&self) -> Option<&IdempotencyKey> {
        Some(&self.mark()?.record.id().key)
    }

    /// Removes the mark: its action costs nothing.
    pub(super) fn remove_mark(&mut self) {
        self.change_mark(Change::Remove);
    }

    /// Writes no mark any more: the cost is known, and its record takes the place of the mark that there is.
    pub(super) fn stop_marking(&mut self) {
        if let Some(mark) = self.mark_mut() {
            mark.next.take_if(|change| *change == Change::Put);
        }
    }

    /// Leaves the mark behind: the action has ended, and nobody knows its cost.
    pub(super) fn leave_mark(&mut self) {
        self.change_mark(Change::Leave);
    }

    fn change_mark(&mut self, change: Change) {
        if let Some(mark) = self.mark_mut() {
            // A file that could not be written may exist all the same.
            mark.next = Some(change);
        }
    }

    /// Notes that a record has taken the place of the mark.
    pub(super) fn forget_mark(&mut self) {
        self.set_mark(None);
    }

    pub(super) fn is_marking(&self) -> bool {
        let is_changing = |mark: &Mark| mark.next.is_some() || mark.storing.is_some();
        self.mark().is_some_and(is_changing)
    }

    /// Starts the next change of the mark.
    pub(super) fn poll_mark(&mut self) -> Option<Step> {
        let is_due = |mark: &Mark| mark.next.is_some() && mark.storing.is_none();
        if !self.mark().is_some_and(is_due) {
            return None;
        }
        let ticket = self.tickets.take();
        let mark = self.mark_mut()?;
        let change = mark.next.take()?;
        mark.storing = Some((ticket, change));
        let write = match change {
            Change::Put => JournalWrite::PutMark(mark.record.clone()),
            Change::Remove => JournalWrite::RemoveMark(mark.record.id().clone()),
            Change::Leave => JournalWrite::LeaveMark(mark.record.clone()),
        };
        Some(Step::Store(ticket, write))
    }

    /// Notes the end of a change, if it was one of the mark. Returns whether it was.
    pub(super) fn handle_mark_stored(&mut self, ticket: Ticket, stored: &Result<(), StoreFailure>) -> bool {
        let Some(mark) = self.mark_mut() else { return false };
        let Some((_, change)) = mark.storing.take_if(|(waited_for, _)| *waited_for == ticket) else {
            return false;
        };
        let reservation_id = mark.record.reservation_id().clone();
        match (change, mark.next) {
            (Change::Put, _) => {
                let is_made = stored.as_ref().map_or_else(|failure| failure.is_made, |()| true);
                mark.written = Some(if is_made { Ok(()) } else { stored.clone() });
            }
            (Change::Remove | Change::Leave, None) => self.set_mark(None),
            (Change::Remove | Change::Leave, Some(_)) => mark.written = None,
        }
        if let Err(failure) = stored {
            self.events.push(Event::JournalFailed {
                info: None,
                reservation_id,
                failure: failure.clone(),
            });
        }
        true
    }

    /// Decides what becomes of the mark of a reservation that has ended like this.
    pub(super) fn end_mark(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Settled(receipt) if receipt.is_unrecorded() => self.leave_mark(),
            Outcome::Settled(_) => self.remove_mark(),
            // Decided when its end began.
            Outcome::Released(_) | Outcome::NotReserved(_) | Outcome::Evaluated(_) => {}
        }
    }
}

impl Reservation {
    /// Notes that a request leaves that may have to be paid for, and begins to write that down. Whether it is on disk,
    /// [`marked`](Self::marked) says.
    pub(crate) fn dispatched_durably(&mut self, now: Now) -> Result<(), NotMarked> {
        let now = self.at(now);
        if self.is_shadow() && self.grant().is_some() {
            // Nothing is charged, so nothing of it goes to the disk.
            self.change_shadow(Dispatches::note);
            return Ok(());
        }
        let (common, held) = self.held().map_err(|_| NotMarked::NotHeld)?;
        held.dispatched_durably(common, now)
    }

    /// Whether the last [durable](Self::dispatched_durably) request is on disk. Also if its cost is known already.
    pub(crate) fn marked(&self) -> Option<Result<(), NotMarked>> {
        let Some(mark) = self.common.mark() else {
            return Some(Ok(()));
        };
        match (mark.next, mark.storing, &mark.written) {
            (Some(Change::Put), ..) | (_, Some((_, Change::Put)), _) => None,
            (_, _, Some(Err(failure))) => Some(Err(NotMarked::Failed(failure.clone()))),
            (_, _, Some(Ok(())) | None) => Some(Ok(())),
        }
    }
}

/// Steps of a run, whose marks are a part of its stored total.
impl Reservation {
    /// Whether the mark that it leaves covers all that may have been spent without being charged.
    pub(crate) fn is_all_marked(&self) -> bool {
        match self.phase.holding().and_then(|held| held.run.as_ref()) {
            Some(run) => run.is_all_marked(),
            None => self.common.mark().is_some_and(|mark| mark.is_all),
        }
    }

    /// Like [`dispatched_durably`](Self::dispatched_durably), for a step. Returns the number of the total that says so.
    pub(crate) fn step_dispatched_durably(&mut self, now: Now, step: u64) -> Result<u64, NotMarked> {
        self.at(now);
        if let Some((_, shadow)) = self.shadow_mut() {
            return shadow.step_dispatched(step);
        }
        let (common, held) = self.held().map_err(|_| NotMarked::NotHeld)?;
        if held.settlement().is_some() {
            return Err(NotMarked::NotHeld);
        }
        let run = held.run.as_mut().ok_or(NotMarked::NotHeld)?;
        let total = run.dispatched_durably(step).ok_or(NotMarked::NotHeld)?;
        match common.config.journal_enabled {
            true => Ok(total),
            false => Err(NotMarked::NoJournal),
        }
    }

    /// Whether the total of this number is on disk, or one after it.
    pub(crate) fn step_marked(&self, total: u64) -> Option<Result<(), NotMarked>> {
        if !self.is_total_stored(total) {
            return None;
        }
        let run = self.phase.holding().and_then(|held| held.run.as_ref());
        let failure = run.and_then(|run| run.store_failure(total));
        Some(failure.map_or(Ok(()), |failure| Err(NotMarked::Failed(failure.clone()))))
    }
}

impl Held {
    fn dispatched_durably(&mut self, common: &mut Common, now: Now) -> Result<(), NotMarked> {
        if self.settlement().is_some() || self.run.is_some() {
            // The steps of a run are charged, not the run.
            return Err(NotMarked::NotHeld);
        }
        self.dispatches.note();
        if !common.config.journal_enabled {
            return Err(NotMarked::NoJournal);
        }
        if common.mark().is_some_and(Mark::stands) {
            return Ok(());
        }
        let mark = self.mark_of_estimate(common, now).map_err(|why| {
            let message = format!("the mark cannot be written: {why}");
            NotMarked::Failed(StoreFailure::new(message))
        })?;
        match common.mark_mut() {
            Some(mark) => mark.put_again(),
            None => common.set_mark(Some(Mark::new(mark))),
        }
        Ok(())
    }

    /// The record of the estimate, under the key of a commit that has none of its own.
    fn mark_of_estimate(&self, common: &mut Common, now: Now) -> Result<JournalRecord, InvalidCommit> {
        let estimate = common.estimate()?.clone();
        let request = CommitRequest::builder()
            .actual(estimate)
            .metadata(estimated())
            .build();
        let record = common.record(&self.grant.reservation_id, request, now)?;
        Ok(record.into_mark())
    }
}
