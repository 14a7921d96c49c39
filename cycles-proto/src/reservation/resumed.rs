//! Reservations of earlier runs, whose costs are in records.

use std::sync::Arc;

use super::common::Common;
use super::{Phase, Reservation};
use crate::config::CyclesConfig;
use crate::idempotency::Seed;
use crate::journal::record::JournalRecord;
use crate::settlement::Settlement;
use crate::time::Now;

impl Reservation {
    /// Resumes a reservation whose cost an earlier run left in a record. It has no lease and no beats. The record must
    /// belong to [this server](JournalRecord::base_url), which the [`Replayer`](crate::session::replay::Replayer)
    /// ensures.
    pub fn resume(config: Arc<CyclesConfig>, record: JournalRecord, seed: Seed, now: Now) -> Self {
        let settlement = Settlement::resume(Arc::clone(&config), record, seed, now, false);
        Self::resumed(config, seed, settlement)
    }

    /// Like [`resume`](Self::resume), but sends the cost even if the server may have forgotten its key. The cost may
    /// then count twice.
    pub fn resume_forced(config: Arc<CyclesConfig>, record: JournalRecord, seed: Seed, now: Now) -> Self {
        let settlement = Settlement::resume(Arc::clone(&config), record, seed, now, true);
        Self::resumed(config, seed, settlement)
    }

    /// Like [`resume`](Self::resume), but charges an event, because the reservation is known to have expired. With
    /// `force`, the event is sent even if the server may have forgotten its key. The cost may then count twice.
    pub fn resume_as_event(
        config: Arc<CyclesConfig>,
        record: JournalRecord,
        seed: Seed,
        now: Now,
        force: bool,
    ) -> Self {
        let settlement = Settlement::resume_as_event(Arc::clone(&config), record, seed, now, force);
        Self::resumed(config, seed, settlement)
    }

    fn resumed(config: Arc<CyclesConfig>, seed: Seed, settlement: Settlement) -> Self {
        let mut common = Common::new(config, seed);
        common.info = settlement.info().cloned();
        Self {
            common,
            phase: Phase::Resumed(Box::new(settlement)),
        }
    }
}
