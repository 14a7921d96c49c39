//! A pool of threads for queued jobs, started when there are jobs and ended when there are none.

use core::time::Duration;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A queue of jobs, threads that run them in order, and a value that the jobs share. Clones share one pool.
pub struct Threads<C, J>(Arc<Inner<C, J>>);

struct Inner<C, J> {
    name: &'static str,
    most: usize,
    work: fn(&Threads<C, J>, J),
    /// How long an idle thread waits for a job before it ends.
    patience: Duration,
    common: C,
    state: Mutex<State<J>>,
    /// Notified when there are jobs.
    more: Condvar,
}

struct State<J> {
    jobs: VecDeque<J>,
    threads: usize,
    /// How many of them wait for a job.
    idle: usize,
}

/// How long an idle thread usually waits for a job.
const PATIENCE: Duration = Duration::from_secs(1);

impl<C: Send + Sync + 'static, J: Send + 'static> Threads<C, J> {
    /// Makes a pool of at most `most` threads with this name; starts none yet. `work` runs a job. If a job panics,
    /// neither its thread nor other jobs are affected.
    pub fn new(name: &'static str, most: usize, common: C, work: fn(&Self, J)) -> Self {
        Self(Arc::new(Inner {
            name,
            most,
            work,
            patience: PATIENCE,
            common,
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                threads: 0,
                idle: 0,
            }),
            more: Condvar::new(),
        }))
    }

    /// Returns the value that the jobs share.
    pub fn common(&self) -> &C {
        &self.0.common
    }

    /// Queues a job, which [`go`](Self::go) starts. A job that queues another need not call `go`, because its thread
    /// takes the next job. This calls nothing and does not block, so it may be used under a lock.
    pub fn push(&self, job: J) {
        self.lock().jobs.push_back(job);
    }

    /// Wakes or starts a thread for the queued jobs; does not wait for them. Returns false if there is no thread and
    /// none can be started: then the caller, or the next call to this, has to run the jobs.
    #[must_use = "there may be no thread"]
    pub fn go(&self) -> bool {
        let mut state = self.lock();
        // Idle threads are woken even if they are too few: they must not sleep on.
        if state.jobs.len() == 1 {
            self.0.more.notify_one();
        } else {
            self.0.more.notify_all();
        }
        if state.jobs.len() <= state.idle || state.threads == self.0.most {
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

    /// Takes the next job, which the caller runs.
    pub fn take(&self) -> Option<J> {
        self.lock().jobs.pop_front()
    }

    /// Returns the number of jobs that have not begun.
    pub fn queued(&self) -> usize {
        self.lock().jobs.len()
    }

    fn run(&self) {
        while let Some(job) = self.wait() {
            let _ = catch_unwind(AssertUnwindSafe(|| (self.0.work)(self, job)));
        }
    }

    /// Waits for the next job. Returns `None` after a second without one; the thread is then no longer counted.
    fn wait(&self) -> Option<J> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            let waited = self.0.more.wait_timeout(state, self.0.patience);
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
    /// How many threads there are, and how many of them are idle.
    pub(crate) fn count(&self) -> (usize, usize) {
        let state = self.lock();
        (state.threads, state.idle)
    }

    /// Whether there are other clones, such as a thread's.
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
                std::panic::resume_unwind(Box::new("a test job that panics"));
            });
        }
        let mut done: Vec<_> = answers.iter().take(10).collect();
        done.sort_unstable();
        assert_eq!(done, (0..10).collect::<Vec<_>>());
        release.send(()).unwrap();
    }

    /// The jobs of one `go` are more than the idle threads, and no thread may be added.
    #[test]
    fn the_only_thread_wakes_for_two_jobs_that_come_at_once() {
        let mut threads = Threads::<(), Job>::new("test", 1, (), |_, job| job());
        // It does not wake by itself in the time of this test.
        Arc::get_mut(&mut threads.0).unwrap().patience = Duration::from_secs(3_600);
        let (done, answers) = mpsc::channel();
        for jobs in 1..=3 {
            for _ in 0..jobs {
                let done = done.clone();
                threads.push(Box::new(move || done.send(()).unwrap()));
            }
            assert!(threads.go());
            for _ in 0..jobs {
                answers.recv_timeout(Duration::from_secs(60)).unwrap();
            }
            while threads.count().1 == 0 {
                thread::yield_now();
            }
        }
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
