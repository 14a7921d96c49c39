//! A granted reservation, as callers see it.

use crate::models::{Amount, Caps, Decision, ReservationId};
use crate::time::UnixMillis;

/// A reservation that is held. The ledger's full answer is in [`Event::Granted`](crate::outcome::Event::Granted).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// `ALLOW` or `ALLOW_WITH_CAPS`.
    pub decision: Decision,
    /// The limits that the action must keep to.
    pub caps: Option<Box<Caps>>,
    /// The amount that is held.
    pub reserved: Option<Amount>,
    /// When the lease ends, on the server's clock, as far as is known.
    pub expires_at: Option<UnixMillis>,
}
