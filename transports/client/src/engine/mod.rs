//! What drives the session of a client, whatever its transport is.
//!
//! Whoever changes the session pumps it: a caller's act, an answer, a finished change of the journal, the timer. Under the lock
//! the input is handed in, the session is polled to its rest, and what it asks for is collected; what goes to the journal and
//! to observers is queued there, so that its order is kept. Then, without the lock, all of it is set going. Nothing is waited
//! for, no code of others runs under the lock, and nobody has to drive.

mod background;
mod done;
#[cfg(feature = "blocking")]
mod helper;
mod life;
mod observed;
mod pump;
mod ticker;
mod timer;
mod waiting;
mod writes;

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

use cycles_host::Process;
use cycles_host::journal::Claim;
use cycles_proto::session::{CallKey, Caller, Close, Key, Principal, Session};
use cycles_proto::{Answer, ConfigError, CyclesConfig, Error, Now, Operation, Ticket};

pub use self::background::{Background, Run, Running};
use self::done::Attempt;
pub use self::done::Done;
#[cfg(feature = "blocking")]
pub(crate) use self::helper::{away, block_on, block_until, is_here as is_helped_here};
pub(crate) use self::life::Life;
pub(crate) use self::observed::Observed;
use self::observed::Told;
use self::pump::Batch;
pub use self::ticker::{Tick, Ticker};
pub use self::timer::Timer;
use self::waiting::Waiter;
pub(crate) use self::waiting::Waiting;
use crate::builder::Adapter;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Journal, Mutex, MutexGuard};
use crate::transport::{Clock, Transport};

/// All that a client and its clones share, in the hands of them and of their reservations. With the last of these the session
/// is closed: what is under way is still brought to its end.
pub(crate) struct Engine(Arc<Shared>);

/// The same in the hands of whoever brings something back, or keeps the time.
pub(crate) struct Shared {
    process: Process,
    clock: Arc<dyn Clock>,
    /// Whether somebody keeps the time.
    is_timed: AtomicBool,
    starting: Mutex<()>,
    transport: Arc<dyn Transport>,
    state: Mutex<State>,
    /// The session got ahead while a thread waits for it.
    written: Condvar,
    /// What was reported where the session could not be had.
    mail: Mutex<Vec<(Ticket, Answer)>>,
    /// Wakes whoever keeps the time.
    sleeper: Mutex<Option<Waker>>,
}

struct State {
    session: Session,
    /// When the session is to be polled again at the latest.
    next: Option<Duration>,
    /// When whoever keeps the time looks again, if at all.
    armed: Option<Duration>,
    waiting: HashMap<Key, Vec<Waiter>>,
    /// How many of those have had a number.
    waiters: u64,
    attempts: HashMap<Ticket, Arc<Attempt>>,
    /// Those that ended just now.
    ended: Vec<Arc<Attempt>>,
    journals: BTreeMap<Principal, Books>,
    /// How many threads wait until costs are safe.
    waiting_threads: usize,
    told: Told,
    #[cfg(feature = "blocking")]
    helpers: HashMap<Key, Arc<helper::Helper>>,
}

/// The journal of one key and tenant.
struct Books {
    journal: Journal,
    /// Held while its records are settled here, so that other processes leave them alone.
    claim: Option<Claim>,
}

impl Engine {
    pub(crate) fn new(config: &Arc<CyclesConfig>, (transport, clock): Adapter) -> Result<Self, ConfigError> {
        let seed = crate::sync::seed()?;
        Ok(Self(Arc::new(Shared {
            process: Process::current(),
            clock,
            is_timed: AtomicBool::new(false),
            starting: Mutex::default(),
            transport,
            state: Mutex::new(State {
                session: Session::new(Arc::clone(config), seed),
                next: None,
                armed: None,
                waiting: HashMap::new(),
                waiters: 0,
                attempts: HashMap::new(),
                ended: Vec::new(),
                journals: BTreeMap::new(),
                waiting_threads: 0,
                told: Told::new(),
                #[cfg(feature = "blocking")]
                helpers: HashMap::new(),
            }),
            written: Condvar::new(),
            mail: Mutex::default(),
            sleeper: Mutex::default(),
        })))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Who asks with this configuration.
    pub(crate) fn caller(&self, config: Arc<CyclesConfig>) -> Result<Caller, ConfigError> {
        let mut state = self.0.lock();
        let caller = state.session.caller(Arc::clone(&config))?;
        state.journals.entry(caller.principal()).or_insert_with(|| Books {
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
    /// To be asked before anything else: in a child of the process that made it, somebody who is not there may hold a lock for
    /// ever.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.process.check()
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.process.is_current()
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    pub(crate) fn may_wait_here(&self) -> bool {
        self.transport.may_wait_here()
    }

    /// Makes sure that somebody keeps the time.
    pub(crate) fn start(self: &Arc<Self>) -> Result<(), ConfigError> {
        if self.is_timed.load(Ordering::Acquire) {
            return Ok(());
        }
        // Whoever comes meanwhile has to wait until there is somebody.
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_timed.load(Ordering::Acquire) {
            self.clock.start(Ticker::new(Arc::clone(self)))?;
            self.is_timed.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Hands something in, and does what follows.
    pub(crate) fn with<T>(self: &Arc<Self>, act: impl FnOnce(&mut Session, Now) -> T) -> T {
        self.change(|state, now| act(&mut state.session, now))
    }

    fn change<T>(self: &Arc<Self>, act: impl FnOnce(&mut State, Now) -> T) -> T {
        let (batch, done) = self.hand_in(act);
        self.carry_out(batch);
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Hands something in, after what was left for whoever does, and says what the session asks for then.
    fn hand_in<T>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut State, Now) -> T,
    ) -> (Batch, std::thread::Result<T>) {
        let mut batch = Batch::default();
        let now = self.now();
        let mut state = self.lock();
        let mail = core::mem::take(&mut *self.mail());
        for (ticket, answer) in mail {
            // One that panics at its answer is gone, and others have theirs.
            let _ = catch_unwind(AssertUnwindSafe(|| state.handle(now, ticket, answer)));
        }
        // One that panics ends with its caller, and what was asked for by then is done all the same.
        let done = catch_unwind(AssertUnwindSafe(|| act(&mut state, now)));
        self.poll(&mut state, now, &mut batch);
        (batch, done)
    }

    /// Begins to make a call.
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

    /// Looks at the session, which is not changed by that.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Session, Now) -> T) -> T {
        let now = self.now();
        look(&mut self.lock().session, now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whatever a panic elsewhere left is still the session, which every input keeps in order.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mail(&self) -> MutexGuard<'_, Vec<(Ticket, Answer)>> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever keeps the time looks again.
    fn rouse(&self) {
        let sleeper = self.sleeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }
}

impl State {
    fn next_waiter(&mut self) -> u64 {
        self.waiters += 1;
        self.waiters
    }

    /// If this thread blocks for the client, it makes the calls of this.
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
        // To be dropped without the lock, for what is in it is somebody else's.
        self.ended.extend(self.attempts.remove(&ticket));
        self.session.handle(now, ticket, answer);
    }
}

/// A panic leaves the session in order, and a transport's ends with its call.
impl UnwindSafe for Shared {}
impl RefUnwindSafe for Shared {}
