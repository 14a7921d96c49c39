//! The task that settles what earlier runs left in the journal: one for a client and its clones, started with
//! the first reservation, and again if its runtime ended. It goes with the last of them.

use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use cycles_host::Process;
use cycles_host::journal::{Claim, Reading};
use cycles_proto::Outcome;
use cycles_proto::parts::Lifecycle;
use cycles_proto::parts::{Replay as Step, Replayer, Tally};
use cycles_proto::record::RecordId;
use cycles_proto::{Error, Event, Flushed, Now, Receipt, Ticket};
use futures::channel::oneshot;
use futures::stream::{FuturesUnordered, Stream as _};
use futures::task::AtomicWaker;

use crate::client::{Parts, Ready};
use crate::driver::Driver;
use crate::runtime::Runtime;
use crate::slot::Slot;
use crate::timer::Timer;

/// What is shared between the task, the lives and whoever flushes.
#[derive(Default)]
pub(crate) struct Replay {
    process: Process,
    shared: Mutex<Shared>,
    driver: AtomicWaker,
    /// What became of the costs of this process. Nothing else is locked while this is.
    tally: Mutex<Tally>,
    /// Whether somebody flushes and waits.
    is_flushed: AtomicBool,
}

/// The replay in the hands of a client and its clones, or of the task and the lives that it started.
#[derive(Clone)]
pub(crate) struct InUse {
    replay: Arc<Replay>,
    /// Those for whom the task runs.
    users: Option<Arc<Users>>,
}

/// When the last of them goes, so does the task.
struct Users(Arc<Replay>);

impl Default for InUse {
    fn default() -> Self {
        let replay = Arc::<Replay>::default();
        Self {
            users: Some(Arc::new(Users(Arc::clone(&replay)))),
            replay,
        }
    }
}

impl Deref for InUse {
    type Target = Replay;

    fn deref(&self) -> &Replay {
        &self.replay
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        if self.0.process.is_current() {
            self.0.driver.wake();
        }
    }
}

#[derive(Default)]
struct Shared {
    replayer: Option<Replayer>,
    /// Held while the replayer is at work, so that other processes wait.
    claim: Option<Claim>,
    is_driven: bool,
    waiting: Vec<Waker>,
}

impl Shared {
    /// Nobody is kept from what is not settled here. Under the lock under which the work ended: whoever flushes may look
    /// as soon as it is free.
    fn release_claim(&mut self) {
        if !self.replayer.as_ref().is_some_and(Replayer::is_at_work) {
            self.claim = None;
        }
    }
}

impl Replay {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A life of this process was told how it ends.
    pub(crate) fn ending(&self) {
        self.tally().begin_ending();
    }

    /// Something was told of a life or a record.
    pub(crate) fn note(&self, event: &Event) {
        self.tally().note(event);
    }

    /// It has ended, or nobody drives it any more.
    pub(crate) fn ended(&self, record: Option<&RecordId>, receipt: Option<&Receipt>) {
        self.tally().end(record, receipt);
        self.wake_flushing();
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left by now. Without a replayer there is nothing that is known of the journal.
    pub(crate) fn left(&self, now: Now, has_journal: bool) -> Flushed {
        let tally = self.tally().clone();
        Flushed::new(self.lock().replayer.as_ref(), has_journal, now, &tally)
    }

    fn wake_flushing(&self) {
        if !self.is_flushed.swap(false, Ordering::SeqCst) {
            return;
        }
        let waiting = core::mem::take(&mut self.lock().waiting);
        for waker in waiting {
            waker.wake();
        }
    }

    /// Whether everything has ended that can until then; if not, `cx` is woken when that may have changed.
    pub(crate) fn poll_quiet(&self, now: Now, until: Duration, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, |replayer| {
            !self.tally().is_ending() && replayer.is_none_or(|replayer| replayer.is_quiet(now, until))
        })
    }

    /// Whether what is left in the journal is known; if not, `cx` is woken when that may have changed.
    pub(crate) fn poll_certain(&self, now: Now, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, |replayer| {
            replayer.is_none_or(|replayer| replayer.is_complete(now))
        })
    }

    fn poll_until(&self, cx: &mut Context<'_>, is_over: impl FnOnce(Option<&Replayer>) -> bool) -> Poll<()> {
        let mut shared = self.lock();
        // Before the look, so that no end after it is missed.
        self.is_flushed.store(true, Ordering::SeqCst);
        if is_over(shared.replayer.as_ref()) {
            return Poll::Ready(());
        }
        shared.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}

impl<R: Runtime> Ready<R> {
    /// Has the journal replayed, if there is one, by a task on the runtime that runs here; tells whether it was not
    /// before.
    pub(crate) fn start_replay(&self) -> bool {
        let Some(users) = self.replay.users.as_ref().filter(|_| self.journal.is_enabled()) else {
            return false;
        };
        {
            let mut shared = self.replay.lock();
            if shared.is_driven {
                return false;
            }
            if shared.replayer.is_none() {
                let Ok(seed) = cycles_host::seed() else {
                    return false;
                };
                shared.replayer = Some(Replayer::new(Arc::clone(&self.config), seed));
            }
            shared.is_driven = true;
        }
        let replay = InUse {
            replay: Arc::clone(&self.replay.replay),
            users: None,
        };
        let parts = Parts {
            replay,
            ..Parts::clone(&self.parts)
        };
        let driver = ReplayDriver {
            ready: Self {
                config: Arc::clone(&self.config),
                parts: Arc::new(parts),
            },
            users: Arc::downgrade(users),
            landings: FuturesUnordered::new(),
            timer: Timer::default(),
        };
        // A task that is not taken is dropped, and another try is made with the next reservation.
        let _ = self.runtime.spawn(driver);
        true
    }

    /// Scans as soon as that makes sense, and once sends what may count twice if it is `forced`.
    pub(crate) fn wake_replay(&self, is_forced: bool) {
        self.with_replayer(if is_forced {
            Replayer::force
        } else {
            Replayer::wake
        });
    }

    /// The time of a flush is over: whether to wait for what a last look at the journal tells.
    pub(crate) fn look_again(&self) -> bool {
        let mut is_worth_it = false;
        self.with_replayer(|replayer, now| is_worth_it = replayer.look_again(now));
        is_worth_it
    }

    /// How a call ended.
    pub(crate) fn observe(&self, error: Option<&Error>) {
        self.with_replayer(|replayer, now| replayer.observe(now, error));
    }

    /// A life of this process has a record.
    pub(crate) fn recorded(&self, id: &RecordId) {
        self.with_replayer(|replayer, _| replayer.live(id.clone()));
    }

    /// It has ended, or nobody drives it any more.
    pub(crate) fn recorded_no_more(&self, id: &RecordId, receipt: Option<&Receipt>) {
        self.with_replayer(|replayer, now| replayer.ended(now, id, receipt));
    }

    /// Wakes its driver if there is something to do for it then.
    fn with_replayer(&self, act: impl FnOnce(&mut Replayer, Now)) {
        if !self.journal.is_enabled() {
            return;
        }
        let mut shared = self.replay.lock();
        let Some(replayer) = &mut shared.replayer else {
            return;
        };
        let (now, before) = (self.runtime.now(), replayer.next_look());
        act(replayer, now);
        if replayer.next_look() != before {
            drop(shared);
            self.replay.driver.wake();
        }
    }
}

/// Drives the replayer for as long as somebody uses the client. Lives that it has started go on to their end.
struct ReplayDriver<R: Runtime> {
    ready: Ready<R>,
    users: Weak<Users>,
    landings: FuturesUnordered<Pin<Box<dyn Future<Output = Landed> + Send>>>,
    timer: Timer,
}

enum Landed {
    /// Nothing if the journal could not be read.
    Scanned(Ticket, Option<Reading>),
    Ended(RecordId, Option<Outcome>),
}

impl<R: Runtime> ReplayDriver<R> {
    fn scan(&self, ticket: Ticket, with_stale: bool) {
        let (done, scanned) = oneshot::channel();
        let (journal, observers) = (self.ready.journal.clone(), self.ready.observers.clone());
        self.ready.runtime.run_blocking(Box::new(move || {
            let _ = done.send(journal.read(with_stale, &observers));
        }));
        self.landings.push(Box::pin(async move {
            // A scan that was dropped together with its runtime has read nothing.
            Landed::Scanned(ticket, scanned.await.ok().flatten())
        }));
    }

    fn settle(&self, id: RecordId, life: Lifecycle) {
        let slot = Arc::new(Slot::new(life, &self.ready.clock, self.ready.process));
        Driver::start(&self.ready, &slot);
        self.landings.push(Box::pin(async move {
            let outcome = slot
                .wait_for(|shared| {
                    let outcome = shared.machine.outcome().cloned();
                    // Its driver was dropped together with this task, or before it.
                    (outcome.is_some() || !shared.is_driven).then_some(outcome)
                })
                .await;
            Landed::Ended(id, outcome)
        }));
    }

    fn step(&self, now: Now) -> Option<Step> {
        let mut shared = self.ready.replay.lock();
        let replayer = shared.replayer.as_mut()?;
        let step = replayer.poll(now);
        if matches!(step, Step::Scan { .. }) {
            // Every reading comes with a claim of its own.
            shared.claim = None;
        }
        shared.release_claim();
        Some(step)
    }

    fn land(&self, now: Now, landed: Landed) {
        let mut shared = self.ready.replay.lock();
        let Shared { replayer, claim, .. } = &mut *shared;
        let Some(replayer) = replayer else { return };
        match landed {
            Landed::Scanned(ticket, Some(reading)) => {
                self.ready
                    .replay
                    .tally()
                    .note_scan(reading.set_aside, reading.unread);
                *claim = reading.claim;
                match claim {
                    Some(_) => replayer.handle_scanned(now, ticket, reading.records),
                    None => replayer.handle_claimed(now, ticket, reading.records),
                }
            }
            Landed::Scanned(ticket, None) => replayer.handle_unreadable(now, ticket),
            Landed::Ended(id, outcome) => {
                let is_left = replayer.handle_ended(now, &id, outcome.as_ref());
                let mut tally = self.ready.replay.tally();
                tally.note_replayed(&id, outcome.as_ref(), is_left);
            }
        }
        shared.release_claim();
    }
}

/// Nothing in it is pinned in place.
impl<R: Runtime> Unpin for ReplayDriver<R> {}

impl<R: Runtime> Future for ReplayDriver<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.ready.replay.driver.register(cx.waker());
        if this.users.strong_count() == 0 {
            return Poll::Ready(());
        }
        loop {
            let now = this.ready.runtime.now();
            while let Poll::Ready(Some(landed)) = Pin::new(&mut this.landings).poll_next(cx) {
                this.land(now, landed);
            }
            match this.step(now) {
                Some(Step::Scan { ticket, with_stale }) => this.scan(ticket, with_stale),
                Some(Step::Settle(id, life)) => this.settle(id, *life),
                Some(Step::Wait(until)) => {
                    this.ready.replay.wake_flushing();
                    if !until.is_some_and(|at| this.timer.is_over(&this.ready.runtime, at, cx)) {
                        return Poll::Pending;
                    }
                }
                None => return Poll::Ready(()),
            }
        }
    }
}

impl<R: Runtime> Drop for ReplayDriver<R> {
    fn drop(&mut self) {
        if !self.ready.replay.process.is_current() {
            return;
        }
        let mut shared = self.ready.replay.lock();
        shared.is_driven = false;
        // What it was settling stays in its records; the next task begins with a scan.
        shared.replayer = None;
        shared.claim = None;
        drop(shared);
        self.ready.replay.wake_flushing();
    }
}
