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
pub(crate) struct Seat<W>(Mutex<State<W>>);

struct State<W> {
    job: Option<Box<Job<W>>>,
    is_closed: bool,
    waker: Option<Waker>,
}

impl<W: Waiter> Seat<W> {
    pub(crate) fn new(first: Box<Job<W>>) -> Self {
        Self(Mutex::new(State {
            job: Some(first),
            is_closed: false,
            waker: None,
        }))
    }

    /// Leaves a call to the connection; gives it back if that has been closed.
    pub(crate) fn put(&self, job: Box<Job<W>>) -> Result<(), Box<Job<W>>> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(job);
        }
        state.job = Some(job);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// The next call; none if there will be no more.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Box<Job<W>>>> {
        let mut state = self.lock();
        if state.job.is_some() || state.is_closed {
            return Poll::Ready(state.job.take());
        }
        state.is_woken_by(cx);
        Poll::Pending
    }

    /// Whether nobody waits any more for the call that is there.
    pub(crate) fn poll_unwanted(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        state.is_woken_by(cx);
        match &state.job {
            Some(job) => job.waiter.poll_withdrawn(cx),
            None => Poll::Ready(()),
        }
    }

    /// Takes no more calls. The one that nobody has begun yet is left.
    pub(crate) fn close(&self) -> Option<Box<Job<W>>> {
        let mut state = self.lock();
        state.is_closed = true;
        let (job, waker) = (state.job.take(), state.waker.take());
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        job
    }

    /// The call, if nobody has begun it since then.
    pub(crate) fn take_late(&self, then: Duration) -> Option<Box<Job<W>>> {
        let mut state = self.lock();
        let job = state.job.take_if(|job| job.terms.since <= then)?;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Some(job)
    }

    /// How the call is to be made, if there is one that nobody has begun.
    pub(crate) fn terms(&self) -> Option<Terms> {
        self.lock().job.as_ref().map(|job| job.terms)
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W> State<W> {
    fn is_woken_by(&mut self, cx: &Context<'_>) {
        if !self
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            drop(self.waker.replace(cx.waker().clone()));
        }
    }
}
