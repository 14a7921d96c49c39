//! A caller who blocks, and makes the calls that it waits for itself: no thread is woken for them, and they take no place.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use cycles_proto::session::{Key, Session};
use cycles_proto::{Call, Urgency};

use super::background::Unpark;
use super::{Done, Shared, State};

/// A thread that blocks, be it in several calls, one within the other.
pub(super) struct Helper {
    waker: Waker,
    calls: Mutex<VecDeque<(Call, Done)>>,
    /// What it waits for, the innermost call's last.
    keys: Mutex<Vec<Key>>,
}

thread_local! {
    /// This thread, while it blocks.
    static HERE: RefCell<Option<Arc<Helper>>> = const { RefCell::new(None) };
}

impl Helper {
    /// Leaves it a call, and says how to wake it.
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

    fn here() -> Option<Arc<Self>> {
        HERE.try_with(|here| here.borrow().clone()).ok().flatten()
    }
}

impl State {
    /// Who makes this call. Extensions never wait for a caller to come back.
    pub(super) fn helper_of(&self, call: &Call) -> Option<&Arc<Helper>> {
        if self.helpers.is_empty() || matches!(call.urgency, Urgency::Lease(_)) {
            return None;
        }
        self.helpers.get(&self.session.whose(call.ticket)?)
    }

    /// If somebody blocks here, it is for this.
    pub(super) fn help(&mut self, key: Key) {
        if let Some(helper) = Helper::here() {
            helps(&mut self.session, key, true);
            helper.keys().push(key);
            self.helpers.insert(key, helper);
        }
    }
}

/// Whether somebody blocks here.
pub(crate) fn is_here() -> bool {
    HERE.try_with(|here| here.borrow().is_some()).unwrap_or(false)
}

fn helps(session: &mut Session, key: Key, is_helped: bool) {
    if let Key::Reservation(key) = key {
        session.helps(key, is_helped);
    }
}

/// Blocks until the future is over, and makes the calls of what it asks for.
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
            Some((call, done)) => shared.transport.make(call, done),
            None => thread::park(),
        }
    }
}

/// Blocks until the future is over, or for so long; others make its calls.
pub(crate) fn block_until<F: Future>(shared: &Shared, timeout: Duration, future: F) -> Option<F::Output> {
    let end = shared.now().mono.saturating_add(timeout);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
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
    /// Whether it is within another.
    is_inner: bool,
    /// How many keys are the outer ones'.
    keys: usize,
}

impl<'a> Helping<'a> {
    fn begin(shared: &'a Arc<Shared>) -> Self {
        let outer = Helper::here();
        let is_inner = outer.is_some();
        let helper = outer.unwrap_or_else(|| {
            Arc::new(Helper {
                waker: Waker::from(Arc::new(Unpark(thread::current()))),
                calls: Mutex::default(),
                keys: Mutex::default(),
            })
        });
        if !is_inner {
            let here = Some(Arc::clone(&helper));
            let _ = HERE.try_with(|before| before.replace(here));
        }
        let keys = helper.keys().len();
        Self {
            shared,
            helper,
            is_inner,
            keys,
        }
    }
}

impl Drop for Helping<'_> {
    fn drop(&mut self) {
        if !self.is_inner {
            let _ = HERE.try_with(|here| here.replace(None));
        }
        let keys = self.helper.keys().split_off(self.keys);
        self.shared.change(|state, _| {
            for key in keys {
                let helper = state.helpers.get(&key);
                if helper.is_some_and(|helper| Arc::ptr_eq(helper, &self.helper)) {
                    state.helpers.remove(&key);
                    helps(&mut state.session, key, false);
                }
            }
        });
        // What was left for the caller is made without it.
        let left = core::mem::take(&mut *self.helper.calls());
        for (call, done) in left {
            self.shared.transport.start(call, done);
        }
    }
}
