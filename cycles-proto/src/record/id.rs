//! Which cost a record is of.

use core::fmt;

use crate::models::{IdempotencyKey, ReservationId};

/// The name of one cost: its reservation and the key that it is settled under. A reservation may have two costs, where
/// a job was done twice under one idempotency key; the ledger takes one of them, and neither record stands for the
/// other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The reservation.
    pub reservation: ReservationId,
    /// The key of the commit, and of an event in its place; the event's where a record has no commit.
    pub key: IdempotencyKey,
}

impl RecordId {
    /// The cost of `reservation` that is settled under `key`.
    pub fn new(reservation: impl Into<ReservationId>, key: impl Into<IdempotencyKey>) -> Self {
        Self {
            reservation: reservation.into(),
            key: key.into(),
        }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reservation, key } = self;
        write!(f, "reservation {reservation} under the key {key}")
    }
}
