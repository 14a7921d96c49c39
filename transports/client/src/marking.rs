//! Waiting for the durable mark of a request.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use cycles_proto::outcome::NotMarked;
use cycles_proto::session::{MarkedStep, StepKey};

use crate::engine::{Handle, HeldTime};

/// Waits until it is on disk that a request leaves; see [`dispatched_durably`](crate::GuardContext::dispatched_durably).
/// The request counts as dispatched from that call on, whether or not this is awaited.
#[derive(Debug)]
#[must_use = "let the request leave once this is ready"]
pub struct Marking {
    handle: Arc<Handle>,
    what: Result<Marked, NotMarked>,
    held: HeldTime,
}

/// What is to be on disk.
#[derive(Clone, Copy, Debug)]
enum Marked {
    Action,
    Step(MarkedStep),
}

impl Marking {
    pub(crate) fn of_action(handle: &Arc<Handle>) -> Self {
        Self::new(handle, handle.dispatched_durably().map(|()| Marked::Action))
    }

    pub(crate) fn of_step(handle: &Arc<Handle>, step: StepKey) -> Self {
        Self::new(handle, handle.step_dispatched_durably(step).map(Marked::Step))
    }

    fn new(handle: &Arc<Handle>, what: Result<Marked, NotMarked>) -> Self {
        Self {
            handle: Arc::clone(handle),
            what,
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
        match &self.what {
            Err(why) => Err(why.clone()),
            Ok(_) => crate::engine::block_on(handle.shared(), self),
        }
    }
}

impl Future for Marking {
    /// An error if it could not be written within five seconds. The request may leave all the same: as long as this
    /// process lives, it is charged as after [`dispatched`](crate::GuardContext::dispatched).
    type Output = Result<(), NotMarked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let what = match &this.what {
            Ok(what) => *what,
            Err(why) => return Poll::Ready(Err(why.clone())),
        };
        let held = Some(&mut this.held);
        this.handle.poll_for(cx, held, |session, key| match what {
            Marked::Action => session.marked(key),
            Marked::Step(step) => session.step_marked(step),
        })
    }
}
