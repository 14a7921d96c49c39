//! One life, shared by its driver and its caller. The mutex is never held across an exchange, a write or an
//! await: no channel stands between a cost and the machine.

use core::future::{Future, poll_fn};
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use cycles_host::Process;
use cycles_proto::InvalidCommit;
use cycles_proto::journal::STORE_DEADLINE;
use cycles_proto::outcome::StoreFailure;
use cycles_proto::parts::{Lifecycle, Told};
use cycles_proto::{Now, Ticket};
use futures::task::AtomicWaker;

pub(crate) struct Slot {
    clock: ClockOf,
    process: Process,
    shared: Mutex<Shared>,
    driver: AtomicWaker,
    written: Condvar,
}

/// The clock of a client's runtime, for those who do not know the runtime.
pub(crate) type ClockOf = Arc<dyn Fn() -> Now + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) machine: Lifecycle,
    /// Whether a task drives it.
    pub(crate) is_driven: bool,
    /// How many writes the journal has not answered.
    pub(crate) open_writes: u32,
    /// Whether it was told how it ends: while it is driven, whoever flushes waits for it.
    pub(crate) is_ending: bool,
    pub(crate) told: Told,
    /// Whether something happened that somebody may wait for.
    has_news: bool,
    waiting: Vec<Waker>,
}

impl Shared {
    /// The machine got ahead, or nobody drives it any more.
    pub(crate) fn has_news(&mut self) {
        self.has_news = true;
    }
}

impl Slot {
    /// `process` is the client's, which was asked whether it is the one that runs.
    pub(crate) fn new(machine: Lifecycle, clock: &ClockOf, process: Process) -> Self {
        Self {
            clock: Arc::clone(clock),
            process,
            shared: Mutex::new(Shared {
                machine,
                is_driven: false,
                open_writes: 0,
                is_ending: false,
                told: Told::default(),
                has_news: false,
                waiting: Vec::new(),
            }),
            driver: AtomicWaker::new(),
            written: Condvar::new(),
        }
    }

    /// To be asked before anything else: in a child of the process that reserved, somebody who is not there may hold
    /// the lock for ever.
    pub(crate) fn check(&self) -> Result<(), InvalidCommit> {
        self.process.check().map_err(|_| InvalidCommit::Forked)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared> {
        // Whatever a panic elsewhere left is still the machine, which every input keeps in order.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the lease is over by now.
    pub(crate) fn is_lost(&self, shared: &Shared) -> bool {
        shared.told.lease_is_lost(&shared.machine, (self.clock)())
    }

    /// Who drives it wants to know of changes.
    pub(crate) fn register_driver(&self, waker: &Waker) {
        self.driver.register(waker);
    }

    /// Something was told to the machine that its driver has to act on.
    pub(crate) fn wake_driver(&self) {
        self.driver.wake();
    }

    /// The journal answered.
    pub(crate) fn stored(&self, now: Now, ticket: Ticket, stored: Result<(), StoreFailure>) {
        let mut shared = self.lock();
        shared.machine.handle_stored(now, ticket, stored);
        shared.has_news = true;
        shared.open_writes -= 1;
        drop(shared);
        self.written.notify_all();
        self.wake_driver();
    }

    /// Blocks until the journal has answered, or is too late.
    pub(crate) fn wait_for_writes(&self) {
        let is_open = |shared: &mut Shared| shared.open_writes > 0;
        let waited = self
            .written
            .wait_timeout_while(self.lock(), STORE_DEADLINE, is_open);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// If there is news, whoever waits looks again.
    pub(crate) fn wake_callers(&self) {
        let waiting = {
            let mut shared = self.lock();
            if !core::mem::take(&mut shared.has_news) {
                return;
            }
            core::mem::take(&mut shared.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }

    /// Waits until `look` finds what it looks for.
    pub(crate) fn wait_for<T>(
        &self,
        mut look: impl FnMut(&mut Shared) -> Option<T>,
    ) -> impl Future<Output = T> {
        poll_fn(move |cx| self.poll_for(cx, &mut look))
    }

    /// What `look` finds; if nothing, `cx` is woken when there may be something.
    pub(crate) fn poll_for<T>(
        &self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&mut Shared) -> Option<T>,
    ) -> Poll<T> {
        let mut shared = self.lock();
        if let Some(found) = look(&mut shared) {
            return Poll::Ready(found);
        }
        if !shared.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            shared.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
