//! Who is told of what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cycles_host::{Observer, Observers};
use cycles_proto::session::ObserverId;

use super::{Engine, Shared};

/// Everybody who is told, and the log.
pub(super) struct Told {
    /// The numbers begin with one.
    observers: BTreeMap<ObserverId, Entry>,
    last: u64,
    log: Observers,
    retired: usize,
    /// When to look next whether those can be let go.
    looks_at: Duration,
}

struct Entry {
    observers: Observers,
    has_one: bool,
    /// Whether no client has it any more.
    is_retired: bool,
}

impl Told {
    pub(super) fn new() -> Self {
        Self {
            observers: BTreeMap::new(),
            last: 0,
            log: Observers::new(None),
            retired: 0,
            looks_at: Duration::ZERO,
        }
    }

    /// Whoever asked under this number. What nobody asked for, because an earlier run left it, is told to the first observer
    /// that there is.
    pub(super) fn of(&self, id: ObserverId) -> &Observers {
        let first = || {
            self.observers
                .values()
                .find(|entry| entry.has_one && !entry.is_retired)
        };
        let entry = self.observers.get(&id).or_else(first);
        entry.map_or(&self.log, |entry| &entry.observers)
    }

    /// Looks, at most once a second because that is not free, whether somebody can be let go. Says whether this is the time.
    pub(super) fn look_if_due(&mut self, now: Duration) -> bool {
        const EVERY: Duration = Duration::from_secs(1);
        let is_due = self.retired > 0 && now >= self.looks_at;
        if is_due {
            self.looks_at = now.saturating_add(EVERY);
        }
        is_due
    }

    /// Nothing more can be told to those whose clients are gone.
    pub(super) fn let_go(&mut self, wanted: &BTreeSet<ObserverId>) -> Vec<Observers> {
        let is_gone = |(id, entry): (&ObserverId, &Entry)| {
            let is_gone = entry.is_retired && !wanted.contains(id);
            is_gone.then_some(*id)
        };
        let gone: Vec<_> = self.observers.iter().filter_map(is_gone).collect();
        let gone = gone.iter().filter_map(|id| self.observers.remove(id));
        let gone: Vec<_> = gone.map(|entry| entry.observers).collect();
        self.retired -= gone.len();
        gone
    }
}

/// One of those who are told, for as long as a client has it. What its reservations lead to later is told all the same.
pub(crate) struct Observed {
    id: ObserverId,
    shared: Arc<Shared>,
}

impl Engine {
    /// Somebody more to be told.
    pub(crate) fn observe(&self, observer: Option<Arc<dyn Observer>>) -> Arc<Observed> {
        let mut state = self.0.lock();
        state.told.last += 1;
        let id = ObserverId(state.told.last);
        let entry = Entry {
            has_one: observer.is_some(),
            observers: Observers::new(observer),
            is_retired: false,
        };
        state.told.observers.insert(id, entry);
        drop(state);
        Arc::new(Observed {
            id,
            shared: Arc::clone(&self.0),
        })
    }
}

impl Observed {
    pub(crate) fn id(&self) -> ObserverId {
        self.id
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if !self.shared.is_usable() {
            return;
        }
        let mut state = self.shared.lock();
        if let Some(entry) = state.told.observers.get_mut(&self.id) {
            entry.is_retired = true;
            state.told.retired += 1;
        }
    }
}
