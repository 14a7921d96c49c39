//! What came of a call, on its way back.

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

/// Takes what came of a call. Dropped before it [began](Self::begin) it says that the call was not made, and after that that
/// its answer was lost. That is noticed a little later, so that a runtime that ends, and drops many, is not held up.
#[must_use = "dropped, it says that the answer was lost"]
pub struct Done {
    shared: Arc<Shared>,
    ticket: Ticket,
    reader: Reader,
    attempt: Arc<Attempt>,
    has_begun: bool,
    is_over: bool,
}

/// A call that is under way.
#[derive(Default)]
pub(super) struct Attempt {
    is_withdrawn: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Attempt {
    /// Nobody waits for it any more. Whoever makes it, if he is to be told.
    pub(super) fn withdraw(&self) -> Option<Waker> {
        self.is_withdrawn.store(true, Ordering::SeqCst);
        self.waker.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_told_by(&self, cx: &Context<'_>) {
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

    /// To be asked right before the first byte leaves: whether it may. If not, nobody waits for the call any more, and this is
    /// to be dropped.
    #[must_use = "what was withdrawn must not be sent"]
    pub fn begin(&mut self) -> bool {
        let may_begin = self.shared.look(|session, now| session.begun(now, self.ticket));
        self.has_begun |= may_begin;
        may_begin
    }

    /// What came of it: the answer as it came, whatever its status, or how far it got.
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

    /// Takes what comes of an exchange that begins with this, unless nobody waits for it any more: then it is dropped, which is
    /// to close its connection.
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

    /// Whether nobody waits for the call any more: then its connection is to be closed, and this to be dropped. If not, `cx` is
    /// woken when that may have changed.
    pub fn poll_withdrawn(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_withdrawn() {
            self.attempt.is_told_by(cx);
        }
        // After the waker is there, so that none is missed.
        if self.is_withdrawn() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Whether nobody waits for the call any more.
    pub fn is_withdrawn(&self) -> bool {
        self.attempt.is_withdrawn.load(Ordering::SeqCst)
    }
}

fn log(result: &Result<http::Response<Bytes>, Failure>) {
    match result {
        Ok(response) => tracing::debug!(status = response.status().as_u16(), "answered"),
        Err(failure) => tracing::debug!(%failure, "no answer"),
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
        self.shared.rouse();
    }
}

impl Shared {
    /// Keeps an answer. The next thread that hands something in hands it in too.
    fn post(&self, ticket: Ticket, answer: Answer) {
        self.mail().push((ticket, answer));
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Done")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
