//! Threads that do what is queued: started when there is something to do, gone when there is not.

use core::time::Duration;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Jobs, which are begun in the order in which they came, and the threads that do them, with what these have in common. Clones
/// are the same.
pub struct Threads<C, J>(Arc<Inner<C, J>>);

struct Inner<C, J> {
    name: &'static str,
    most: usize,
    work: fn(&Threads<C, J>, J),
    common: C,
    state: Mutex<State<J>>,
    /// There is something to do.
    more: Condvar,
}

struct State<J> {
    jobs: VecDeque<J>,
    threads: usize,
    /// How many of them wait for something to do.
    idle: usize,
}

/// How long a thread waits for more to do.
const PATIENCE: Duration = Duration::from_secs(1);

impl<C: Send + Sync + 'static, J: Send + 'static> Threads<C, J> {
    /// At most so many threads of this name. `work` does a job; one that panics ends neither its thread nor the other jobs.
    pub fn new(name: &'static str, most: usize, common: C, work: fn(&Self, J)) -> Self {
        Self(Arc::new(Inner {
            name,
            most,
            work,
            common,
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                threads: 0,
                idle: 0,
            }),
            more: Condvar::new(),
        }))
    }

    /// What the jobs have in common.
    pub fn common(&self) -> &C {
        &self.0.common
    }

    /// Queues a job, for [`go`](Self::go) to see that somebody does it; a job that queues another may leave it at that, as its
    /// thread takes the next one. Nothing is called here, so that this may be done under a lock.
    pub fn push(&self, job: J) {
        self.lock().jobs.push_back(job);
    }

    /// Has what is queued done, by one thread more. False if there is none, and none is to be had: it is left to the caller, or
    /// to the next call.
    #[must_use = "there may be no thread"]
    pub fn go(&self) -> bool {
        let mut state = self.lock();
        if state.jobs.len() <= state.idle {
            drop(state);
            self.0.more.notify_one();
            return true;
        }
        if state.threads == self.0.most {
            return true;
        }
        state.threads += 1;
        drop(state);
        let threads = self.clone();
        let builder = thread::Builder::new().name(self.0.name.to_owned());
        if builder.spawn(move || threads.run()).is_ok() {
            return true;
        }
        let mut state = self.lock();
        state.threads -= 1;
        state.threads > 0
    }

    /// The next job, for the caller to do.
    pub fn take(&self) -> Option<J> {
        self.lock().jobs.pop_front()
    }

    /// How many jobs nobody has begun.
    pub fn queued(&self) -> usize {
        self.lock().jobs.len()
    }

    fn run(&self) {
        while let Some(job) = self.wait() {
            let _ = catch_unwind(AssertUnwindSafe(|| (self.0.work)(self, job)));
        }
    }

    /// The next job; `None` after a while without one, and then the thread no longer counts.
    fn wait(&self) -> Option<J> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            let waited = self.0.more.wait_timeout(state, PATIENCE);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C, J> Clone for Threads<C, J> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C, J> core::fmt::Debug for Threads<C, J> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Threads")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl<C: Send + Sync + 'static, J: Send + 'static> Threads<C, J> {
    /// How many threads there are, and how many of them wait for something to do.
    pub(crate) fn count(&self) -> (usize, usize) {
        let state = self.lock();
        (state.threads, state.idle)
    }

    /// Whether somebody else has it too, such as a thread.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    type Job = Box<dyn FnOnce() + Send>;

    fn threads() -> Threads<(), Job> {
        Threads::new("test", usize::MAX, (), |_, job| job())
    }

    fn submit(threads: &Threads<(), Job>, job: impl FnOnce() + Send + 'static) {
        threads.push(Box::new(job));
        assert!(threads.go());
    }

    #[test]
    fn a_job_that_hangs_or_panics_holds_up_no_other() {
        let threads = threads();
        let (release, hanging) = mpsc::channel::<()>();
        submit(&threads, move || hanging.recv().unwrap());
        let (done, answers) = mpsc::channel();
        for number in 0..10 {
            let done = done.clone();
            submit(&threads, move || {
                done.send(number).unwrap();
                std::panic::resume_unwind(Box::new("a job of a test that panics"));
            });
        }
        let mut done: Vec<_> = answers.iter().take(10).collect();
        done.sort_unstable();
        assert_eq!(done, (0..10).collect::<Vec<_>>());
        release.send(()).unwrap();
    }

    #[test]
    fn a_thread_that_has_nothing_to_do_takes_the_next_job_or_ends() {
        let threads = threads();
        let names = || {
            let (done, answer) = mpsc::channel();
            submit(&threads, move || done.send(thread::current().id()).unwrap());
            answer.recv().unwrap()
        };
        let first = names();
        while threads.count().1 == 0 {
            thread::yield_now();
        }
        assert_eq!(names(), first);
        while threads.is_shared() {
            thread::yield_now();
        }
        assert_eq!(threads.count(), (0, 0));
    }
}
