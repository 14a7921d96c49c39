//! Threads that make calls: few, started when there is something to do, gone when there is not.

use core::time::Duration;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use cycles_proto::Urgency;

/// A bounded number of threads of one name that take jobs, the most urgent first.
pub(crate) struct Workers(Arc<Inner>);

/// Something that may block.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// How long a thread waits for more to do.
const PATIENCE: Duration = Duration::from_secs(5);

struct Inner {
    name: &'static str,
    most: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    /// By urgency, then by arrival.
    jobs: BTreeMap<(Urgency, u64), Job>,
    arrivals: u64,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

impl Workers {
    /// At most `most` threads called `name`.
    pub(crate) fn new(name: &'static str, most: usize) -> Self {
        Self(Arc::new(Inner {
            name,
            most,
            state: Mutex::default(),
            work: Condvar::new(),
        }))
    }

    /// Has the job done as soon as may be.
    pub(crate) fn submit(&self, urgency: Urgency, job: Job) {
        let mut state = self.0.lock();
        state.arrivals += 1;
        let number = state.arrivals;
        state.jobs.insert((urgency, number), job);
        if state.jobs.len() <= state.idle {
            drop(state);
            self.0.work.notify_one();
        } else if state.threads < self.0.most {
            state.threads += 1;
            drop(state);
            self.start_thread();
        }
    }

    /// From now on no thread waits for more to do.
    pub(crate) fn close(&self) {
        self.0.lock().is_closed = true;
        self.0.work.notify_all();
    }

    fn start_thread(&self) {
        let inner = Arc::clone(&self.0);
        let builder = thread::Builder::new().name(self.0.name.to_owned());
        if builder.spawn(move || inner.run(Inner::wait)).is_ok() {
            return;
        }
        let mut state = self.0.lock();
        state.threads -= 1;
        if state.threads == 0 {
            // The system has no more threads, so the one that is here has to do.
            drop(state);
            self.0.run(|inner| inner.lock().next());
        }
    }
}

impl State {
    fn next(&mut self) -> Option<Job> {
        self.jobs.pop_first().map(|(_, job)| job)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, next: impl Fn(&Self) -> Option<Job>) {
        while let Some(job) = next(self) {
            // A job that panics ends neither the thread nor the other jobs.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// The next job; `None` after a while without one, and then the thread no longer counts.
    fn wait(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.next() {
                return Some(job);
            }
            if state.is_closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (woken, timeout) = self
                .work
                .wait_timeout(state, PATIENCE)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
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
    fn a_job_that_hangs_holds_up_no_other() {
        let workers = Workers::new("test", 2);
        let (release, hanging) = mpsc::channel::<()>();
        workers.submit(Urgency::Other, Box::new(move || hanging.recv().unwrap()));
        let (done, answers) = mpsc::channel();
        for number in 0..10 {
            let done = done.clone();
            workers.submit(Urgency::Other, Box::new(move || done.send(number).unwrap()));
        }
        let order: Vec<_> = answers.iter().take(10).collect();
        assert_eq!(order, (0..10).collect::<Vec<_>>());
        release.send(()).unwrap();
    }

    #[test]
    fn the_most_urgent_goes_first_and_a_panic_ends_nothing() {
        let workers = Workers::new("test", 1);
        let (release, hanging) = mpsc::channel::<()>();
        workers.submit(Urgency::Settlement, Box::new(move || hanging.recv().unwrap()));
        let (done, answers) = mpsc::channel();
        let lease = |seconds| Urgency::Lease(Duration::from_secs(seconds));
        for urgency in [Urgency::Other, lease(9), lease(3), Urgency::Settlement] {
            let done = done.clone();
            let job = move || {
                done.send(urgency).unwrap();
                panic!("a job of a test that panics");
            };
            workers.submit(urgency, Box::new(job));
        }
        release.send(()).unwrap();
        let order: Vec<_> = answers.iter().take(4).collect();
        assert_eq!(order, [Urgency::Settlement, lease(3), lease(9), Urgency::Other]);
    }

    #[test]
    fn there_are_never_more_threads_than_allowed_and_none_once_closed() {
        let workers = Workers::new("test", 3);
        let (done, answers) = mpsc::channel();
        for _ in 0..100 {
            let done = done.clone();
            workers.submit(Urgency::Other, Box::new(move || done.send(()).unwrap()));
            assert!(workers.0.lock().threads <= 3);
        }
        assert_eq!(answers.iter().take(100).count(), 100);
        workers.close();
        while workers.0.lock().threads > 0 {
            thread::yield_now();
        }
    }
}
