//! Waiting for the session: the wakers of callers, by what they wait for.

use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use std::sync::Arc;

use cycles_proto::session::{Key, ReservationKey, Session};

use super::Shared;
use crate::transport::{Hold, Transport};

/// A wait for a call or a flush. When it is dropped, the session forgets the call or flush.
pub(crate) struct Waiting<'a> {
    shared: &'a Arc<Shared>,
    key: Key,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>, key: Key) -> Self {
        Self { shared, key }
    }

    /// Waits until `look` returns something.
    pub(crate) async fn until<T>(self, look: impl FnMut(&mut Session) -> Option<T>) -> T {
        self.shared.wait_for(self.key, look).await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.forget(self.key);
    }
}

/// Keeps a simulated time from running on while a caller waits.
#[derive(Default)]
pub(crate) struct HeldTime {
    is_asked: bool,
    held: Option<Hold>,
}

impl HeldTime {
    /// Holds the time of the runtime here, if that is a simulated one.
    fn hold(&mut self, transport: &dyn Transport) {
        if !mem::replace(&mut self.is_asked, true) {
            self.held = transport.hold_time();
        }
    }
}

impl core::fmt::Debug for HeldTime {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("HeldTime").field(&self.held.is_some()).finish()
    }
}

/// A waker, and the number of its future, if that future says when it is gone.
pub(super) type Waiter = (Option<u64>, Waker);

/// Waits until the action of a reservation is asked to stop. It takes the session's lock only if its task has changed,
/// because it is polled whenever the action is.
pub(crate) struct Stopping<'a> {
    waiting: WaitFor<'a, fn(&mut Session) -> Option<()>>,
    registered: Option<Waker>,
}

impl Future for Stopping<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let is_registered = self
            .registered
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()));
        if is_registered && !self.waiting.shared.is_stopping() {
            return Poll::Pending;
        }
        // In a forked child, the lock may be held forever.
        if !self.waiting.shared.is_usable() {
            return Poll::Pending;
        }
        if !is_registered {
            self.registered = Some(cx.waker().clone());
        }
        Pin::new(&mut self.waiting).poll(cx)
    }
}

/// A future that removes its waker when it is dropped, so that many short waits leave nothing behind.
struct WaitFor<'a, F> {
    shared: &'a Shared,
    key: Key,
    look: F,
    /// Its number, once its waker is registered.
    number: Option<u64>,
    /// `None` if the time of the caller's runtime may run on meanwhile.
    held: Option<HeldTime>,
}

/// Nothing in it is pinned.
impl<F> Unpin for WaitFor<'_, F> {}

impl<T, F: FnMut(&mut Session) -> Option<T>> Future for WaitFor<'_, F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let (number, held) = (Some(&mut this.number), this.held.as_mut());
        this.shared
            .poll_numbered(this.key, cx, number, held, &mut this.look)
    }
}

impl<F> Drop for WaitFor<'_, F> {
    fn drop(&mut self) {
        if self.number.is_none() || !self.shared.is_usable() {
            return;
        }
        let mut state = self.shared.lock();
        let Some(waiting) = state.waiting.get_mut(&self.key) else {
            return;
        };
        let position = waiting.iter().position(|(number, _)| *number == self.number);
        let waiter = position.map(|position| waiting.swap_remove(position));
        drop(state);
        // Dropping it may run foreign code.
        drop(waiter);
    }
}

impl Shared {
    /// Ready when `look` finds something; until then, `cx` is woken whenever that may have changed, and `held` holds the
    /// time.
    pub(crate) fn poll_for<T>(
        &self,
        key: Key,
        cx: &Context<'_>,
        held: Option<&mut HeldTime>,
        look: impl FnOnce(&mut Session) -> Option<T>,
    ) -> Poll<T> {
        self.poll_numbered(key, cx, None, held, look)
    }

    fn poll_numbered<T>(
        &self,
        key: Key,
        cx: &Context<'_>,
        number: Option<&mut Option<u64>>,
        held: Option<&mut HeldTime>,
        look: impl FnOnce(&mut Session) -> Option<T>,
    ) -> Poll<T> {
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if let Some(found) = look(&mut state.session) {
            drop(state);
            if let Some(held) = held {
                *held = HeldTime::default();
            }
            return Poll::Ready(found);
        }
        let number = number.map(|number| *number.get_or_insert_with(|| state.next_waiter()));
        let waiting = state.waiting.entry(key).or_default();
        let known = waiting.iter_mut().find(|(known, waker_of)| match number {
            Some(_) => *known == number,
            None => known.is_none() && waker_of.will_wake(&waker),
        });
        let before = match known {
            Some((_, known)) => Some(mem::replace(known, waker)),
            None => {
                waiting.push((number, waker));
                None
            }
        };
        drop(state);
        drop(before);
        if let Some(held) = held {
            held.hold(&*self.transport);
        }
        Poll::Pending
    }

    /// Waits until the action of this reservation is asked to stop.
    pub(crate) fn stopping(&self, key: ReservationKey) -> Stopping<'_> {
        Stopping {
            waiting: WaitFor {
                shared: self,
                key: Key::Stop(key),
                look: |session| session.is_stopping().then_some(()),
                number: None,
                // The action runs meanwhile, and its timers with it.
                held: None,
            },
            registered: None,
        }
    }

    /// Waits until `look` returns something. Meanwhile the [time is held](Transport::hold_time).
    pub(crate) fn wait_for<T>(
        &self,
        key: Key,
        look: impl FnMut(&mut Session) -> Option<T>,
    ) -> impl Future<Output = T> {
        WaitFor {
            shared: self,
            key,
            look,
            number: None,
            held: Some(HeldTime::default()),
        }
    }

    /// Like `wait_for`, but for something that may not come for long: the time is not held.
    pub(crate) fn watch_for<T>(
        &self,
        key: Key,
        look: impl FnMut(&mut Session) -> Option<T>,
    ) -> impl Future<Output = T> {
        WaitFor {
            shared: self,
            key,
            look,
            number: None,
            held: None,
        }
    }

    /// Makes the session forget `key`: no caller waits for it or holds it any more.
    pub(crate) fn forget(self: &Arc<Self>, key: Key) {
        if !self.is_usable() {
            return;
        }
        let wakers = self.change(|state, now| {
            match key {
                Key::Reservation(key) => state.session.forget(now, key),
                Key::Call(id) => state.session.forget_call(now, id),
                Key::Flush(key) => state.session.forget_flush(key),
                // Nothing in the session belongs to those who wait for these.
                Key::Stop(_) | Key::Close => {}
            }
            state.waiting.remove(&key)
        });
        // Without the lock, because dropping a waker may run foreign code.
        drop(wakers);
    }
}
