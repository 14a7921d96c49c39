//! A client in a single-threaded program such as a game. The program's own loop makes the calls and keeps the time, a
//! little in each turn, and the client never starts a thread. At the end the program counts its threads.
//!
//! `cargo run --bin no_threads` needs no setup: it starts its own server. Set `CYCLES_BASE_URL` (plain http),
//! `CYCLES_API_KEY` and `CYCLES_TENANT` to use your own.
#![allow(clippy::print_stdout)]

mod exchange;

use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use cycles_client::models::*;
use cycles_client::proto::{Call, Now};
use cycles_client::{
    Client, Clock, ConfigError, CyclesConfig, Done, Error, Options, Tick, Ticker, Transport,
};
use cycles_examples::{Scene, end};

use crate::exchange::Exchange;

/// The rest of a turn, during which a game would draw.
const REST: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    end("no_threads", run())
}

fn run() -> Result<(), cycles_examples::Failure> {
    // Kept until the end: dropping it stops the server, which has a thread. There is no journal, because threads write
    // it; so a cost that is not settled when the process ends is lost here. There is no observer for the same reason.
    let scene = Scene::without_journal()?;
    let before = threads();
    let (client, mut turns) = Loop::new(scene.config.clone());
    turns.run(agent(client))?;
    println!("It took {} turns of the loop.", turns.count);
    match before.zip(turns.threads) {
        Some((before, most)) if most != before => {
            return Err(format!("there were {before} threads, and with the client {most}").into());
        }
        Some(_) => println!("Threads that the client started: none"),
        None => println!("Threads that the client started: unknown on this system"),
    }
    Ok(())
}

/// Passes calls to the loop. If the loop is gone, `done` is dropped, which reports that the call was not made.
struct Calls(mpsc::Sender<(Call, Done)>);

impl Transport for Calls {
    fn start(&self, call: Call, done: Done) {
        let _ = self.0.send((call, done));
    }
}

/// Passes the ticker to the loop.
struct Time(cycles_host::Clock, mpsc::Sender<Ticker>);

impl Clock for Time {
    fn now(&self) -> Now {
        self.0.now()
    }

    fn start(&self, ticker: Ticker) -> Result<(), ConfigError> {
        let is_gone = |_| ConfigError::Adapter("the loop has ended".to_owned());
        self.1.send(ticker).map_err(is_gone)
    }
}

/// The program's loop: it makes the client's calls and keeps its time.
struct Loop {
    clock: cycles_host::Clock,
    calls: mpsc::Receiver<(Call, Done)>,
    tickers: mpsc::Receiver<Ticker>,
    /// Present while there is a client, or work that it left behind.
    ticker: Option<Ticker>,
    /// When to call the ticker, unless the flag is set earlier.
    due: Option<Duration>,
    is_sooner: Arc<Flag>,
    exchanges: Vec<Exchange>,
    count: u64,
    /// The largest number of threads in any turn.
    threads: Option<usize>,
}

impl Loop {
    fn new(config: CyclesConfig) -> (Client, Self) {
        let clock = cycles_host::Clock::new();
        let (call, calls) = mpsc::channel();
        let (ticker, tickers) = mpsc::channel();
        let time = Time(clock, ticker);
        let client = Options::default().client(config, "no-threads", |config, _| {
            if config.is_https() {
                return Err("this example supports plain http only".into());
            }
            Ok((Arc::new(Calls(call)), Arc::new(time)))
        });
        let this = Self {
            clock,
            calls,
            tickers,
            ticker: None,
            due: None,
            is_sooner: Arc::default(),
            exchanges: Vec::new(),
            count: 0,
            threads: None,
        };
        (client, this)
    }

    /// Runs the agent to its end, then its client's remaining work.
    fn run<T>(&mut self, agent: impl Future<Output = T>) -> T {
        let is_woken = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&is_woken));
        let mut agent = pin!(agent);
        let output = loop {
            if is_woken.take()
                && let Poll::Ready(output) = agent.as_mut().poll(&mut Context::from_waker(&waker))
            {
                break output;
            }
            self.turn();
        };
        while self.ticker.is_some() {
            self.turn();
        }
        output
    }

    /// One turn: everything advances as far as it can without waiting.
    fn turn(&mut self) {
        let new = self.tickers.try_iter().last();
        let is_due = self.due.is_some_and(|due| due <= self.clock.now().mono);
        let is_asked = self.is_sooner.take() || is_due || new.is_some();
        self.ticker = new.or(self.ticker.take());
        if let Some(ticker) = self.ticker.as_ref().filter(|_| is_asked) {
            match ticker.tick(&Waker::from(Arc::clone(&self.is_sooner))) {
                Tick::Until(due) => self.due = due,
                Tick::Over => self.ticker = None,
            }
        }
        let begun = self.calls.try_iter().filter_map(Exchange::begin);
        let exchanges = mem::take(&mut self.exchanges).into_iter().chain(begun);
        self.exchanges = exchanges.filter_map(Exchange::resume).collect();

        self.count += 1;
        self.threads = self.threads.max(threads());
        thread::sleep(REST);
    }
}

/// A waker that sets a flag.
#[derive(Default)]
struct Flag(AtomicBool);

impl Flag {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The number of threads of the process, if the system reports it.
fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

async fn agent(client: Client) -> Result<(), cycles_examples::Failure> {
    let request = |tokens| {
        ReservationCreateRequest::builder()
            .subject(Subject::default()) // the configuration's
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::tokens(tokens))
            .ttl_ms(3_000)
            .build()
    };
    let guard = client.reserve(request(2_000)).await?;
    let id = guard.reservation_id().clone();
    println!("{}: {id} is held", guard.decision());
    let cost = think().await;
    let expires_at = client.get_reservation(&id).await?.expires_at_ms;
    let first = guard.response().expires_at_ms;
    if guard.lease().is_lost() || first.is_none_or(|first| expires_at <= first) {
        return Err(format!("the lease of {id} was not extended").into());
    }
    println!("The lease was extended; it now lasts until {expires_at}.");
    let receipt = guard.commit(cost).await?;
    println!("The cost is in the ledger: {}", receipt.is_settled());

    match client.reserve(request(1_000_000_000_000)).await {
        Err(Error::BudgetExceeded { reason, .. }) => println!("Too much: {reason}"),
        Err(other) => return Err(other.into()),
        Ok(_) => return Err("a reservation above the available budget was allowed".into()),
    }
    let timeout = client.config().retry_flush_timeout;
    let flushed = client.flush(timeout).await?;
    println!("Nothing left to settle: {}", flushed.is_complete());
    if receipt.is_settled() && flushed.is_complete() {
        Ok(())
    } else {
        Err(format!("the cost is not in the ledger: {receipt:?}, {flushed:?}").into())
    }
}

/// Stands in for the call to a model. It takes longer than the lease lasts, and checks the time in each turn.
async fn think() -> CommitRequest {
    let end = Instant::now() + Duration::from_secs(4);
    poll_fn(|cx| {
        if Instant::now() >= end {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    CommitRequest::builder().actual(Amount::tokens(1_300)).build()
}
