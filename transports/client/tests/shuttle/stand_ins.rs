//! Replaces the parts of `cycles-host` with threads or randomness under shuttle, and gives tests access to the engine.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use cycles_host::journal::Claim;
use cycles_proto::journal::{
    Entries, EntryChange, EntryError, JournalEntry, JournalRecord, JournalWrite, StoreFailure,
};
use cycles_proto::session::Scanned;
use cycles_proto::{ConfigError, CyclesConfig, Event, Seed, UnixMillis};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Mutex;

use crate::{Client, ReservationGuard};

/// Taken from the schedule, so that a run can be repeated.
pub(crate) fn seed() -> Result<Seed, ConfigError> {
    Ok(Seed(thread_rng().r#gen()))
}

/// A journal whose thread writes in the order in which changes were pushed. One write in eight fails.
#[derive(Clone)]
pub(crate) struct Journal {
    is_enabled: bool,
    queue: Arc<Mutex<Queue>>,
}

type Stored = Box<dyn FnOnce(Result<(), StoreFailure>) + Send>;

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Stored>,
    is_written: bool,
}

#[must_use]
pub(crate) struct Pushed(Journal);

impl Journal {
    pub(crate) fn open(config: &CyclesConfig) -> Self {
        Self {
            is_enabled: config.journal_enabled,
            queue: Arc::default(),
        }
    }

    pub(crate) fn push(
        &self,
        _: JournalWrite,
        stored: impl FnOnce(Result<(), StoreFailure>) + Send + 'static,
    ) -> Pushed {
        self.lock().waiting.push_back(Box::new(stored));
        Pushed(self.clone())
    }

    /// Earlier runs left nothing.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as the real one")]
    pub(crate) fn read(&self, _with_stale: bool) -> Result<(Scanned, Option<Claim>), Box<Event>> {
        Ok((Scanned::new(Vec::new(), true), None))
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as the real one")]
    pub(crate) fn entries(&self, _: UnixMillis) -> Result<Entries, EntryError> {
        Ok(Entries::default())
    }

    #[expect(clippy::unused_self, reason = "as the real one")]
    pub(crate) fn restore(
        &self,
        _: &JournalEntry,
        _: EntryChange,
        _: UnixMillis,
    ) -> Result<JournalRecord, EntryError> {
        Err(EntryError::Gone)
    }

    #[expect(clippy::unused_self, reason = "as the real one")]
    pub(crate) fn discard(&self, _: &JournalEntry, _: bool) -> Result<PathBuf, EntryError> {
        Err(EntryError::Gone)
    }

    fn lock(&self) -> shuttle::sync::MutexGuard<'_, Queue> {
        self.queue
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write_all(&self) {
        loop {
            let mut queue = self.lock();
            let Some(stored) = queue.waiting.pop_front() else {
                queue.is_written = false;
                return;
            };
            drop(queue);
            let fails = !self.is_enabled || thread_rng().gen_ratio(1, 8);
            stored(match fails {
                true => Err(StoreFailure::new("the disk is full".to_owned())),
                false => Ok(()),
            });
        }
    }
}

impl Pushed {
    pub(crate) fn go(self) {
        let journal = self.0;
        if !core::mem::replace(&mut journal.lock().is_written, true) {
            shuttle::thread::spawn(move || journal.write_all());
        }
    }
}

/// Parking without shuttle's spurious wake-ups, which would hide a lost one.
pub(crate) mod thread {
    use core::time::Duration;
    use std::sync::{Arc, PoisonError};

    use shuttle::sync::{Condvar, Mutex};
    pub(crate) use shuttle::thread::Builder;

    #[derive(Clone, Default)]
    pub(crate) struct Thread(Arc<Token>);

    #[derive(Default)]
    struct Token {
        is_there: Mutex<bool>,
        comes: Condvar,
    }

    shuttle::thread_local! {
        static HERE: Thread = Thread::default();
    }

    pub(crate) fn current() -> Thread {
        HERE.with(Clone::clone)
    }

    pub(crate) fn park() {
        let token = current().0;
        let mut is_there = token.is_there.lock().unwrap_or_else(PoisonError::into_inner);
        while !core::mem::take(&mut *is_there) {
            is_there = token.comes.wait(is_there).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No time passes by itself.
    pub(crate) fn park_timeout(_: Duration) {
        park();
    }

    impl Thread {
        pub(crate) fn unpark(&self) {
            *self.0.is_there.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.0.comes.notify_one();
        }
    }
}

impl ReservationGuard {
    /// A defect in this reservation, which panics here.
    #[doc(hidden)]
    pub fn panic_in(&self) {
        self.held.handle.panic_in();
    }
}

impl Client {
    /// Whether a cost is on its way to the disk.
    #[doc(hidden)]
    pub fn awaits_writes(&self) -> bool {
        let ready = self.ready().map(|ready| ready.engine.shared());
        ready.is_ok_and(|shared| shared.look(|session, _| session.awaits_writes()))
    }
}
