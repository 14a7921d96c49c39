//! A ledger in the process, and a time that a test drives, in place of an adapter's transport and clock. The tests of each
//! adapter have it as a module.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::{Duration, SystemTime};

use cycles_client::models::{Action, Amount, CommitRequest, ReservationCreateRequest, Subject};
use cycles_client::proto::{Call, Now};
use cycles_client::{Clock, ConfigError, Done, Tick, Ticker, Transport, UnixMillis};
use cycles_sandbox::{ApiKey, Budget, DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Ledger, Unit};

/// What an agent asks for, for a minute at a time.
pub fn request() -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::default())
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(10))
        .ttl_ms(60_000_u64)
        .build()
}

/// What it costs.
pub fn cost() -> CommitRequest {
    CommitRequest::builder().actual(Amount::tokens(7)).build()
}

/// Both sides.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    began: SystemTime,
    passed: Mutex<Duration>,
    ledger: Mutex<Ledger>,
    ticker: Mutex<Option<Ticker>>,
}

impl World {
    pub fn new() -> Self {
        let mut ledger = Ledger::new(1);
        ledger.add_api_key(ApiKey::new(DEFAULT_API_KEY, DEFAULT_TENANT));
        ledger.add_budget(Budget::new(DEFAULT_TENANT_SCOPE, Unit::Tokens, 1_000));
        Self(Arc::new(Inner {
            began: SystemTime::now(),
            passed: Mutex::default(),
            ledger: Mutex::new(ledger),
            ticker: Mutex::default(),
        }))
    }

    /// Lets time pass, and has the client do what is due meanwhile.
    pub fn pass(&self, time: Duration) {
        let end = self.now().mono + time;
        let ticker = self.0.ticker.lock().unwrap();
        let ticker = ticker
            .as_ref()
            .expect("the client has asked for its time to be kept");
        loop {
            let next = match ticker.tick(Waker::noop()) {
                Tick::Until(next) => next.filter(|next| *next < end),
                Tick::Over => None,
            };
            *self.0.passed.lock().unwrap() = next.unwrap_or(end);
            if next.is_none() {
                break;
            }
        }
        ticker.tick(Waker::noop());
    }

    /// What is spent and what is held.
    pub fn budget(&self) -> (i64, i64) {
        let ledger = self.0.ledger.lock().unwrap();
        let budget = ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap();
        (budget.spent, budget.reserved)
    }
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
        *self.0.ticker.lock().unwrap() = Some(ticker);
        Ok(())
    }
}

impl Transport for World {
    fn start(&self, call: Call, mut done: Done) {
        if done.begin() {
            let now = self.now().wall;
            let answer = self.0.ledger.lock().unwrap().handle(now, &call.request);
            done.finish(Ok(answer));
        }
    }
}
