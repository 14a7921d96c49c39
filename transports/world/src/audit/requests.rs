//! The checks of a request before it is sent.

use std::time::Duration;

use cycles_proto::record::Mode;
use cycles_proto::{Call, Now};
use cycles_sandbox::Operation;
use serde::Deserialize;

use super::{Attempt, CheckResult, ReservationWatch, Store, broken, same_bytes};
use crate::job::Job;
use crate::rule::Rule;

/// The relevant members of a request's body.
#[derive(Default, Deserialize)]
struct Body {
    idempotency_key: Option<String>,
    actual: Option<Actual>,
    extend_by_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Actual {
    amount: i64,
}

/// The cost in a body.
pub(super) fn amount(body: &[u8]) -> Option<i64> {
    serde_json::from_slice::<Body>(body)
        .ok()?
        .actual
        .map(|actual| actual.amount)
}

impl ReservationWatch {
    /// Checks a call that the session hands out.
    pub(crate) fn check_sending(
        &mut self,
        job: &mut Job,
        now: Now,
        operation: Operation,
        call: &Call,
    ) -> CheckResult {
        let body: Body = serde_json::from_slice(call.request.body()).unwrap_or_default();
        let key = body.idempotency_key.as_deref().unwrap_or_default();
        let header = call.request.headers().get("x-idempotency-key");
        if header.is_some_and(|header| header.as_bytes() != key.as_bytes()) {
            return broken(
                Rule::OneKey,
                "the key in the header differs from the one in the body",
            );
        }
        let is_beat = match (operation, body.extend_by_ms) {
            (Operation::ExtendReservation, Some(by)) => !job.notes.by_hand.contains(&by),
            _ => false,
        };
        if is_settlement(operation) {
            self.was_settled = !job.charges.is_empty();
            self.check_settlement(job, now, operation, call, &body)?;
        } else if operation == Operation::ReleaseReservation {
            let has_cost = || broken(Rule::NeverBoth, "a release of a reservation that has a cost");
            if job.operations().into_iter().any(is_settlement) {
                return has_cost();
            }
            if job.notes.provider.is_estimated {
                return job.is_free("its estimate is given back");
            }
            if job.cost.is_some() {
                return has_cost();
            }
            job.notes.released = true;
            not_before(now, self.release_floor.take(), "a release")?;
            same_bytes(job, operation, "", call.request.body())?;
        } else if operation == Operation::ExtendReservation {
            if is_beat {
                not_before(now, self.beat_floor.take(), "a heartbeat")?;
                self.check_beat_rate(now)?;
            }
            same_bytes(job, operation, key, call.request.body())?;
        } else if operation == Operation::CreateReservation {
            same_bytes(job, operation, "", call.request.body())?;
        }
        let attempt = Attempt {
            operation,
            sent: now.mono,
            deadline: now.mono.saturating_add(call.timeout),
            is_beat,
        };
        self.attempts.insert(call.ticket, attempt);
        Ok(())
    }

    fn check_settlement(
        &mut self,
        job: &mut Job,
        now: Now,
        operation: Operation,
        call: &Call,
        body: &Body,
    ) -> CheckResult {
        let asked = body.actual.as_ref().map(|actual| actual.amount);
        if self.has_old_total {
            // The ledger has another total under this key, so it refuses this one.
            return Ok(());
        }
        if job.cost.is_none() || job.cost.as_ref().map(|cost| cost.amount) != asked {
            return broken(
                Rule::KnownCost,
                format!("a settlement of {asked:?}, which was not handed over"),
            );
        }
        let mode = if operation == Operation::CreateEvent {
            Mode::Event
        } else {
            Mode::Commit
        };
        let bytes = call.request.body();
        let key = body.idempotency_key.clone().unwrap_or_default();
        if !self.is_resumed {
            job.check_mark(bytes)?;
        }
        if job.notes.key.get_or_insert_with(|| key.clone()) != &key {
            return broken(Rule::OneKey, format!("a settlement under the key {key}"));
        }
        same_bytes(job, operation, "", bytes)?;
        let is_waited_for = |store: &Store| !store.is_late && !store.is_of_mark();
        let is_stored = !self.stores.values().any(is_waited_for)
            && self
                .record
                .as_ref()
                .is_some_and(|(stored, body)| *stored == mode && body.as_bytes() == &bytes[..]);
        if self.has_journal && !is_stored {
            return broken(
                Rule::StoredFirst,
                format!("a settlement in {mode} mode is sent but not stored"),
            );
        }
        // A person may have charged it in spite of that, which the ledger refuses.
        if job.notes.released && !job.notes.marks.may_be_charged {
            return broken(Rule::NeverBoth, "a settlement of a reservation that was released");
        }
        not_before(now, self.settle_floor, "a settlement")?;
        if self.has_journal && self.owed_pause.is_some() {
            return broken(
                Rule::NotBefore,
                "the server's pause was not stored before the next settlement",
            );
        }
        if mode == Mode::Event {
            self.check_charging_event(job, now)?;
        }
        Ok(())
    }

    /// Checks the rate of beats: if little time is left, a few may follow each other at once, but never this many.
    fn check_beat_rate(&mut self, now: Now) -> CheckResult {
        const MOST: usize = 5;
        if self.beats.len() == MOST
            && let Some(first) = self.beats.pop_front()
            && now.mono.saturating_sub(first) < Duration::from_millis(250)
        {
            return broken(Rule::NoStorm, format!("{} beats since {first:?}", MOST + 1));
        }
        self.beats.push_back(now.mono);
        Ok(())
    }

    fn check_charging_event(&self, job: &Job, now: Now) -> CheckResult {
        const DAY: Duration = Duration::from_secs(86_400);
        if !self.may_charge_event {
            return broken(
                Rule::NoEventWhileOpen,
                "an event is sent although the server did not say that no commit was applied",
            );
        }
        let recorded = job.notes.recorded_at.unwrap_or(now.wall);
        let is_old = now.wall.saturating_since(recorded) > 6 * DAY;
        if is_old || recorded.saturating_since(now.wall) > DAY {
            return broken(
                Rule::NotStale,
                format!(
                    "an event of {} is sent on {}: its key may be forgotten",
                    recorded, now.wall
                ),
            );
        }
        Ok(())
    }
}

fn is_settlement(operation: Operation) -> bool {
    matches!(operation, Operation::CommitReservation | Operation::CreateEvent)
}

fn not_before(now: Now, floor: Option<Duration>, what: &str) -> CheckResult {
    match floor {
        Some(floor) if now.mono < floor => broken(
            Rule::NotBefore,
            format!(
                "{what} at {:?}, but the server asked for a pause until {floor:?}",
                now.mono
            ),
        ),
        Some(_) | None => Ok(()),
    }
}
