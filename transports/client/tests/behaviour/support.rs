//! A runtime in virtual time: one thread, tasks in the order in which they were woken, a ledger in place of a
//! network. When nobody can go on, time jumps to the next timer.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use cycles_client::proto::{Call, Failure, FailureKind, Now};
use cycles_client::{ConfigError, CyclesClient, CyclesConfig, CyclesConfigBuilder, Runtime, UnixMillis};
use cycles_sandbox::{ApiKey, DEFAULT_API_KEY, DEFAULT_TENANT, Ledger, Operation, Tenant, default_budgets};
use futures::task::{ArcWake, waker};
use http::Response;

/// Any time of day.
const WALL: u64 = 1_795_000_000_000;

/// The longest that a timer sleeps at a time. Those of the adapters are cut into pieces too, as they count the time
/// that the machine slept: who does not poll one is not woken by it.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);

/// How long a request takes to the ledger, and as long its answer back.
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
        }))
    }
}

impl Virtual {
    /// A client in this world. It has no journal: the threads of one live in real time.
    pub fn client(
        &self,
        change: impl FnOnce(CyclesConfigBuilder) -> CyclesConfigBuilder,
    ) -> CyclesClient<Self> {
        let config = CyclesConfig::builder(DEFAULT_API_KEY, "http://ledger")
            .tenant(DEFAULT_TENANT)
            .journal_enabled(false);
        CyclesClient::with_http(change(config).build().unwrap(), self)
    }

    pub fn lose(&self, operation: Operation) {
        *self.0.lost.lock().unwrap() = Some(operation);
    }

    /// From now on this operation takes so long.
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

    /// Nobody runs for so long, and nobody notices.
    pub fn stop_for(&self, time: Duration) {
        self.0.state.lock().unwrap().now += time;
    }

    /// The time since the world began.
    pub fn passed(&self) -> Duration {
        self.now().mono
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
    pub async fn sleep(&self, time: Duration) {
        self.sleep_until(self.now().mono + time).await;
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

/// A timer; dropped it is none.
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

impl Runtime for Virtual {
    type Options = Self;
    type Id = ();

    const NAME: &'static str = "virtual";

    fn new(_: &CyclesConfig, world: &Self) -> Result<Self, ConfigError> {
        Ok(world.clone())
    }

    fn here(&self) -> Option<()> {
        Some(())
    }

    fn now(&self) -> Now {
        let mono = self.0.state.lock().unwrap().now;
        Now {
            mono,
            wall: UnixMillis(WALL).saturating_add(mono),
        }
    }

    async fn exchange(&self, call: Call) -> Result<Response<Bytes>, Failure> {
        self.0.sent.fetch_add(1, Ordering::Relaxed);
        let lost = *self.0.lost.lock().unwrap();
        if lost == Some(Operation::of(call.request.method(), call.request.uri().path())) {
            self.sleep(call.timeout).await;
            return Err(Failure::new(FailureKind::Timeout));
        }
        let operation = Operation::of(call.request.method(), call.request.uri().path());
        let slow = self
            .0
            .slow
            .lock()
            .unwrap()
            .iter()
            .find(|(slow, _)| *slow == operation)
            .copied();
        self.sleep(slow.map_or(LATENCY, |(_, time)| time)).await;
        let now = self.now().wall;
        let response = self.with_ledger(|ledger| {
            ledger.tick(now);
            ledger.handle(now, &call.request)
        });
        self.sleep(LATENCY).await;
        Ok(response)
    }

    async fn sleep_until(&self, at: Duration) {
        loop {
            let now = self.passed();
            if now >= at {
                return;
            }
            Sleep {
                world: Arc::clone(&self.0),
                at: at.min(now + LONGEST_SLEEP),
                armed: None,
            }
            .await;
        }
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) -> Result<(), F> {
        let mut state = self.0.state.lock().unwrap();
        state.last_task += 1;
        let id = state.last_task;
        state.tasks.insert(id, Box::pin(task));
        drop(state);
        self.0.wake(id);
        Ok(())
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}
