//! Settling what earlier runs left in the journal: once for a client and its clones, started with the first
//! reservation. The scheduler's thread wakes it; the disk is read, and the calls are made, by the settling workers.

use core::time::Duration;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use cycles_proto::lifecycle::Outcome;
use cycles_proto::models::ReservationId;
use cycles_proto::record::JournalRecord;
use cycles_proto::replayer::{Replay as Step, Replayer};
use cycles_proto::{Error, Event, Receipt, Ticket, Urgency};

use crate::engine::Engine;
use crate::life::Life;
use crate::scheduler::Sleeper;

/// What lives, callers and whoever flushes know of it.
#[derive(Default)]
pub(crate) struct Replay {
    shared: Mutex<Shared>,
    changed: Condvar,
}

#[derive(Default)]
struct Shared {
    replayer: Option<Replayer>,
    /// Its number in the scheduler.
    number: Option<u64>,
    is_driven: bool,
    /// How many lives of this process are being settled or released.
    ending: usize,
}

impl Replay {
    /// A life of this process was told how it ends.
    pub(crate) fn ending(&self) {
        self.lock().ending += 1;
    }

    /// It has ended.
    pub(crate) fn ended(&self) {
        self.lock().ending -= 1;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Has the journal replayed, if there is one.
    pub(crate) fn start_replay(self: &Arc<Self>) {
        if !self.journal.is_enabled() || self.replay.lock().replayer.is_some() {
            return;
        }
        // Without randomness no reservation is made either, and the next one tries again.
        let Ok(seed) = cycles_host::seed() else { return };
        let mut shared = self.replay.lock();
        if shared.replayer.is_none() {
            shared.replayer = Some(Replayer::new(Arc::clone(&self.config), seed));
            shared.number = Some(self.number());
            drop(shared);
            self.drive_replay();
        }
    }

    /// Settles what can be settled, and waits until nothing more is under way, or for `timeout`. How many lives
    /// still end, and how many records are left.
    pub(crate) fn flush(self: &Arc<Self>, timeout: Duration) -> (usize, usize) {
        self.start_replay();
        self.with_replayer(|engine, replayer| replayer.wake(engine.now()));
        let shared = self.replay.lock();
        let is_busy = |shared: &mut Shared| {
            let is_quiet = |replayer: &Replayer| replayer.is_quiet(self.now());
            shared.ending > 0 || !shared.replayer.as_ref().is_none_or(is_quiet)
        };
        let waited = self.replay.changed.wait_timeout_while(shared, timeout, is_busy);
        let (shared, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let recorded = shared.replayer.as_ref().map_or(0, Replayer::unsettled);
        (shared.ending, recorded)
    }

    /// How a call ended.
    pub(crate) fn observe(self: &Arc<Self>, error: Option<&Error>) {
        self.with_replayer(|engine, replayer| replayer.observe(engine.now(), error));
    }

    /// A life of this process has a record.
    pub(crate) fn recorded(self: &Arc<Self>, id: &ReservationId) {
        self.with_replayer(|_, replayer| replayer.live(id.clone()));
    }

    /// It has ended.
    pub(crate) fn recorded_no_more(self: &Arc<Self>, id: &ReservationId, receipt: &Receipt) {
        self.with_replayer(|engine, replayer| replayer.ended(engine.now(), id, Some(receipt)));
    }

    /// A life that was started for a record has ended.
    pub(crate) fn replayed(self: &Arc<Self>, id: &ReservationId, outcome: Option<&Outcome>) {
        self.with_replayer(|engine, replayer| replayer.handle_ended(engine.now(), id, outcome));
    }

    fn with_replayer(self: &Arc<Self>, act: impl FnOnce(&Self, &mut Replayer)) {
        match &mut self.replay.lock().replayer {
            Some(replayer) => act(self, replayer),
            None => return,
        }
        self.drive_replay();
    }

    /// Hands out what the replayer asks for, until it asks for nothing more for now. One thread at a time does,
    /// and none waits for anything while it does.
    fn drive_replay(self: &Arc<Self>) {
        let mut shared = self.replay.lock();
        if self.is_closed() {
            // What is left stays in its records.
            shared.replayer = None;
        }
        if core::mem::replace(&mut shared.is_driven, true) {
            return;
        }
        loop {
            let step = shared.replayer.as_mut().map(|replayer| replayer.poll(self.now()));
            match step {
                Some(Step::Scan(ticket)) => {
                    drop(shared);
                    let engine = Arc::clone(self);
                    self.settle(Urgency::Other, Box::new(move || engine.scan(ticket)));
                    shared = self.replay.lock();
                }
                Some(Step::Settle(id, machine)) => {
                    drop(shared);
                    Life::replayed(self, *machine, id).drive();
                    shared = self.replay.lock();
                }
                Some(Step::Wait(until)) => {
                    if let (Some(at), Some(number)) = (until, shared.number) {
                        let sleeper = Arc::clone(self) as Arc<dyn Sleeper>;
                        self.scheduler.set(number, at, sleeper);
                    }
                    break;
                }
                None => break,
            }
        }
        shared.is_driven = false;
        self.replay.changed.notify_all();
    }

    fn scan(self: &Arc<Self>, ticket: Ticket) {
        let records = self.read_journal();
        self.with_replayer(|engine, replayer| replayer.handle_scanned(engine.now(), ticket, records));
    }

    fn read_journal(&self) -> Vec<JournalRecord> {
        match self.journal.scan() {
            Ok(scan) => {
                for problem in scan.problems {
                    let file = problem.file.display().to_string();
                    self.observers
                        .tell(Event::record_unreadable(file, problem.reason));
                }
                scan.records
            }
            Err(error) => {
                tracing::error!(%error, "the journal cannot be read");
                Vec::new()
            }
        }
    }
}

impl Sleeper for Engine {
    fn wake(self: Arc<Self>) {
        self.drive_replay();
    }
}
