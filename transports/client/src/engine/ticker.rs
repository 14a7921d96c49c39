//! The timers of a client, as a clock sees them.

use core::fmt;
use core::task::Waker;
use core::time::Duration;
use std::sync::{Arc, PoisonError};

use super::Shared;

/// Runs what is due in a client. The [clock](crate::Clock) calls it.
pub struct Ticker {
    shared: Arc<Shared>,
    /// Which of the wakers is its own.
    number: usize,
}

/// How many tickers a client has at most: that of the adapter's own thread, and that of a clock that was given.
pub(super) const TICKERS: usize = 2;

/// When to call [`Ticker::tick`] again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// At this time of the monotonic clock, or earlier if the waker is woken; with `None` only when it is woken.
    Until(Option<Duration>),
    /// Never: the client is dropped and its work is done.
    Over,
}

impl Ticker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, number: 0 }
    }

    /// A second ticker of the same client. Either one runs everything that is due.
    pub(super) fn second(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            number: TICKERS - 1,
        }
    }

    /// Runs what is due by now, and returns when to call this again. `waker` is woken if this should be called sooner.
    /// Does not block; extra calls cost little and change nothing.
    pub fn tick(&self, waker: &Waker) -> Tick {
        let shared = &self.shared;
        // Set before the session is polled, so that no wake-up is missed.
        let mut wakers = shared.clock_wakers.lock().unwrap_or_else(PoisonError::into_inner);
        let before = wakers[self.number].replace(waker.clone());
        drop(wakers);
        drop(before);
        shared.with(|_, _| ());
        let mut state = shared.lock();
        if state.session.closed().is_some() && state.session.is_idle() {
            return Tick::Over;
        }
        state.timer = state.deadline;
        Tick::Until(state.deadline)
    }

    /// Whether something is under way that the passing of time does not decide: a call that was sent, or work on the
    /// journal. A clock that a test moves waits until nothing is.
    pub fn is_busy(&self) -> bool {
        let is_busy = self.shared.look(|session, _| session.awaits_driver());
        is_busy || !self.shared.inbox().is_empty()
    }

    /// Returns how long to wait before the next tick, unless the waker is woken earlier; `None` if there is no timer.
    /// At most a second: timers stop while the machine sleeps, but leases do not.
    pub fn pause(&self, tick: Tick) -> Option<Duration> {
        const SLICE: Duration = Duration::from_secs(1);
        match tick {
            Tick::Until(Some(at)) => Some(at.saturating_sub(self.shared.now().mono).min(SLICE)),
            Tick::Until(None) | Tick::Over => None,
        }
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").finish_non_exhaustive()
    }
}
