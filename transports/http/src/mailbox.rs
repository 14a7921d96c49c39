//! Where a connection takes its calls from.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::waiter::Waiter;

/// A call on its way.
pub(crate) struct Job<W> {
    pub(crate) request: Request<Full<Bytes>>,
    pub(crate) terms: Terms,
    pub(crate) waiter: W,
}

/// How a call is to be made.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) max_response: usize,
    /// When it was handed over.
    pub(crate) since: Duration,
    /// When its time is over.
    pub(crate) end: Duration,
}

/// The place of one connection, which its task takes one call after the other from.
pub(crate) struct Mailbox<W>(Mutex<State<W>>);

struct State<W> {
    job: Option<Box<Job<W>>>,
    is_closed: bool,
    /// Wakes the task, if it has looked here since it was woken last.
    waker: Option<Waker>,
    /// When the task was asked whether it still runs, which it says by looking here.
    asked: Option<Duration>,
}

impl<W: Waiter> Mailbox<W> {
    pub(crate) fn new(first: Box<Job<W>>) -> Self {
        Self(Mutex::new(State {
            job: Some(first),
            is_closed: false,
            waker: None,
            asked: None,
        }))
    }

    /// Leaves a call to the connection; gives it back if that has been closed.
    pub(crate) fn put(&self, job: Box<Job<W>>) -> Result<(), Box<Job<W>>> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(job);
        }
        state.job = Some(job);
        wake(state);
        Ok(())
    }

    /// The next call; none if there will be no more.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Box<Job<W>>>> {
        self.look(cx, |state| {
            let is_there = state.job.is_some() || state.is_closed;
            is_there.then(|| state.job.take())
        })
    }

    /// Whether nobody waits any more for the call that is there, or it was taken away.
    pub(crate) fn poll_unwanted(&self, cx: &Context<'_>) -> Poll<()> {
        if self
            .look(cx, |state| state.job.is_none().then_some(()))
            .is_ready()
        {
            return Poll::Ready(());
        }
        // Out of the lock, as it may run the code of others. Nobody gives a connection a call before it has made the first.
        let Some(job) = self.lock().job.take() else {
            return Poll::Ready(());
        };
        let is_unwanted = job.waiter.poll_withdrawn(cx);
        self.lock().job = Some(job);
        is_unwanted
    }

    /// Takes no more calls. The one that nobody has begun yet is left.
    pub(crate) fn close(&self) -> Option<Box<Job<W>>> {
        let mut state = self.lock();
        state.is_closed = true;
        let job = state.job.take();
        wake(state);
        job
    }

    /// Takes the call away, and closes the connection, if nobody has begun it for longer than `patience` and its task does
    /// not run. One that waits for something else, such as a slow proxy, is asked first.
    pub(crate) fn take_late(&self, now: Duration, patience: Duration) -> Option<Box<Job<W>>> {
        let mut state = self.lock();
        let since = state.job.as_ref()?.terms.since;
        if now.saturating_sub(since) < patience {
            return None;
        }
        let answers_until = |asked: Duration| asked.saturating_add(patience / 4);
        match state.asked {
            None if state.waker.is_some() => {
                state.asked = Some(now);
                wake(state);
                return None;
            }
            Some(asked) if now < answers_until(asked) => return None,
            None | Some(_) => {}
        }
        state.is_closed = true;
        let job = state.job.take();
        wake(state);
        job
    }

    /// How the call is to be made, if there is one that nobody has begun.
    pub(crate) fn terms(&self) -> Option<Terms> {
        self.lock().job.as_ref().map(|job| job.terms)
    }

    /// What the task finds here; if nothing, it is woken when there may be something.
    fn look<T>(&self, cx: &Context<'_>, mut find: impl FnMut(&mut State<W>) -> Option<T>) -> Poll<T> {
        let mut waker = None;
        loop {
            let mut state = self.lock();
            state.asked = None;
            if let Some(found) = find(&mut state) {
                return Poll::Ready(found);
            }
            if state
                .waker
                .as_ref()
                .is_some_and(|known| known.will_wake(cx.waker()))
            {
                return Poll::Pending;
            }
            // Wakers are made and dropped without the lock, for that is the code of others.
            let Some(waker) = waker.take() else {
                drop(state);
                waker = Some(cx.waker().clone());
                continue;
            };
            let before = state.waker.replace(waker);
            drop(state);
            drop(before);
            return Poll::Pending;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake<W>(mut state: MutexGuard<'_, State<W>>) {
    let waker = state.waker.take();
    drop(state);
    waker.into_iter().for_each(Waker::wake);
}
