//! What a client and its clones share, and what goes on behind them.
//!
//! | thread | how many | what it does |
//! |---|---|---|
//! | the caller's own | | the caller's calls: reserve, commit, release, plain operations |
//! | `cycles-scheduler` | 1 | wakes lives and the replay when their time has come; never blocks |
//! | `cycles-heartbeat` | up to 8 | extensions, and nothing else |
//! | `cycles-settling` | up to 4 | calls that no caller waits for: retries of settlements, releases of dropped guards, replay |
//! | `cycles-observer` | up to 1 | tells the observer, if there is one |
//!
//! All start when they are needed. They end when the last client and the last guard are dropped and everything
//! has got as far as a caller would have waited for: costs settled or on disk, releases tried once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cycles_host::{Clock, Journal, Process};
use cycles_proto::{ConfigError, CyclesConfig, Error, Now, Urgency};

use crate::http_client::HttpClient;
use crate::replay::Replay;
use crate::scheduler::Scheduler;
use crate::workers::{Job, Workers};
use cycles_host::HttpOptions;

pub(crate) struct Engine {
    pub(crate) config: Arc<CyclesConfig>,
    pub(crate) http: HttpClient,
    pub(crate) clock: Clock,
    pub(crate) journal: Journal,
    pub(crate) scheduler: Scheduler,
    pub(crate) replay: Replay,
    heartbeat: Workers,
    settling: Workers,
    pub(crate) process: Process,
    numbers: AtomicU64,
    is_closed: AtomicBool,
}

/// How many extensions are under way at once. One that hangs holds up no other as long as there are more.
const HEARTBEATS: usize = 8;

/// How many calls that nobody waits for are under way at once.
const SETTLING: usize = 4;

impl Engine {
    pub(crate) fn new(config: Arc<CyclesConfig>, options: &HttpOptions) -> Result<Arc<Self>, ConfigError> {
        let clock = Clock::new();
        Ok(Arc::new(Self {
            http: HttpClient::new(&config, options)?,
            clock,
            journal: Journal::open(&config),
            scheduler: Scheduler::new(clock),
            replay: Replay::default(),
            heartbeat: Workers::new("cycles-heartbeat", HEARTBEATS),
            settling: Workers::new("cycles-settling", SETTLING),
            process: Process::current(),
            numbers: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
            config,
        }))
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// A number that no other sleeper of the scheduler has.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes sure that leases can be kept alive.
    ///
    /// # Errors
    /// [`Error::Config`] if the system has no thread for it.
    pub(crate) fn start(&self) -> Result<(), Error> {
        self.scheduler.start().map_err(|error| {
            ConfigError::Adapter(format!("the system has no thread for the heartbeat: {error}")).into()
        })
    }

    /// Has an extension made.
    pub(crate) fn extend(&self, urgency: Urgency, job: Job) {
        self.heartbeat.submit(urgency, job);
    }

    /// Has something done that no caller waits for.
    pub(crate) fn settle(&self, urgency: Urgency, job: Job) {
        self.settling.submit(urgency, job);
    }

    /// Whether every client and every guard is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.scheduler.close();
        self.heartbeat.close();
        self.settling.close();
    }
}

/// Held by every client and every guard. When the last one goes, so do the threads.
pub(crate) struct InUse(pub(crate) Arc<Engine>);

impl Drop for InUse {
    fn drop(&mut self) {
        if self.0.process.is_current() {
            self.0.close();
        }
    }
}
