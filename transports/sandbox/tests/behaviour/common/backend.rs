//! The server behind a desk: here a ledger of this process in virtual time.

use std::time::{Instant, SystemTime};

use bytes::Bytes;
use cycles_conformance::contract;
use cycles_proto::time::UnixMillis;
use cycles_sandbox::Ledger;
use http::Request;

use super::setup::Setup;
use super::{ADMIN_KEY, Answer, START};

pub trait Backend {
    /// One request and its response.
    fn exchange(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer;

    fn set_up(&mut self, setup: &Setup);

    /// Milliseconds since 1970.
    fn now(&self) -> u64;

    fn pass(&mut self, ms: u64);

    /// A suffix that keeps the idempotency keys of this run apart from those of others.
    fn salt(&self) -> String {
        String::new()
    }

    /// The ledger itself, if it is in this process.
    fn ledger(&mut self) -> Option<&mut Ledger> {
        None
    }
}

/// A ledger with a clock that is moved by hand, and may also run by itself.
pub struct Inside {
    ledger: Ledger,
    now: u64,
    since: Option<Instant>,
}

impl Inside {
    pub fn new() -> Self {
        let mut ledger = Ledger::new(7);
        ledger.set_admin_key(ADMIN_KEY);
        ledger.set_tenant_cache_ms(0);
        // As the reference server, for as many operations as a run is asked to have.
        ledger.set_retained(usize::MAX);
        Self {
            ledger,
            now: START,
            since: None,
        }
    }

    /// With a clock that also runs by itself, starting now.
    pub fn on_the_wall_clock() -> Self {
        let now = UnixMillis::from(SystemTime::now()).0;
        Self {
            now,
            since: Some(Instant::now()),
            ..Self::new()
        }
    }
}

impl Backend for Inside {
    fn exchange(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::copy_from_slice(body)).unwrap();
        let now = UnixMillis(self.now());
        let response = self.ledger.handle(now, &request);
        contract::check_answer(&request, &response);
        let (head, bytes) = response.into_parts();
        Answer::new(head.status.as_u16(), head.headers, bytes)
    }

    fn set_up(&mut self, setup: &Setup) {
        let now = UnixMillis(self.now());
        setup.apply(&mut self.ledger, now);
    }

    fn now(&self) -> u64 {
        let passed = self.since.map_or(0, |since| since.elapsed().as_millis());
        self.now + u64::try_from(passed).unwrap()
    }

    fn pass(&mut self, ms: u64) {
        self.now += ms;
    }

    fn ledger(&mut self) -> Option<&mut Ledger> {
        Some(&mut self.ledger)
    }
}
