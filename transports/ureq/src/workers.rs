//! Threads that make calls, as many as there are calls at once. How many that may be is not decided here.

use core::cell::Cell;

use cycles_host::Threads;

pub(crate) struct Workers(Threads<(), Job>);

/// Something that may block.
type Job = Box<dyn FnOnce() + Send>;

thread_local! {
    /// Whether the job of this thread is nearly over, and the thread has nothing to do next.
    static IS_ENDING: Cell<bool> = const { Cell::new(false) };
}

/// The job that runs here has only to hand on its result: the next one that is submitted here is left to this thread.
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

    /// Has the job done. If the system has no thread for it, it waits for one that is there; without any it is dropped.
    pub(crate) fn submit(&self, job: impl FnOnce() + Send + 'static) {
        self.0.push(Box::new(job));
        // This thread takes it next, or another one does.
        if !IS_ENDING.replace(false) && !self.0.go() {
            while self.0.take().is_some() {}
        }
    }
}
