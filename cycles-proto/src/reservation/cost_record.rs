//! The record of a cost: whether the amount may be charged, and what is left out if the rest is invalid or too large.

use std::sync::Arc;

use super::common::Common;
use crate::journal::record::{JournalRecord, Purpose};
use crate::models::{Amount, CommitRequest, InvalidRequest, ReservationId};
use crate::outcome::{Event, InvalidCommit, ReservationInfo};
use crate::time::Now;

/// The parts of a reservation's request that its later phases need.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) purpose: Arc<Purpose>,
    pub(super) estimate: Amount,
    /// The requested length of the lease, in milliseconds.
    pub(super) ttl_ms: u64,
}

impl About {
    /// What the reservation is for.
    pub(super) fn info(&self) -> ReservationInfo {
        ReservationInfo::new(Arc::clone(&self.purpose), Some(self.estimate.clone()))
    }

    /// Builds the record of a cost. The amount is never changed; anything else that breaks a limit is left out and
    /// reported.
    pub(super) fn record(
        &self,
        common: &mut Common,
        id: &ReservationId,
        mut request: CommitRequest,
        now: Now,
    ) -> Result<JournalRecord, InvalidCommit> {
        self.check_amount("actual", &request.actual)?;
        let key = match &request.idempotency_key {
            Some(key) => {
                key.check().map_err(InvalidCommit::Invalid)?;
                key.clone()
            }
            None => common.seed.idempotency_key("commit", 0),
        };
        let mut tell = |problem| {
            let reservation_id = id.clone();
            common.events.push(Event::CommitTrimmed {
                info: None,
                reservation_id,
                problem,
            });
        };
        request.trim().for_each(&mut tell);
        let record = |request| {
            JournalRecord::new(
                &common.config.base_url,
                id,
                &self.purpose,
                key.clone(),
                request,
                now.wall,
            )
            .map_err(|error| InvalidCommit::Invalid(InvalidRequest::new("commit", error.to_string())))
        };
        // The record contains the bulk twice, and in the worst case each byte of it is written as ten.
        while request.bulk() > JournalRecord::LARGEST / 32 {
            let size = record(request.clone())?.to_json().len();
            if size <= JournalRecord::LARGEST_NEW {
                break;
            }
            request
                .leave_out_bulk(size, JournalRecord::LARGEST_NEW)
                .into_iter()
                .for_each(&mut tell);
        }
        record(request)
    }

    /// Checks that an amount may be charged to the reservation.
    pub(super) fn check_amount(&self, field: &str, amount: &Amount) -> Result<(), InvalidCommit> {
        if amount.unit != self.estimate.unit {
            return Err(InvalidCommit::WrongUnit {
                reserved: self.estimate.unit.clone(),
                given: amount.unit.clone(),
            });
        }
        amount.check(field).map_err(InvalidCommit::Invalid)
    }
}
