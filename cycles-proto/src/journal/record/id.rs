//! The id of a cost and its record.

use core::fmt;

use crate::models::{Amount, IdempotencyKey, ReservationId, Unit};

/// The id of one cost: its reservation, the key that it is settled under, and its amount. A reservation may have two
/// costs if a job ran twice under one idempotency key, and even two under one commit key if the caller chose that key
/// as well. The ledger accepts one of them, and neither record replaces the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The reservation.
    pub reservation: ReservationId,
    /// The key of the commit and of an event in its place; the event's key if the record has no commit.
    pub key: IdempotencyKey,
    /// The cost; `None` in a record of another program that does not express it in the protocol's terms.
    pub actual: Option<(Unit, i64)>,
}

impl RecordId {
    /// Creates the id of the cost of `reservation` that is settled under `key`.
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
