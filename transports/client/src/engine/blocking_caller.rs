//! Blocking callers. Each makes the calls that it waits for on its own thread: no other thread is woken for them, and
//! they take no place.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use cycles_proto::session::{Key, Session};
use cycles_proto::{Call, Urgency};

use super::background::Unpark;
use super::{Done, Shared, State};
use crate::sync::{Mutex, MutexGuard, thread, thread_local};

/// A thread that blocks, possibly in several nested calls.
pub(super) struct Helper {
    shared: Arc<Shared>,
    waker: Waker,
    calls: Mutex<VecDeque<(Call, Done)>>,
    /// What the thread waits for; the keys of the innermost call are last.
    keys: Mutex<Vec<Key>>,
}

thread_local! {
    /// The helper of this thread, while it blocks.
    static HERE: RefCell<Option<Arc<Helper>>> = const { RefCell::new(None) };
}

impl Helper {
    /// Gives the helper a call, and returns the waker of its thread.
    pub(super) fn take(&self, call: Call, done: Done) -> Waker {
        self.calls().push_back((call, done));
        self.waker.clone()
    }

    fn calls(&self) -> MutexGuard<'_, VecDeque<(Call, Done)>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> MutexGuard<'_, Vec<Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The helper of this thread, if it blocks for this client.
    fn here(shared: &Arc<Shared>) -> Option<Arc<Self>> {
        let here = HERE.try_with(|here| here.borrow().clone()).ok().flatten();
        here.filter(|helper| Arc::ptr_eq(&helper.shared, shared))
    }
}

impl State {
    /// The blocked thread that makes this call, if there is one. There is none for extensions, because a caller may be
    /// busy with its own code for a long time, and none for checks, for which no caller waits.
    pub(super) fn helper_of(&self, call: &Call) -> Option<&Arc<Helper>> {
        if self.helpers.is_empty() || matches!(call.urgency, Urgency::Lease(_) | Urgency::Check) {
            return None;
        }
        self.helpers.get(&self.session.whose(call.ticket)?)
    }

    /// Makes this thread carry out the calls of `key`, if it blocks for the client.
    pub(super) fn help(&mut self, shared: &Arc<Shared>, key: Key) {
        if let Some(helper) = Helper::here(shared) {
            mark_helped(&mut self.session, key, true);
            helper.keys().push(key);
            self.helpers.insert(key, helper);
        }
    }
}

/// Whether this thread blocks for the client.
pub(crate) fn is_here(shared: &Arc<Shared>) -> bool {
    Helper::here(shared).is_some()
}

/// Runs the caller's own code. Meanwhile other threads make the client's calls.
pub(crate) fn without_helping<T>(act: impl FnOnce() -> T) -> T {
    struct Stopped(Option<Arc<Helper>>);
    impl Drop for Stopped {
        fn drop(&mut self) {
            let helper = self.0.take();
            let _ = HERE.try_with(|here| here.replace(helper));
        }
    }
    let _stopped = Stopped(HERE.try_with(|here| here.take()).ok().flatten());
    act()
}

fn mark_helped(session: &mut Session, key: Key, is_helped: bool) {
    if let Key::Reservation(key) = key {
        session.helps(key, is_helped);
    }
}

/// The waker of this thread: always the same one, so that repeated waits register one waker.
fn unpark() -> Waker {
    thread_local! {
        static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
    }
    let waker = WAKER.try_with(Waker::clone);
    waker.unwrap_or_else(|_| Waker::from(Arc::new(Unpark(thread::current()))))
}

/// Blocks until the future is ready. Meanwhile this thread makes the calls that the future waits for.
pub(crate) fn block_on<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    let helping = Helping::begin(shared);
    let mut future = pin!(future);
    let mut cx = Context::from_waker(&helping.helper.waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        let call = helping.helper.calls().pop_front();
        match call {
            Some((call, done)) => shared.send_by(|transport| transport.make(call, done)),
            None => thread::park(),
        }
    }
}

/// Blocks until the future is ready, or until `timeout` has passed. Other threads make its calls.
pub(crate) fn block_until<F: Future>(shared: &Shared, timeout: Duration, future: F) -> Option<F::Output> {
    let end = shared.now().mono.saturating_add(timeout);
    let waker = unpark();
    let mut future = pin!(future);
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        let left = end.saturating_sub(shared.now().mono);
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

/// A call that blocks.
struct Helping<'a> {
    shared: &'a Arc<Shared>,
    helper: Arc<Helper>,
    /// The previous helper of this thread, if this call has one of its own.
    outer: Option<Option<Arc<Helper>>>,
    /// How many keys belong to the outer calls.
    keys: usize,
}

impl<'a> Helping<'a> {
    fn begin(shared: &'a Arc<Shared>) -> Self {
        let within = Helper::here(shared);
        let is_inner = within.is_some();
        let helper = within.unwrap_or_else(|| {
            Arc::new(Helper {
                shared: Arc::clone(shared),
                waker: unpark(),
                calls: Mutex::default(),
                keys: Mutex::default(),
            })
        });
        let here = Some(Arc::clone(&helper));
        let outer = (!is_inner).then(|| HERE.try_with(|before| before.replace(here)).ok().flatten());
        let keys = helper.keys().len();
        Self {
            shared,
            helper,
            outer,
            keys,
        }
    }
}

impl Drop for Helping<'_> {
    fn drop(&mut self) {
        if let Some(outer) = self.outer.take() {
            let _ = HERE.try_with(|here| here.replace(outer));
        }
        if !self.shared.is_usable() {
            return;
        }
        let keys = self.helper.keys().split_off(self.keys);
        self.shared.change(|state, _| {
            for key in keys {
                let helper = state.helpers.get(&key);
                if helper.is_some_and(|helper| Arc::ptr_eq(helper, &self.helper)) {
                    state.helpers.remove(&key);
                    mark_helped(&mut state.session, key, false);
                }
            }
        });
        // Other threads make the calls that this thread did not get to.
        let left = core::mem::take(&mut *self.helper.calls());
        for (call, done) in left {
            self.shared.send_by(|transport| transport.start(call, done));
        }
    }
}
