//! A cost that a person charges as an event, because the ledger says that its reservation has expired.

use std::sync::Arc;

use super::Settlement;
use crate::config::CyclesConfig;
use crate::idempotency::Seed;
use crate::journal::record::{JournalRecord, Mode};
use crate::time::Now;

impl Settlement {
    /// Settles a cost of an earlier run by an event, because its reservation is known to have expired. With `force`, the
    /// event is sent even if the server may have forgotten the key.
    pub fn resume_as_event(
        config: Arc<CyclesConfig>,
        record: JournalRecord,
        seed: Seed,
        now: Now,
        force: bool,
    ) -> Self {
        let is_event = record.mode() == Mode::Event;
        let mut settlement = Self::resume(config, record, seed, now, force || !is_event);
        if !is_event {
            (settlement.force, settlement.leaves_pauses) = (force, !force);
            settlement.switch_to_event(now);
        }
        settlement
    }
}
