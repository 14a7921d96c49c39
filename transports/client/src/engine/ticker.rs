//! The time of a client, for whoever keeps it.

use core::fmt;
use core::task::Waker;
use core::time::Duration;
use std::sync::{Arc, PoisonError};

use super::Shared;

/// What is due of a client, for the [clock](crate::Clock) to ask it.
pub struct Ticker(Arc<Shared>);

/// When a ticker is to be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// At this time of the monotonic clock, or when it wakes whoever asked; with `None` only then.
    Until(Option<Duration>),
    /// Never: the client is gone, and so is everything that it had under way.
    Over,
}

impl Ticker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Does what is due by now, and says when to ask again. `waker` is woken if that is to be sooner. To ask too often costs
    /// little and changes nothing.
    pub fn tick(&self, waker: &Waker) -> Tick {
        let shared = &self.0;
        // Before the look, so that nothing after it is missed.
        let before = shared
            .sleeper
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(waker.clone());
        drop(before);
        shared.with(|_, _| ());
        let mut state = shared.lock();
        if state.session.closed().is_some() && state.session.is_idle() {
            return Tick::Over;
        }
        state.armed = state.next;
        Tick::Until(state.next)
    }

    /// How long there is nothing to do, unless it wakes whoever asked; `None` for ever. No more than a second where something
    /// is under way: timers stand still while the machine sleeps, and leases do not.
    pub fn pause(&self, tick: Tick) -> Option<Duration> {
        const SLICE: Duration = Duration::from_secs(1);
        match tick {
            Tick::Until(Some(at)) => Some(at.saturating_sub(self.0.now().mono).min(SLICE)),
            Tick::Until(None) | Tick::Over => None,
        }
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").finish_non_exhaustive()
    }
}
