//! A reservation of the session, with the results that its callers wait for.

use core::time::Duration;

use super::caller::{ObserverId, Principal};
use super::slab::SlabKey;
use crate::journal::{JournalWrite, RecordId};
use crate::models::IdempotencyKey;
use crate::reservation::{Reservation, Results};
use crate::stats::Held;
use crate::time::UnixMillis;

/// The key of a reservation in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationKey(pub(super) SlabKey);

#[derive(Debug)]
pub(super) struct Entry {
    /// Taken out while it runs, so a machine that panics is not put back.
    machine: Option<Reservation>,
    pub(super) results: Results,
    pub(super) principal: Principal,
    pub(super) observer: ObserverId,
    /// The idempotency key, if the caller chose it: other reservations may use the same one.
    pub(super) own_key: Option<Box<IdempotencyKey>>,
    /// The id of the record of the cost, if there is or was one.
    pub(super) record: Option<Box<RecordId>>,
    /// Whether the record was written.
    pub(super) has_record: bool,
    /// Attempts whose results are not reported yet.
    pub(super) attempts: Vec<SlabKey>,
    pub(super) timer: Option<Duration>,
    /// What the statistics count as held for it.
    pub(super) held: Option<Held>,
    /// Since when its cost has been on its way into the ledger.
    pub(super) settles_since: Option<UnixMillis>,
    /// Whether a blocked caller makes the calls of this reservation.
    pub(super) is_helped: bool,
    /// Whether it was left by an earlier run.
    pub(super) is_resumed: bool,
    /// Whether its end is decided but not reached.
    pub(super) is_ending: bool,
    /// Whether it waits to be polled.
    pub(super) is_due: bool,
    pub(super) is_over: bool,
    /// Whether it is in the session's list of changes.
    pub(super) is_changed: bool,
    /// Whether the caller has forgotten it.
    pub(super) is_forgotten: bool,
}

impl Entry {
    pub(super) fn new(machine: Reservation, principal: Principal, observer: ObserverId) -> Box<Self> {
        Box::new(Self {
            machine: Some(machine),
            results: Results::default(),
            principal,
            observer,
            own_key: None,
            record: None,
            has_record: false,
            attempts: Vec::new(),
            timer: None,
            held: None,
            settles_since: None,
            is_helped: false,
            is_resumed: false,
            is_ending: false,
            is_due: false,
            is_over: false,
            is_changed: false,
            is_forgotten: false,
        })
    }

    /// The machine, unless it is running or was lost in a panic.
    pub(super) fn machine(&self) -> Option<&Reservation> {
        self.machine.as_ref()
    }

    pub(super) fn results_and_machine(&mut self) -> (&mut Results, Option<&Reservation>) {
        (&mut self.results, self.machine.as_ref())
    }

    pub(super) fn take_machine(&mut self) -> Option<Reservation> {
        self.machine.take()
    }

    pub(super) fn put_back(&mut self, machine: Reservation) {
        self.machine = Some(machine);
    }

    /// The mark that this change leaves for a person, if it covers all that may have been spent without being charged. A
    /// run leaves what is known of its steps with its first record.
    pub(super) fn mark_left_by(&self, write: &JournalWrite) -> Option<RecordId> {
        let machine = self.machine()?;
        let leaves = matches!(write, JournalWrite::LeaveMark(_)) || machine.was_run() && !self.has_record;
        match leaves && machine.is_all_marked() {
            true => write.mark_left(),
            false => None,
        }
    }

    /// Whether it can be removed.
    pub(super) fn is_done_with(&self) -> bool {
        let is_accounted_for = self.machine.is_some() || self.record.is_none();
        self.is_forgotten && self.is_over && self.attempts.is_empty() && !self.is_due && is_accounted_for
    }
}
