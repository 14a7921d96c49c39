//! The background thread of an adapter, one per process: runs the timers of all clients.

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::Wake;

use cycles_host::Process;
use cycles_proto::ConfigError;

use super::ticker::{Tick, Ticker};
use crate::sync::thread::{self, Thread};
use crate::sync::{Mutex, MutexGuard};

/// One thread for all clients of an adapter. It starts with the first call of the first client, and ends when the last
/// client is dropped and its work is done. `H` is the handle that gives work to the thread.
pub struct Background<H: 'static> {
    name: &'static str,
    prepare: fn() -> io::Result<(H, Run<H>)>,
    first: OnceLock<Node<H>>,
}

/// The main function of the thread: it must serve the [`Running`], and return when serving ends.
pub type Run<H> = Box<dyn FnOnce(Running<H>) + Send>;

/// The state of one process. A fork copies neither the thread nor the owners of its locks, so a child uses the next
/// node.
struct Node<H: 'static> {
    process: Process,
    state: Arc<Mutex<State<H>>>,
    next: OnceLock<Box<Self>>,
}

struct State<H> {
    /// Tickers that the thread has not taken yet.
    new: Vec<Ticker>,
    /// Set while the thread runs.
    handle: Option<H>,
    /// Wakes the thread.
    waker: Option<Waker>,
}

impl<H: Clone + Send> Background<H> {
    /// Describes a background thread of this name. `prepare` makes the handle that gives work to the thread, and the
    /// function that the thread runs, which must [serve](Running::serve) its argument. If that function cannot set up
    /// its executor, it must still [serve](Running::serve_here): without timers clients would wait forever.
    pub const fn new(name: &'static str, prepare: fn() -> io::Result<(H, Run<H>)>) -> Self {
        Self {
            name,
            prepare,
            first: OnceLock::new(),
        }
    }

    /// Adds a client's ticker to the thread, starting it if necessary. Returns the handle that gives work to the
    /// thread; it is valid until the ticker is over.
    ///
    /// # Errors
    /// If the system cannot start another thread, or `prepare` fails.
    pub fn keep(&'static self, ticker: Ticker) -> Result<H, ConfigError> {
        let shared = &self.here().state;
        let mut state = lock(shared);
        if let Some(handle) = &state.handle {
            let handle = handle.clone();
            state.new.push(ticker);
            let waker = state.waker.take();
            drop(state);
            waker.into_iter().for_each(Waker::wake);
            return Ok(handle);
        }
        let failed = |error: io::Error| {
            ConfigError::Adapter(format!("the background thread cannot be started: {error}"))
        };
        let (handle, run) = (self.prepare)().map_err(failed)?;
        // The ticker is added to `new` only once the thread exists, so that none is left behind without a thread.
        let running = Running {
            state: Arc::clone(shared),
            tickers: Vec::new(),
        };
        let builder = thread::Builder::new().name(self.name.to_owned());
        builder.spawn(move || run(running)).map_err(failed)?;
        state.new.push(ticker);
        state.handle = Some(handle.clone());
        Ok(handle)
    }

    fn here(&'static self) -> &'static Node<H> {
        let make = || Node {
            process: Process::current(),
            state: Arc::new(Mutex::new(State {
                new: Vec::new(),
                handle: None,
                waker: None,
            })),
            next: OnceLock::new(),
        };
        let mut node = self.first.get_or_init(make);
        while !node.process.is_current() {
            node = node.next.get_or_init(|| Box::new(make()));
        }
        node
    }
}

/// The timers that the thread runs.
pub struct Running<H> {
    state: Arc<Mutex<State<H>>>,
    tickers: Vec<Ticker>,
}

impl<H> Running<H> {
    /// Runs the timers until all clients are done. `sleep` makes a future that waits for a duration.
    pub async fn serve<S: Future<Output = ()>>(mut self, sleep: impl Fn(Duration) -> S) {
        let mut sleeping: Option<Pin<Box<S>>> = None;
        poll_fn(|cx| {
            while let Some(pause) = self.tick(cx) {
                sleeping = pause.map(|pause| Box::pin(sleep(pause)));
                let timer = sleeping.as_mut();
                if timer.is_none_or(|timer| timer.as_mut().poll(cx).is_pending()) {
                    return Poll::Pending;
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Like [`serve`](Self::serve), but blocks the thread, which does nothing else.
    pub fn serve_here(mut self) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let cx = Context::from_waker(&waker);
        while let Some(pause) = self.tick(&cx) {
            match pause {
                Some(pause) => thread::park_timeout(pause),
                None => thread::park(),
            }
        }
    }

    /// Runs what is due. Returns how long to pause then, or `Some(None)` to pause until woken; `None` if all clients
    /// are done.
    fn tick(&mut self, cx: &Context<'_>) -> Option<Option<Duration>> {
        let waker = cx.waker();
        loop {
            let mut state = lock(&self.state);
            let before = state.waker.replace(waker.clone());
            self.tickers.append(&mut state.new);
            let is_over = self.tickers.is_empty();
            if is_over {
                state.handle = None;
            }
            drop(state);
            drop(before);
            if is_over {
                return None;
            }
            let mut pause: Option<Duration> = None;
            self.tickers.retain(|ticker| {
                // After a panic, the ticker is called again in a second.
                let tick = catch_unwind(AssertUnwindSafe(|| ticker.tick(waker)));
                let tick = tick.unwrap_or(Tick::Until(Some(Duration::MAX)));
                let next = ticker.pause(tick);
                pause = pause.into_iter().chain(next).min();
                tick != Tick::Over
            });
            if !self.tickers.is_empty() {
                return Some(pause);
            }
        }
    }
}

impl<H> Drop for Running<H> {
    fn drop(&mut self) {
        // After a regular end, another thread may already be running, whose handle must stay.
        if !self.tickers.is_empty() {
            lock(&self.state).handle = None;
        }
    }
}

fn lock<H>(state: &Mutex<State<H>>) -> MutexGuard<'_, State<H>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes a thread that is parked.
pub(super) struct Unpark(pub(super) Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl<H> fmt::Debug for Background<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<H> fmt::Debug for Running<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}
