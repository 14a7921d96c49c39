//! What a settlement says about its cost: events, receipts, and what the reservation was for.

use core::time::Duration;

use super::{Settlement, Stage};
use crate::models::Amount;
use crate::outcome::{ActualSource, Error, Event, Receipt, ReservationInfo};

impl Settlement {
    /// What the reservation was for; `None` if the record does not say so.
    pub(crate) fn info(&self) -> Option<&ReservationInfo> {
        self.info.as_ref()
    }

    /// The cost; `None` if the record of another program does not say so.
    pub(crate) fn actual(&self) -> Option<Amount> {
        self.record.actual()
    }

    /// Where the amount comes from.
    pub(crate) fn source(&self) -> ActualSource {
        self.source
    }

    /// Adds what the record of a new cost does not say.
    pub(crate) fn about(mut self, info: Option<ReservationInfo>, source: ActualSource) -> Self {
        (self.info, self.source) = (info, source);
        self
    }

    /// Ends the settlement, with an event unless only the caller needs to know.
    pub(super) fn finish(&mut self, receipt: Receipt) -> Stage {
        let reservation_id = self.reservation_id().clone();
        if let Some((actual, charged)) = receipt.charged_less() {
            self.events.push(Event::ChargedLess {
                info: None,
                reservation_id: reservation_id.clone(),
                actual: actual.clone(),
                charged: charged.clone(),
            });
        }
        if receipt.is_unrecorded() {
            self.events.push(Event::CostUnrecorded {
                info: None,
                reservation_id,
                actual: self.record.actual(),
                receipt: Box::new(receipt.clone()),
            });
        } else if let Some(reason) = receipt.aside() {
            // If the record could not be set aside, that was reported, and a later run tries again.
            if self.was_stored {
                self.events.push(Event::SetAside {
                    info: None,
                    reservation_id,
                    reason,
                    receipt: Box::new(receipt.clone()),
                });
            }
        } else if self.is_late && receipt.is_settled() {
            self.events.push(Event::SettledLate {
                info: None,
                reservation_id,
                receipt: Box::new(receipt.clone()),
            });
        }
        Stage::Done(receipt)
    }

    pub(super) fn pending(&self) -> Receipt {
        Receipt::Pending {
            error: self.open_error(),
            is_recorded: !self.only_in_memory,
        }
    }

    /// The last error of a cost that is not given up.
    pub(super) fn open_error(&self) -> Option<Box<Error>> {
        let error = self.last_error.clone()?;
        Some(if self.only_in_memory {
            error
        } else {
            Box::new(error.recorded())
        })
    }

    pub(super) fn tell(&mut self, error: Option<Box<Error>>, retry_in: Option<Duration>) {
        if let Some(error) = error {
            let reservation_id = self.reservation_id().clone();
            self.events.push(Event::SettlementFailed {
                info: None,
                reservation_id,
                error,
                retry_in,
            });
        }
    }
}
