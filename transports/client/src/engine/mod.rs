//! The engine: drives the session of a client, whatever its transport is.
//!
//! Every change to the session pumps it: a caller's action, an answer, a finished journal write, the timer. Under
//! the lock the change is applied, the session is polled until it has nothing more to do, and its steps are collected
//! in a batch. Writes and events are queued under the lock too, which keeps their order. Then the lock is released and
//! the batch is carried out. The engine waits for nothing, runs no foreign code under the lock, and needs no driver
//! task.

mod background;
#[cfg(feature = "blocking")]
mod blocking_caller;
mod disk;
mod done;
mod handle;
mod pump;
mod subscriptions;
mod thread_end;
mod ticker;
mod timer;
mod wakers;

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

use cycles_host::Process;
use cycles_host::journal::Claim;
use cycles_proto::session::{CallKey, Caller, Close, Key, Principal, Session};
use cycles_proto::stats::Live;
use cycles_proto::{Answer, ConfigError, CyclesConfig, Error, Now, Operation, Stats, Ticket};

pub use self::background::{Background, Run, Running};
#[cfg(feature = "blocking")]
pub(crate) use self::blocking_caller::{block_on, block_until, is_here as is_helped_here, without_helping};
use self::done::Attempt;
pub use self::done::Done;
pub(crate) use self::handle::Handle;
use self::pump::Batch;
pub(crate) use self::subscriptions::Subscription;
use self::subscriptions::Subscriptions;
pub use self::ticker::{Tick, Ticker};
pub(crate) use self::timer::GivenTime;
pub use self::timer::Timer;
use self::wakers::Waiter;
pub(crate) use self::wakers::{HeldTime, Waiting};
use crate::builder::Adapter;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Journal, Mutex, MutexGuard};
use crate::transport::{Clock, Transport};

/// The engine as held by a client, its clones and their reservations. When the last of them is dropped, the session is
/// closed; work in progress still finishes.
pub(crate) struct Engine(Arc<Shared>);

/// The engine as held by attempts, journal threads and the clock: this does not keep the session open.
pub(crate) struct Shared {
    process: Process,
    clock: Arc<dyn Clock>,
    /// Whether the clock was started.
    is_timed: AtomicBool,
    starting: Mutex<()>,
    /// Whether actions are asked to stop; the session decides it.
    is_stopping: AtomicBool,
    transport: Arc<dyn Transport>,
    /// The session's statistics, which are read without the lock.
    stats: Arc<Live>,
    state: Mutex<State>,
    /// Notified when the session has made progress while a thread waits for it.
    written: Condvar,
    /// Answers that arrived where the session's lock must not be taken, to be applied with the next change.
    inbox: Mutex<Vec<(Ticket, Answer)>>,
    /// Wake the clocks, which then tick.
    clock_wakers: Mutex<[Option<Waker>; ticker::TICKERS]>,
}

struct State {
    session: Session,
    /// The latest time at which the session has to be polled again.
    deadline: Option<Duration>,
    /// The clock's next tick, as last reported to the clock.
    timer: Option<Duration>,
    waiting: HashMap<Key, Vec<Waiter>>,
    /// The last number that was given to a waiter.
    waiters: u64,
    attempts: HashMap<Ticket, Arc<Attempt>>,
    /// Attempts that have ended, to be dropped without the lock.
    ended: Vec<Arc<Attempt>>,
    journals: BTreeMap<Principal, OpenJournal>,
    /// How many threads wait until costs are safe.
    waiting_threads: usize,
    subscriptions: Subscriptions,
    #[cfg(feature = "blocking")]
    helpers: HashMap<Key, Arc<blocking_caller::Helper>>,
}

/// The journal of one key and tenant.
struct OpenJournal {
    journal: Journal,
    /// Held while its records are settled here, so that other processes do not replay them.
    claim: Option<Claim>,
}

impl Engine {
    pub(crate) fn new(config: &Arc<CyclesConfig>, (transport, clock): Adapter) -> Result<Self, ConfigError> {
        let seed = crate::sync::seed()?;
        let session = Session::new(Arc::clone(config), seed);
        Ok(Self(Arc::new(Shared {
            stats: session.stats(),
            process: Process::current(),
            clock,
            is_timed: AtomicBool::new(false),
            starting: Mutex::default(),
            is_stopping: AtomicBool::new(false),
            transport,
            state: Mutex::new(State {
                session,
                deadline: None,
                timer: None,
                waiting: HashMap::new(),
                waiters: 0,
                attempts: HashMap::new(),
                ended: Vec::new(),
                journals: BTreeMap::new(),
                waiting_threads: 0,
                subscriptions: Subscriptions::new(),
                #[cfg(feature = "blocking")]
                helpers: HashMap::new(),
            }),
            written: Condvar::new(),
            inbox: Mutex::default(),
            clock_wakers: Mutex::default(),
        })))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Registers a caller with this configuration, and opens its journal.
    pub(crate) fn caller(&self, config: Arc<CyclesConfig>) -> Result<Caller, ConfigError> {
        let mut state = self.0.lock();
        let caller = state.session.caller(Arc::clone(&config))?;
        state
            .journals
            .entry(caller.principal())
            .or_insert_with(|| OpenJournal {
                journal: Journal::open(&config),
                claim: None,
            });
        Ok(caller)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.0.process.is_current() {
            self.0.with(|session, now| session.close(now, Close::WhenDone));
        }
    }
}

impl Shared {
    /// Fails in a forked child. Must be called before any lock is taken: in the child, a lock may be held forever by a
    /// thread that does not exist there.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.process.check()
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.process.is_current()
    }

    /// The session's statistics. Takes no lock.
    pub(crate) fn stats(&self) -> Stats {
        self.stats.snapshot(self.now().wall)
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Whether actions are asked to stop. Takes no lock.
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    pub(crate) fn may_wait_here(&self) -> bool {
        self.transport.may_wait_here()
    }

    /// Starts the clock if it is not running yet.
    pub(crate) fn start(self: &Arc<Self>) -> Result<(), ConfigError> {
        if self.is_timed.load(Ordering::Acquire) {
            return Ok(());
        }
        // Other callers have to wait until the clock runs.
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_timed.load(Ordering::Acquire) {
            self.clock.start(Ticker::new(Arc::clone(self)))?;
            self.is_timed.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Changes the session, and carries out the steps that follow.
    pub(crate) fn with<T>(self: &Arc<Self>, act: impl FnOnce(&mut Session, Now) -> T) -> T {
        self.change(|state, now| act(&mut state.session, now))
    }

    fn change<T>(self: &Arc<Self>, act: impl FnOnce(&mut State, Now) -> T) -> T {
        let (batch, done) = self.apply(act);
        self.carry_out(batch);
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Applies the answers in the inbox and then `act`, and polls the session. Returns its steps.
    fn apply<T>(self: &Arc<Self>, act: impl FnOnce(&mut State, Now) -> T) -> (Batch, std::thread::Result<T>) {
        let mut batch = Batch::default();
        let now = self.now();
        let mut state = self.lock();
        let inbox = core::mem::take(&mut *self.inbox());
        for (ticket, answer) in inbox {
            // If a reservation panics while handling its answer, only that reservation is gone.
            let _ = catch_unwind(AssertUnwindSafe(|| state.handle(now, ticket, answer)));
        }
        // The panic goes to the caller after the session's steps are carried out.
        let done = catch_unwind(AssertUnwindSafe(|| act(&mut state, now)));
        self.poll(&mut state, now, &mut batch);
        (batch, done)
    }

    /// Starts a call.
    pub(crate) fn call<T: core::fmt::Debug + Send + 'static>(
        self: &Arc<Self>,
        caller: &Caller,
        operation: Operation<T>,
    ) -> Result<CallKey<T>, Error> {
        self.change(|state, now| {
            let key = state.session.call(now, caller, operation)?;
            state.help_here(self, Key::Call(key.id()));
            Ok(key)
        })
    }

    /// Reads from the session, without pumping it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Session, Now) -> T) -> T {
        let now = self.now();
        look(&mut self.lock().session, now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // After a panic the session is still consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inbox(&self) -> MutexGuard<'_, Vec<(Ticket, Answer)>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the clock tick.
    fn wake_clock(&self) {
        let mut clock_wakers = self.clock_wakers.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = core::mem::take(&mut *clock_wakers);
        drop(clock_wakers);
        taken.into_iter().flatten().for_each(Waker::wake);
    }
}

impl State {
    fn next_waiter(&mut self) -> u64 {
        self.waiters += 1;
        self.waiters
    }

    /// Makes this thread carry out the calls of `key`, if it blocks for the client.
    #[cfg_attr(
        not(feature = "blocking"),
        expect(clippy::unused_self, reason = "nobody blocks")
    )]
    fn help_here(&mut self, shared: &Arc<Shared>, key: Key) {
        #[cfg(feature = "blocking")]
        self.help(shared, key);
        #[cfg(not(feature = "blocking"))]
        let _ = (shared, key);
    }

    fn handle(&mut self, now: Now, ticket: Ticket, answer: Answer) {
        // Its waker is foreign code, so it is dropped later, without the lock.
        self.ended.extend(self.attempts.remove(&ticket));
        self.session.handle(now, ticket, answer);
    }
}

/// After a panic the session is still consistent, and a panic in a transport loses only that call.
impl UnwindSafe for Shared {}
impl RefUnwindSafe for Shared {}
