//! The record of a cost: whether the amount may be charged, and what is left out if the rest is invalid or too large.

use std::sync::Arc;

use super::common::Common;
use crate::journal::record::JournalRecord;
use crate::models::{Amount, CommitRequest, InvalidRequest, ReservationId};
use crate::outcome::{Event, InvalidCommit, ReservationInfo};
use crate::time::Now;

impl Common {
    /// Builds the record of a cost. The amount is never changed; anything else that breaks a limit is left out and
    /// reported.
    pub(super) fn record(
        &mut self,
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
            None => self.seed.idempotency_key("commit", 0),
        };
        let purpose = Arc::clone(&self.info()?.purpose);
        let (events, base_url) = (&mut self.events, &self.config.base_url);
        let mut tell = |problem| {
            let reservation_id = id.clone();
            events.push(Event::CommitTrimmed {
                info: None,
                reservation_id,
                problem,
            });
        };
        request.trim().for_each(&mut tell);
        let record = |request| {
            JournalRecord::new(base_url, id, &purpose, key.clone(), request, now.wall)
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
        let reserved = &self.estimate()?.unit;
        if amount.unit != *reserved {
            return Err(InvalidCommit::WrongUnit {
                reserved: reserved.clone(),
                given: amount.unit.clone(),
            });
        }
        amount.check(field).map_err(InvalidCommit::Invalid)
    }

    /// What the reservation is for. Every reservation of this process says so.
    fn info(&self) -> Result<&ReservationInfo, InvalidCommit> {
        self.info.as_ref().ok_or(InvalidCommit::NotHeld)
    }

    /// The reserved estimate.
    pub(super) fn estimate(&self) -> Result<&Amount, InvalidCommit> {
        self.info()?.estimate.as_ref().ok_or(InvalidCommit::NotHeld)
    }
}
