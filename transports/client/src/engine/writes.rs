//! Costs on their way to the disk, and threads that end meanwhile.

use std::cell::RefCell;
use std::sync::{Arc, PoisonError, Weak};

use cycles_proto::journal::STORE_DEADLINE;
use cycles_proto::session::{ReservationKey, Session};

use super::Shared;
use crate::sync::thread_local;

impl Shared {
    /// A cost was handed over on this thread, and nobody waits for what becomes of it. Waits until it is on the disk, where that
    /// is allowed. The end of the thread, which may be that of the program, waits in any case.
    pub(crate) fn see_to_writes(self: &Arc<Self>, key: ReservationKey) {
        self.see_to_costs_at_the_end();
        if self.may_wait_here() && self.lock().session.awaits_write_of(key) {
            self.wait_while(|session| session.awaits_write_of(key));
        }
    }

    /// The end of this thread waits until every cost is on the disk; where there is no journal, or it does not work, until
    /// they are settled.
    pub(crate) fn see_to_costs_at_the_end(self: &Arc<Self>) {
        let _ = AT_THE_END.try_with(|at_the_end| at_the_end.borrow_mut().add(self));
    }

    /// Waits for five seconds at most.
    fn wait_while(&self, is_open: impl Fn(&Session) -> bool) {
        let is_open = |state: &mut super::State| is_open(&state.session);
        let mut state = self.lock();
        state.waiting_threads += 1;
        let waited = self.written.wait_timeout_while(state, STORE_DEADLINE, is_open);
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting_threads -= 1;
    }
}

thread_local! {
    static AT_THE_END: RefCell<AtTheEnd> = const { RefCell::new(AtTheEnd(Vec::new())) };
}

/// A program that returns from `main` right after a cost was handed over has its record on the disk: the main thread ends
/// last, and those of a runtime end with it.
struct AtTheEnd(Vec<Weak<Shared>>);

impl AtTheEnd {
    fn add(&mut self, shared: &Arc<Shared>) {
        let last = Arc::as_ptr(shared);
        if self.0.iter().any(|known| known.as_ptr() == last) {
            return;
        }
        self.0.retain(|known| known.strong_count() > 0);
        self.0.push(Arc::downgrade(shared));
    }
}

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        for shared in self.0.iter().filter_map(Weak::upgrade) {
            if shared.is_usable() {
                shared.wait_while(Session::has_costs_at_risk);
            }
        }
    }
}
