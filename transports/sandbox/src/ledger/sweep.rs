//! The ledger's timed work: the sweep that expires reservations, and the removal of old entries.

use cycles_proto::time::UnixMillis;

use super::archive::{Answered, Digest, Ended, Settled};
use super::replies::ReserveReply;
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
        self.archive.purge(now);
        self.forget_surplus();
    }

    /// Forgets the reservations that ended first, if more are remembered than the operator wants. Their keys live on.
    fn forget_surplus(&mut self) {
        while let Some((row, kept_until)) = self.reservations.take_surplus() {
            let key = (row.tenant.clone(), String::new(), row.idempotency_key.clone());
            // Once a key is forgotten, another request may have it.
            let is_its = |reply: &Option<ReserveReply>| {
                let id = reply.as_ref().and_then(|reply| reply.reservation_id.as_ref());
                id == Some(&row.id)
            };
            let answered = self.reserved.take_if(&key, is_its);
            let answered = answered.and_then(|(request, reply, kept_until)| {
                Some(Answered {
                    key: Digest::of_key(&row.tenant, &row.idempotency_key),
                    request: Digest::of(&request),
                    kept_until,
                    reply: reply?,
                })
            });
            let settled = row.settlement.map(|settlement| Settled {
                key: Digest::of_key(&row.tenant, settlement.request.idempotency_key()),
                request: Digest::of(&settlement.request),
                reply: settlement.reply,
            });
            self.archive.add(Ended {
                id: row.id,
                tenant: row.tenant,
                status: row.status,
                kept_until,
                answered,
                settled,
            });
        }
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
