//! The result of an attempt, on its way from the transport to the session.

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use cycles_proto::{Answer, Call, Failure, FailureKind, Reader, Ticket};

use super::Shared;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Takes the result of an attempt. If it is dropped before it [began](Self::begin), the call counts as not made; if it
/// is dropped later, its response counts as lost. The session learns of a drop a little later, so that a runtime that
/// drops many of these at its end is not held up. May be dropped or used on any thread.
#[must_use = "if dropped, it reports that the response was lost"]
pub struct Done {
    shared: Arc<Shared>,
    ticket: Ticket,
    reader: Reader,
    attempt: Arc<Attempt>,
    has_begun: bool,
    is_over: bool,
}

/// The state that an attempt shares with the session: whether it is withdrawn.
#[derive(Default)]
pub(super) struct Attempt {
    is_withdrawn: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Attempt {
    /// Marks the attempt as withdrawn. Returns the waker of the task that makes it, for the caller to wake.
    pub(super) fn withdraw(&self) -> Option<Waker> {
        self.is_withdrawn.store(true, Ordering::SeqCst);
        self.waker.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn register(&self, cx: &Context<'_>) {
        let mut known = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            let before = known.replace(cx.waker().clone());
            drop(known);
            drop(before);
        }
    }
}

impl Done {
    pub(super) fn new(shared: &Arc<Shared>, call: &Call, attempt: Arc<Attempt>) -> Self {
        Self {
            shared: Arc::clone(shared),
            ticket: call.ticket,
            reader: call.reader.clone(),
            attempt,
            has_begun: false,
            is_over: false,
        }
    }

    /// Returns whether the call may be sent; call it right before the first byte is written. If not, the call is
    /// withdrawn: drop this without sending.
    #[must_use = "a withdrawn call must not be sent"]
    pub fn begin(&mut self) -> bool {
        let may_begin = self.shared.look(|session, now| session.begun(now, self.ticket));
        self.has_begun |= may_begin;
        may_begin
    }

    /// Reports the result: the response, whatever its status, or how far the attempt got.
    pub fn finish(mut self, result: Result<http::Response<Bytes>, Failure>) {
        log(&result);
        let answer = self.reader.read(result.as_ref().map_err(Clone::clone));
        self.is_over = true;
        if self.shared.is_carrying() {
            self.shared.post(self.ticket, answer);
        } else {
            let ticket = self.ticket;
            self.shared.change(|state, now| state.handle(now, ticket, answer));
        }
    }

    /// Runs `exchange` and reports its result. If the call is withdrawn, drops `exchange`, which must close its
    /// connection. If this future is dropped, the response counts as lost.
    pub async fn carry<E>(mut self, mut exchange: Pin<Box<E>>)
    where
        E: Future<Output = Result<http::Response<Bytes>, Failure>>,
    {
        if !self.begin() {
            return;
        }
        let result = {
            let ended = |cx: &mut Context<'_>| match exchange.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending => self.poll_withdrawn(cx).map(|()| None),
            };
            poll_fn(ended).await
        };
        if let Some(result) = result {
            self.finish(result);
        }
    }

    /// Ready when the call is withdrawn: close its connection and drop this. If the call is not withdrawn yet, `cx` is
    /// woken when it is.
    pub fn poll_withdrawn(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_withdrawn() {
            self.attempt.register(cx);
        }
        // Checked after the waker is registered, so that no withdrawal is missed.
        if self.is_withdrawn() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Whether the call is withdrawn.
    pub fn is_withdrawn(&self) -> bool {
        self.attempt.is_withdrawn.load(Ordering::SeqCst)
    }
}

fn log(result: &Result<http::Response<Bytes>, Failure>) {
    match result {
        Ok(response) => {
            tracing::debug!(target: "cycles::http", status = response.status().as_u16(), "answered")
        }
        Err(failure) => tracing::debug!(target: "cycles::http", %failure, "no answer"),
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if self.is_over || !self.shared.is_usable() {
            return;
        }
        let kind = match self.has_begun {
            true => FailureKind::Lost,
            false => FailureKind::NotMade,
        };
        self.shared
            .post(self.ticket, self.reader.read(Err(Failure::new(kind))));
        self.shared.wake_clock();
    }
}

impl Shared {
    /// Puts an answer into the inbox, to be applied with the next change.
    fn post(&self, ticket: Ticket, answer: Answer) {
        self.inbox().push((ticket, answer));
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Done")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
