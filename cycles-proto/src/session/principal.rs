//! What each key and tenant has of its own: a journal, its replay, and the count of what became of its costs.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use super::caller::Principal;
use crate::config::CyclesConfig;
use crate::journal::RecordId;
use crate::keys::Seed;
use crate::outcome::{Error, Flushed, Outcome, Receipt};
use crate::session::replay::{Replayer, Tally};
use crate::time::Now;

#[derive(Debug)]
pub(super) struct PrincipalState {
    pub(super) config: Arc<CyclesConfig>,
    seed: Seed,
    /// From the first reservation or flush on, if there is a journal.
    pub(super) replayer: Option<Replayer>,
    pub(super) tally: Tally,
    /// Whether the driver holds the claim to the journal.
    pub(super) has_claim: bool,
    /// Whether the last change of the journal that was waited for came too late, and none was made since: a disk that
    /// hangs is waited for once.
    pub(super) is_journal_late: bool,
    pub(super) armed: Option<Duration>,
    /// Whether its replay may have something new to say, and waits to be polled.
    is_due: bool,
}

/// All of them, each under its number.
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

    /// The one of this configuration, which is made if it is not known.
    pub(super) fn of(&mut self, config: &Arc<CyclesConfig>, seed: Seed) -> Principal {
        let known = self.all.iter().position(|principal| principal.is_of(config));
        Principal(known.unwrap_or_else(|| {
            // So that their trace ids are not the same.
            let seed = seed.nth((self.all.len() as u64) << 32);
            self.all.push(PrincipalState::new(Arc::clone(config), seed));
            self.all.len() - 1
        }))
    }

    /// The server of all of them.
    pub(super) fn base_url(&self) -> Option<&str> {
        self.all.first().map(|principal| principal.config.base_url())
    }

    pub(super) fn get(&self, principal: Principal) -> Option<&PrincipalState> {
        self.all.get(principal.0)
    }

    pub(super) fn get_mut(&mut self, principal: Principal) -> Option<&mut PrincipalState> {
        self.all.get_mut(principal.0)
    }

    /// The next whose replay may have something new to say.
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

    /// Has the journal read, if there is one and it is not under way.
    pub(super) fn start_replay(&mut self, principal: Principal) {
        if self.get_mut(principal).is_some_and(PrincipalState::start_replay) {
            self.schedule(principal);
        }
    }

    /// Something that concerns the replay.
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

    /// How a call ended.
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

    /// A reservation has ended, or nobody drives it any more.
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

    /// One that was left by an earlier run has ended.
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
        Self {
            config,
            seed,
            replayer: None,
            tally: Tally::default(),
            has_claim: false,
            is_journal_late: false,
            armed: None,
            is_due: false,
        }
    }

    /// Whether it is that of this configuration. Two keys of one tenant have a journal each.
    fn is_of(&self, config: &CyclesConfig) -> bool {
        let of = |config: &CyclesConfig| {
            (
                config.api_key().clone(),
                config.subject().tenant.clone(),
                config.journal_enabled(),
                config.journal_dir().map(std::path::Path::to_owned),
            )
        };
        of(&self.config) == of(config)
    }

    fn start_replay(&mut self) -> bool {
        let starts = self.replayer.is_none() && self.config.journal_enabled();
        if starts {
            self.replayer = Some(Replayer::new(Arc::clone(&self.config), self.seed));
        }
        starts
    }

    /// What is left by now.
    pub(super) fn left(&self, now: Now) -> Flushed {
        Flushed::new(
            self.replayer.as_ref(),
            self.config.journal_enabled(),
            now,
            &self.tally,
        )
    }
}
