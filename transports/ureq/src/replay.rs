//! Settling what earlier runs left in the journal: once for a client and its clones, started with the first
//! reservation. The scheduler's thread wakes it; the disk is read, and the calls are made, by the settling workers.

use core::time::Duration;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use cycles_host::Observers;
use cycles_host::journal::Claim;
use cycles_proto::Outcome;
use cycles_proto::parts::{Replay as Step, Replayer, Tally};
use cycles_proto::record::RecordId;
use cycles_proto::{Error, Event, Flushed, Now, Receipt, Ticket, Urgency};

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
    /// Held while the replayer is at work, so that other processes wait.
    claim: Option<Claim>,
    /// Its number in the scheduler, and who is told what happens.
    place: Option<(u64, Observers)>,
    is_driven: bool,
    tally: Tally,
}

impl Replay {
    /// A life of this process was told how it ends.
    pub(crate) fn ending(&self) {
        self.lock().tally.begin_ending();
    }

    /// Something was told of a life or a record.
    pub(crate) fn note(&self, event: &Event) {
        self.lock().tally.note(event);
    }

    /// It has ended.
    pub(crate) fn ended(&self, record: Option<&RecordId>, receipt: Option<&Receipt>) {
        self.lock().tally.end(record, receipt);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Has the journal replayed, if there is one.
    pub(crate) fn start_replay(self: &Arc<Self>, observers: &Observers) {
        if !self.journal.is_enabled() || self.replay.lock().replayer.is_some() {
            return;
        }
        // Without randomness no reservation is made either, and the next one tries again.
        let Ok(seed) = cycles_host::seed() else { return };
        let mut shared = self.replay.lock();
        if shared.replayer.is_none() {
            shared.replayer = Some(Replayer::new(Arc::clone(&self.config), seed));
            shared.place = Some((self.number(), observers.clone()));
            drop(shared);
            self.drive_replay();
        }
    }

    /// Settles what can be settled, what may count twice too if it is `forced`, and waits until nothing more is
    /// under way, or for `timeout`. Says what is left.
    pub(crate) fn flush(
        self: &Arc<Self>,
        observers: &Observers,
        is_forced: bool,
        timeout: Duration,
    ) -> Flushed {
        self.start_replay(observers);
        self.with_replayer(if is_forced {
            Replayer::force
        } else {
            Replayer::wake
        });
        let end = self.now().mono.saturating_add(timeout);
        let shared = self.replay.lock();
        let is_busy = |shared: &mut Shared| {
            let is_quiet = |replayer: &Replayer| replayer.is_quiet(self.now(), end);
            shared.tally.is_ending() || !shared.replayer.as_ref().is_none_or(is_quiet)
        };
        let waited = self.replay.changed.wait_timeout_while(shared, timeout, is_busy);
        let (shared, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let left = |shared: &Shared| {
            let (replayer, has_journal) = (shared.replayer.as_ref(), self.journal.is_enabled());
            Flushed::new(replayer, has_journal, self.now(), &shared.tally)
        };
        if left(&shared).is_certain {
            return left(&shared);
        }
        drop(shared);
        let mut is_worth_it = false;
        self.with_replayer(|replayer, now| is_worth_it = replayer.look_again(now));
        let shared = self.replay.lock();
        if !is_worth_it {
            return left(&shared);
        }
        let is_uncertain = |shared: &mut Shared| !left(shared).is_certain;
        let waited = self
            .replay
            .changed
            .wait_timeout_while(shared, Flushed::LAST_LOOK, is_uncertain);
        left(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// How a call ended.
    pub(crate) fn observe(self: &Arc<Self>, error: Option<&Error>) {
        self.with_replayer(|replayer, now| replayer.observe(now, error));
    }

    /// A life of this process has a record.
    pub(crate) fn recorded(self: &Arc<Self>, id: &RecordId) {
        self.with_replayer(|replayer, _| replayer.live(id.clone()));
    }

    /// It has ended.
    pub(crate) fn recorded_no_more(self: &Arc<Self>, id: &RecordId, receipt: Option<&Receipt>) {
        self.with_replayer(|replayer, now| replayer.ended(now, id, receipt));
    }

    /// A life that was started for a record has ended.
    pub(crate) fn replayed(self: &Arc<Self>, id: &RecordId, outcome: Option<&Outcome>) {
        self.land(|replayer, shared, now| {
            let is_left = replayer.handle_ended(now, id, outcome);
            shared.tally.note_replayed(id, outcome, is_left);
        });
    }

    /// Tells the replayer what does not concern what it has under way.
    fn with_replayer(self: &Arc<Self>, act: impl FnOnce(&mut Replayer, Now)) {
        let mut shared = self.replay.lock();
        let Some(replayer) = &mut shared.replayer else {
            return;
        };
        let before = replayer.next_look();
        act(replayer, self.now());
        if replayer.next_look() != before {
            drop(shared);
            self.drive_replay();
        }
    }

    /// Tells the replayer what became of what it asked for.
    fn land(self: &Arc<Self>, act: impl FnOnce(&mut Replayer, &mut Shared, Now)) {
        let mut shared = self.replay.lock();
        if let Some(mut replayer) = shared.replayer.take() {
            act(&mut replayer, &mut shared, self.now());
            if !replayer.is_at_work() {
                // Under the lock under which the work ended: whoever flushes may look as soon as it is free.
                shared.claim = None;
            }
            shared.replayer = Some(replayer);
        }
        drop(shared);
        self.drive_replay();
    }

    /// Hands out what the replayer asks for, until it asks for nothing more for now. One thread at a time does,
    /// and none waits for anything while it does.
    fn drive_replay(self: &Arc<Self>) {
        let mut shared = self.replay.lock();
        if self.is_closed() {
            // What is left stays in its records.
            shared.replayer = None;
            shared.claim = None;
        }
        if core::mem::replace(&mut shared.is_driven, true) {
            return;
        }
        loop {
            let Shared {
                replayer,
                claim,
                place,
                ..
            } = &mut *shared;
            let (Some(replayer), Some((number, observers))) = (replayer, place) else {
                break;
            };
            match replayer.poll(self.now()) {
                Step::Scan { ticket, with_stale } => {
                    // Every reading comes with a claim of its own.
                    *claim = None;
                    let (engine, observers) = (Arc::clone(self), observers.clone());
                    drop(shared);
                    let scan = move || engine.scan(&observers, ticket, with_stale);
                    self.settle(Urgency::Other, Box::new(scan));
                    shared = self.replay.lock();
                }
                Step::Settle(id, machine) => {
                    let life = Life::replayed(self, observers, *machine, id);
                    drop(shared);
                    life.drive();
                    shared = self.replay.lock();
                }
                Step::Wait(until) => {
                    if !replayer.is_at_work() {
                        *claim = None;
                    }
                    if let Some(at) = until {
                        let sleeper = Arc::clone(self) as Arc<dyn Sleeper>;
                        self.scheduler.set(*number, at, sleeper);
                    }
                    break;
                }
            }
        }
        shared.is_driven = false;
        self.replay.changed.notify_all();
    }

    fn scan(self: &Arc<Self>, observers: &Observers, ticket: Ticket, with_stale: bool) {
        let reading = self.journal.read(with_stale);
        if let Err(event) = &reading {
            observers.tell(Event::clone(event));
        }
        self.land(|replayer, shared, now| match reading {
            Ok((scanned, claim)) => {
                for event in scanned.events {
                    observers.tell(event);
                }
                shared.tally.note_scan(scanned.set_aside, scanned.unread);
                shared.claim = claim;
                match shared.claim {
                    Some(_) => replayer.handle_scanned(now, ticket, scanned.records),
                    None => replayer.handle_claimed(now, ticket, scanned.records),
                }
            }
            Err(_) => replayer.handle_unreadable(now, ticket),
        });
    }
}

impl Sleeper for Engine {
    fn wake(self: Arc<Self>) {
        self.drive_replay();
    }
}
