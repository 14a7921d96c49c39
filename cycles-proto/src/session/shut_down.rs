//! The end of a session in steps: refuse what is new, wait for the actions that run, flush, and close.
//!
//! ```text
//!  Running ── no action runs, or the time is up ──► Flushing ── everything is settled, or the time is up ──►
//!  Writing ── the journal has reported what was handed over, or a second has passed ──► Over
//! ```
//!
//! When the time is up, what is known is kept: reported spending is committed, so that it is in a record. An action that
//! has reported none keeps its budget under [`Close::WhenDone`], because its cost may still come; only an action that
//! was asked to stop gives it back.

use core::time::Duration;

use super::flush::FlushKey;
use super::shadow::awaits_only_its_check;
use super::timers::Timed;
use super::{Close, Entry, Key, ReservationKey, Session};
use crate::outcome::Flushed;
use crate::reservation::Reservation;
use crate::time::Now;

#[derive(Debug)]
pub(super) struct ShutDown {
    how: Close,
    until: Duration,
    stage: Stage,
    /// How many actions still ran when the time was up.
    running: usize,
    timer: Option<Duration>,
}

#[derive(Debug)]
enum Stage {
    Running,
    Flushing(Vec<FlushKey>),
    /// Lasts until this time at most.
    Writing(Duration, Flushed),
    Over(Flushed),
}

impl Session {
    /// Begins to end the session, for all its principals. From now on no reservation and no call is started. The
    /// actions that run are waited for and, from [`Close::Leaving`] on, [asked to stop](Self::is_stopping); leases are
    /// extended and costs are accepted and settled as before, unless it is [`Close::WritingOnly`]. Then the session is
    /// flushed and [closed](Self::close). All this ends at `until`, or up to [a second](Flushed::LAST_LOOK) later if
    /// something still has to be read from or written to the disk; [`left_at_end`](Self::left_at_end) then says what is
    /// left.
    ///
    /// Calling it again can only make the end stricter and earlier. Once it is over, only a stricter way with something
    /// left to do begins again.
    pub fn shut_down(&mut self, now: Now, how: Close, until: Duration) {
        let now = self.at(now);
        let next = match self.shut_down.take() {
            Some(before) if matches!(before.stage, Stage::Over(left) if how <= before.how || left.is_complete()) => {
                before
            }
            Some(before) if !matches!(before.stage, Stage::Over(_)) => ShutDown {
                how: how.max(before.how),
                until: until.min(before.until),
                ..before
            },
            Some(_) | None => ShutDown {
                how,
                until,
                stage: Stage::Running,
                running: 0,
                timer: None,
            },
        };
        let how = next.how;
        if let Stage::Flushing(flushes) = &next.stage {
            for key in flushes {
                self.end_flush_by(*key, next.until);
            }
        }
        self.shut_down = Some(next);
        self.set_shut_down_timer();
        if how >= Close::Leaving {
            self.ask_to_stop(now);
        }
        if how == Close::WritingOnly {
            self.close(now, how);
        }
    }

    /// What is left, once a [`shut_down`](Self::shut_down) is over.
    pub fn left_at_end(&self) -> Option<Flushed> {
        match self.shut_down.as_ref()?.stage {
            Stage::Over(left) => Some(left),
            Stage::Running | Stage::Flushing(_) | Stage::Writing(..) => None,
        }
    }

    /// Whether the actions that run are asked to stop, because the session [shuts down](Self::shut_down) that way. When
    /// this begins, callers that wait for [`Key::Stop`] are woken.
    pub fn is_stopping(&self) -> bool {
        self.shut_down.as_ref().is_some_and(|it| it.how >= Close::Leaving)
    }

    /// Whether new reservations and calls are refused.
    pub(super) fn refuses(&self) -> bool {
        self.closed.is_some() || self.shut_down.is_some()
    }

    /// Takes the next step of a shut-down. Call it when there is nothing else to do. Returns whether anything changed.
    pub(super) fn poll_shut_down(&mut self, now: Now) -> bool {
        let Some(ShutDown {
            how, until, stage, ..
        }) = &self.shut_down
        else {
            return false;
        };
        let (how, until, is_time_up) = (*how, *until, *until <= now.mono);
        let next = match stage {
            Stage::Running if self.has_actions() && !is_time_up => return false,
            Stage::Running => {
                let running = self.running();
                if let Some(shut_down) = &mut self.shut_down {
                    shut_down.running = running.len();
                }
                self.end_actions(now, how, running);
                Stage::Flushing(match how {
                    Close::WhenDone | Close::Leaving => self.flush_all(now, until),
                    // Nothing is sent, so there is nothing to wait for.
                    Close::WritingOnly => Vec::new(),
                })
            }
            Stage::Flushing(flushes) => {
                let flushes = flushes.clone();
                if !flushes.iter().all(|key| self.flushed(*key).is_some()) {
                    return false;
                }
                let flushed = flushes.into_iter().map(|key| {
                    let left = self.flushed(key);
                    self.forget_flush(key);
                    left
                });
                let flushed = flushed.flatten().reduce(Flushed::and);
                let left = flushed.unwrap_or_else(|| self.left_of_all(now));
                self.close(now, how);
                // The flushes have waited for them.
                self.give_up_checks();
                let running = self.shut_down.as_ref().map_or(0, |it| it.running);
                let written_by = now.mono.min(until).saturating_add(Flushed::LAST_LOOK);
                Stage::Writing(written_by, Flushed { running, ..left })
            }
            Stage::Writing(until, _) if self.awaits_writes() && now.mono < *until => return false,
            Stage::Writing(_, left) => {
                let left = *left;
                self.changed.push_back(Key::Close);
                Stage::Over(left)
            }
            Stage::Over(_) => return false,
        };
        if let Some(shut_down) = &mut self.shut_down {
            shut_down.stage = next;
        }
        self.set_shut_down_timer();
        true
    }

    pub(super) fn set_shut_down_timer(&mut self) {
        if let Some(shut_down) = &mut self.shut_down {
            let at = match &shut_down.stage {
                Stage::Running | Stage::Flushing(_) => Some(shut_down.until),
                Stage::Writing(until, _) => Some(*until),
                Stage::Over(_) => None,
            };
            self.timers.change(Timed::ShutDown, &mut shut_down.timer, at);
        }
    }

    /// Notes that the timer has fired.
    pub(super) fn shut_down_is_due(&mut self) {
        if let Some(shut_down) = &mut self.shut_down {
            shut_down.timer = None;
        }
    }

    /// Whether an action runs, or a caller waits for an answer.
    fn has_actions(&self) -> bool {
        self.reservations.iter().any(|(_, entry)| is_running(entry))
            || self.calls.iter().any(|(_, call)| !call.is_over())
    }

    fn running(&self) -> Vec<ReservationKey> {
        let running = self.reservations.iter().filter(|(_, entry)| is_running(entry));
        running.map(|(key, _)| ReservationKey(key)).collect()
    }

    /// Tells the callers of all reservations to stop. Those that wait for a grant get none.
    fn ask_to_stop(&mut self, now: Now) {
        for key in self.running() {
            let machine = self.reservation(key).and_then(Entry::machine);
            if machine.is_some_and(Reservation::is_undecided) {
                if let Some(entry) = self.reservations.get_mut(key.0) {
                    entry.results.refuse();
                }
                self.abandon(now, key);
            } else if machine.is_some_and(Reservation::is_run) {
                // It ends as soon as its open steps have stopped.
                self.finish_run(now, key);
            }
            self.changed.push_back(Key::Stop(key));
        }
    }

    /// Ends the actions that still run when the time is up, as far as that loses no cost that may still come.
    fn end_actions(&mut self, now: Now, how: Close, running: Vec<ReservationKey>) {
        for key in running {
            let machine = self.reservation(key).and_then(Entry::machine);
            let (is_run, has_spent) =
                machine.map_or((false, false), |machine| (machine.is_run(), machine.has_spent()));
            if how >= Close::Leaving || (has_spent && !is_run) {
                self.abandon(now, key);
            } else if is_run {
                // Steps that are open still end, and what the others cost is known.
                self.finish_run(now, key);
            }
        }
    }

    fn flush_all(&mut self, now: Now, until: Duration) -> Vec<FlushKey> {
        self.principals
            .all()
            .map(|principal| self.flush_principal(now, principal, until, false))
            .collect()
    }

    fn left_of_all(&self, now: Now) -> Flushed {
        let left = self.principals.all().map(|principal| {
            let has_journal = self
                .principals
                .get(principal)
                .is_some_and(|it| it.config.journal_enabled);
            let left = self.left_of(now, principal);
            // Other processes may have written records since it was read.
            let is_certain = left.is_certain && !has_journal;
            Flushed { is_certain, ..left }
        });
        left.fold(Flushed::nothing(), Flushed::and)
    }
}

/// Whether its caller has not decided its end. Reservations of earlier runs have no caller.
fn is_running(entry: &Entry) -> bool {
    !(entry.is_resumed || entry.is_over || entry.is_ending || awaits_only_its_check(entry))
}
