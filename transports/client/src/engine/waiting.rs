//! Waiting for the session to get ahead: one waker for each who waits.

use core::future::{Future, poll_fn};
use core::task::{Context, Poll};

use std::sync::Arc;

use cycles_proto::session::{Key, Session};

use super::Shared;

/// What somebody waits for; dropped, nobody does any more.
pub(crate) struct Waiting<'a> {
    shared: &'a Arc<Shared>,
    key: Key,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>, key: Key) -> Self {
        Self { shared, key }
    }

    /// Waits until `look` finds what it looks for.
    pub(crate) async fn until<T>(self, look: impl FnMut(&mut Session) -> Option<T>) -> T {
        self.shared.wait_for(self.key, look).await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.forget(self.key);
    }
}

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

    /// Nobody waits for it any more, or holds it.
    pub(crate) fn forget(self: &Arc<Self>, key: Key) {
        if !self.is_usable() {
            return;
        }
        let wakers = self.change(|state, now| {
            match key {
                Key::Reservation(key) => state.session.forget(now, key),
                Key::Call(id) => state.session.forget_call(now, id),
                Key::Flush(key) => state.session.forget_flush(key),
            }
            state.waiting.remove(&key)
        });
        // Which may run the code of others.
        drop(wakers);
    }
}
