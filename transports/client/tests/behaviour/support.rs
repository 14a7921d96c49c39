//! An adapter in virtual time: one thread, tasks in the order in which they were woken, a ledger in place of a
//! network. When no task can continue, time jumps to the next timer.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use cycles_client::proto::{Call, Failure, Now};
use cycles_client::{
    Client, Clock, ConfigError, CyclesConfig, CyclesConfigBuilder, Done, Event, Options, Tick, Ticker,
    Transport, UnixMillis,
};
use cycles_conformance::request;
use cycles_sandbox::{ApiKey, DEFAULT_API_KEY, DEFAULT_TENANT, Ledger, Operation, Tenant, default_budgets};
use futures::task::{ArcWake, waker};
use http::Response;

/// Any time of day.
const WALL: u64 = 1_795_000_000_000;

/// How long a request takes to the ledger, and its response back.
const LATENCY: Duration = Duration::from_millis(5);

/// The main future's place among the tasks.
const MAIN: u64 = 0;

#[derive(Clone)]
pub struct Virtual(Arc<World>);

struct World {
    state: Mutex<State>,
    ready: Mutex<Ready>,
    ledger: Mutex<Ledger>,
    /// The operation whose requests never arrive.
    lost: Mutex<Option<Operation>>,
    /// The operations that take longer than others.
    slow: Mutex<Vec<(Operation, Duration)>>,
    /// How many requests there have been.
    sent: AtomicU64,
    /// How often the ticker was called.
    ticks: AtomicU64,
}

/// The tasks that were woken, in order, each once.
#[derive(Default)]
struct Ready {
    queue: VecDeque<u64>,
    waiting: HashSet<u64>,
}

#[derive(Default)]
struct State {
    now: Duration,
    tasks: BTreeMap<u64, Task>,
    last_task: u64,
    timers: BTreeMap<(Duration, u64), Waker>,
    last_timer: u64,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Default for Virtual {
    fn default() -> Self {
        let mut ledger = Ledger::new(1);
        ledger.add_tenant(Tenant::new(DEFAULT_TENANT));
        ledger.add_api_key(ApiKey::new(DEFAULT_API_KEY, DEFAULT_TENANT));
        for budget in default_budgets(DEFAULT_TENANT) {
            ledger.add_budget(budget);
        }
        Self(Arc::new(World {
            state: Mutex::default(),
            ready: Mutex::default(),
            ledger: Mutex::new(ledger),
            lost: Mutex::default(),
            slow: Mutex::default(),
            sent: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
        }))
    }
}

impl Virtual {
    /// A client in this world. It has no journal: the threads of one live in real time.
    pub fn client(&self, change: impl FnOnce(CyclesConfigBuilder) -> CyclesConfigBuilder) -> Client {
        self.client_on(Arc::new(self.clone()), change)
    }

    /// Like `client`, on another transport.
    pub fn client_on(
        &self,
        transport: Arc<dyn Transport>,
        change: impl FnOnce(CyclesConfigBuilder) -> CyclesConfigBuilder,
    ) -> Client {
        let config = CyclesConfig::builder(DEFAULT_API_KEY, "http://ledger")
            .tenant(DEFAULT_TENANT)
            .journal_enabled(false);
        let options = Options {
            transport: Some(transport),
            clock: Some(Arc::new(self.clone())),
            ..Options::default()
        };
        options.client(change(config).build().unwrap(), "virtual", |_, _| {
            unreachable!("both are given")
        })
    }

    pub fn lose(&self, operation: Operation) {
        *self.0.lost.lock().unwrap() = Some(operation);
    }

    /// Makes this operation take so long from now on.
    pub fn slow(&self, operation: Operation, time: Duration) {
        self.0.slow.lock().unwrap().push((operation, time));
    }

    pub fn lose_nothing(&self) {
        *self.0.lost.lock().unwrap() = None;
    }

    /// How many requests there have been.
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// How many tasks there have been.
    pub fn spawned(&self) -> u64 {
        self.0.state.lock().unwrap().last_task
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.0.state.lock().unwrap().tasks.len()
    }

    /// How often the ticker was called.
    pub fn ticks(&self) -> u64 {
        self.0.ticks.load(Ordering::Relaxed)
    }

    /// Advances the time without running anything, as if the process was stopped.
    pub fn stop_for(&self, time: Duration) {
        self.0.state.lock().unwrap().now += time;
    }

    /// The time since the world began.
    pub fn passed(&self) -> Duration {
        Clock::now(self).mono
    }

    pub fn with_ledger<T>(&self, work: impl FnOnce(&mut Ledger) -> T) -> T {
        work(&mut self.0.ledger.lock().unwrap())
    }

    /// Runs `main` and all tasks until it is done.
    pub fn block_on<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        self.0.wake(MAIN);
        loop {
            while let Some(id) = self.0.next_ready() {
                let waker = self.waker(id);
                let mut cx = Context::from_waker(&waker);
                if id == MAIN {
                    if let Poll::Ready(output) = main.as_mut().poll(&mut cx) {
                        return output;
                    }
                    continue;
                }
                let task = self.0.state.lock().unwrap().tasks.remove(&id);
                if let Some(mut task) = task
                    && task.as_mut().poll(&mut cx).is_pending()
                {
                    self.0.state.lock().unwrap().tasks.insert(id, task);
                }
            }
            self.0.jump();
        }
    }

    fn waker(&self, id: u64) -> Waker {
        waker(Arc::new(Wakes(Arc::clone(&self.0), id)))
    }

    /// Waits for so long.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + use<> {
        Sleep {
            world: Arc::clone(&self.0),
            at: self.passed() + time,
            armed: None,
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.0.state.lock().unwrap();
        state.last_task += 1;
        let id = state.last_task;
        state.tasks.insert(id, Box::pin(task));
        drop(state);
        self.0.wake(id);
    }

    /// The ledger's response, without the timeout of an attempt.
    async fn exchange(self, call: Call) -> Result<Response<Bytes>, Failure> {
        self.0.sent.fetch_add(1, Ordering::Relaxed);
        let operation = Operation::of(call.request.method(), call.request.uri().path());
        if *self.0.lost.lock().unwrap() == Some(operation) {
            return pending().await;
        }
        let slow = self
            .0
            .slow
            .lock()
            .unwrap()
            .iter()
            .find(|(slow, _)| *slow == operation)
            .copied();
        self.sleep(slow.map_or(LATENCY, |(_, time)| time)).await;
        let now = Clock::now(&self).wall;
        let response = self.with_ledger(|ledger| {
            ledger.tick(now);
            ledger.handle(now, &call.request)
        });
        self.sleep(LATENCY).await;
        Ok(response)
    }

    /// Calls the ticker when it is due, with timers cut into pieces like those of the adapters.
    async fn keep(self, ticker: Ticker) {
        let mut sleeping = None;
        poll_fn(|cx| {
            loop {
                self.0.ticks.fetch_add(1, Ordering::Relaxed);
                let tick = ticker.tick(cx.waker());
                if tick == Tick::Over {
                    return Poll::Ready(());
                }
                sleeping = ticker.pause(tick).map(|pause| Box::pin(self.sleep(pause)));
                let timer = sleeping.as_mut();
                if timer.is_none_or(|timer| timer.as_mut().poll(cx).is_pending()) {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }
}

/// The events of a client. The observer's thread runs in real time.
#[derive(Clone)]
pub struct Watched {
    pub client: Client,
    told: Arc<Mutex<Vec<Event>>>,
}

impl Watched {
    pub fn new(client: &Client) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&told);
        let observer = move |event: &Event| seen.lock().unwrap().push(event.clone());
        Self {
            client: client.with_observer(observer),
            told,
        }
    }

    /// All events so far: they come in order, and this waits for the event of one more reservation.
    pub async fn so_far(&self) -> Vec<Event> {
        loop {
            let guard = self.client.reserve(request(1)).await.unwrap();
            let id = guard.reservation_id().clone();
            assert!(guard.release("told").await.unwrap());
            let is_it = |event: &Event| event.reservation_id() == Some(&id);
            // A full queue drops events, possibly this one.
            for _ in 0..1_000 {
                let told = self.told.lock().unwrap().clone();
                if told.iter().rev().any(is_it) {
                    return told;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// The beats that failed and the leases that were lost by now.
    pub async fn losses(&self) -> Vec<Event> {
        let told = self.so_far().await.into_iter();
        told.filter(|event| {
            matches!(
                event,
                Event::LeaseLost { .. } | Event::BeatFailed { .. } | Event::HeartbeatStopped { .. }
            )
        })
        .collect()
    }

    /// Fails if a beat failed or a lease was lost by now.
    #[track_caller]
    pub fn assert_nothing_lost(&self, world: &Virtual, what: &str) {
        let losses = world.block_on(self.losses());
        assert!(losses.is_empty(), "{what}: {losses:?}");
    }
}

impl World {
    fn wake(&self, id: u64) {
        let mut ready = self.ready.lock().unwrap();
        if ready.waiting.insert(id) {
            ready.queue.push_back(id);
        }
    }

    fn next_ready(&self) -> Option<u64> {
        let mut ready = self.ready.lock().unwrap();
        let id = ready.queue.pop_front()?;
        ready.waiting.remove(&id);
        Some(id)
    }

    /// To the next timer.
    fn jump(&self) {
        let mut state = self.state.lock().unwrap();
        let ((at, _), waker) = state.timers.pop_first().expect("nobody can ever go on");
        state.now = state.now.max(at);
        drop(state);
        waker.wake();
    }
}

struct Wakes(Arc<World>, u64);

impl ArcWake for Wakes {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.wake(this.1);
    }
}

/// A timer; dropping it removes it.
struct Sleep {
    world: Arc<World>,
    at: Duration,
    armed: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let world = Arc::clone(&self.world);
        let mut state = world.state.lock().unwrap();
        if state.now >= self.at {
            return Poll::Ready(());
        }
        let number = *self.armed.get_or_insert_with(|| {
            state.last_timer += 1;
            state.last_timer
        });
        let replaced = state.timers.insert((self.at, number), cx.waker().clone());
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.armed {
            let removed = self.world.state.lock().unwrap().timers.remove(&(self.at, number));
            drop(removed);
        }
    }
}

impl Transport for Virtual {
    fn start(&self, call: Call, done: Done) {
        self.spawn(done.carry(Box::pin(self.clone().exchange(call))));
    }
}

impl Clock for Virtual {
    fn now(&self) -> Now {
        let mono = self.0.state.lock().unwrap().now;
        Now {
            mono,
            wall: UnixMillis(WALL).saturating_add(mono),
        }
    }

    fn start(&self, ticker: Ticker) -> Result<(), ConfigError> {
        self.spawn(self.clone().keep(ticker));
        Ok(())
    }
}
