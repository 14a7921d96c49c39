//! A ledger in the process, and a time that a test drives, in place of an adapter's transport and clock. The tests of each
//! adapter have it as a module; `runcycles` is their crate.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cycles_client::models::{CommitRequest, ReservationCreateRequest};
use cycles_client::proto::{Call, Now};
use cycles_client::{Clock, ConfigError, Done, Event, Tick, Ticker, Transport, UnixMillis};
use cycles_sandbox::{
    ApiKey, Budget, DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Ledger, Operation, Unit,
};
use http::Response;
use runcycles::{CyclesClient, CyclesClientBuilder};

/// What an agent asks for, for a minute at a time.
pub fn request() -> ReservationCreateRequest {
    request_for(60_000)
}

/// The same, for so many milliseconds at a time.
pub fn request_for(ttl_ms: u64) -> ReservationCreateRequest {
    cycles_conformance::request_for(10, ttl_ms)
}

/// What it costs.
pub fn cost() -> CommitRequest {
    cycles_conformance::commit(7)
}

/// A client of any world.
pub fn builder() -> CyclesClientBuilder {
    let builder = CyclesClient::builder(DEFAULT_API_KEY, "http://ledger.example");
    builder.tenant(DEFAULT_TENANT).journal_enabled(false)
}

/// Both sides.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    began: SystemTime,
    passed: Mutex<Duration>,
    ledger: Mutex<Ledger>,
    tickers: Mutex<Vec<Ticker>>,
    /// Whether the ticker has to be called.
    is_woken: Arc<Woken>,
    /// When the ticker is called anyway.
    looks_at: Mutex<Option<Duration>>,
    may_wait_here: AtomicBool,
    slow: Mutex<Option<(Operation, Duration)>>,
    /// What is on its way to the ledger, by when it arrives and which it is.
    under_way: Mutex<BTreeMap<(Duration, usize), (Call, Done)>>,
    other_answers: Mutex<Option<Box<Other>>>,
    sent: Mutex<Vec<Operation>>,
}

type Other = dyn Fn(Operation, UnixMillis) -> Option<Response<Bytes>> + Send;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl World {
    pub fn new() -> Self {
        let mut ledger = Ledger::new(1);
        ledger.add_api_key(ApiKey::new(DEFAULT_API_KEY, DEFAULT_TENANT));
        ledger.add_budget(Budget::new(DEFAULT_TENANT_SCOPE, Unit::Tokens, 100_000));
        Self(Arc::new(Inner {
            began: SystemTime::now(),
            passed: Mutex::default(),
            ledger: Mutex::new(ledger),
            tickers: Mutex::default(),
            is_woken: Arc::new(Woken(AtomicBool::new(false))),
            looks_at: Mutex::default(),
            may_wait_here: AtomicBool::new(false),
            slow: Mutex::default(),
            under_way: Mutex::default(),
            other_answers: Mutex::default(),
            sent: Mutex::default(),
        }))
    }

    /// A client in this world, without a journal, and what it told.
    pub fn client(&self) -> (CyclesClient, Told) {
        self.client_of(builder())
    }

    /// The same of this builder.
    pub fn client_of(&self, builder: CyclesClientBuilder) -> (CyclesClient, Told) {
        let told = Told::default();
        let events = Arc::clone(&told.0);
        let builder = builder.transport(self.clone()).clock(self.clone());
        let builder = builder.observer(move |event: &Event| events.lock().unwrap().push(event.clone()));
        (builder.build(), told)
    }

    /// Lets time pass, and has the clients do what is due meanwhile: when they are woken, and when a piece of their wait is
    /// over, as the threads of adapters do, and at no other time.
    pub fn pass(&self, time: Duration) {
        let end = self.now().mono + time;
        loop {
            while self.look() || self.arrive() {}
            let arrives = self.0.under_way.lock().unwrap().keys().next().map(|(at, _)| *at);
            let next = self.0.looks_at.lock().unwrap().into_iter().chain(arrives).min();
            let next = next.filter(|next| *next <= end);
            *self.0.passed.lock().unwrap() = next.unwrap_or(end);
            if next.is_none() {
                return;
            }
        }
    }

    pub fn pass_seconds(&self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Advances the time without running anything, as if the process was stopped.
    pub fn stop_for(&self, time: Duration) {
        *self.0.passed.lock().unwrap() += time;
    }

    /// Lets dropping a guard block until its cost is on disk, from now on.
    pub fn let_wait(&self) {
        self.0.may_wait_here.store(true, Ordering::SeqCst);
    }

    /// From now on this operation takes so long on its way to the ledger, and nothing that was asked for blocks on it.
    pub fn slow(&self, operation: Operation, time: Duration) {
        *self.0.slow.lock().unwrap() = Some((operation, time));
    }

    /// Answers calls with this, if it has an answer, instead of the ledger.
    pub fn answer(&self, other: impl Fn(Operation, UnixMillis) -> Option<Response<Bytes>> + Send + 'static) {
        *self.0.other_answers.lock().unwrap() = Some(Box::new(other));
    }

    /// How often this was asked for.
    pub fn sent(&self, operation: Operation) -> usize {
        let sent = self.0.sent.lock().unwrap();
        sent.iter().filter(|sent| **sent == operation).count()
    }

    /// The spent and the held amount.
    pub fn budget(&self) -> (i64, i64) {
        let budget = self.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap());
        (budget.spent, budget.reserved)
    }

    pub fn with_ledger<T>(&self, work: impl FnOnce(&mut Ledger) -> T) -> T {
        work(&mut self.0.ledger.lock().unwrap())
    }

    /// Calls the ticker, if it is due.
    fn look(&self) -> bool {
        let (now, inner) = (self.now().mono, &self.0);
        let is_over = inner.looks_at.lock().unwrap().is_some_and(|at| at <= now);
        if !inner.is_woken.0.swap(false, Ordering::SeqCst) && !is_over {
            return false;
        }
        let waker = Waker::from(Arc::clone(&inner.is_woken));
        let mut next: Option<Duration> = None;
        inner.tickers.lock().unwrap().retain(|ticker| {
            let tick = ticker.tick(&waker);
            let pause = ticker.pause(tick).map(|pause| now + pause);
            next = next.into_iter().chain(pause).min();
            tick != Tick::Over
        });
        *inner.looks_at.lock().unwrap() = next;
        true
    }

    /// The ledger answers what has arrived by now.
    fn arrive(&self) -> bool {
        let mut under_way = self.0.under_way.lock().unwrap();
        let now = self.now().mono;
        let Some(first) = under_way.first_entry().filter(|first| first.key().0 <= now) else {
            return false;
        };
        let (call, done) = first.remove();
        drop(under_way);
        done.finish(Ok(self.ask(&call)));
        true
    }

    fn ask(&self, call: &Call) -> Response<Bytes> {
        let now = self.now().wall;
        let other = self.0.other_answers.lock().unwrap();
        let other = other.as_ref().and_then(|other| other(operation(call), now));
        other.unwrap_or_else(|| self.with_ledger(|ledger| ledger.handle(now, &call.request)))
    }
}

fn operation(call: &Call) -> Operation {
    Operation::of(call.request.method(), call.request.uri().path())
}

impl Clock for World {
    fn now(&self) -> Now {
        let mono = *self.0.passed.lock().unwrap();
        Now {
            mono,
            wall: UnixMillis::from(self.0.began).saturating_add(mono),
        }
    }

    fn start(&self, ticker: Ticker) -> Result<(), ConfigError> {
        self.0.tickers.lock().unwrap().push(ticker);
        self.0.is_woken.0.store(true, Ordering::SeqCst);
        Ok(())
    }
}

impl Transport for World {
    fn start(&self, call: Call, mut done: Done) {
        if !done.begin() {
            return;
        }
        let operation = operation(&call);
        let mut sent = self.0.sent.lock().unwrap();
        sent.push(operation);
        let number = sent.len();
        drop(sent);
        let slow = *self.0.slow.lock().unwrap();
        match slow {
            Some((slow, time)) if slow == operation => {
                let at = self.now().mono + time;
                let mut under_way = self.0.under_way.lock().unwrap();
                under_way.insert((at, number), (call, done));
            }
            _ => done.finish(Ok(self.ask(&call))),
        }
    }

    fn may_wait_here(&self) -> bool {
        self.0.may_wait_here.load(Ordering::SeqCst)
    }
}

/// The events of a client. The observer's thread runs in real time.
#[derive(Clone, Default)]
pub struct Told(Arc<Mutex<Vec<Event>>>);

impl Told {
    /// Waits for this many events of this kind.
    #[track_caller]
    pub fn wait_for(&self, times: usize, is_it: impl Fn(&Event) -> bool) {
        for _ in 0..10_000 {
            if self.count(&is_it) >= times {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let told = self.0.lock().unwrap();
        panic!("not told in time, of {} events: {:?}", told.len(), told.last());
    }

    /// How many events there have been.
    pub fn count(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| is_it(event)).count()
    }

    /// The events of this kind so far.
    pub fn of_kind(&self, is_it: impl Fn(&Event) -> bool) -> Vec<Event> {
        let told = self.0.lock().unwrap();
        told.iter().filter(|event| is_it(event)).cloned().collect()
    }
}
