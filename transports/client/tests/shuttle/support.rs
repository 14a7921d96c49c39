//! Threads of shuttle, a clock, and a ledger in place of a network. Time passes only while no thread can continue.

#![allow(unreachable_pub)]

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use cycles_client::models::BalanceParams;
use cycles_client::proto::{Call, Now};
use cycles_client::{
    Client, Clock, ConfigError, CyclesConfig, Error, Options, Receipt, RetryPolicy, Tick, Ticker, Transport,
    UnixMillis,
};
use cycles_conformance::{commit, request};
use cycles_sandbox::{
    ApiKey, DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Ledger, Tenant, Unit, default_budgets,
};
use http::Response;
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler};
use shuttle::sync::{Condvar, Mutex, MutexGuard};
use shuttle::{Config, Runner, thread};

/// Any time of day.
const WALL: u64 = 1_795_000_000_000;

/// Runs a scenario many times: first with randomly scheduled threads, then with a few of them delayed for long.
pub fn check(scenario: impl Fn(&World) + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 512 * 1024;
    config.silence_warnings = true;
    let run = move || scenario(&World::new());
    if let Ok(schedule) = std::env::var("CYCLES_SHUTTLE_SCHEDULE") {
        Runner::new(ReplayScheduler::new_from_encoded(&schedule), config).run(run);
        return;
    }
    let runs = std::env::var("CYCLES_SHUTTLE").map_or(1_000, |runs| runs.parse().unwrap());
    let run = Arc::new(run);
    let again = Arc::clone(&run);
    Runner::new(RandomScheduler::new(runs), config.clone()).run(move || run());
    Runner::new(PctScheduler::new(3, runs), config).run(move || again());
}

#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// A thread was woken, or no thread can continue.
    changed: Condvar,
    /// Never held across a scheduling point of shuttle, so it may be a lock of the standard library.
    ledger: std::sync::Mutex<Ledger>,
    /// In nanoseconds, like the limit of the time.
    now: AtomicU64,
    end: AtomicU64,
    threads: std::sync::Mutex<Vec<Thread<()>>>,
}

pub struct Thread<T> {
    handle: thread::JoinHandle<T>,
    /// It only has to end.
    has_ended: Arc<AtomicBool>,
}

struct State {
    /// How many threads do not wait for one another.
    awake: usize,
    /// Waits for another to end.
    joiner: Option<Arc<Sleeper>>,
}

impl World {
    fn new() -> Self {
        let mut ledger = Ledger::new(1);
        ledger.add_tenant(Tenant::new(DEFAULT_TENANT));
        ledger.add_api_key(ApiKey::new(DEFAULT_API_KEY, DEFAULT_TENANT));
        for budget in default_budgets(DEFAULT_TENANT) {
            ledger.add_budget(budget);
        }
        Self(Arc::new(Inner {
            // The thread that sets up the scenario.
            state: Mutex::new(State {
                awake: 1,
                joiner: None,
            }),
            changed: Condvar::new(),
            ledger: std::sync::Mutex::new(ledger),
            now: AtomicU64::new(0),
            end: AtomicU64::new(u64::MAX),
            threads: std::sync::Mutex::default(),
        }))
    }

    /// A client without a journal.
    pub fn client(&self, transport: impl Transport) -> Client {
        self.client_with(transport, self.clone(), false)
    }

    pub fn client_with(&self, transport: impl Transport, clock: impl Clock, has_journal: bool) -> Client {
        let config = CyclesConfig::builder(DEFAULT_API_KEY, "http://ledger")
            .tenant(DEFAULT_TENANT)
            .retry(RetryPolicy::default())
            .journal_enabled(has_journal);
        let options = Options {
            transport: Some(Arc::new(transport)),
            clock: Some(Arc::new(clock)),
            ..Options::default()
        };
        options.client(config.build().unwrap(), "shuttle", |_, _| {
            unreachable!("both are given")
        })
    }

    /// Starts a thread; no time passes unless it waits for others.
    pub fn spawn<T: Send + 'static>(&self, body: impl FnOnce() -> T + Send + 'static) -> Thread<T> {
        self.lock().awake += 1;
        let has_ended = Arc::<AtomicBool>::default();
        let (world, ends) = (self.clone(), Arc::clone(&has_ended));
        let handle = thread::spawn(move || {
            let done = body();
            let joiner = {
                let mut state = world.lock();
                ends.store(true, Relaxed);
                state.joiner.take()
            };
            joiner.into_iter().for_each(Wake::wake);
            world.fall_asleep(&mut world.lock());
            done
        });
        Thread { handle, has_ended }
    }

    /// Starts a thread that blocks where the world does not see it. Time passes meanwhile, up to this limit.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        end: Duration,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Thread<T> {
        self.0.end.store(nanos(end), Relaxed);
        let world = self.clone();
        self.spawn(move || {
            world.fall_asleep(&mut world.lock());
            let done = body();
            world.lock().awake += 1;
            done
        })
    }

    /// Adds a thread that has to end before the scenario does.
    pub fn spawn_to_end(&self, body: impl FnOnce() + Send + 'static) {
        let thread = self.spawn(body);
        self.0.threads.lock().unwrap().push(thread);
    }

    /// Waits for these threads.
    pub fn join<T>(&self, threads: impl IntoIterator<Item = Thread<T>>) -> Vec<T> {
        let join = |thread: Thread<T>| {
            let sleeper = Sleeper::new(self);
            loop {
                let mut state = self.lock();
                if thread.has_ended.load(Relaxed) {
                    break;
                }
                state.joiner = Some(Arc::clone(&sleeper));
                drop(state);
                sleeper.sleep(None);
            }
            thread.handle.join().unwrap()
        };
        threads.into_iter().map(join).collect()
    }

    /// Runs a caller for each of these costs, each on a thread of its own, and waits for them.
    pub fn run_at_once(
        &self,
        client: &Client,
        costs: &[i64],
        caller: impl AsyncFn(&Client, i64) + Copy + Send + 'static,
    ) {
        let run = |&tokens| {
            let (world, client) = (self.clone(), client.clone());
            self.spawn(move || world.block_on(caller(&client, tokens)))
        };
        self.join(costs.iter().map(run).collect::<Vec<_>>());
    }

    /// Waits for all other threads, after the clients are gone.
    pub fn end(&self) {
        self.0.end.store(u64::MAX, Relaxed);
        loop {
            let thread = self.0.threads.lock().unwrap().pop();
            let Some(thread) = thread else { break };
            self.join([thread]);
        }
    }

    pub fn passed(&self) -> Duration {
        Duration::from_nanos(self.0.now.load(Relaxed))
    }

    /// The charged and the held amount.
    pub fn charged(&self) -> (i64, i64) {
        let ledger = self.0.ledger.lock().unwrap();
        let budget = ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap();
        (budget.spent, budget.reserved)
    }

    pub fn answer(&self, call: &Call) -> Response<Bytes> {
        let now = Clock::now(self).wall;
        let mut ledger = self.0.ledger.lock().unwrap();
        ledger.tick(now);
        ledger.handle(now, &call.request)
    }

    /// Polls a future on this thread until it is ready.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let sleeper = Sleeper::new(self);
        let waker = Waker::from(Arc::clone(&sleeper));
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            sleeper.sleep(None);
        }
    }

    /// Polls a future this often, woken or not, and drops it if it is not ready by then.
    pub fn poll_times<T>(&self, times: usize, future: impl Future<Output = T>) -> Option<T> {
        let sleeper = Sleeper::new(self);
        let waker = Waker::from(sleeper);
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        for _ in 0..times {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return Some(output);
            }
            thread::yield_now();
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fall_asleep(&self, state: &mut State) {
        state.awake -= 1;
        if state.awake == 0 {
            self.0.changed.notify_all();
        }
    }

    /// Calls the ticker when it is due, and not before.
    fn keep(&self, ticker: &Ticker) {
        let sleeper = Sleeper::new(self);
        let waker = Waker::from(Arc::clone(&sleeper));
        loop {
            match ticker.tick(&waker) {
                Tick::Until(Some(at)) => sleeper.sleep(Some(at)),
                Tick::Until(None) => sleeper.sleep(None),
                Tick::Over => return,
            }
        }
    }
}

impl Clock for World {
    fn now(&self) -> Now {
        let mono = self.passed();
        Now {
            mono,
            wall: UnixMillis(WALL).saturating_add(mono),
        }
    }

    fn start(&self, ticker: Ticker) -> Result<(), ConfigError> {
        let world = self.clone();
        self.spawn_to_end(move || world.keep(&ticker));
        Ok(())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap()
}

/// A thread that waits until it is woken. Both are changed under the world's lock.
struct Sleeper {
    world: World,
    is_woken: AtomicBool,
    is_asleep: AtomicBool,
}

impl Sleeper {
    fn new(world: &World) -> Arc<Self> {
        Arc::new(Self {
            world: world.clone(),
            is_woken: AtomicBool::new(false),
            is_asleep: AtomicBool::new(false),
        })
    }

    /// Waits until it is woken, or until this time if no other thread can continue before.
    fn sleep(&self, until: Option<Duration>) {
        let mut state = self.world.lock();
        if self.is_woken.swap(false, Relaxed) {
            return;
        }
        self.is_asleep.store(true, Relaxed);
        self.world.fall_asleep(&mut state);
        while !self.is_woken.swap(false, Relaxed) {
            let until = until
                .map(nanos)
                .filter(|until| *until <= self.world.0.end.load(Relaxed));
            if let Some(until) = until
                && state.awake == 0
            {
                self.world.0.now.fetch_max(until, Relaxed);
                self.is_asleep.store(false, Relaxed);
                state.awake += 1;
                return;
            }
            state = self
                .world
                .0
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        let mut state = self.world.lock();
        self.is_woken.store(true, Relaxed);
        if self.is_asleep.swap(false, Relaxed) {
            state.awake += 1;
            self.world.0.changed.notify_all();
        }
    }
}

/// Makes one call that changes nothing.
pub async fn ask(client: &Client) -> Result<(), Error> {
    let question = BalanceParams {
        tenant: Some(DEFAULT_TENANT.into()),
        ..BalanceParams::default()
    };
    client.get_balances(&question).await.map(drop)
}

/// Reserves and commits, once.
pub async fn live(client: &Client, tokens: i64) {
    let guard = client.reserve(request(100)).await.unwrap();
    let receipt = guard.commit(commit(tokens)).await.unwrap();
    assert!(matches!(receipt, Receipt::Committed(_)), "{receipt:?}");
}

/// Reserves until it is granted, and waits until the cost is settled.
pub async fn insist(client: &Client, tokens: i64) {
    let guard = loop {
        match client.reserve(request(100)).await {
            Ok(guard) => break guard,
            Err(Error::Transport(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    };
    let receipt = guard.commit(commit(tokens)).until_settled().await.unwrap();
    assert!(receipt.is_settled(), "{receipt:?}");
}
