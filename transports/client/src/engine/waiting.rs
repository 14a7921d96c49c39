//! Waiting for the session to get ahead: one waker for each who waits.

use core::future::{Future, poll_fn};
use core::task::{Context, Poll};

use cycles_proto::session::{Key, Session};

use super::Shared;

impl Shared {
    /// What `look` finds; if nothing, `cx` is woken when there may be something.
    pub(crate) fn poll_for<T>(
        &self,
        key: Key,
        cx: &Context<'_>,
        look: impl FnOnce(&mut Session) -> Option<T>,
    ) -> Poll<T> {
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if let Some(found) = look(&mut state.session) {
            return Poll::Ready(found);
        }
        let waiting = state.waiting.entry(key).or_default();
        if !waiting.iter().any(|known| known.will_wake(&waker)) {
            waiting.push(waker);
        }
        Poll::Pending
    }

    /// Waits until `look` finds what it looks for.
    pub(crate) fn wait_for<T>(
        &self,
        key: Key,
        mut look: impl FnMut(&mut Session) -> Option<T>,
    ) -> impl Future<Output = T> {
        poll_fn(move |cx| self.poll_for(key, cx, &mut look))
    }
}
