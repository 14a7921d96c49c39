//! The journal's threads: few, started when there is something to write, and ended when there is not.
//!
//! Two things make many concurrent changes cheap. Several threads sync their files at the same time, which the file
//! system combines into one disk operation. And one thread at a time syncs the directory, for all files that were
//! renamed before it began, while the others write the next ones.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cycles_proto::journal::{JournalWrite, StoreFailure};
use cycles_proto::models::ReservationId;

use crate::threads::Threads;

/// The maximum number of threads that write. More would only wait for the same disk.
const MOST: usize = 8;

/// Where changes are made durable.
pub(super) trait Store: Send + Sync + 'static {
    /// Makes a change, and returns whether it needs [`sync`](Self::sync) to be durable.
    fn change(&self, write: &JournalWrite) -> Result<NeedsSync, StoreFailure>;

    /// Makes every change made before this call durable.
    fn sync(&self) -> Result<(), StoreFailure>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NeedsSync {
    Yes,
    No,
}

/// The callback that receives a result.
pub(super) type Done = Box<dyn FnOnce(Result<(), StoreFailure>) + Send>;

struct Job {
    write: JournalWrite,
    done: Done,
}

/// Makes changes for any number of threads, on a few threads of its own.
pub(super) struct Writers<S>(Threads<Shared<S>, Job>);

struct Shared<S> {
    store: S,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The reservations with a change that is queued or in progress, each with the changes that have to follow it.
    later: HashMap<ReservationId, VecDeque<Job>>,
    /// Callbacks of changes that wait for the next sync.
    unsynced: Vec<Done>,
    is_syncing: bool,
}

impl<S: Store> Writers<S> {
    pub(super) fn new(store: S) -> Self {
        let state = Mutex::default();
        Self(Threads::new(
            "cycles-journal",
            MOST,
            Shared { store, state },
            make,
        ))
    }

    pub(super) fn store(&self) -> &S {
        &self.0.common().store
    }

    /// Queues a change, which [`go`](Self::go) starts. Changes to one reservation are made in the order in which they
    /// were pushed, even if `self` is dropped.
    pub(super) fn push(&self, write: JournalWrite, done: Done) {
        let job = Job { write, done };
        let id = reservation_id(&job.write);
        let mut state = self.0.common().lock();
        match state.later.get_mut(id) {
            Some(later) => later.push_back(job),
            None => {
                state.later.insert(id.clone(), VecDeque::new());
                self.0.push(job);
            }
        }
    }

    /// Starts a thread for the queued changes. If no thread can be started, makes the changes here.
    pub(super) fn go(&self) {
        if !self.0.go() {
            while let Some(job) = self.0.take() {
                make(&self.0, job);
            }
        }
    }
}

fn make<S: Store>(threads: &Threads<Shared<S>, Job>, Job { write, done }: Job) {
    let shared = threads.common();
    let result = shared.store.change(&write);
    let mut state = shared.lock();
    // The next change of this reservation may start now.
    let id = reservation_id(&write);
    match state.later.get_mut(id).and_then(VecDeque::pop_front) {
        Some(next) => threads.push(next),
        None => drop(state.later.remove(id)),
    }
    match result {
        Ok(NeedsSync::Yes) => {
            state.unsynced.push(done);
            shared.sync(state);
        }
        other => {
            drop(state);
            call(done, other.map(|_| ()));
        }
    }
}

impl<S: Store> Shared<S> {
    /// Syncs for all waiting changes. If another thread is already syncing, that thread syncs once more for these.
    fn sync<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        if state.is_syncing {
            return;
        }
        state.is_syncing = true;
        while !state.unsynced.is_empty() {
            let group = std::mem::take(&mut state.unsynced);
            drop(state);
            let result = self.store.sync();
            for done in group {
                call(done, result.clone());
            }
            state = self.lock();
        }
        state.is_syncing = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls `done`. If it panics, neither the thread nor other changes are affected.
fn call(done: Done, result: Result<(), StoreFailure>) {
    let _ = catch_unwind(AssertUnwindSafe(|| done(result)));
}

fn reservation_id(write: &JournalWrite) -> &ReservationId {
    &write.id().reservation
}

#[cfg(test)]
mod tests;
