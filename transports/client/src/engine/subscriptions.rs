//! The observers of a client and its clones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cycles_host::{Observer, Observers};
use cycles_proto::session::ObserverId;

use super::{Engine, Shared};

/// All observers, and the log.
pub(super) struct Subscriptions {
    /// Ids begin with one.
    observers: BTreeMap<ObserverId, Entry>,
    last: u64,
    log: Observers,
    retired: usize,
    /// When to check next whether retired entries can be removed.
    next_look: Duration,
}

struct Entry {
    observers: Observers,
    has_observer: bool,
    /// Whether no client uses it any more.
    is_retired: bool,
}

impl Subscriptions {
    pub(super) fn new() -> Self {
        Self {
            observers: BTreeMap::new(),
            last: 0,
            log: Observers::new(None),
            retired: 0,
            next_look: Duration::ZERO,
        }
    }

    /// The observer with this id. Events that belong to no observer, because an earlier run left their records, go to
    /// the first observer that still exists.
    pub(super) fn of(&self, id: ObserverId) -> &Observers {
        let first = || {
            self.observers
                .values()
                .find(|entry| entry.has_observer && !entry.is_retired)
        };
        let entry = self.observers.get(&id).or_else(first);
        entry.map_or(&self.log, |entry| &entry.observers)
    }

    /// Returns whether to look for entries that can be removed: at most once a second, because looking is not free.
    pub(super) fn mark_looked_if_due(&mut self, now: Duration) -> bool {
        const EVERY: Duration = Duration::from_secs(1);
        let is_due = self.retired > 0 && now >= self.next_look;
        if is_due {
            self.next_look = now.saturating_add(EVERY);
        }
        is_due
    }

    /// Removes the retired entries that are not in `wanted`. The caller drops them after releasing the lock.
    pub(super) fn remove_unused(&mut self, wanted: &BTreeSet<ObserverId>) -> Vec<Observers> {
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

/// A client's subscription to events. After it is dropped, the observer still receives events of reservations made with
/// it.
pub(crate) struct Subscription {
    id: ObserverId,
    shared: Arc<Shared>,
}

impl Engine {
    /// Adds an observer.
    pub(crate) fn subscribe(&self, observer: Option<Arc<dyn Observer>>) -> Arc<Subscription> {
        let mut state = self.0.lock();
        state.subscriptions.last += 1;
        let id = ObserverId(state.subscriptions.last);
        let entry = Entry {
            has_observer: observer.is_some(),
            observers: Observers::new(observer),
            is_retired: false,
        };
        state.subscriptions.observers.insert(id, entry);
        drop(state);
        Arc::new(Subscription {
            id,
            shared: Arc::clone(&self.0),
        })
    }
}

impl Subscription {
    pub(crate) fn id(&self) -> ObserverId {
        self.id
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if !self.shared.is_usable() {
            return;
        }
        let mut state = self.shared.lock();
        if let Some(entry) = state.subscriptions.observers.get_mut(&self.id) {
            entry.is_retired = true;
            state.subscriptions.retired += 1;
        }
    }
}
