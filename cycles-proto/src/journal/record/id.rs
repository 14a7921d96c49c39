//! Which cost a record is of.

use core::fmt;

use crate::models::{Amount, IdempotencyKey, ReservationId, Unit};

/// The name of one cost: its reservation, the key that it is settled under, and how much it is. A reservation may have
/// two costs, where a job was done twice under one idempotency key; and where the caller gives the key of the commit too,
/// even under that. The ledger takes one of them, and neither record stands for the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The reservation.
    pub reservation: ReservationId,
    /// The key of the commit, and of an event in its place; the event's where a record has no commit.
    pub key: IdempotencyKey,
    /// The cost; `None` in a record of another program that does not say it in the protocol's words.
    pub actual: Option<(Unit, i64)>,
}

impl RecordId {
    /// The cost of `reservation` that is settled under `key`.
    pub fn new(
        reservation: impl Into<ReservationId>,
        key: impl Into<IdempotencyKey>,
        actual: Option<Amount>,
    ) -> Self {
        Self {
            reservation: reservation.into(),
            key: key.into(),
            actual: actual.map(|Amount { unit, amount }| (unit, amount)),
        }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reservation, key, .. } = self;
        write!(f, "reservation {reservation} under the key {key}")
    }
}
