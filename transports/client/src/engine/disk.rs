//! Work on a journal that a caller waits for, on a thread of its own: it is rare and may take long.

use core::future::poll_fn;
use core::task::{Poll, Waker};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use cycles_proto::Error;
use cycles_proto::journal::{EntryError, JournalRecord};
use cycles_proto::session::{Caller, EntryChange, Key, Principal, ReservationKey};

use super::Shared;
use crate::sync::{Journal, Mutex, MutexGuard, thread};

/// The result of the work, and the waker of the caller.
struct Slot<T>(Mutex<(Option<T>, Option<Waker>)>);

/// A reservation that settles a record for a caller. When it is dropped, the session forgets it, and it settles on.
pub(crate) struct SettledEntry {
    shared: Arc<Shared>,
    key: ReservationKey,
}

impl Shared {
    /// Runs `work` with a journal. If the future is dropped, the work continues.
    pub(crate) async fn on_disk<T: Send + 'static>(
        self: &Arc<Self>,
        principal: Principal,
        work: impl FnOnce(&Arc<Self>, &Journal) -> Result<T, EntryError> + Send + 'static,
    ) -> Result<T, EntryError> {
        let journal = self
            .lock()
            .journals
            .get(&principal)
            .map(|open| open.journal.clone());
        let Some(journal) = journal else {
            return Err(Error::Defect.into());
        };
        let (shared, slot) = (Arc::clone(self), Arc::new(Slot(Mutex::default())));
        let filled = Arc::clone(&slot);
        let builder = thread::Builder::new().name("cycles-journal".to_owned());
        let spawned = builder.spawn(move || {
            let done = catch_unwind(AssertUnwindSafe(|| work(&shared, &journal)));
            filled.fill(done.unwrap_or_else(|_| Err(Error::Defect.into())));
        });
        if let Err(error) = spawned {
            let message = format!("no thread can be started to look at the journal: {error}");
            return Err(EntryError::Unavailable(message));
        }
        poll_fn(|cx| slot.poll(cx.waker())).await
    }

    /// Settles a record that was brought back. Called on the thread that brought it back, so that a record whose caller
    /// has gone away is settled too.
    pub(crate) fn settle_entry(
        self: &Arc<Self>,
        caller: &Caller,
        record: JournalRecord,
        change: EntryChange,
    ) -> Result<SettledEntry, EntryError> {
        let key = self.with(|session, now| session.settle_entry(now, caller, record, change))?;
        let shared = Arc::clone(self);
        Ok(SettledEntry { shared, key })
    }
}

impl SettledEntry {
    /// Waits for the receipt.
    pub(crate) async fn receipt(self) -> Result<cycles_proto::Receipt, EntryError> {
        let look = |session: &mut cycles_proto::Session| session.entry_receipt(self.key);
        self.shared.wait_for(Key::Reservation(self.key), look).await
    }
}

impl Drop for SettledEntry {
    fn drop(&mut self) {
        self.shared.forget(Key::Reservation(self.key));
    }
}

impl<T> Slot<T> {
    fn fill(&self, result: T) {
        let waker = {
            let mut slot = self.lock();
            slot.0 = Some(result);
            slot.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, waker: &Waker) -> Poll<T> {
        let waker = waker.clone();
        let mut slot = self.lock();
        match slot.0.take() {
            Some(result) => Poll::Ready(result),
            None => {
                let before = slot.1.replace(waker);
                drop(slot);
                // Without the lock, because dropping a waker may run foreign code.
                drop(before);
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Option<T>, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
