//! Who is told of what.

use std::collections::BTreeMap;
use std::sync::Arc;

use cycles_host::{Observer, Observers};
use cycles_proto::session::ObserverId;

use super::{Engine, Shared};

/// Everybody who is told, and the log.
pub(super) struct Told {
    /// The numbers begin with one.
    observers: BTreeMap<ObserverId, Entry>,
    last: u64,
    log: Observers,
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

    /// Whether somebody can be let go.
    pub(super) fn has_retired(&self) -> bool {
        self.observers.values().any(|entry| entry.is_retired)
    }

    /// Nothing more can be told to those whose clients are gone.
    pub(super) fn let_go(&mut self) {
        self.observers.retain(|_, entry| !entry.is_retired);
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
        if self.shared.is_usable()
            && let Some(entry) = self.shared.lock().told.observers.get_mut(&self.id)
        {
            entry.is_retired = true;
        }
    }
}
