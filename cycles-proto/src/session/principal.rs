//! The state of each principal: its journal, its replay, and the tally of its costs.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::caller::Principal;
use super::last_errors::LastErrors;
use super::slab::SlabKey;
use crate::config::CyclesConfig;
use crate::idempotency::Seed;
use crate::journal::RecordId;
use crate::outcome::{Error, Flushed, Outcome, Receipt};
use crate::session::replay::{Replayer, Tally};
use crate::stats::{Count, Counters};
use crate::time::{Now, UnixMillis};

#[derive(Debug)]
pub(super) struct PrincipalState {
    pub(super) config: Arc<CyclesConfig>,
    seed: Seed,
    /// Set at the first reservation or flush, if there is a journal.
    pub(super) replayer: Option<Replayer>,
    pub(super) tally: Tally,
    /// The last errors of costs that are not settled, for a person who lists them.
    pub(super) last_errors: LastErrors,
    /// Whether the driver holds the claim to the journal.
    pub(super) has_claim: bool,
    /// Whether the last awaited change to the journal was overdue, and none has been made since. The session waits
    /// only once for a disk that hangs.
    pub(super) is_journal_late: bool,
    pub(super) timer: Option<Duration>,
    counters: Arc<Counters>,
    /// The costs of this process that are not in the ledger yet, oldest first.
    unsettled: BTreeSet<(UnixMillis, SlabKey)>,
    /// Whether an action in shadow mode has begun.
    pub(super) has_shadowed: bool,
    /// Whether its replay is due to be polled.
    is_due: bool,
}

/// All principals, by number.
#[derive(Debug)]
pub(super) struct Principals {
    all: Vec<PrincipalState>,
    due: VecDeque<usize>,
}

impl Principals {
    pub(super) fn new(first: PrincipalState) -> Self {
        Self {
            all: vec![first],
            due: VecDeque::new(),
        }
    }

    /// Finds or creates the principal of this configuration.
    pub(super) fn of(&mut self, config: &Arc<CyclesConfig>, seed: Seed) -> Principal {
        let known = self.all.iter().position(|principal| principal.is_of(config));
        Principal(known.unwrap_or_else(|| {
            // Gives each principal different trace ids.
            let seed = seed.nth((self.all.len() as u64) << 32);
            let next = PrincipalState::new(Arc::clone(config), seed);
            if let Some(last) = self.all.last() {
                last.counters.follow_with(&next.counters);
            }
            self.all.push(next);
            self.all.len() - 1
        }))
    }

    /// The base URL of the server that all principals share.
    pub(super) fn base_url(&self) -> Option<&str> {
        self.all.first().map(|principal| &*principal.config.base_url)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Principal> + use<> {
        (0..self.all.len()).map(Principal)
    }

    pub(super) fn get(&self, principal: Principal) -> Option<&PrincipalState> {
        self.all.get(principal.0)
    }

    pub(super) fn get_mut(&mut self, principal: Principal) -> Option<&mut PrincipalState> {
        self.all.get_mut(principal.0)
    }

    /// Removes and returns the next principal whose replay is due.
    pub(super) fn pop_due(&mut self) -> Option<Principal> {
        let index = self.due.pop_front()?;
        if let Some(principal) = self.all.get_mut(index) {
            principal.is_due = false;
        }
        Some(Principal(index))
    }

    pub(super) fn is_any_due(&self) -> bool {
        !self.due.is_empty()
    }

    pub(super) fn schedule(&mut self, principal: Principal) {
        if let Some(state) = self.all.get_mut(principal.0)
            && !core::mem::replace(&mut state.is_due, true)
        {
            self.due.push_back(principal.0);
        }
    }

    pub(super) fn schedule_all(&mut self) {
        for index in 0..self.all.len() {
            self.schedule(Principal(index));
        }
    }

    /// Starts the replay of the journal, if there is one and it has not started.
    pub(super) fn start_replay(&mut self, principal: Principal) {
        if self.get_mut(principal).is_some_and(PrincipalState::start_replay) {
            self.schedule(principal);
        }
    }

    /// Runs `act` on the replay, if there is one, and schedules the replay.
    pub(super) fn replay<T>(
        &mut self,
        principal: Principal,
        act: impl FnOnce(&mut Replayer) -> T,
    ) -> Option<T> {
        let replayer = self.get_mut(principal)?.replayer.as_mut()?;
        let done = act(replayer);
        self.schedule(principal);
        Some(done)
    }

    /// Notes how a call ended.
    pub(super) fn observe(&mut self, now: Now, principal: Principal, error: Option<&Error>) {
        let Some(replayer) = self.get_mut(principal).and_then(|state| state.replayer.as_mut()) else {
            return;
        };
        let before = replayer.next_look();
        replayer.observe(now, error);
        if replayer.next_look() != before {
            self.schedule(principal);
        }
    }

    /// Notes that a reservation has ended or is no longer driven.
    pub(super) fn ended(
        &mut self,
        now: Now,
        principal: Principal,
        was_ending: bool,
        record: Option<&RecordId>,
        receipt: Option<&Receipt>,
    ) {
        if let Some(id) = record {
            self.replay(principal, |replayer| replayer.ended(now, id, receipt));
        }
        if let (true, Some(state)) = (was_ending, self.get_mut(principal)) {
            state.tally.end(record, receipt);
        }
    }

    /// Notes that a reservation of an earlier run has ended.
    pub(super) fn replayed(
        &mut self,
        now: Now,
        principal: Principal,
        record: &RecordId,
        outcome: Option<&Outcome>,
    ) {
        let is_left = self.replay(principal, |replayer| replayer.handle_ended(now, record, outcome));
        if let Some(state) = self.get_mut(principal) {
            state
                .tally
                .note_replayed(record, outcome, is_left.unwrap_or(false));
        }
    }
}

impl PrincipalState {
    pub(super) fn new(config: Arc<CyclesConfig>, seed: Seed) -> Self {
        let counters = Counters::of(config.subject().tenant.clone());
        Self {
            config,
            seed,
            replayer: None,
            tally: Tally::default(),
            last_errors: LastErrors::default(),
            has_claim: false,
            is_journal_late: false,
            timer: None,
            counters,
            unsettled: BTreeSet::new(),
            has_shadowed: false,
            is_due: false,
        }
    }

    /// Whether it belongs to this configuration. Two keys of one tenant have separate journals.
    fn is_of(&self, config: &CyclesConfig) -> bool {
        self.config.subject().tenant == config.subject().tenant
            && self.config.api_key() == config.api_key()
            && self.config.journal_enabled == config.journal_enabled
            && self.config.journal_dir == config.journal_dir
    }

    fn start_replay(&mut self) -> bool {
        let starts = self.replayer.is_none() && self.config.journal_enabled;
        if starts {
            self.replayer = Some(Replayer::new(Arc::clone(&self.config), self.seed));
        }
        starts
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Notes a cost that was handed over and is not in the ledger yet.
    pub(super) fn begin_settling(&mut self, now: Now, key: SlabKey) -> UnixMillis {
        self.unsettled.insert((now.wall, key));
        self.publish();
        now.wall
    }

    /// Notes that a cost is settled, or that this process does not settle it any more.
    pub(super) fn end_settling(&mut self, since: UnixMillis, key: SlabKey) {
        self.unsettled.remove(&(since, key));
        self.publish();
    }

    /// Updates the numbers of this moment in the statistics.
    pub(super) fn publish(&self) {
        let (left, oldest_left) = self
            .replayer
            .as_ref()
            .map_or((0, None), |replayer| (replayer.unsettled(), replayer.oldest()));
        let oldest = self.unsettled.first().map(|(since, _)| *since);
        let oldest = oldest.into_iter().chain(oldest_left).min();
        let pending = self.unsettled.len() + left;
        self.counters.set(Count::Pending, pending as u64);
        self.counters.set(Count::SetAside, self.tally.set_aside() as u64);
        self.counters
            .set(Count::OldestPending, oldest.map_or(0, |since| since.0.max(1)));
    }

    /// What is left to settle at this time.
    pub(super) fn left(&self, now: Now) -> Flushed {
        Flushed::new(
            self.replayer.as_ref(),
            self.config.journal_enabled,
            now,
            &self.tally,
        )
    }
}
