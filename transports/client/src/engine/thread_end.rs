//! Makes sure that costs are on disk before the thread that handed them over ends.

use std::cell::RefCell;
use std::sync::{Arc, PoisonError, Weak};

use cycles_proto::journal::STORE_DEADLINE;
use cycles_proto::session::{ReservationKey, Session};

use super::Shared;
use crate::sync::thread_local;

impl Shared {
    /// Makes sure that a cost which this thread handed over, and which nobody awaits, becomes safe. Blocks until the
    /// cost is on disk, if the transport allows that here. In any case, the end of this thread, which may be the end
    /// of the program, waits for the cost.
    pub(crate) fn await_writes(self: &Arc<Self>, key: ReservationKey) {
        self.await_costs_at_thread_end();
        if self.may_wait_here() && self.lock().session.awaits_write_of(key) {
            self.wait_while(|session| session.awaits_write_of(key));
        }
    }

    /// Makes the end of this thread wait until every cost is on disk or, without a working journal, settled.
    pub(crate) fn await_costs_at_thread_end(self: &Arc<Self>) {
        let _ = AT_THREAD_END.try_with(|at_thread_end| at_thread_end.borrow_mut().add(self));
    }

    /// Blocks for at most [`STORE_DEADLINE`].
    fn wait_while(&self, is_open: impl Fn(&Session) -> bool) {
        let is_open = |state: &mut super::State| is_open(&state.session);
        let mut state = self.lock();
        state.waiting_threads += 1;
        let waited = self.written.wait_timeout_while(state, STORE_DEADLINE, is_open);
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting_threads -= 1;
    }
}

/// What the end of a thread waits for.
#[cfg(not(shuttle))]
const IS_AT_RISK: fn(&Session) -> bool = Session::has_costs_at_risk;
/// Only writes: under shuttle no wait times out, and while a thread ends no time passes, which a retry would need.
#[cfg(shuttle)]
const IS_AT_RISK: fn(&Session) -> bool = Session::awaits_writes;

thread_local! {
    static AT_THREAD_END: RefCell<AtThreadEnd> = const { RefCell::new(AtThreadEnd(Vec::new())) };
}

/// Waits for writes when its thread ends. So a program that returns from `main` right after it committed a cost has the
/// record on disk: the main thread ends last, and the threads of a runtime end before it.
struct AtThreadEnd(Vec<Weak<Shared>>);

impl AtThreadEnd {
    fn add(&mut self, shared: &Arc<Shared>) {
        let last = Arc::as_ptr(shared);
        if self.0.iter().any(|known| known.as_ptr() == last) {
            return;
        }
        self.0.retain(|known| known.strong_count() > 0);
        self.0.push(Arc::downgrade(shared));
    }
}

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        for shared in self.0.iter().filter_map(Weak::upgrade) {
            if shared.is_usable() {
                shared.wait_while(IS_AT_RISK);
            }
        }
    }
}
