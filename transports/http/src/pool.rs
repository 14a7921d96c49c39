//! Connections, by the runtime that made them.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cycles_host::{IDLE, MAX_IDLE};

use crate::reactor::Place;
use crate::mailbox::{Job, Mailbox};
use crate::waiter::Waiter;

/// Programs have one runtime or two, tests have many, one after the other.
const MAX_POOLS: usize = 4;

/// The pools of the runtimes that were used last.
pub(crate) struct Pools<Id, W: Waiter> {
    /// The one used last at the end.
    known: Vec<PoolOf<Id, W>>,
    /// Whether somebody looks after them.
    is_maintained: bool,
    /// Whether one was asked for since somebody looked.
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
    /// Those that wait for a call, each until a time; the one that waits longest first.
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

    /// The pool of a place, a new one if it is not known; and the one that is forgotten for it.
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
        // Not one that somebody is at, or that has a call which nobody has begun.
        let is_at_rest = |pool: &PoolOf<Id, W>| Arc::strong_count(pool) == 1 && pool.oldest().is_none();
        let oldest = self.known.iter().position(is_at_rest);
        let oldest = oldest.filter(|_| self.known.len() >= MAX_POOLS);
        let forgotten = oldest.map(|oldest| self.known.remove(oldest));
        self.known.push(Arc::clone(&pool));
        (pool, forgotten)
    }

    /// Whether somebody looked after them already, as somebody does from now on.
    pub(crate) fn start_maintaining(&mut self) -> bool {
        mem::replace(&mut self.is_maintained, true)
    }

    /// Whoever looks after them looks again after this time; if never, it is not needed any more, unless one was asked for
    /// meanwhile.
    pub(crate) fn schedule_look(&mut self, next: Option<Duration>) -> Option<Duration> {
        let next = next.or(self.is_used.then_some(Duration::MAX));
        self.is_maintained = next.is_some();
        next
    }

    pub(crate) fn all(&self) -> Vec<PoolOf<Id, W>> {
        self.known.clone()
    }

    /// Whether one was asked for since the last time: then a call may be on its way to it.
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

    /// Leaves a call to the connection that was used last. Gives it back if there is none.
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

    /// A place for a connection, which is made for this call.
    pub(crate) fn add(&self, first: Box<Job<W>>) -> Arc<Mailbox<W>> {
        let mailbox = Arc::new(Mailbox::new(first));
        self.lock().all.push(Arc::clone(&mailbox));
        mailbox
    }

    /// A connection waits for the next call from now on.
    pub(crate) fn rest(&self, now: Duration, mailbox: &Arc<Mailbox<W>>) {
        let mut state = self.lock();
        let longest = (state.idle.len() == MAX_IDLE).then(|| state.idle.remove(0));
        state.idle.push((now.saturating_add(IDLE), Arc::clone(mailbox)));
        drop(state);
        longest.map(|(_, mailbox)| mailbox.close());
    }

    /// A connection is over: its task has run.
    pub(crate) fn remove(&self, mailbox: &Arc<Mailbox<W>>) {
        self.is_stalled.store(false, Ordering::Relaxed);
        let mut state = self.lock();
        state.all.retain(|known| !Arc::ptr_eq(known, mailbox));
        state.idle.retain(|(_, known)| !Arc::ptr_eq(known, mailbox));
    }

    /// Closes those that wait.
    pub(crate) fn close_idle(&self) {
        let idle = mem::take(&mut self.lock().idle);
        for (_, mailbox) in idle {
            mailbox.close();
        }
    }

    /// Closes what has waited long enough, and says until when the next one waits.
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

    /// What was left to connections for longer than `patience`, and nobody came to begin.
    pub(crate) fn take_late(&self, now: Duration, patience: Duration) -> Vec<Box<Job<W>>> {
        let all = self.lock().all.clone();
        let late = all.iter().filter_map(|mailbox| mailbox.take_late(now, patience));
        let late: Vec<_> = late.collect();
        if !late.is_empty() {
            self.is_stalled.store(true, Ordering::Relaxed);
        }
        late
    }

    /// When the oldest of the calls was left that nobody has begun.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        let all = self.lock().all.clone();
        all.iter()
            .filter_map(|mailbox| mailbox.terms())
            .map(|terms| terms.since)
            .min()
    }

    /// Whether there is no connection, nor one in the making.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().all.is_empty()
    }

    /// Whether nothing has run here since something was taken away.
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
