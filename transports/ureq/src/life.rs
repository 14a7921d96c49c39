//! One life: its machine, and whoever drives it.
//!
//! Any thread may drive, one at a time, and none waits for anything while it does: it hands out what the machine
//! asks for until there is nothing left to ask, and sets the time at which to look again. What may take long goes
//! elsewhere: extensions to the heartbeat's workers, always; other calls to the caller that waits here, if there
//! is one, and to the settling workers if there is none; changes of the journal to the journal's threads. Each of
//! them brings its answer to the machine and drives on.
//!
//! The mutex is never held across a call, a write or a wait, and no channel stands between a cost and the machine.

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use cycles_host::Observers;
use cycles_proto::InvalidCommit;
use cycles_proto::journal::{JournalWrite, STORE_DEADLINE};
use cycles_proto::parts::Step;
use cycles_proto::parts::{Lifecycle, Told};
use cycles_proto::record::RecordId;
use cycles_proto::{Call, Event, Failure, FailureKind, Ticket, Urgency};

use crate::engine::Engine;
use crate::scheduler::Sleeper;

pub(crate) struct Life {
    pub(crate) engine: Arc<Engine>,
    observers: Observers,
    /// Its number in the scheduler.
    number: u64,
    shared: Mutex<Shared>,
    changed: Condvar,
}

pub(crate) struct Shared {
    pub(crate) machine: Lifecycle,
    pub(crate) told: Told,
    is_driven: bool,
    /// When the scheduler looks at it, at the latest.
    wakes_at: Option<Duration>,
    /// How many threads wait for a change.
    waiting: usize,
    /// How many callers are here, and the calls that one of them is to make.
    callers: usize,
    calls: VecDeque<Due>,
    /// How many writes the journal has not answered.
    open_writes: u32,
    /// Whether it was told how it ends, so that flushing waits for it.
    is_ending: bool,
    /// The cost whose record was written.
    recorded: Option<RecordId>,
    /// The record that it was started for.
    replayed: Option<RecordId>,
}

impl Life {
    pub(crate) fn new(engine: &Arc<Engine>, observers: &Observers, machine: Lifecycle) -> Arc<Self> {
        Self::of(engine, observers, machine, None)
    }

    /// The rest of a life whose cost is in a record; the replay is told when it has ended.
    pub(crate) fn replayed(
        engine: &Arc<Engine>,
        observers: &Observers,
        machine: Lifecycle,
        id: RecordId,
    ) -> Arc<Self> {
        Self::of(engine, observers, machine, Some(id))
    }

    fn of(
        engine: &Arc<Engine>,
        observers: &Observers,
        machine: Lifecycle,
        replayed: Option<RecordId>,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine: Arc::clone(engine),
            observers: observers.clone(),
            number: engine.number(),
            shared: Mutex::new(Shared {
                machine,
                told: Told::default(),
                is_driven: false,
                wakes_at: None,
                waiting: 0,
                callers: 0,
                calls: VecDeque::new(),
                open_writes: 0,
                is_ending: false,
                recorded: None,
                replayed,
            }),
            changed: Condvar::new(),
        })
    }

    /// To be asked before anything else: in a child of the process that reserved, somebody who is not there may hold
    /// the lock for ever.
    pub(crate) fn check(&self) -> Result<(), InvalidCommit> {
        self.engine.process.check().map_err(|_| InvalidCommit::Forked)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared> {
        // Whatever a panic elsewhere left is still the machine, which every input keeps in order.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out what the machine asks for, until it asks for nothing more for now.
    pub(crate) fn drive(self: &Arc<Self>) {
        let mut shared = self.lock();
        if core::mem::replace(&mut shared.is_driven, true) {
            // Whoever drives looks again before he stops.
            return;
        }
        loop {
            match shared.machine.poll(self.engine.now()) {
                Step::Send(call) => {
                    let by = self.engine.now().mono.saturating_add(call.timeout);
                    shared = self.hand_out(shared, Due { call, by });
                }
                Step::Store(ticket, write) => {
                    shared.open_writes += 1;
                    drop(shared);
                    self.store(ticket, write);
                    shared = self.lock();
                }
                Step::Notify(event) => {
                    shared.told.note(&event);
                    drop(shared);
                    self.tell(event);
                    shared = self.lock();
                }
                Step::Wait(until) => return self.rest(shared, until),
                Step::Done => return self.end(shared),
            }
        }
    }

    /// Waits until `look` finds what it looks for. What is to be sent for it goes out on this thread.
    pub(crate) fn wait_for<T>(self: &Arc<Self>, mut look: impl FnMut(&mut Shared) -> Option<T>) -> T {
        let _calling = Calling::new(self);
        self.drive();
        let mut shared = self.lock();
        loop {
            if let Some(found) = look(&mut shared) {
                return found;
            }
            match shared.calls.pop_front() {
                Some(due) => {
                    drop(shared);
                    self.exchange(due);
                    shared = self.lock();
                }
                None => shared = self.wait(shared),
            }
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        if self.check().is_err() {
            return true;
        }
        let shared = self.lock();
        shared.told.lease_is_lost(&shared.machine, self.engine.now())
    }

    /// Waits until the lease is lost, or for `timeout`, whichever comes first; whether it is lost.
    pub(crate) fn wait_lost(&self, timeout: Duration) -> bool {
        if self.check().is_err() {
            return true;
        }
        let is_lost = |shared: &Shared| shared.told.lease_is_lost(&shared.machine, self.engine.now());
        is_lost(&self.wait_while(timeout, |shared| !is_lost(shared)))
    }

    /// Waits until it has ended, or for `timeout`, whichever comes first. Others make its calls.
    pub(crate) fn wait_ended(&self, timeout: Duration) {
        let goes_on = |shared: &mut Shared| shared.machine.outcome().is_none();
        drop(self.wait_while(timeout, goes_on));
    }

    /// The machine knows how it ends: that is seen to, whatever becomes of the caller, and flushing waits for it.
    pub(crate) fn ending(&self) {
        let mut shared = self.lock();
        if !shared.is_ending && !shared.machine.is_done() {
            shared.is_ending = true;
            self.engine.replay.ending();
        }
    }

    /// Waits until what has to be on disk by now is there, or could not be brought there in time. Another thread that
    /// drives may not have come to it.
    pub(crate) fn wait_for_writes(self: &Arc<Self>) {
        self.drive();
        let is_at_it = |shared: &mut Shared| shared.is_driven || shared.open_writes > 0;
        drop(self.wait_while(STORE_DEADLINE, is_at_it));
    }

    fn hand_out<'a>(
        self: &'a Arc<Self>,
        mut shared: MutexGuard<'a, Shared>,
        due: Due,
    ) -> MutexGuard<'a, Shared> {
        let urgency = due.call.urgency;
        let is_extension = matches!(urgency, Urgency::Lease(_));
        if shared.callers > 0 && !is_extension {
            shared.calls.push_back(due);
            self.notify(&shared);
            return shared;
        }
        drop(shared);
        let life = Arc::clone(self);
        let job = Box::new(move || life.exchange(due));
        if is_extension {
            self.engine.extend(urgency, job);
        } else {
            self.engine.settle(urgency, job);
        }
        self.lock()
    }

    fn exchange(self: &Arc<Self>, Due { mut call, by }: Due) {
        let (ticket, sent) = (call.ticket, self.engine.now().mono);
        // An attempt that was given up is not sent late.
        call.timeout = by.saturating_sub(sent);
        let answer = (!call.timeout.is_zero()).then(|| self.engine.http.exchange(call));
        let now = self.engine.now();
        {
            let machine = &mut self.lock().machine;
            match answer {
                Some(Ok(response)) => machine.handle_response(now, ticket, sent, &response),
                Some(Err(failure)) => machine.handle_failure(now, ticket, Some(sent), failure),
                None => {
                    let failure = Failure::caused_by(FailureKind::ConnectTimeout, &NoThread);
                    machine.handle_failure(now, ticket, None, failure);
                }
            }
        }
        self.drive();
    }

    fn store(self: &Arc<Self>, ticket: Ticket, write: JournalWrite) {
        if let JournalWrite::Put(record) = &write {
            let id = record.id();
            let is_first = self.lock().recorded.replace(id.clone()).is_none();
            if is_first {
                self.engine.recorded(id);
            }
        }
        let life = Arc::clone(self);
        self.engine.journal.submit(write, move |stored| {
            let now = life.engine.now();
            let mut shared = life.lock();
            shared.machine.handle_stored(now, ticket, stored);
            shared.open_writes -= 1;
            life.notify(&shared);
            drop(shared);
            life.drive();
        });
    }

    fn tell(&self, event: Event) {
        if let Event::SettlementFailed { error, .. } = &event {
            self.engine.observe(Some(error));
        } else if let Event::Granted { .. } | Event::SettledLate { .. } = &event {
            self.engine.observe(None);
        }
        self.engine.replay.note(&event);
        self.observers.tell(event);
    }

    /// Nothing is to be done until then, or until something comes from outside.
    fn rest(self: &Arc<Self>, mut shared: MutexGuard<'_, Shared>, until: Option<Duration>) {
        shared.is_driven = false;
        let is_left = self.engine.is_closed() && shared.is_answered();
        if let Some(at) = until.filter(|_| !is_left)
            // An earlier look than needed costs less than changing the time.
            && shared.wakes_at.is_none_or(|wakes_at| at < wakes_at)
        {
            shared.wakes_at = Some(at);
            let sleeper = Arc::clone(self) as Arc<dyn Sleeper>;
            self.engine.scheduler.set(self.number, at, sleeper);
        }
        self.notify(&shared);
    }

    fn end(&self, mut shared: MutexGuard<'_, Shared>) {
        shared.is_driven = false;
        if shared.wakes_at.take().is_some() {
            self.engine.scheduler.remove(self.number);
        }
        let is_ending = core::mem::take(&mut shared.is_ending);
        let (recorded, replayed) = (shared.recorded.take(), shared.replayed.take());
        let (receipt, outcome) = (shared.machine.receipt(), shared.machine.outcome().cloned());
        self.notify(&shared);
        drop(shared);
        if let Some(id) = &recorded {
            self.engine.recorded_no_more(id, receipt.as_ref());
        }
        if let Some(id) = replayed {
            self.engine.replayed(&id, outcome.as_ref());
        }
        if is_ending {
            self.engine.replay.ended(recorded.as_ref(), receipt.as_ref());
        }
    }

    fn wait<'a>(&self, mut shared: MutexGuard<'a, Shared>) -> MutexGuard<'a, Shared> {
        shared.waiting += 1;
        let woken = self.changed.wait(shared);
        let mut shared = woken.unwrap_or_else(PoisonError::into_inner);
        shared.waiting -= 1;
        shared
    }

    fn wait_while(
        &self,
        timeout: Duration,
        is_so: impl FnMut(&mut Shared) -> bool,
    ) -> MutexGuard<'_, Shared> {
        let mut shared = self.lock();
        shared.waiting += 1;
        let waited = self.changed.wait_timeout_while(shared, timeout, is_so);
        let (mut shared, _) = waited.unwrap_or_else(PoisonError::into_inner);
        shared.waiting -= 1;
        shared
    }

    /// Whoever waits looks again. Without anybody there it costs nothing.
    fn notify(&self, shared: &Shared) {
        if shared.waiting > 0 {
            self.changed.notify_all();
        }
    }
}

impl Shared {
    /// Whether a caller that waited for its end would have been answered.
    fn is_answered(&self) -> bool {
        self.machine.receipt().is_some() || self.told.released(&self.machine).is_some()
    }
}

impl Sleeper for Life {
    fn wake(self: Arc<Self>) {
        self.lock().wakes_at = None;
        self.drive();
    }
}

/// A call, and until when it is of any use: the wait for a thread is part of its time.
struct Due {
    call: Call,
    by: Duration,
}

/// Nothing was sent: every thread was taken for as long as the attempt may take.
#[derive(Debug)]
struct NoThread;

impl fmt::Display for NoThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all the calls that a client makes at once were under way")
    }
}

impl std::error::Error for NoThread {}

/// A caller that waits at a life and makes its calls.
struct Calling<'a>(&'a Arc<Life>);

impl<'a> Calling<'a> {
    fn new(life: &'a Arc<Life>) -> Self {
        life.lock().callers += 1;
        Self(life)
    }
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        let mut shared = self.0.lock();
        shared.callers -= 1;
        if shared.callers > 0 {
            return;
        }
        // What was left for the caller is made without him.
        for due in core::mem::take(&mut shared.calls) {
            shared = self.0.hand_out(shared, due);
        }
    }
}
