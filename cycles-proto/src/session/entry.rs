//! A reservation of the session, and what its callers wait for.

use core::time::Duration;

use super::caller::{ObserverId, Principal};
use super::slab::SlabKey;
use crate::journal::RecordId;
use crate::models::IdempotencyKey;
use crate::reservation::{Reservation, Told};

/// Names a reservation of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationKey(pub(super) SlabKey);

#[derive(Debug)]
pub(super) struct Entry {
    /// Not here while it does something: one that panics does not come back.
    machine: Option<Reservation>,
    pub(super) told: Told,
    pub(super) principal: Principal,
    pub(super) observer: ObserverId,
    /// The key that it was asked for under, if that was the caller's own: others may have asked under it too.
    pub(super) own_key: Option<Box<IdempotencyKey>>,
    /// The cost that has a record, or had one.
    pub(super) record: Option<Box<RecordId>>,
    /// Whether the record was made.
    pub(super) has_record: bool,
    /// What is outside and not reported.
    pub(super) exchanges: Vec<SlabKey>,
    pub(super) armed: Option<Duration>,
    /// Whether somebody blocks until it gets ahead, and makes its calls.
    pub(super) is_helped: bool,
    /// Whether it was left by an earlier run.
    pub(super) is_resumed: bool,
    /// Whether it was told how it ends, and has not.
    pub(super) is_ending: bool,
    /// Whether it waits to be polled.
    pub(super) is_due: bool,
    pub(super) is_over: bool,
    /// Whether it stands in the session's list of what has changed.
    pub(super) is_changed: bool,
    /// Whether nobody will ask for it any more.
    pub(super) is_forgotten: bool,
}

impl Entry {
    pub(super) fn new(machine: Reservation, principal: Principal, observer: ObserverId) -> Box<Self> {
        Box::new(Self {
            machine: Some(machine),
            told: Told::default(),
            principal,
            observer,
            own_key: None,
            record: None,
            has_record: false,
            exchanges: Vec::new(),
            armed: None,
            is_helped: false,
            is_resumed: false,
            is_ending: false,
            is_due: false,
            is_over: false,
            is_changed: false,
            is_forgotten: false,
        })
    }

    /// The machine, unless it was lost in a panic.
    pub(super) fn machine(&self) -> Option<&Reservation> {
        self.machine.as_ref()
    }

    pub(super) fn told_and_machine(&mut self) -> (&mut Told, Option<&Reservation>) {
        (&mut self.told, self.machine.as_ref())
    }

    pub(super) fn take_machine(&mut self) -> Option<Reservation> {
        self.machine.take()
    }

    pub(super) fn put_back(&mut self, machine: Reservation) {
        self.machine = Some(machine);
    }

    /// Whether nothing will come of it any more.
    pub(super) fn is_done_with(&self) -> bool {
        let is_accounted_for = self.machine.is_some() || self.record.is_none();
        self.is_forgotten && self.is_over && self.exchanges.is_empty() && !self.is_due && is_accounted_for
    }
}
