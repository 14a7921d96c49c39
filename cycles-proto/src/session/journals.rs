//! Access to the journals: writes and scans, which the driver executes, and their deadlines.

use core::time::Duration;

use super::Session;
use super::caller::{ObserverId, Principal};
use super::entry::Entry;
use super::outstanding_work::{self, JournalRead, Outstanding, Write};
use super::slab::SlabKey;
use super::step::{Scanned, Step};
use super::timers::Timed;
use crate::journal::{JournalWrite, STORE_DEADLINE};
use crate::outcome::StoreFailure;
use crate::reservation::Reservation;
use crate::session::replay::Replay;
use crate::ticket::Ticket;
use crate::time::Now;

/// The deadline of a scan. After it, the journal counts as unreadable and is read again later.
const READ_DEADLINE: Duration = Duration::from_secs(60);

impl Session {
    /// Reports that a change to a journal was made, or why it could not be made.
    pub fn handle_stored(&mut self, now: Now, ticket: Ticket, stored: Result<(), StoreFailure>) {
        let now = self.at(now);
        let key = outstanding_work::key(ticket);
        let Some(mut write) = self.outstanding.take_write(key) else {
            return;
        };
        self.timers
            .change(Timed::Outstanding(key), &mut write.timer, None);
        if let (Ok(()), Some(principal)) = (&stored, self.principals.get_mut(write.principal)) {
            principal.is_journal_late = false;
        }
        let is_made = stored.as_ref().map_or_else(|failure| failure.is_made, |()| true);
        if let (true, Some(mark), Some(state)) =
            (is_made, &write.leaves, self.principals.get_mut(write.principal))
        {
            state.tally.note_mark_left(mark);
        }
        if let Some(reservation) = self.reservations.get_mut(write.reservation) {
            reservation.has_record |= write.puts.is_some() && is_made;
        }
        match write.is_late {
            false => {
                self.act(write.reservation, |machine| {
                    machine.handle_stored(now, write.inner, stored)
                });
            }
            true if stored.is_ok() => self.stored_late(now, &write),
            true => {}
        }
        self.account_for_lost(now, write.reservation);
        self.schedule(write.reservation);
    }

    /// Reports the contents of a journal; `None` if it could not be read. Returns whether to keep the claim until the
    /// session [gives it back](Step::Unclaim).
    pub fn handle_scanned(&mut self, now: Now, ticket: Ticket, scanned: Option<Scanned>) -> bool {
        let now = self.at(now);
        let key = outstanding_work::key(ticket);
        let Some(mut reading) = self.outstanding.take_reading(key) else {
            // It came too late, and what it tells of is told only once.
            let events = scanned.into_iter().flat_map(|scanned| scanned.events);
            let notify = |event| Step::Notify(ObserverId::default(), event);
            self.steps.extend(events.map(notify));
            return false;
        };
        self.timers
            .change(Timed::Outstanding(key), &mut reading.timer, None);
        let JournalRead { principal, inner, .. } = reading;
        self.principals.schedule(principal);
        let Some(state) = self.principals.get_mut(principal) else {
            return false;
        };
        let Some(replayer) = &mut state.replayer else {
            return false;
        };
        let Some(scanned) = scanned else {
            replayer.handle_unreadable(now, inner);
            return false;
        };
        state.tally.note_scan(scanned.quarantined, scanned.unread);
        state.tally.note_marks(scanned.unknown);
        for record in &scanned.records {
            state.tally.note_found(record.id());
        }
        match scanned.has_claim {
            true => replayer.handle_scanned(now, inner, scanned.records),
            false => replayer.handle_claimed(now, inner, scanned.records),
        }
        state.has_claim = scanned.has_claim && self.closed.is_none();
        let is_kept = state.has_claim;
        for event in scanned.events {
            self.steps.push_back(Step::Notify(ObserverId::default(), event));
        }
        is_kept
    }

    pub(super) fn store(&mut self, now: Now, key: SlabKey, inner: Ticket, write: JournalWrite) {
        let Some(reservation) = self.reservations.get_mut(key) else {
            return;
        };
        let principal = reservation.principal;
        let puts = match &write {
            JournalWrite::Put(record) => Some(Box::new(record.id().clone())),
            // The total of a run becomes a record only at its end, and a mark never by itself.
            JournalWrite::PutRun(_)
            | JournalWrite::PutMark(_)
            | JournalWrite::RemoveMark(_)
            | JournalWrite::LeaveMark(_)
            | JournalWrite::Remove(_)
            | JournalWrite::SetAside(..) => None,
        };
        let leaves = reservation.mark_left_by(&write);
        if let (JournalWrite::Put(record), None) = (&write, &reservation.record) {
            reservation.record = Some(Box::new(record.id().clone()));
            self.principals
                .replay(principal, |replayer| replayer.live(record.id().clone()));
        }
        let outstanding = self.outstanding.insert(Outstanding::Write(Write {
            reservation: key,
            principal,
            inner,
            puts,
            leaves: leaves.map(Box::new),
            is_late: false,
            timer: None,
        }));
        self.steps.push_back(Step::Store(
            outstanding_work::ticket(outstanding),
            principal,
            write,
        ));
        let is_hanging = self
            .principals
            .get(principal)
            .is_some_and(|it| it.is_journal_late);
        if is_hanging {
            return self.give_up_write(now, outstanding);
        }
        let deadline = now.mono.saturating_add(STORE_DEADLINE);
        if let Some(write) = self.outstanding.write(outstanding) {
            self.timers
                .change(Timed::Outstanding(outstanding), &mut write.timer, Some(deadline));
        }
    }

    /// Starts the deadline of a scan. Returns `false` if the scan is not needed any more.
    pub(super) fn begin_reading(&mut self, now: Now, key: SlabKey) -> bool {
        if self.closed.is_some() {
            self.outstanding.take_reading(key);
            return false;
        }
        let deadline = now.mono.saturating_add(READ_DEADLINE);
        if let Some(reading) = self.outstanding.reading(key) {
            self.timers
                .change(Timed::Outstanding(key), &mut reading.timer, Some(deadline));
        }
        true
    }

    /// Gives up on a scan that takes too long.
    pub(super) fn give_up_reading(&mut self, now: Now, key: SlabKey) {
        let Some(JournalRead { principal, inner, .. }) = self.outstanding.take_reading(key) else {
            return;
        };
        self.principals
            .replay(principal, |replayer| replayer.handle_unreadable(now, inner));
    }

    /// Gives up on a change to the journal that takes too long, so that the settlement continues.
    pub(super) fn give_up_write(&mut self, now: Now, key: SlabKey) {
        let Some(write) = self.outstanding.write(key) else {
            return;
        };
        write.is_late = true;
        let (reservation, inner, principal) = (write.reservation, write.inner, write.principal);
        let was_late = match self.principals.get_mut(principal) {
            Some(principal) => core::mem::replace(&mut principal.is_journal_late, true),
            None => false,
        };
        let message = match was_late {
            false => format!("the journal has not answered for {STORE_DEADLINE:?}: the disk may be hanging"),
            true => "the journal failed to answer in time earlier, and has not answered since: the disk may be hanging"
                .to_owned(),
        };
        self.act(reservation, |machine| {
            machine.handle_stored(now, inner, Err(StoreFailure::new(message)))
        });
        self.schedule(reservation);
    }

    /// Handles a record that was written after its deadline.
    fn stored_late(&mut self, now: Now, write: &Write) {
        let Some(record) = &write.puts else { return };
        if let Some(state) = self.principals.get_mut(write.principal) {
            state.tally.note_late_record(record);
        }
        let is_over = self
            .reservations
            .get(write.reservation)
            .is_none_or(|reservation| reservation.is_over);
        if !is_over {
            self.act(write.reservation, Reservation::note_late_record);
        } else {
            // The reservation is gone, so the replay looks at the record.
            self.principals
                .replay(write.principal, |replayer| replayer.wake(now));
        }
    }

    pub(super) fn poll_principal(&mut self, now: Now, principal: Principal) {
        let Some(state) = self.principals.get_mut(principal) else {
            return;
        };
        let next = match (&mut state.replayer, self.closed) {
            (Some(replayer), None) => replayer.poll(now),
            (Some(_), Some(_)) | (None, _) => Replay::Wait(None),
        };
        match next {
            Replay::Scan { ticket, with_stale } => {
                self.unclaim(principal);
                let reading = JournalRead {
                    principal,
                    inner: ticket,
                    timer: None,
                };
                let key = self.outstanding.insert(Outstanding::Reading(reading));
                let ticket = outstanding_work::ticket(key);
                self.steps.push_back(Step::Scan {
                    ticket,
                    principal,
                    with_stale,
                });
            }
            Replay::Settle(id, reservation) => {
                self.principals.schedule(principal);
                let mut reservation = Entry::new(*reservation, principal, ObserverId::default());
                reservation.record = Some(Box::new(id));
                reservation.is_resumed = true;
                reservation.is_forgotten = true;
                let key = self.reservations.insert(reservation);
                self.schedule(key);
            }
            Replay::Wait(until) => {
                state.publish();
                self.timers
                    .change(Timed::Principal(principal), &mut state.timer, until);
                let is_at_work = state
                    .replayer
                    .as_ref()
                    .is_some_and(|replayer| replayer.is_at_work());
                if !is_at_work || self.closed.is_some() {
                    self.unclaim(principal);
                }
            }
        }
    }

    fn unclaim(&mut self, principal: Principal) {
        if let Some(state) = self.principals.get_mut(principal)
            && core::mem::take(&mut state.has_claim)
        {
            self.steps.push_back(Step::Unclaim(principal));
        }
    }
}
