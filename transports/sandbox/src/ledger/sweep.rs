//! The ledger's timed work: the sweep that expires reservations, and the removal of old entries.

use cycles_proto::time::UnixMillis;

use super::wire_enums::ReservationStatus;
use super::{Ledger, millis};

const INTERVAL_MS: i64 = 5_000;
const ROWS_PER_RUN: usize = 1_000;

/// The schedule of the sweep.
#[derive(Clone, Debug)]
pub(super) struct Sweeper {
    /// Milliseconds between runs; `None` if only [`Ledger::sweep`] runs it.
    interval_ms: Option<i64>,
    /// `None` until the ledger is first given a time.
    next_run: Option<i64>,
}

impl Default for Sweeper {
    fn default() -> Self {
        Self {
            interval_ms: Some(INTERVAL_MS),
            next_run: None,
        }
    }
}

impl Ledger {
    /// Runs the sweep now: expires up to 1 000 active reservations whose grace period ended before `now`, and gives
    /// their holds back. Returns how many expired. The regular runs keep their schedule.
    pub fn sweep(&mut self, now: UnixMillis) -> usize {
        self.sweep_up_to(millis(now), ROWS_PER_RUN)
    }

    /// Lets time pass until `now` without a request, and runs everything that is due by then.
    pub fn tick(&mut self, now: UnixMillis) {
        self.pass_time(millis(now));
    }

    /// Sets the time between regular sweeps, in milliseconds. Default: 5 000; 0 turns them off, so that only
    /// [`Ledger::sweep`] runs one. The next sweep runs one interval after the next request.
    pub fn set_sweep_interval_ms(&mut self, interval_ms: u64) {
        let interval_ms = i64::try_from(interval_ms).unwrap_or(i64::MAX);
        self.sweeper = Sweeper {
            interval_ms: (interval_ms > 0).then_some(interval_ms),
            next_run: None,
        };
    }

    /// Catches up with everything that is due by `now`.
    pub(super) fn pass_time(&mut self, now: i64) {
        if let Some(interval_ms) = self.sweeper.interval_ms {
            let next_run = *self
                .sweeper
                .next_run
                .get_or_insert(now.saturating_add(interval_ms));
            if now >= next_run {
                // One run, as of the last missed run, makes up for all missed runs: a reservation that became due after
                // that time stays active, as if all of them had run on time.
                let missed = (now - next_run) / interval_ms;
                let last_run = next_run + missed * interval_ms;
                let runs = usize::try_from(missed + 1).unwrap_or(usize::MAX);
                self.sweep_up_to(last_run, ROWS_PER_RUN.saturating_mul(runs));
                self.sweeper.next_run = Some(last_run.saturating_add(interval_ms));
            }
        }
        self.decided.purge(now);
        self.reserved.purge(now);
        self.extended.purge(now);
        self.recorded.purge(now);
        self.funded.purge(now);
        self.reservations.purge(now);
        self.pack_surplus();
    }

    /// Packs what is more than the operator wants to keep whole.
    fn pack_surplus(&mut self) {
        let whole = self.reservations.retained;
        self.reservations.pack_surplus();
        self.decided.pack_surplus(whole, |_| {});
        self.reserved.pack_surplus(whole, |_| {});
        self.extended.pack_surplus(whole, |_| {});
        self.funded.pack_surplus(whole, |_| {});
        let recovered = &mut self.recovered;
        self.recorded.pack_surplus(whole, |event| {
            if let Some(id) = event.recovered_reservation() {
                *recovered.entry(id.to_owned()).or_default() += 1;
            }
        });
    }

    fn sweep_up_to(&mut self, now: i64, limit: usize) -> usize {
        let mut expired = 0;
        for id in self.reservations.overdue(now, limit) {
            let Some(reservation) = self.reservations.get(&id) else {
                continue;
            };
            let (estimate, scopes) = (reservation.estimate, reservation.budgeted_scopes.clone());
            if self
                .books
                .give_back(&scopes, estimate.unit, estimate.amount)
                .is_ok()
            {
                self.reservations
                    .finish(&id, now, ReservationStatus::Expired, None);
                expired += 1;
            } else {
                self.reservations.quarantine(&id);
            }
        }
        expired
    }
}
