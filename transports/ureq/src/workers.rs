//! Threads that make calls: started when there is something to do, gone when there is not.

use core::cell::Cell;
use core::time::Duration;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// As many threads as there are jobs at once. How many that may be is not decided here.
pub(crate) struct Workers(Arc<Inner>);

/// Something that may block.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

thread_local! {
    /// Whether this is one of the threads.
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
    /// Whether its job is nearly over, and it has nothing to do next.
    static IS_ENDING: Cell<bool> = const { Cell::new(false) };
}

/// The job that runs here has only to hand on its result: the next one that is submitted here is left to this thread.
pub(crate) fn keep_next_job() {
    IS_ENDING.set(IS_WORKER.get());
}

/// How long a thread waits for more to do.
const PATIENCE: Duration = Duration::from_secs(1);

struct Inner {
    name: &'static str,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: usize,
}

impl Workers {
    pub(crate) fn new(name: &'static str) -> Self {
        Self(Arc::new(Inner {
            name,
            state: Mutex::default(),
            work: Condvar::new(),
        }))
    }

    /// Has the job done. If the system has no thread for it, it waits for one that is there; without any it is dropped.
    pub(crate) fn submit(&self, job: Job) {
        let mut state = self.0.lock();
        state.jobs.push_back(job);
        if IS_ENDING.replace(false) {
            // This thread takes it next.
            return;
        }
        if state.jobs.len() <= state.idle {
            drop(state);
            self.0.work.notify_one();
            return;
        }
        drop(state);
        let inner = Arc::clone(&self.0);
        let builder = thread::Builder::new().name(self.0.name.to_owned());
        let is_alone = Arc::strong_count(&inner) == 2;
        if builder.spawn(move || inner.run()).is_err() && is_alone {
            self.0.lock().jobs.clear();
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        IS_WORKER.set(true);
        while let Some(job) = self.wait() {
            // A job that panics ends neither the thread nor the other jobs.
            let _ = catch_unwind(AssertUnwindSafe(job));
            IS_ENDING.set(false);
        }
    }

    /// The next job; `None` after a while without one.
    fn wait(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            let waited = self.work.wait_timeout(state, PATIENCE);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_job_that_hangs_or_panics_holds_up_no_other() {
        let workers = Workers::new("test");
        let (release, hanging) = mpsc::channel::<()>();
        workers.submit(Box::new(move || hanging.recv().unwrap()));
        let (done, answers) = mpsc::channel();
        for number in 0..10 {
            let done = done.clone();
            workers.submit(Box::new(move || {
                done.send(number).unwrap();
                std::panic::resume_unwind(Box::new("a job of a test that panics"));
            }));
        }
        let mut done: Vec<_> = answers.iter().take(10).collect();
        done.sort_unstable();
        assert_eq!(done, (0..10).collect::<Vec<_>>());
        release.send(()).unwrap();
    }

    #[test]
    fn a_thread_that_has_nothing_to_do_takes_the_next_job_or_ends() {
        let workers = Workers::new("test");
        let names = || {
            let (done, answer) = mpsc::channel();
            workers.submit(Box::new(move || done.send(thread::current().id()).unwrap()));
            answer.recv().unwrap()
        };
        let first = names();
        while workers.0.lock().idle == 0 {
            thread::yield_now();
        }
        assert_eq!(names(), first);
        while Arc::strong_count(&workers.0) > 1 {
            thread::yield_now();
        }
    }
}
