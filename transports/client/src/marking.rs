//! Waiting for the durable mark of a request.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use cycles_proto::outcome::NotMarked;

use crate::engine::{Handle, HeldTime};

/// Waits until it is on disk that a request leaves; see [`dispatched_durably`](crate::GuardContext::dispatched_durably).
/// The request counts as dispatched from that call on, whether or not this is awaited.
#[derive(Debug)]
#[must_use = "let the request leave once this is ready"]
pub struct Marking {
    handle: Arc<Handle>,
    refused: Option<NotMarked>,
    held: HeldTime,
}

impl Marking {
    pub(crate) fn new(handle: &Arc<Handle>) -> Self {
        Self {
            handle: Arc::clone(handle),
            refused: handle.dispatched_durably().err(),
            held: HeldTime::default(),
        }
    }

    /// Blocks until it is on disk, for at most five seconds.
    ///
    /// # Errors
    /// The same errors as from awaiting the future.
    #[cfg(feature = "blocking")]
    pub fn wait(self) -> Result<(), NotMarked> {
        let handle = Arc::clone(&self.handle);
        match &self.refused {
            Some(why) => Err(why.clone()),
            None => crate::engine::block_on(handle.shared(), self),
        }
    }
}

impl Future for Marking {
    /// An error if it could not be written within five seconds. The request may leave all the same: as long as this
    /// process lives, it is charged as after [`dispatched`](crate::GuardContext::dispatched).
    type Output = Result<(), NotMarked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(why) = &this.refused {
            return Poll::Ready(Err(why.clone()));
        }
        let held = Some(&mut this.held);
        this.handle.poll_for(cx, held, |session, key| session.marked(key))
    }
}
