//! A caller who blocks, and makes the calls that it waits for itself: no thread is woken for them, and they take no place.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use cycles_proto::session::{Key, Session};
use cycles_proto::{Call, Urgency};

use super::background::Unpark;
use super::{Done, Shared, State};

/// A thread that blocks.
pub(super) struct Helper {
    waker: Waker,
    calls: Mutex<VecDeque<(Call, Done)>>,
}

thread_local! {
    /// The one that blocks here.
    static HERE: RefCell<Option<Arc<Helper>>> = const { RefCell::new(None) };
}

impl Helper {
    /// Leaves it a call, and says how to wake it.
    pub(super) fn take(&self, call: Call, done: Done) -> Waker {
        self.calls().push_back((call, done));
        self.waker.clone()
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, VecDeque<(Call, Done)>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
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

struct Helping<'a> {
    shared: &'a Arc<Shared>,
    helper: Arc<Helper>,
    before: Option<Arc<Helper>>,
}

impl<'a> Helping<'a> {
    fn begin(shared: &'a Arc<Shared>) -> Self {
        let helper = Arc::new(Helper {
            waker: Waker::from(Arc::new(Unpark(thread::current()))),
            calls: Mutex::default(),
        });
        let here = Some(Arc::clone(&helper));
        let before = HERE.try_with(|before| before.replace(here)).ok().flatten();
        Self {
            shared,
            helper,
            before,
        }
    }
}

impl Drop for Helping<'_> {
    fn drop(&mut self) {
        let before = self.before.take();
        let _ = HERE.try_with(|here| here.replace(before));
        self.shared.change(|state, _| {
            let State { helpers, session, .. } = state;
            helpers.retain(|key, helper| {
                let is_other = !Arc::ptr_eq(helper, &self.helper);
                if !is_other {
                    helps(session, *key, false);
                }
                is_other
            });
        });
        // What was left for the caller is made without it.
        let left = core::mem::take(&mut *self.helper.calls());
        for (call, done) in left {
            self.shared.transport.start(call, done);
        }
    }
}
