//! One thread that wakes everything that waits for a time: leases to be prolonged, retries, the journal's next
//! scan.

use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use cycles_host::Clock;

/// Something that is woken at its time. It must not block.
pub(crate) trait Sleeper: Send + Sync {
    /// The time has come, or everything is to be looked at once more.
    fn wake(self: Arc<Self>);
}

/// Wakes sleepers. Its thread starts with the first one and ends when it is closed and none is left.
pub(crate) struct Scheduler(Arc<Inner>);

/// The waits of the system do not count the time that the machine sleeps, and leases do. So the clock is looked
/// at now and then.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

struct Inner {
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    timers: Timers<Arc<dyn Sleeper>>,
    is_running: bool,
    is_closed: bool,
    /// Until when the thread sleeps, if it does. An earlier timer has to rouse it.
    sleeps_until: Option<Duration>,
}

impl Scheduler {
    pub(crate) fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner {
            clock,
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// Makes sure that there is a thread.
    ///
    /// # Errors
    /// If the system has none to give.
    pub(crate) fn start(&self) -> io::Result<()> {
        self.0.ensure_running(&mut self.0.lock())
    }

    /// Wakes `sleeper` at `at`, in place of the time that was set for this number before.
    pub(crate) fn set(&self, number: u64, at: Duration, sleeper: Arc<dyn Sleeper>) {
        let mut state = self.0.lock();
        state.timers.set(number, at, sleeper);
        // Without a thread the next reservation says so, before anything is sent.
        let _ = self.0.ensure_running(&mut state);
        if state.sleeps_until.is_some_and(|until| at < until) {
            state.sleeps_until = None;
            drop(state);
            self.0.changed.notify_one();
        }
    }

    /// Wakes this one no more.
    pub(crate) fn remove(&self, number: u64) {
        let mut state = self.0.lock();
        state.timers.remove(number);
        if state.is_closed && state.timers.next().is_none() {
            self.0.changed.notify_one();
        }
    }

    /// Wakes all once more, and ends when none of them sets another time.
    pub(crate) fn close(&self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        let sleepers = state.timers.due(Duration::MAX);
        drop(state);
        for sleeper in sleepers {
            sleeper.wake();
        }
        self.0.changed.notify_one();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ensure_running(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if !state.is_running {
            let inner = Arc::clone(self);
            let builder = thread::Builder::new().name("cycles-scheduler".to_owned());
            builder.spawn(move || inner.run())?;
            state.is_running = true;
        }
        Ok(())
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            let now = self.clock.now().mono;
            let due = state.timers.due(now);
            if !due.is_empty() {
                drop(state);
                for sleeper in due {
                    // One that panics ends neither the thread nor the others.
                    let _ = catch_unwind(AssertUnwindSafe(|| sleeper.wake()));
                }
                state = self.lock();
                continue;
            }
            let next = state.timers.next();
            if next.is_none() && state.is_closed {
                state.is_running = false;
                return;
            }
            state.sleeps_until = Some(next.unwrap_or(Duration::MAX));
            let wait = next.map_or(LONGEST_WAIT, |next| next.saturating_sub(now).min(LONGEST_WAIT));
            state = match next {
                Some(_) => {
                    let woken = self.changed.wait_timeout(state, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.sleeps_until = None;
        }
    }
}

/// Times, each with a number under which it can be changed.
struct Timers<T> {
    queue: BTreeMap<(Duration, u64), T>,
    times: HashMap<u64, Duration>,
}

impl<T> Timers<T> {
    fn set(&mut self, number: u64, at: Duration, what: T) {
        self.remove(number);
        self.times.insert(number, at);
        self.queue.insert((at, number), what);
    }

    fn remove(&mut self, number: u64) {
        if let Some(at) = self.times.remove(&number) {
            self.queue.remove(&(at, number));
        }
    }

    fn next(&self) -> Option<Duration> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// Takes everything whose time has come, the earliest first.
    fn due(&mut self, now: Duration) -> Vec<T> {
        let mut due = Vec::new();
        while let Some(first) = self.queue.first_entry()
            && first.key().0 <= now
        {
            self.times.remove(&first.key().1);
            due.push(first.remove());
        }
        due
    }
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self {
            queue: BTreeMap::new(),
            times: HashMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_thousand_times_come_due_in_order_and_each_once() {
        let mut timers = Timers::default();
        for number in 0..1_000 {
            timers.set(number, s(number * 7_919 % 1_000), number);
        }
        let mut woken = 0;
        for now in 0..1_000 {
            assert_eq!(timers.next(), Some(s(now)));
            for number in timers.due(s(now)) {
                assert_eq!(number * 7_919 % 1_000, now);
                woken += 1;
            }
        }
        assert_eq!((woken, timers.next(), timers.times.len()), (1_000, None, 0));
    }

    #[test]
    fn a_time_that_is_changed_counts_once_and_one_that_is_removed_never() {
        let mut timers = Timers::default();
        timers.set(1, s(5), "early");
        timers.set(1, s(9), "late");
        timers.set(2, s(7), "removed");
        timers.remove(2);
        timers.remove(3);
        assert!(timers.due(s(8)).is_empty());
        assert_eq!(timers.due(s(9)), ["late"]);
        assert_eq!(timers.next(), None);
    }

    /// Tells that it was woken.
    struct Telling(mpsc::Sender<u64>, u64);

    impl Sleeper for Telling {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(self.1);
        }
    }

    #[test]
    fn an_earlier_time_rouses_the_thread_and_closing_ends_it() {
        let clock = Clock::new();
        let scheduler = Scheduler::new(clock);
        let (woken, told) = mpsc::channel();
        let sleeper = |number| Arc::new(Telling(woken.clone(), number));
        let now = clock.now().mono;
        scheduler.set(1, now + s(3_600), sleeper(1));
        scheduler.set(2, now, sleeper(2));
        assert_eq!(told.recv().unwrap(), 2);
        scheduler.close();
        assert_eq!(told.recv().unwrap(), 1, "all are woken once more");
        while scheduler.0.lock().is_running {
            thread::yield_now();
        }
    }
}
