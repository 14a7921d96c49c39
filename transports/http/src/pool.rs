//! Pools of connections, one per runtime.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cycles_host::{IDLE, MAX_IDLE};

use crate::mailbox::{Job, Mailbox};
use crate::reactor::Place;
use crate::waiter::Waiter;

/// How many pools are kept. Programs have one or two runtimes; tests have many, one after another.
const MAX_POOLS: usize = 4;

/// The pools of the runtimes that were used most recently.
pub(crate) struct Pools<Id, W: Waiter> {
    /// The pools; the most recently used one is last.
    known: Vec<PoolOf<Id, W>>,
    /// Whether a maintenance task runs.
    is_maintained: bool,
    /// Whether a pool was used since the last maintenance.
    is_used: bool,
}

type PoolOf<Id, W> = Arc<Pool<Id, W>>;

/// The connections of one place.
pub(crate) struct Pool<Id, W: Waiter> {
    pub(crate) place: Place<Id>,
    is_stalled: AtomicBool,
    state: Mutex<State<W>>,
}

struct State<W> {
    all: Vec<Arc<Mailbox<W>>>,
    /// Idle connections, the oldest first, each with the time at which it is closed.
    idle: Vec<(Duration, Arc<Mailbox<W>>)>,
}

impl<Id: Clone + PartialEq, W: Waiter> Pools<Id, W> {
    pub(crate) fn new() -> Self {
        Self {
            known: Vec::new(),
            is_maintained: false,
            is_used: false,
        }
    }

    /// Returns the pool of a place, which is new if there was none, and the old pool that was removed to make room, if
    /// any.
    pub(crate) fn of(&mut self, place: &Place<Id>) -> (PoolOf<Id, W>, Option<PoolOf<Id, W>>) {
        self.is_used = true;
        if let Some(last) = self.known.last()
            && last.place == *place
        {
            return (Arc::clone(last), None);
        }
        let position = self.known.iter().position(|pool| pool.place == *place);
        let pool = match position {
            Some(position) => self.known.remove(position),
            None => Arc::new(Pool::new(place.clone())),
        };
        // Neither in use, nor with a call that has not begun.
        let is_at_rest = |pool: &PoolOf<Id, W>| Arc::strong_count(pool) == 1 && pool.oldest().is_none();
        let oldest = self.known.iter().position(is_at_rest);
        let oldest = oldest.filter(|_| self.known.len() >= MAX_POOLS);
        let forgotten = oldest.map(|oldest| self.known.remove(oldest));
        self.known.push(Arc::clone(&pool));
        (pool, forgotten)
    }

    /// Marks the pools as maintained. Returns whether they already were.
    pub(crate) fn start_maintaining(&mut self) -> bool {
        mem::replace(&mut self.is_maintained, true)
    }

    /// Ends one round of maintenance; `next` is the pause before the next round, or `None` if nothing is left to
    /// maintain. Returns the pause, or `None` if the task may end. It may not end if a pool was used meanwhile.
    pub(crate) fn schedule_look(&mut self, next: Option<Duration>) -> Option<Duration> {
        let next = next.or(self.is_used.then_some(Duration::MAX));
        self.is_maintained = next.is_some();
        next
    }

    pub(crate) fn all(&self) -> Vec<PoolOf<Id, W>> {
        self.known.clone()
    }

    /// Returns whether a pool was used since the last call of this method: if so, a call may be on its way to that
    /// pool.
    pub(crate) fn take_used(&mut self) -> bool {
        mem::take(&mut self.is_used)
    }
}

impl<Id, W: Waiter> Pool<Id, W> {
    fn new(place: Place<Id>) -> Self {
        Self {
            place,
            is_stalled: AtomicBool::new(false),
            state: Mutex::new(State {
                all: Vec::new(),
                idle: Vec::new(),
            }),
        }
    }

    /// Gives a call to the connection that was used most recently. Returns the call if there is no connection.
    pub(crate) fn give(&self, now: Duration, mut job: Box<Job<W>>) -> Option<Box<Job<W>>> {
        loop {
            let last = self.lock().idle.pop();
            let Some((until, mailbox)) = last else {
                return Some(job);
            };
            if now >= until {
                mailbox.close();
                continue;
            }
            match mailbox.put(job) {
                Ok(()) => return None,
                Err(back) => job = back,
            }
        }
    }

    /// Adds the mailbox of a new connection, which is to be opened for this call.
    pub(crate) fn add(&self, first: Box<Job<W>>) -> Arc<Mailbox<W>> {
        let mailbox = Arc::new(Mailbox::new(first));
        self.lock().all.push(Arc::clone(&mailbox));
        mailbox
    }

    /// Adds a connection to the idle ones.
    pub(crate) fn rest(&self, now: Duration, mailbox: &Arc<Mailbox<W>>) {
        let mut state = self.lock();
        let longest = (state.idle.len() == MAX_IDLE).then(|| state.idle.remove(0));
        state.idle.push((now.saturating_add(IDLE), Arc::clone(mailbox)));
        drop(state);
        longest.map(|(_, mailbox)| mailbox.close());
    }

    /// Removes a connection whose task has ended.
    pub(crate) fn remove(&self, mailbox: &Arc<Mailbox<W>>) {
        self.is_stalled.store(false, Ordering::Relaxed);
        let mut state = self.lock();
        state.all.retain(|known| !Arc::ptr_eq(known, mailbox));
        state.idle.retain(|(_, known)| !Arc::ptr_eq(known, mailbox));
    }

    /// Closes the idle connections.
    pub(crate) fn close_idle(&self) {
        let idle = mem::take(&mut self.lock().idle);
        for (_, mailbox) in idle {
            mailbox.close();
        }
    }

    /// Closes connections that have been idle for too long. Returns when the next one has to be closed.
    pub(crate) fn close_old(&self, now: Duration) -> Option<Duration> {
        let mut state = self.lock();
        let over = state.idle.partition_point(|(until, _)| *until <= now);
        let old: Vec<_> = state.idle.drain(..over).collect();
        let next = state.idle.first().map(|(until, _)| *until);
        drop(state);
        for (_, mailbox) in old {
            mailbox.close();
        }
        next
    }

    /// Takes the calls that no connection has begun within `patience`.
    pub(crate) fn take_late(&self, now: Duration, patience: Duration) -> Vec<Box<Job<W>>> {
        let all = self.lock().all.clone();
        let late = all.iter().filter_map(|mailbox| mailbox.take_late(now, patience));
        let late: Vec<_> = late.collect();
        if !late.is_empty() {
            self.is_stalled.store(true, Ordering::Relaxed);
        }
        late
    }

    /// When the oldest call that has not begun was handed over.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        let all = self.lock().all.clone();
        all.iter()
            .filter_map(|mailbox| mailbox.terms())
            .map(|terms| terms.since)
            .min()
    }

    /// Whether there is no connection, not even one that is being opened.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().all.is_empty()
    }

    /// Whether a call was taken away from here, and no task has ended here since.
    pub(crate) fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Id, W: Waiter> Drop for Pool<Id, W> {
    fn drop(&mut self) {
        self.close_idle();
    }
}
