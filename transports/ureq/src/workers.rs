//! Threads that make calls, one per concurrent call. The core limits how many calls run at once.

use core::cell::Cell;

use cycles_host::Threads;

pub(crate) struct Workers(Threads<(), Job>);

/// A closure that may block.
type Job = Box<dyn FnOnce() + Send>;

thread_local! {
    /// Whether this thread's job has only to report its result, so that the thread is free for the next job.
    static IS_ENDING: Cell<bool> = const { Cell::new(false) };
}

/// Called by a job that has only to report its result: this thread then takes the next job that is submitted on it.
pub(crate) fn keep_next_job() {
    IS_ENDING.set(true);
}

impl Workers {
    pub(crate) fn new(name: &'static str) -> Self {
        Self(Threads::new(name, usize::MAX, (), |_, job| {
            IS_ENDING.set(false);
            job();
        }))
    }

    /// Runs the job on a thread. If the system cannot start more threads, the job waits for an existing one; if there
    /// is none, the job is dropped.
    pub(crate) fn submit(&self, job: impl FnOnce() + Send + 'static) {
        self.0.push(Box::new(job));
        // If this thread is about to be free, it takes the job itself.
        if !IS_ENDING.replace(false) && !self.0.go() {
            while self.0.take().is_some() {}
        }
    }
}
