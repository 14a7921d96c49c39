//! Flushes: waiting until everything that can be settled is settled.

use core::time::Duration;

use super::caller::{Caller, Principal};
use super::slab::SlabKey;
use super::timers::Timed;
use super::{Close, Key, Session, shadow};
use crate::outcome::Flushed;
use crate::session::replay::Replayer;
use crate::time::Now;

/// The key of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlushKey(pub(super) SlabKey);

#[derive(Debug)]
pub(super) struct Flush {
    principal: Principal,
    stage: Stage,
    /// How long it waits for decisions about actions in shadow mode.
    checks_until: Duration,
    pub(super) timer: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Lasts until nothing is under way, or until this time.
    Settling(Duration),
    /// Takes a last look: lasts until it is certain what is left, or until this time.
    Looking(Duration),
    Over(Flushed),
}

impl Session {
    /// Starts a flush: settles this principal's costs, both those of this process and those in its journal. It is
    /// [over](Self::flushed) when nothing is under way any more, or at `until`. If the journal was left to another
    /// process or could not be read, the flush may end up to [a second](Flushed::LAST_LOOK) later, after a last look at
    /// the journal. A flush does not wait for a cost whose attempts have failed: the next scan of the journal tries it
    /// again.
    ///
    /// Nothing of an action in [shadow mode](crate::Mode::Shadow) is settled. A flush waits up to a second, but no longer
    /// than `until`, for the ledger to say what it would have decided about those that have ended.
    ///
    /// In a [closed](Self::close) session, a flush is over when everything under way is over: the journal is not read
    /// any more.
    ///
    /// With `is_forced`, costs whose keys the server may have forgotten are sent as well: **this may charge a cost
    /// twice**.
    pub fn flush(&mut self, now: Now, caller: &Caller, until: Duration, is_forced: bool) -> FlushKey {
        let now = self.at(now);
        self.flush_principal(now, caller.principal, until, is_forced)
    }

    pub(super) fn flush_principal(
        &mut self,
        now: Now,
        principal: Principal,
        until: Duration,
        is_forced: bool,
    ) -> FlushKey {
        self.principals.start_replay(principal);
        // A closed session reads no journal: what was known at its end is still the answer, unless it ended without
        // looking.
        if matches!(self.closed, None | Some(Close::WritingOnly)) {
            self.principals.replay(principal, |replayer| match is_forced {
                true => replayer.force(now),
                false => replayer.wake(now),
            });
        }
        let key = self.flushes.insert(Flush {
            principal,
            stage: Stage::Settling(until),
            checks_until: now.mono.saturating_add(shadow::PATIENCE),
            timer: None,
        });
        self.set_flush_timer(key, Some(until));
        FlushKey(key)
    }

    /// Makes a flush end at `until`, if it would end later.
    pub(super) fn end_flush_by(&mut self, key: FlushKey, until: Duration) {
        if let Some(flush) = self.flushes.get_mut(key.0)
            && let Stage::Settling(before) = &mut flush.stage
        {
            *before = until.min(*before);
            let until = *before;
            self.set_flush_timer(key.0, Some(until));
        }
    }

    /// The result of a flush, once it is over. It is kept until you [forget](Self::forget_flush) the flush.
    pub fn flushed(&self, key: FlushKey) -> Option<Flushed> {
        match self.flushes.get(key.0)?.stage {
            Stage::Over(left) => Some(left),
            Stage::Settling(_) | Stage::Looking(_) => None,
        }
    }

    /// Forgets a flush that nobody waits for any more.
    pub fn forget_flush(&mut self, key: FlushKey) {
        self.set_flush_timer(key.0, None);
        self.flushes.remove(key.0);
        self.drop_wake(Key::Flush(key));
    }

    /// The costs of this principal that are not settled yet.
    pub fn left(&mut self, now: Now, caller: &Caller) -> Flushed {
        let now = self.at(now);
        self.left_of(now, caller.principal)
    }

    pub(super) fn left_of(&self, now: Now, principal: Principal) -> Flushed {
        let principal = self.principals.get(principal);
        principal.map_or_else(Flushed::nothing, |principal| principal.left(now))
    }

    /// Ends the flushes that are due. Call it when there is nothing else to do.
    pub(super) fn poll_flushes(&mut self, now: Now) {
        let is_open = |(key, flush): (SlabKey, &Flush)| match flush.stage {
            Stage::Settling(_) | Stage::Looking(_) => Some(key),
            Stage::Over(_) => None,
        };
        let open: Vec<SlabKey> = self.flushes.iter().filter_map(is_open).collect();
        for key in open {
            self.poll_flush(now, key);
        }
    }

    fn poll_flush(&mut self, now: Now, key: SlabKey) {
        let Some(&Flush {
            principal,
            stage,
            checks_until,
            ..
        }) = self.flushes.get(key)
        else {
            return;
        };
        let Some(state) = self.principals.get(principal) else {
            return;
        };
        // A closed session reads no journal.
        let is_closed = self.closed.is_some();
        let next = match stage {
            Stage::Settling(until) => {
                let is_quiet = |replayer: &Replayer| match is_closed {
                    true => !replayer.is_settling(),
                    false => replayer.is_quiet(now, until),
                };
                let is_over = !state.tally.is_ending() && state.replayer.as_ref().is_none_or(is_quiet);
                if !is_over && now.mono < until {
                    return;
                }
                let checks_until = checks_until.min(until);
                if now.mono < checks_until && self.awaits_checks_of(principal) {
                    self.set_flush_timer(key, Some(checks_until));
                    return;
                }
                let left = state.left(now);
                let look_again = |replayer: &mut Replayer| replayer.look_again(now);
                match !left.is_certain
                    && !is_closed
                    && self.principals.replay(principal, look_again) == Some(true)
                {
                    true => Stage::Looking(now.mono.saturating_add(Flushed::LAST_LOOK)),
                    false => Stage::Over(left),
                }
            }
            Stage::Looking(until) => {
                let is_certain = state
                    .replayer
                    .as_ref()
                    .is_none_or(|replayer| replayer.is_complete(now));
                if !is_certain && !is_closed && now.mono < until {
                    return;
                }
                Stage::Over(state.left(now))
            }
            Stage::Over(_) => return,
        };
        if let Some(flush) = self.flushes.get_mut(key) {
            flush.stage = next;
        }
        match next {
            Stage::Looking(until) => self.set_flush_timer(key, Some(until)),
            Stage::Over(_) | Stage::Settling(_) => {
                self.set_flush_timer(key, None);
                self.changed.push_back(Key::Flush(FlushKey(key)));
            }
        }
    }

    fn set_flush_timer(&mut self, key: SlabKey, at: Option<Duration>) {
        if let Some(flush) = self.flushes.get_mut(key) {
            self.timers.change(Timed::Flush(key), &mut flush.timer, at);
        }
    }
}
