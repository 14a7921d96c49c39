//! The mailbox of a connection, from which its task takes calls.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::waiter::Waiter;

/// A call to be made.
pub(crate) struct Job<W> {
    pub(crate) request: Request<Full<Bytes>>,
    pub(crate) terms: Terms,
    pub(crate) waiter: W,
}

/// The limits of a call.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) max_response: usize,
    /// When the call was handed over.
    pub(crate) since: Duration,
    /// The call's deadline.
    pub(crate) end: Duration,
}

/// Holds the next call of one connection.
pub(crate) struct Mailbox<W>(Mutex<State<W>>);

struct State<W> {
    job: Option<Box<Job<W>>>,
    is_closed: bool,
    /// Wakes the task; set if the task has looked here since it was last woken.
    waker: Option<Waker>,
    /// When the task was woken to see whether it still runs. The task answers by looking here.
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

    /// Puts a call in; returns it if the connection is closed.
    pub(crate) fn put(&self, job: Box<Job<W>>) -> Result<(), Box<Job<W>>> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(job);
        }
        state.job = Some(job);
        wake(state);
        Ok(())
    }

    /// Takes the next call; `None` if there will be no more.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Box<Job<W>>>> {
        self.look(cx, |state| {
            let is_there = state.job.is_some() || state.is_closed;
            is_there.then(|| state.job.take())
        })
    }

    /// Ready when the call here is withdrawn, or was taken away.
    pub(crate) fn poll_unwanted(&self, cx: &Context<'_>) -> Poll<()> {
        if self
            .look(cx, |state| state.job.is_none().then_some(()))
            .is_ready()
        {
            return Poll::Ready(());
        }
        // The call is polled without the lock, because that may run foreign code. No other call arrives before the
        // first one is made.
        let Some(job) = self.lock().job.take() else {
            return Poll::Ready(());
        };
        let is_unwanted = job.waiter.poll_withdrawn(cx);
        self.lock().job = Some(job);
        is_unwanted
    }

    /// Closes the mailbox. Returns the call if it has not begun.
    pub(crate) fn close(&self) -> Option<Box<Job<W>>> {
        let mut state = self.lock();
        state.is_closed = true;
        let job = state.job.take();
        wake(state);
        job
    }

    /// Takes the call away and closes the connection, if the call has not begun within `patience` and the task does not
    /// run. The task may also be waiting for something else, such as a slow proxy, so it is first woken and given time
    /// to answer.
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

    /// The limits of the call that has not begun, if there is one.
    pub(crate) fn terms(&self) -> Option<Terms> {
        self.lock().job.as_ref().map(|job| job.terms)
    }

    /// Ready when `find` finds something; until then, the task is woken whenever that may have changed.
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
            // Wakers are cloned and dropped without the lock, because that may run foreign code.
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
