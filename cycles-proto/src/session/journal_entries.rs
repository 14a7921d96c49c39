//! What a person does with the entries of a journal: the session adds what it knows, decides what is allowed, and
//! settles a record that is sent again. The files are changed by [`restore`](crate::journal::restore) and
//! [`discard`](crate::journal::discard).

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::caller::{Caller, Principal};
use super::entry::Entry;
use super::{ReservationKey, Session};
use crate::journal::record::{Mode, may_be_forgotten};
use crate::journal::{EntryChange, EntryError, EntryKind, JournalEntry, JournalRecord, RecordId, check_kind};
use crate::models::{ErrorCode, ReservationDetail, ReservationStatus};
use crate::outcome::{Error, Receipt, is_open};
use crate::reservation::Reservation;
use crate::time::{Now, UnixMillis};

/// Entries of the journal.
impl Session {
    /// Adds what this session knows to the entries of a listing: which costs it is settling, when it sends them next,
    /// and their last errors.
    pub fn complete_entries(&mut self, now: Now, caller: &Caller, entries: &mut [JournalEntry]) {
        let now = self.at(now);
        let under_way = self.under_way(caller.principal);
        let Some(state) = self.principals.get(caller.principal) else {
            return;
        };
        let on_the_wall = |at: Duration| now.wall.saturating_add(at.saturating_sub(now.mono));
        let next_look = state.replayer.as_ref().and_then(|replayer| replayer.next_look());
        for entry in entries {
            let is_event = entry.mode == Some(Mode::Event);
            let is_old = entry.recorded_at.is_none_or(|at| may_be_forgotten(at, now.wall));
            entry.may_count_twice = (is_event || entry.kind == EntryKind::Dispatched) && is_old;
            let Some(id) = entry.id().cloned() else { continue };
            entry.last_error = state.last_errors.of(&id).cloned().map(Box::new);
            let own = under_way.get(&id);
            let planned = match own {
                Some(timer) => timer.map(on_the_wall),
                None if entry.kind.is_replayed() => {
                    next_look.map(|at| on_the_wall(at).max(entry.next_attempt.unwrap_or_default()))
                }
                None => None,
            };
            entry.is_in_progress |= own.is_some();
            entry.next_attempt = planned.or(entry.next_attempt);
        }
    }

    /// Checks whether the session allows this now, before the file is changed.
    ///
    /// # Errors
    /// The reason why not.
    pub fn check_entry(
        &mut self,
        now: Now,
        caller: &Caller,
        entry: &JournalEntry,
        change: EntryChange,
    ) -> Result<(), EntryError> {
        let now = self.at(now);
        self.check(caller)?;
        let is_discarded = matches!(change, EntryChange::Discard { .. });
        check_kind(entry.kind, change)?;
        let Some(id) = entry.id() else {
            return match is_discarded {
                true => Ok(()),
                false => Err(EntryError::NotARecord),
            };
        };
        if self.under_way(caller.principal).contains_key(id) {
            return Err(EntryError::InProgress);
        }
        let recorded_at = entry.recorded_at.unwrap_or_default();
        check_age(change, entry.mode, recorded_at, now)
    }

    /// Sends a record again that was brought back, or charges it as an event. Wait for its
    /// [receipt](Self::entry_receipt), and [forget](Self::forget) it then; it is settled in any case.
    ///
    /// # Errors
    /// The reason why not. The record is then settled by the replay.
    pub fn settle_entry(
        &mut self,
        now: Now,
        caller: &Caller,
        record: JournalRecord,
        change: EntryChange,
    ) -> Result<ReservationKey, EntryError> {
        let now = self.at(now);
        self.check(caller)?;
        check_age(change, Some(record.mode()), record.recorded_at(), now)?;
        let is_event = matches!(change, EntryChange::AsEvent { .. });
        if is_event && record.clone().into_event().is_none() {
            return Err(EntryError::NoEvent);
        }
        let id = record.id().clone();
        self.principals.start_replay(caller.principal);
        let taken = self
            .principals
            .replay(caller.principal, |replayer| replayer.take(&id));
        let seed = taken.flatten().ok_or(EntryError::InProgress)?;
        // Whoever sends it now does not wait for a pause that the server asked for earlier.
        let record = match record.floor() {
            Some(_) => record.with_not_before(now.wall),
            None => record,
        };
        if matches!(change, EntryChange::ChargeEstimate { .. }) {
            self.note_mark_decided(caller, &id);
        }
        let config = Arc::clone(&caller.config);
        let machine = match change {
            EntryChange::AsEvent { is_forced } => {
                Reservation::resume_as_event(config, record, seed, now, is_forced)
            }
            EntryChange::Retry { is_forced: true } => Reservation::resume_forced(config, record, seed, now),
            EntryChange::Retry { is_forced: false }
            | EntryChange::ChargeEstimate { .. }
            | EntryChange::Discard { .. } => Reservation::resume(config, record, seed, now),
        };
        let mut reservation = Entry::new(machine, caller.principal, caller.observer);
        reservation.record = Some(Box::new(id));
        reservation.is_resumed = true;
        let key = self.reservations.insert(reservation);
        self.schedule(key);
        Ok(ReservationKey(key))
    }

    /// The receipt of a record that was [sent again](Self::settle_entry), after the first attempt. `None` means to keep
    /// waiting.
    pub fn entry_receipt(&self, key: ReservationKey) -> Option<Result<Receipt, EntryError>> {
        let machine = self.reservation(key).and_then(Entry::machine);
        let Some(machine) = machine else {
            return Some(Err(Error::Defect.into()));
        };
        machine.receipt().map(Ok)
    }

    /// Notes that the file of this entry was discarded.
    pub fn note_discarded(&mut self, caller: &Caller, entry: &JournalEntry) {
        let Some(id) = entry.id() else { return };
        if entry.kind == EntryKind::Dispatched {
            return self.note_mark_decided(caller, id);
        }
        self.principals
            .replay(caller.principal, |replayer| replayer.forget(id));
        if let Some(state) = self.principals.get_mut(caller.principal) {
            state.tally.note_discarded(id);
            state.last_errors.forget(id);
        }
    }

    fn note_mark_decided(&mut self, caller: &Caller, mark: &RecordId) {
        if let Some(state) = self.principals.get_mut(caller.principal) {
            state.tally.note_mark_decided(mark);
        }
    }

    /// The costs that reservations of this principal are settling, with the times of their next attempts.
    fn under_way(&self, principal: Principal) -> BTreeMap<&RecordId, Option<Duration>> {
        let open = self.reservations.iter().map(|(_, it)| it);
        let ours = open.filter(|it| it.principal == principal && !it.is_over);
        ours.filter_map(|it| Some((&**it.record.as_ref()?, it.timer)))
            .collect()
    }
}

/// Refuses to send an event whose key the server may have forgotten.
fn check_age(
    change: EntryChange,
    mode: Option<Mode>,
    recorded_at: UnixMillis,
    now: Now,
) -> Result<(), EntryError> {
    let sends_an_event = match change {
        EntryChange::Retry { .. } => mode == Some(Mode::Event),
        EntryChange::AsEvent { .. } => true,
        // Its process may have charged it before, and its reservation has expired.
        EntryChange::ChargeEstimate { .. } => true,
        EntryChange::Discard { .. } => false,
    };
    match sends_an_event && !change.is_forced() && may_be_forgotten(recorded_at, now.wall) {
        true => Err(EntryError::MayCountTwice),
        false => Ok(()),
    }
}

impl JournalEntry {
    /// Decides, from the answer to a lookup of its reservation, whether the cost may be charged as an event: only if the
    /// ledger itself says that the reservation has expired. In any other state, a commit may have been applied or may
    /// still be.
    ///
    /// # Errors
    /// [`EntryError::NotExpired`] or [`EntryError::Lookup`].
    pub fn check_expired(lookup: Result<ReservationDetail, Error>) -> Result<(), EntryError> {
        match lookup {
            Ok(detail) if detail.status == ReservationStatus::Expired => Ok(()),
            Ok(detail) => Err(EntryError::NotExpired(detail.status.clone())),
            Err(error) if says_expired(&error) => Ok(()),
            Err(error) => Err(EntryError::Lookup(Box::new(error))),
        }
    }
}

/// Whether the ledger itself says that the reservation has expired: with its error code, in an error that names the
/// request, like all its errors. A bare 410 may come from a proxy.
fn says_expired(error: &Error) -> bool {
    let is_refusal =
        |status| (400..500).contains(&status) && !is_open(status) && !matches!(status, 401 | 403);
    let is_its_word = |reply: &crate::models::ErrorResponse| {
        reply.error == ErrorCode::ReservationExpired && reply.request_id.is_some()
    };
    error.status().is_some_and(is_refusal) && error.response().is_some_and(is_its_word)
}
