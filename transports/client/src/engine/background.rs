//! The thread that an adapter has in a process: it keeps the time of all its clients, and runs what they need run.

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

/// One thread for all clients of an adapter. It starts with the first call of the first, and ends when everything of the last
/// has ended. `H` is what gives it work to do.
pub struct Background<H: 'static> {
    name: &'static str,
    prepare: fn() -> io::Result<(H, Run<H>)>,
    first: OnceLock<Node<H>>,
}

/// What runs on the thread: it serves what it is given, and ends with that.
pub type Run<H> = Box<dyn FnOnce(Running<H>) + Send>;

/// What there is in one process. A fork copies neither the thread nor those who held its locks: the child has the next.
struct Node<H: 'static> {
    process: Process,
    state: Arc<Mutex<State<H>>>,
    next: OnceLock<Box<Self>>,
}

struct State<H> {
    /// Those that the thread has not taken yet.
    new: Vec<Ticker>,
    /// While there is a thread.
    handle: Option<H>,
    /// Wakes the thread.
    waker: Option<Waker>,
}

impl<H: Clone + Send> Background<H> {
    /// `prepare` makes what gives the thread work, and what the thread then runs, which [serves](Running::serve). Should that fail to
    /// make what it needs there, it is to [serve all the same](Running::serve_here): who keeps no time leaves clients waiting.
    pub const fn new(name: &'static str, prepare: fn() -> io::Result<(H, Run<H>)>) -> Self {
        Self {
            name,
            prepare,
            first: OnceLock::new(),
        }
    }

    /// Has the time of a client kept, and says what gives the thread work for as long as that client has anything under way.
    ///
    /// # Errors
    /// If the system has no thread to give, or nothing to wait with.
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
            ConfigError::Adapter(format!("the system has no thread for the heartbeat: {error}"))
        };
        let (handle, run) = (self.prepare)().map_err(failed)?;
        // It takes what is new, as it takes the others: without a thread nothing is left behind in it.
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

/// What the thread keeps the time of.
pub struct Running<H> {
    state: Arc<Mutex<State<H>>>,
    tickers: Vec<Ticker>,
}

impl<H> Running<H> {
    /// Keeps the time until there is nothing more to keep it of. `sleep` waits for so long.
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

    /// The same on a thread that has nothing else to do.
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

    /// Does what is due, and says how long there is nothing to do then; nothing if there never will be.
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
                // One that panics is asked again in a second.
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
        // Not if it came to its end, and there may be another by now.
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
