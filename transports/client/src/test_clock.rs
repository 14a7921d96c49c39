//! A clock that a test moves: for a client, and for the server that it talks to.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use cycles_proto::{ConfigError, Now, UnixMillis};

use crate::engine::{Tick, Ticker};
use crate::transport::Clock;

/// A clock that stands still until a test moves it, so that a heartbeat, an expiry and a retry take milliseconds.
///
/// Give it to the client with [`clock`](crate::CyclesClientBuilder::clock), and its [`wall`](Self::wall) to the server,
/// so that both have the same time. Clones are the same clock.
///
/// ```
/// # use cycles_client::{Client, CyclesClientBuilder, models::ReservationCreateRequest};
/// # type Builder = fn(&str, String) -> CyclesClientBuilder<Client>;
/// use std::time::Duration;
///
/// use cycles_client::TestClock;
/// use cycles_sandbox::Sandbox;
///
/// # async fn test(builder: Builder, request: ReservationCreateRequest) -> Result<(), Box<dyn std::error::Error>> {
/// let time = TestClock::new();
/// let sandbox = Sandbox::builder().clock(time.wall()).start()?;
/// // `CyclesClient::builder` of your adapter
/// let client = builder(sandbox.api_key(), sandbox.base_url()).clock(time.clone()).build();
///
/// let guard = client.reserve(request).await?; // for a minute
/// time.advance(Duration::from_secs(300)).await; // kept alive for five
/// assert!(!guard.lease().is_lost());
/// # Ok(())
/// # }
/// ```
///
/// [`advance`](Self::advance) goes from one timer of the client to the next. At each of them it waits, in real time,
/// until the calls that are due have their answers and the journal is written. So a beat that is due at 30 s is answered
/// before the time is 31 s.
///
/// What stands still with the clock: leases, beats, retries, the deadlines of attempts, [flushes](crate::Client::flush)
/// and the ages of recorded costs. An attempt that gets no answer times out only if the clock is moved, and the clock
/// does not move while an attempt is under way. Use faults that end the attempt, such as `503` or `lose-response`, and
/// not those that delay it. Connecting, the observers' thread and ureq's own limit of an attempt take the machine's time.
#[derive(Clone)]
pub struct TestClock(Arc<Inner>);

struct Inner {
    began: UnixMillis,
    state: Mutex<State>,
}

struct State {
    passed: Duration,
    tickers: Vec<Arc<Ticker>>,
}

/// How long, in real time, a client may be busy at one moment of the clock.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a future yields before the clock moves, so that other tasks of its thread can act on what has happened.
const YIELDS: u32 = 16;

impl TestClock {
    /// Makes a clock that shows the machine's time, and stands still.
    pub fn new() -> Self {
        Self::starting_at(SystemTime::now().into())
    }

    /// Makes a clock that shows this time, and stands still.
    pub fn starting_at(began: UnixMillis) -> Self {
        Self(Arc::new(Inner {
            began,
            state: Mutex::new(State {
                passed: Duration::ZERO,
                tickers: Vec::new(),
            }),
        }))
    }

    /// Returns how far the clock was moved.
    pub fn passed(&self) -> Duration {
        self.state().passed
    }

    /// Returns a function that reads the time of day, for the clock of a server.
    pub fn wall(&self) -> impl Fn() -> UnixMillis + Send + Sync + 'static {
        let clock = self.clone();
        move || clock.now().wall
    }

    /// Moves the clock forward by `by`, and runs what the clients of this clock have to do meanwhile. Await it.
    ///
    /// Between two moments it yields a few times, so that other tasks of the same thread can act. Tasks on other threads
    /// may act later than the clock shows: await what they do before you move the clock. Dropped early, it leaves the
    /// clock where it is by then.
    ///
    /// # Panics
    /// If a client is busy for 10 s of real time, such as with a call that gets no answer.
    pub fn advance(&self, by: Duration) -> Advance {
        Advance {
            clock: self.clone(),
            end: self.passed().saturating_add(by),
            yields: 0,
            since: None,
        }
    }

    /// Like [`advance`](Self::advance), but blocks the thread. In a test that runs an async runtime, use that one.
    ///
    /// # Panics
    /// If a client is busy for 10 s of real time, such as with a call that gets no answer.
    pub fn advance_blocking(&self, by: Duration) {
        let mut advance = self.advance(by);
        let mut cx = Context::from_waker(Waker::noop());
        while Pin::new(&mut advance).poll(&mut cx).is_pending() {
            std::thread::yield_now();
        }
    }

    /// Runs what is due in every client. Returns whether one is busy, and the next timer of all.
    fn tick(&self) -> (bool, Option<Duration>) {
        // Not under the lock, because a client reads the clock.
        let tickers = self.state().tickers.clone();
        let (mut is_busy, mut next) = (false, None::<Duration>);
        for ticker in &tickers {
            match ticker.tick(Waker::noop()) {
                Tick::Until(at) => next = next.into_iter().chain(at).min(),
                Tick::Over => self.state().tickers.retain(|it| !Arc::ptr_eq(it, ticker)),
            }
            is_busy |= ticker.is_busy();
        }
        (is_busy, next)
    }

    /// Moves the clock to this time.
    fn move_to(&self, passed: Duration) {
        let mut state = self.state();
        state.passed = state.passed.max(passed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let mono = self.passed();
        Now {
            mono,
            wall: self.0.began.saturating_add(mono),
        }
    }

    fn start(&self, ticker: Ticker) -> Result<(), ConfigError> {
        self.state().tickers.push(Arc::new(ticker));
        Ok(())
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Moves a [`TestClock`] while it is awaited. See [`TestClock::advance`].
#[derive(Debug)]
#[must_use = "the clock moves only while this is awaited"]
pub struct Advance {
    clock: TestClock,
    end: Duration,
    /// How often this has yielded since a client was last busy.
    yields: u32,
    /// The machine's time since the clock was last moved.
    since: Option<Instant>,
}

impl Future for Advance {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (is_busy, next) = self.clock.tick();
        let passed = self.clock.passed();
        if is_busy {
            self.yields = 0;
            let since = *self.since.get_or_insert_with(Instant::now);
            assert!(
                since.elapsed() < PATIENCE,
                "the test clock cannot be moved on from {passed:?}: for {PATIENCE:?} of real time a client has been waiting \
                 for an answer or for its journal. The clock stands still meanwhile, so no attempt times out. Does the server \
                 hang, or a fault delay it? Is the runtime blocked that makes the call?",
            );
        } else if self.yields < YIELDS {
            self.yields += 1;
        } else if passed >= self.end {
            return Poll::Ready(());
        } else {
            self.clock
                .move_to(next.map_or(self.end, |next| next.min(self.end)));
            (self.yields, self.since) = (0, None);
        }
        if is_busy {
            // Answers come from other threads.
            std::thread::yield_now();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClock")
            .field("passed", &self.passed())
            .finish_non_exhaustive()
    }
}
