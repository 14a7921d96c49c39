//! Attempts that wait for a place: each principal has its own queue, and the principals take turns.

use std::collections::{BTreeMap, VecDeque};

use super::caller::Principal;
use super::slab::SlabKey;

/// The attempts that wait, by principal. One principal with a thousand of them delays another by one attempt, not by a
/// thousand.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queues: BTreeMap<Principal, Queue>,
    /// Every principal that has something in its queue; the first one is next.
    order: VecDeque<Principal>,
}

/// The attempts of one principal. Settlements go first.
#[derive(Debug, Default)]
struct Queue {
    settlements: VecDeque<SlabKey>,
    others: VecDeque<SlabKey>,
}

impl Turns {
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Adds a settlement.
    pub(super) fn push_settlement(&mut self, principal: Principal, attempt: SlabKey) {
        self.queue_of(principal).settlements.push_back(attempt);
    }

    /// Adds an attempt that is not a settlement.
    pub(super) fn push(&mut self, principal: Principal, attempt: SlabKey) {
        self.queue_of(principal).others.push_back(attempt);
    }

    /// Whether the next attempt is a settlement.
    pub(super) fn next_is_settlement(&self) -> bool {
        let next = self.order.front().and_then(|next| self.queues.get(next));
        next.is_some_and(|queue| !queue.settlements.is_empty())
    }

    /// Removes and returns the first attempt of the principal whose turn it is.
    pub(super) fn pop(&mut self) -> Option<SlabKey> {
        let principal = self.order.pop_front()?;
        let queue = self.queues.get_mut(&principal)?;
        let next = queue.settlements.pop_front().or_else(|| queue.others.pop_front());
        if queue.is_empty() {
            self.queues.remove(&principal);
        } else {
            self.order.push_back(principal);
        }
        next
    }

    /// The queue of a principal, to which an attempt is about to be added.
    fn queue_of(&mut self, principal: Principal) -> &mut Queue {
        let queue = self.queues.entry(principal).or_default();
        if queue.is_empty() {
            self.order.push_back(principal);
        }
        queue
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.settlements.is_empty() && self.others.is_empty()
    }
}
