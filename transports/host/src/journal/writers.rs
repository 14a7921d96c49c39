//! The threads that write: few, started when there is something to write, gone when there is not.
//!
//! Two things make many changes at once cheap. A file's own sync is waited for by several threads at the same
//! time, which the file system turns into one trip to the disk; and one thread at a time syncs the directory,
//! for all files that were renamed before it began, while the others write the next ones.

use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use cycles_proto::journal::{JournalWrite, StoreFailure};
use cycles_proto::models::ReservationId;

/// How many threads write at most: more wait for the same disk.
const MOST: usize = 8;

/// How long a thread waits for more to do.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where changes are made.
pub(super) trait Shelf: Send + Sync + 'static {
    /// Makes a change, and says whether it needs [`sync`](Self::sync) to last.
    fn change(&self, write: &JournalWrite) -> Result<NeedsSync, StoreFailure>;

    /// Makes all changes last that were made before the call.
    fn sync(&self) -> Result<(), StoreFailure>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NeedsSync {
    Yes,
    No,
}

/// What to call with the result.
pub(super) type Done = Box<dyn FnOnce(Result<(), StoreFailure>) + Send>;

struct Job {
    write: JournalWrite,
    done: Done,
}

/// Changes one shelf from any number of threads, with few of its own.
pub(super) struct Writers<S> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    shelf: S,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Job>,
    /// The reservations of which a change is ready or being made, with those that have to come after it.
    later: HashMap<ReservationId, VecDeque<Job>>,
    threads: usize,
    idle: usize,
    /// Who waits for the next sync.
    unsynced: Vec<Done>,
    is_syncing: bool,
}

impl<S: Shelf> Writers<S> {
    pub(super) fn new(shelf: S) -> Self {
        let shared = Shared {
            shelf,
            state: Mutex::default(),
            work: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(super) fn shelf(&self) -> &S {
        &self.shared.shelf
    }

    /// Queues a change, for [`go`](Pushed::go) to see that somebody makes it. Changes of one reservation are made in the
    /// order in which they were pushed. What was pushed is done even if `self` is dropped.
    pub(super) fn push(&self, write: JournalWrite, done: Done) -> Pushed<S> {
        let shared = &self.shared;
        let mut state = shared.lock();
        state.accept(Job { write, done });
        let next = if state.ready.len() <= state.idle {
            Next::Wake
        } else if state.threads < MOST {
            state.threads += 1;
            Next::Start
        } else {
            return Pushed(None);
        };
        Pushed(Some((Arc::clone(shared), next)))
    }
}

/// A change that is queued.
pub(super) struct Pushed<S>(Option<(Arc<Shared<S>>, Next)>);

/// Who makes it.
enum Next {
    /// A thread that waits for something to do.
    Wake,
    /// A new one.
    Start,
}

impl<S: Shelf> Pushed<S> {
    /// Has it made. Where no thread is to be had, that is done here.
    pub(super) fn go(self) {
        match self.0 {
            Some((shared, Next::Wake)) => shared.work.notify_one(),
            Some((shared, Next::Start)) => shared.start_thread(),
            None => {}
        }
    }
}

impl<S: Shelf> Shared<S> {
    fn start_thread(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let builder = thread::Builder::new().name("cycles-journal".to_owned());
        if builder.spawn(move || shared.run(Self::wait)).is_ok() {
            return;
        }
        let mut state = self.lock();
        state.threads -= 1;
        if state.threads == 0 {
            // The system has no more threads, so the caller's own has to do.
            drop(state);
            self.run(|shared| shared.lock().ready.pop_front());
        }
    }
}

impl State {
    fn accept(&mut self, job: Job) {
        let id = reservation_id(&job.write);
        match self.later.get_mut(id) {
            Some(later) => later.push_back(job),
            None => {
                self.later.insert(id.clone(), VecDeque::new());
                self.ready.push_back(job);
            }
        }
    }

    /// The reservation's change is made; the next one may follow.
    fn release(&mut self, id: &ReservationId) {
        match self.later.get_mut(id).and_then(VecDeque::pop_front) {
            Some(next) => self.ready.push_back(next),
            None => {
                self.later.remove(id);
            }
        }
    }
}

impl<S: Shelf> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, next: impl Fn(&Self) -> Option<Job>) {
        while let Some(job) = next(self) {
            self.make(job);
        }
    }

    /// The next job; `None` after a while without one, and then the thread no longer counts.
    fn wait(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.ready.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            let (woken, timeout) = self
                .work
                .wait_timeout(state, PATIENCE)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.ready.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }

    fn make(&self, Job { write, done }: Job) {
        let result = self.shelf.change(&write);
        let mut state = self.lock();
        state.release(reservation_id(&write));
        match result {
            Ok(NeedsSync::Yes) => {
                state.unsynced.push(done);
                self.sync(state);
            }
            other => {
                drop(state);
                call(done, other.map(|_| ()));
            }
        }
    }

    /// Syncs for all who wait, unless a thread does so already: it will see to them next.
    fn sync<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        if state.is_syncing {
            return;
        }
        state.is_syncing = true;
        while !state.unsynced.is_empty() {
            let group = std::mem::take(&mut state.unsynced);
            drop(state);
            let result = self.shelf.sync();
            for done in group {
                call(done, result.clone());
            }
            state = self.lock();
        }
        state.is_syncing = false;
    }
}

/// A caller's code that panics ends neither the thread nor the others' changes.
fn call(done: Done, result: Result<(), StoreFailure>) {
    let _ = catch_unwind(AssertUnwindSafe(|| done(result)));
}

fn reservation_id(write: &JournalWrite) -> &ReservationId {
    &write.id().reservation
}

#[cfg(test)]
mod tests;
